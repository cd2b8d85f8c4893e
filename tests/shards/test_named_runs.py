"""A run that names shards is, to the bit, the run that has copies; and all that works on a run works on it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from twice import N, Place

import ilk
from ilk import exports, near, runs
from ilk.files import sprites_of
from ilk.shards import ShardRows

GONE = {"seconds", "images_per_second", "run"}  # of a summary: when it was, and where


def test_it_has_no_copies(first: Place) -> None:
    inside = {path.name for path in (first.home / "named").iterdir()}
    there = {path.name for path in (first.home / "copied").iterdir()}
    assert inside - there == {"shards.npy", "slots.npy"}
    assert there - inside == {"features.npy", "thumbs"}
    assert (first.home / "named" / "slots.npy").stat().st_size == 128 + 8 * N
    header = first.named.header
    assert header["ilk_run"] == 3  # an older ilk says that it is of a newer one
    assert header["shards"]["cache"] == str(first.cache)
    assert header["shards"]["n"] == len(first.shards()) == 2


def test_features_and_thumbnails_are_those_of_the_copies(first: Place) -> None:
    copied, named = first.copied.features(), first.named.features()
    assert isinstance(named, ShardRows)
    assert (named.shape, named.dtype, named.nbytes) == (copied.shape, copied.dtype, copied.nbytes)
    assert np.asarray(named).tobytes() == np.asarray(copied).tobytes()
    status = first.named.images()["status"]
    assert np.isnan(named[status.index("unreadable")]).all()
    copy = status.index("duplicate")
    original = first.named.images()["path"].index(first.named.images()["duplicate_of"][copy])
    assert first.named.named.slots[copy] == first.named.named.slots[original]
    a, b = sprites_of(first.copied.thumbs()), sprites_of(first.named.thumbs())
    assert [a.picture(row) for row in range(N)] == [b.picture(row) for row in range(N)]
    assert (a.read(range(N)) == b.read(range(N))).all()
    with pytest.raises(IndexError):
        b.picture(N)


@pytest.mark.parametrize("seed", range(5))
def test_rows_are_read_as_from_an_array(first: Place, seed: int) -> None:
    rng, whole, rows = np.random.default_rng(seed), np.asarray(first.copied.features()), first.named.features()
    keys: list[Any] = [int(rng.integers(-N, N)), slice(*sorted(rng.integers(0, N, 2))), rng.integers(-N, N, 40)]
    keys += [
        rng.random(N) < 0.2,
        np.sort(rng.integers(0, N, 9)).tolist(),
        (rng.integers(0, N, 5), 3),
        slice(None, None, -7),
    ]
    for key in keys:
        assert rows[key].tobytes() == whole[key].tobytes(), key


def test_groups_numbers_and_predictions_are_the_same(first: Place) -> None:
    a, b = first.copied, first.named
    for name in ("assignments.parquet", "images.parquet", "map.npy", "near.npy", "clusters.json", "model/state.json"):
        assert (a.path / name).read_bytes() == (b.path / name).read_bytes(), name
    assert {k: v for k, v in a.summary().items() if k not in GONE} == {
        k: v for k, v in b.summary().items() if k not in GONE
    }
    for name in ("similarity.png", "silhouette.png"):
        if (a.path / "plots" / name).exists():
            assert (a.path / "plots" / name).read_bytes() == (b.path / "plots" / name).read_bytes()
    both = [ilk.predict(run.path, first.photos, cache=first.cache) for run in (a, b)]
    for name in ("group", "confidence", "known"):
        assert getattr(both[0], name).tobytes() == getattr(both[1], name).tobytes()
    assert a.similar("003.png", 5) == b.similar("003.png", 5)
    assert (near.stacks(a) == near.stacks(b)).all()
    assert (near.outliers(a) == near.outliers(b)).all()


@pytest.mark.parametrize("kept", [0, 1 << 30])
def test_where_every_file_is_an_image_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    """All features are asked for as they are then, without a choice of rows."""
    monkeypatch.setattr("ilk.methods.assign.similar.KEPT", kept)
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for i in range(30):
        pixels = rng.integers(0, 90, (9, 9, 3)) + 80 * (i % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "photos" / f"{i:02}.png")
    found: list[Any] = []
    for copies in (True, False):
        options = {"n_clusters": 2, "encoder": "classic", "preset": "tiny", "cache": tmp_path / "cache"}
        run = ilk.cluster(tmp_path / "photos", tmp_path / f"{copies}", options=options, names=False, copies=copies)
        placed = ilk.predict(run, tmp_path / "photos", nearest=3)
        found += [(placed.nearest, placed.group.tolist(), near.outliers(run).tolist(), near.stacks(run).tolist())]
    assert (run.named is not None, found[0]) == (True, found[1])


def test_the_report_is_the_same(place: Place) -> None:
    from ilk.report import write_report

    texts = []
    for run in (place.copied, place.named):
        text = write_report(run, place.home / "page.html").read_text("utf-8")
        texts.append(text.count("data:image/"))
        assert "not be read" in text
    assert texts[0] == texts[1] > 10


def test_corrections_regroup_and_export(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.home)
    found = []
    for run in (place.copied, place.named):
        run.corrections.split(0, [f"{3 * i:03}.png" for i in range(9)])
        preview = run.regroup(preview=True)
        found.append([preview.moves, preview.held_out])
        found.append(run.labels())
        other = runs.with_other_groups(run, place.home / f"{run.path.name}-other", lambda copy: None)
        assert (other.labels() == run.labels()).all()
        done = exports.export(run, place.home / f"{run.path.name}-atlas", layout="embedding-atlas")
        assert done is not None
    assert found[0] == found[2]
    assert (found[1] == found[3]).all()
    a, b = (next((place.home / f"{name}-atlas").glob("*.parquet")) for name in ("copied", "named"))
    assert a.read_bytes() == b.read_bytes()
    assert runs.load_run(place.home / "named-other").features().shape == place.named.features().shape


def test_what_joins_later_is_copied(place: Place) -> None:
    found = []
    for name in ("copied", "named"):
        new = place.home / f"new-{name}"
        new.mkdir()
        for path in sorted(place.photos.glob("00*.png")):
            (new / f"new-{path.name}").write_bytes(
                path.read_bytes()[:-1] + b"\0" if path.name > "004" else path.read_bytes()
            )
        run = ilk.load_run(place.home / name)
        run.update(new, cache=place.cache)
        assert (run.path / "updates" / "0001" / "features.npy").is_file()
        thumbs = sprites_of(run.thumbs())
        found.append(
            (np.asarray(run.features()).tobytes(), run.labels().tolist(), [thumbs.picture(i) for i in range(N + 3)])
        )
    assert found[0] == found[1]


def test_the_gallery_shows_it(place: Place) -> None:
    from ilk.gallery import serving

    shown = []
    for run in (place.copied, place.named):
        with serving(run.path) as served:
            browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            browser.open(f"http://127.0.0.1:{served.port}/?token={served.token}").read()
            addresses = [f"thumb/{row}" for row in (0, 7, N - 1)] + ["api/image/7"]
            shown.append([browser.open(f"http://127.0.0.1:{served.port}/{one}").read() for one in addresses])
    assert shown[0] == shown[1]


MEMORY = """
import sys
from ilk.runs import load_run
from ilk.runs.similar import Similar
run = load_run(sys.argv[1])
features = run.features()
Similar(features).prepare()
assert "torch" not in sys.modules
print(features.shape)
"""


def test_no_torch_is_needed_to_read_it(first: Place) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(first.home / "named")], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.startswith(f"({N},"), done.stderr


def test_few_shards_are_open_at_a_time(first: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ilk.shards.rows._OPEN", 1)
    named = first.named.named
    rows = named.features()
    assert np.asarray(rows).tobytes() == np.asarray(first.copied.features()).tobytes()
    assert len(named.shards._open) == 1


@pytest.mark.parametrize(("n", "copies", "names"), [(N, None, False), (2, None, True), (2, True, False)])
def test_from_a_million_images_on_by_itself(
    place: Place, monkeypatch: pytest.MonkeyPatch, n: int, copies: bool | None, names: bool
) -> None:
    monkeypatch.setattr("ilk._kept.MANY", n + 1 if n == N else n)
    assert (place.cluster("by-itself", copies=copies).named is not None) == names


def test_what_no_cache_holds_is_copied(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 8, 8)).astype(np.uint8)
    options = {"n_clusters": 2, "encoder": "pixels", "preset": "tiny"}
    run = ilk.cluster(pixels, place.home / "array", options=options, copies=False)
    assert run.named is None
    assert any("features and thumbnails are copied" in one for one in run.summary()["warnings"])
    run = ilk.cluster(place.photos, place.home / "no-cache", options={**options, "cache": None}, copies=False)
    assert (run.named, run.features().shape[0]) == (None, N)


def test_gather_makes_it_whole(alone: Place) -> None:
    before = alone.named
    corrected = before.corrections.rename(0, "stripes")
    assert corrected.do == "rename"
    done = ilk.gather(before)
    for folder in (alone.cache, alone.photos):
        shutil.rmtree(folder)
    run = ilk.load_run(done.path)
    assert (run.named, run.header["ilk_run"]) == (None, 2)
    for name in ("features.npy", "thumbs/00000.bin", "thumbs/00001.bin"):
        assert (run.path / name).read_bytes() == (alone.home / "copied" / name).read_bytes(), name
    assert not (run.path / "slots.npy").exists()
    assert not (run.path / "shards.npy").exists()
    assert run.clusters()[0]["name"] == "stripes"
    assert ilk.gather(run.path).path == run.path  # once more: nothing to do


def test_features_of_your_own_are_copied(alone: Place) -> None:
    """The cache has the same images, and other features of them or none."""
    own = np.random.default_rng(0).normal(size=(N, 8)).astype(np.float16)
    options = {"n_clusters": 3, "preset": "tiny", "cache": alone.cache}
    run = ilk.cluster(alone.photos, alone.home / "own", options=options, features=own, names=False, copies=False)
    assert run.named is None
    read = np.array(run.images()["status"]) == "ok"
    assert (np.asarray(run.features())[read] == own[read]).all()
