"""Every reader of a run sees what joined it, and what is gone."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from trial import tree, write_images

import ilk as package
from ilk.errors import ArgumentError
from ilk.runs import Run

pytestmark = pytest.mark.usefixtures("no_report", "no_map")


def test_exports_leave_out_what_is_gone(run: Run, source: Path, more: Path, home: Path) -> None:
    package.export(run, home / "out")
    (source / "0_0000.png").unlink()
    package.update(run)
    package.update("run", more)
    done = package.export("run", home / "out")
    assert (done.n_images, done.added, done.missing) == (38, 9, {})
    assert done.removed + len(done.left) <= 1
    assert any("1 images are not in the source any more" in note for note in done.notes)
    with open(done.table, encoding="utf-8", newline="") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    assert len(rows) == 38
    assert "0_0000.png" not in rows
    assert (home / "out" / rows["more/0_0000.png"]["exported"]).resolve() == more / "0_0000.png"
    for layout in ("csv", "parquet", "embedding-atlas", "imagefolder", "fiftyone"):
        assert package.export("run", home / layout, layout=layout).n_images == 38
    copies = package.export("run", home / "copies", mode="copy", source=source)
    assert (copies.n_images, copies.missing) == (38, {})


def test_other_files_are_not_given_away_as_images_of_a_run(run: Run, more: Path, home: Path) -> None:
    """A run may come from somebody else: what joined it from elsewhere is checked by its content."""
    package.update(run, more)
    (more / "0_0000.png").write_bytes(b"a secret")
    for where in (None, home / "source"):
        done = package.export("run", home / f"copies-{where is None}", mode="copy", source=where)
        assert {*done.missing} == {"more/0_0000.png"}


def test_scores_are_those_of_all(run: Run, source: Path, more: Path) -> None:
    assert package.evaluate(run, "prefix")["n_scored"] == 30  # type: ignore[index]
    (more / "5_wrong.png").write_bytes((source / "0_0000.png").read_bytes())
    package.update(run, more)
    now = package.load_run("run")
    assert now.scores() is None  # nobody has scored these images
    scores = package.evaluate(now, "prefix")
    assert scores is not None
    assert scores["n_scored"] == 40
    assert scores["acc"] == pytest.approx(39 / 40)
    assert now.scores() == {"labels": "prefix", **scores}
    assert now.summary()["scores"]["acc"] == scores["acc"]
    now.corrections.rename(0, "mine")
    assert package.evaluate(now, "prefix") == {**scores, "uncorrected": scores}
    assert package.load_run("run").scores() == {
        "labels": "prefix",
        **scores,
        "uncorrected": {"labels": "prefix", **scores},
    }


def test_comparing_and_similar_images(run: Run, more: Path, home: Path) -> None:
    shutil.copytree("run", "copy")
    package.update(run, more)
    found = package.compare(["copy", "run"])
    assert (found.n_common, found.n_only) == (30, [0, 9])
    near = package.predict("run", str(more / "0_0000.png"), nearest=3).nearest
    assert near is not None
    assert all(one["path"] in run.images()["path"][:30] for one in near[0])


def test_features_of_your_own(home: Path, source: Path) -> None:
    draws = np.random.default_rng(0)
    vectors = (np.repeat(np.eye(3), 10, 0) * 9 + draws.normal(size=(30, 3))).astype(np.float32)
    np.save("vectors.npy", vectors)
    package.cluster("vectors.npy", "alone", options={"n_clusters": 3, "preset": "tiny"}, names=False)
    np.save("vectors.npy", np.vstack([vectors, vectors[:3] + 0.01, vectors[:1]]))
    placed = package.predict("alone", "vectors.npy")
    done = package.update("alone")
    assert (done.names, done.status) == (["row 30", "row 31", "row 32", "row 33"], ["ok"] * 3 + ["duplicate"])
    assert done.group.tolist() == placed.group[30:].tolist()
    now = package.load_run("alone")
    assert now.thumbs() == []
    np.testing.assert_array_equal(np.asarray(now.features()), np.load("vectors.npy"))
    options = {"n_clusters": 3, "preset": "tiny", "features": vectors}
    package.cluster(source, "beside", options=options, names=False)
    write_images(source, 31)
    before = tree(home / "beside")
    with pytest.raises(ArgumentError, match="--features"):
        package.update("beside")
    assert tree(home / "beside") == before
    done = package.update("beside", features=np.vstack([vectors[:10], vectors[9:]]))  # in the order of the names
    assert (done.names, done.status, len(done.gone)) == (["0_0030.png"], ["ok"], 0)
