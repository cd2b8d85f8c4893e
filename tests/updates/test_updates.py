"""New images join a run: where `predict` places them, behind all others, which stay as they are."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from small import OPTIONS
from trial import Ilk, refused, tree, write_images

import ilk as package
from ilk.errors import ArgumentError, DataError, Interrupted, RunError
from ilk.files import sprites_of
from ilk.runs import Run

pytestmark = pytest.mark.usefixtures("no_report", "no_map")


def kept(run: Run) -> dict[str, tuple[int, int]]:
    """What a run consists of, but for its report."""
    return {name: at for name, at in tree(run.path).items() if not name.endswith(("report.html", "updates"))}


def state(run: Run) -> dict[str, tuple[Any, ...]]:
    """Every image by its path: what the run says of it."""
    images, hashes = run.images(), run.hashes()
    assert hashes is not None
    columns = (images["status"], images["gone"], images["duplicate_of"], hashes, run.labels().tolist())
    return {path: values for path, *values in zip(images["path"], *columns, strict=True)}  # type: ignore[misc]


# -- where they go -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["transfer", "kmeans", "spectral", "nmf", "deepcluster", "turtle", "temi"])
def test_digits_go_where_predict_places_them(home: Path, method: str) -> None:
    digits = (load_digits().images * 15).astype(np.uint8)
    np.save("first.npy", digits[:1500])
    np.save("rest.npy", digits[1500:])
    options: dict[str, Any] = {"n_clusters": 10, "random_state": 0}
    if method == "transfer":
        options |= {"encoder": "pixels"}
    if method in ("deepcluster", "turtle", "temi"):
        pytest.importorskip("torch")
        options = {"n_clusters": 10, "preset": "tiny"} if method == "deepcluster" else options | {"encoder": "pixels"}
    if method in ("temi", "turtle"):
        options |= {"preset": "tiny"}
    run = package.cluster("first.npy", "run", method=method, options=options, names=False)
    before, table, features = kept(run), run.assignments(), np.array(run.features())
    placed = package.predict(run, "rest.npy")
    done = package.update(run, "rest.npy")
    assert (done.before, len(done.names), done.number, done.gone) == (1500, 297, 1, [])
    now = package.load_run("run")
    assert now.labels()[1500:].tolist() == placed.group.tolist() == done.group.tolist()
    assert now.images()["path"][1500:] == [f"rest.npy/{name}" for name in placed.names]
    after = now.assignments()
    for name, values in after.items():
        np.testing.assert_array_equal(np.array(values[:1500], float), np.array(table[name], float), name)
    np.testing.assert_allclose(after["confidence"][1500:], placed.confidence, rtol=1e-5)
    assert after["distance"][1500:] == [None] * 297
    assert [one for one in after["second"][1500:] if one >= 0] == [one for one in placed.second.tolist() if one >= 0]
    if placed.fine is not None:
        fine = now.fine_labels()
        assert fine is not None
        assert fine[1500:].tolist() == placed.fine.tolist()
    assert np.array_equal(np.asarray(now.features()[:1500]), features, equal_nan=True)
    assert before.items() <= kept(now).items()  # not one file of before was touched
    layout = now.map()
    assert layout is not None
    assert np.isfinite(layout).all()
    sizes = {group["id"]: group["size"] for group in now.clusters()}
    assert sizes == {int(i): int(n) for i, n in zip(*np.unique(now.labels(), return_counts=True), strict=True)}
    assert sum(now.summary()["sizes"]) + sizes.get(-1, 0) == now.summary()["n_images"] == 1797
    again = package.predict(now, "rest.npy")
    assert again.group.tolist() == placed.group.tolist()  # the model is as it was
    model = now.model()
    assert len(model.labels_) == 1500
    assert package.update(now).nothing


def test_new_images_stand_near_those_like_them(run: Run, more: Path) -> None:
    layout = run.map()
    assert layout is not None
    package.update(run, more)
    now = package.load_run(run.path)
    grown, labels = now.map(), now.labels()
    assert grown is not None
    assert np.array_equal(grown[:30], layout)
    for row in range(30, 39):
        near = grown[:30][labels[:30] == labels[row]]
        assert (near.min(0) <= grown[row]).all()
        assert (grown[row] <= near.max(0)).all()


def test_thumbnails_are_those_of_the_images(run: Run, source: Path, more: Path) -> None:
    from PIL import Image

    package.update(run, more)
    (source / "extra.png").write_bytes((source / "1_0001.png").read_bytes())
    package.update(run)
    now = package.load_run(run.path)
    sprites = sprites_of(now.thumbs())
    assert sprites is not None
    rows = [39, 3, 35, 1, 31]
    found = sprites.read(rows).astype(int)
    paths = [now.images()["path"][row] for row in rows]
    assert paths[0] == "extra.png"
    for path, thumb in zip(paths, found, strict=True):
        file = more / path.removeprefix("more/") if path.startswith("more/") else source / path
        side = thumb.shape[0]
        wanted = np.asarray(Image.open(file).convert("RGB").resize((side, side), Image.Resampling.BOX)).astype(int)
        assert np.abs(thumb - wanted).mean() < 12
    with pytest.raises(IndexError):
        sprites.read([-1])


# -- what became of the others -----------------------------------------------------------------------------------------


def test_moved_changed_gone_and_back(run: Run, source: Path, more: Path) -> None:
    before = state(run)
    to = (before["0_0000.png"][-1] + 1) % 3
    run.corrections.move("0_0000.png", to=to)
    run.corrections.move("2_0002.png", to=(before["2_0002.png"][-1] + 1) % 3)
    (source / "deep").mkdir()
    (source / "0_0000.png").rename(source / "deep" / "renamed.png")
    lost = (source / "2_0002.png").read_bytes()
    (source / "2_0002.png").unlink()
    (source / "1_0001.png").write_bytes((more / "0_0000.png").read_bytes())  # other content
    (source / "z_copy.png").write_bytes((source / "deep" / "renamed.png").read_bytes())
    (source / "broken.png").write_bytes(b"no picture")
    done = run.update()
    assert (done.moved, done.changed, done.gone) == (["deep/renamed.png"], ["1_0001.png"], ["2_0002.png"])
    assert dict(zip(done.names, done.status, strict=True)) == {
        "1_0001.png": "ok",
        "broken.png": "unreadable",
        "z_copy.png": "duplicate",
    }
    assert run.labels()[0] == to  # of the same object, which sees what joined
    now = state(run)
    assert now["deep/renamed.png"][1:] == [False, None, before["0_0000.png"][3], to]
    assert now["z_copy.png"] == ["duplicate", False, "deep/renamed.png", before["0_0000.png"][3], to]
    assert now["2_0002.png"][1] is True
    assert now["2_0002.png"][-1] == (before["2_0002.png"][-1] + 1) % 3
    assert now["1_0001.png#gone"][1:] == [True, *before["1_0001.png"][2:]]
    pattern = {state(run)[f"0_{i:04}.png"][-1] for i in range(3, 30, 3)}
    assert {now["1_0001.png"][-1]} == pattern  # it shows pattern 0
    assert now["broken.png"][-1] == -2
    assert run.summary()["n_gone"] == 2
    same = [path for path in before if path in now and path not in ("1_0001.png", "2_0002.png")]
    assert all(now[path] == before[path] for path in same)
    assert len(same) == 27
    done = run.update()
    assert done.nothing
    assert (done.number, len(run.updates)) == (None, 1)
    (source / "again.png").write_bytes(lost)
    (source / "z_copy.png").unlink()
    done = run.update()
    assert (done.back, done.moved, done.gone, done.names) == (["again.png"], ["again.png"], ["z_copy.png"], [])
    now = state(run)
    assert now["again.png"][1] is False
    assert now["again.png"][-1] == (before["2_0002.png"][-1] + 1) % 3
    assert (len(run.updates), len(now)) == (2, 33)
    run.corrections.undo()
    run.corrections.undo()
    assert {path: values[-1] for path, values in state(run).items() if path in ("z_copy.png", "deep/renamed.png")} == {
        "z_copy.png": before["0_0000.png"][-1],
        "deep/renamed.png": before["0_0000.png"][-1],
    }


def test_corrections_of_new_images(run: Run, more: Path) -> None:
    run.corrections.merge(0, 1)
    done = package.update(run, more)
    assert {*done.group.tolist()} == {0, 2}
    now = package.load_run(run.path)
    at = {path: row for row, path in enumerate(now.images()["path"])}
    mine = [at["more/0_0000.png"], at["more/1_0001.png"]]
    others = [2 if now.labels()[row] == 0 else 0 for row in mine]
    now.corrections.move("more/0_0000.png", to=others[0])
    now.corrections.move(str(more / "1_0001.png"), to=others[1])  # not the 1_0001.png of the run's own source
    assert now.labels()[mine].tolist() == others
    assert now.labels()[at["1_0001.png"]] == run.labels()[at["1_0001.png"]]
    table = now.assignments()
    assert [table["confidence"][row] for row in mine] == [None, None]
    assert now.uncorrected().labels()[30:].tolist() == package.predict(now.uncorrected(), more).group.tolist()


def test_a_part_of_the_folder(run: Run, source: Path, home: Path) -> None:
    write_images(source / "new", 3, seed=3)
    (source / "0_0000.png").unlink()
    done = package.update(run, source / "new")
    assert (done.names, done.gone) == (["new/0_0000.png", "new/1_0001.png", "new/2_0002.png"], [])
    write_images(source / "new", 4, seed=3)
    done = package.update("run", ["source/new/0_0003.png"])
    assert done.names == ["new/0_0003.png"]
    done = package.update("run")
    assert (done.names, done.gone) == ([], ["0_0000.png"])
    assert [record["prefix"] for record in package.load_run("run").sources()] == [""]


def test_a_source_that_was_moved_as_a_whole(run: Run, source: Path, home: Path) -> None:
    run.corrections.move("0_0000.png", to=2)
    source.rename(home / "elsewhere")
    write_images(home / "elsewhere", 31)
    done = package.update(run, home / "elsewhere")
    assert (done.names, done.moved, done.gone) == (["0_0030.png"], [], [])
    assert "not there any more" in done.notes[0]
    now = package.load_run("run")
    assert now.labels()[0] == 2
    assert now.sources()[0]["spec"] == str(home / "elsewhere")
    assert package.export(now, home / "out").n_images == 31
    assert package.update("run").nothing


def test_several_sources_and_names(run: Run, source: Path, more: Path, home: Path) -> None:
    write_images(source / "more", 1, seed=9)
    package.update(run)
    package.update("run", more)
    write_images(more, 12, seed=7)
    done = package.update("run", "more")
    assert done.names == ["more-2/0_0009.png", "more-2/1_0010.png", "more-2/2_0011.png"]
    done = package.update("run", np.zeros((2, 12, 12), np.uint8))
    assert (done.names, done.status) == (["added/0", "added/1"], ["ok", "duplicate"])
    now = package.load_run("run")
    assert [record["prefix"] for record in now.sources()] == ["", "more-2/", "added/"]
    out = package.export(now, home / "out")
    assert (out.n_images, {*out.missing}) == (43, {"added/0", "added/1"})
    assert "in memory" in out.missing["added/0"]
    scores = package.evaluate(now, "prefix")
    assert scores is not None
    assert (scores["n_scored"], scores["n_unlabelled"]) == (43, 2)


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command(ilk: Ilk, run: Run, source: Path, more: Path) -> None:
    before = kept(run)
    said = ilk("update", "run")
    assert (said.code, said.err) == (0, "")
    assert "nothing  new: the run has all 30 images" in said.out
    for name in ("0_0000.png", "1_0001.png"):
        shutil.copy(more / name, source / f"new_{name}")
    shutil.copy(source / "2_0002.png", source / "new_copy.png")
    said = ilk("update", "run", "--dry-run")
    assert "new      3 images would join; 1 exact copies" in said.out
    assert "nothing was changed" in said.out
    assert kept(run) == before
    old = ilk("update", "run", "--dry")
    assert (old.code, old.err) == (0, "note     --dry is now --dry-run; the old name goes with ilk 0.3\n")
    assert kept(run) == before
    dry = ilk("update", "run", "--dry-run", "--json").json
    done = ilk("update", "run", "--json").json
    assert (dry["dry"], dry["update"], done["dry"], done["update"]) == (True, None, False, 1)
    assert {**dry, "dry": False, "update": 1} == done
    assert (done["n_before"], done["n_new"], done["n_copies"]) == (30, 2, 1)
    assert sum(done["sizes"].values()) == 3
    groups = dict(zip(package.load_run("run").images()["path"], package.load_run("run").labels().tolist(), strict=True))
    assert {image["path"]: image["group"] for image in done["images"]} == {
        path: group for path, group in groups.items() if path.startswith("new")
    }
    assert before.items() <= kept(run).items()
    assert "33 images in 3 groups" in ilk("info", "run").out
    (source / "new_copy.png").rename(source / "other.png")
    (source / "0_0000.png").unlink()
    said = ilk("update", "run")
    assert "moved    1 file, moved or renamed: same images, same groups (other.png)" in said.out
    assert "gone     1 file, gone from the source" in said.out
    assert ilk("info", "run", "--json").json["summary"]["n_gone"] == 1
    refused(ilk("update", "nothing"), "no run at nothing")
    refused(ilk("update", "run", "missing"), "there is no missing")


def test_an_interrupted_update_leaves_the_run_as_it_was(run: Run, more: Path, home: Path) -> None:
    before = tree(run.path)
    for stage in ("look", "encode"):

        def stop(event: dict[str, Any], stage: str = stage) -> bool:
            return event.get("stage") == stage and "begin" not in event

        with pytest.raises(Interrupted):
            package.update(run, more, on_event=stop)
        assert tree(run.path) == before
    assert len(package.update(run, more).names) == 9


def test_what_cannot_be_updated(run: Run, more: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = package.cluster(_pixels(), "array", options=OPTIONS, names=False)
    with pytest.raises(ArgumentError, match="in memory"):
        package.update(array)
    assert len(package.update(array, _pixels()).names) == 30  # nobody can say whether it is the same array
    with monkeypatch.context() as patch:
        patch.setattr(type(run), "hashes", lambda self: None)
        with pytest.raises(DataError, match="older ilk"):
            package.update(run, more)
    monkeypatch.setattr("ilk.disk.unwritable", lambda folder: "Read-only file system")
    with pytest.raises(RunError, match="it can be looked at, not updated"):
        package.update(run, more)


def _pixels() -> Any:
    draws = np.random.default_rng(0)
    patterns = draws.integers(0, 200, (3, 12, 12))
    return (np.repeat(patterns, 10, 0) + draws.integers(0, 40, (30, 12, 12))).astype(np.uint8)
