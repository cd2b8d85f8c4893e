"""Features of the user's own in the place of an encoder's."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from trial import write_images

from ilk import encoders
from ilk.data import Encoded, NoThumbs, OwnFeatures, open_images
from ilk.errors import ArgumentError, DataError, Interrupted, RunError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 255, (12, 9, 9), np.uint8)
IMAGES[7] = IMAGES[2]
IMAGES[11] = IMAGES[2]
ROWS = RNG.normal(size=(12, 6)).astype("f4")
ROWS[[7, 11]] = ROWS[2]


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Twelve images, one of them twice more, a file that is none, and one in a folder."""
    folder = write_images(tmp_path / "photos", 12)
    (folder / "below").mkdir()
    shutil.copy(folder / "1_0001.png", folder / "below" / "copy.png")
    shutil.copy(folder / "1_0001.png", folder / "zcopy.png")
    (folder / "broken.png").write_bytes(b"\x89PNG no more")
    assert len(open_images(folder)) == 15
    return folder


def given(source: Any, features: Any, **more: Any) -> Encoded:
    opened = open_images(source, features=features)
    return encoders.encode(opened, encoders.build(source=opened), **more)


def table(folder: Path, names: list[str], rows: np.ndarray) -> Path:
    pq.write_table(
        pa.table({"path": names, "v": pa.array(rows.tolist(), pa.list_(pa.float32()))}), folder / "t.parquet"
    )
    return folder / "t.parquet"


def same(one: Encoded, other: Encoded) -> None:
    assert np.array_equal(one.features, other.features)
    assert np.array_equal(one.rows, other.rows)
    assert np.array_equal(one.position, other.position)
    for name in ("status", "reasons", "hashes"):
        assert getattr(one, name) == getattr(other, name), name
    for name in ("sizes", "widths", "heights"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


# -- beside images -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("kind", ["folder", "array"])
def test_what_an_encoder_made_comes_back(kind: str, cached: bool, odd: Path, tmp_path: Path) -> None:
    source = open_images(odd if kind == "folder" else IMAGES)
    known = encoders.encode(source, encoders.build("pixels", source=source))
    rows = np.where(known.position[:, None] >= 0, known.features[known.position], np.float16(np.nan))
    for scale in (1, 2) if cached else (1,):  # what is kept of the images does not depend on their features
        found = given(source, rows * np.float16(scale), cache=tmp_path / "cache" if cached else None)
        assert found.features.dtype == np.float16
        found.features[:] = found.features / np.float16(scale)
        same(found, known)
        assert not isinstance(found.thumbs, NoThumbs)
        assert list(found.thumbs.blocks()) == list(known.thumbs.blocks())


def test_by_path_in_any_order_and_only_some(odd: Path, tmp_path: Path) -> None:
    names = open_images(odd).names()
    rows = RNG.normal(size=(len(names), 4)).astype("f4")
    whole = given(odd, rows)
    order = RNG.permutation(len(names))
    same(given(odd, table(tmp_path, [names[i] for i in order], rows[order])), whole)
    same(given(odd, table(tmp_path, [str(odd / names[i]) for i in order], rows[order])), whole)
    opened = open_images(odd, features=table(tmp_path, [*names[1:4], "gone.png"], rows[[1, 2, 3, 0]]))
    assert opened.matched == "path"
    found = encoders.encode(opened, encoders.build(source=opened))
    assert found.notes[0].endswith("t.parquet are of images that are not here: gone.png")
    assert found.notes[1].startswith(f"{len(names) - 3} of {len(names)} images have no features and are in no group: ")
    assert opened.notes == found.notes
    without = [why for why, at in zip(found.reasons, found.position, strict=True) if at < 0]
    assert without.count("no features given") == len(without) - 1  # the broken file has its own reason
    assert np.array_equal(found.features[found.position[[1, 2]]], rows[[1, 2]])


def test_copies_share_the_features_of_the_first_that_has_some() -> None:
    rows = ROWS.copy()
    rows[2] = np.nan
    rows[11] += 1
    found = given(IMAGES, rows)
    assert found.rows[found.position[2]] == 7
    assert [found.status[i] for i in (2, 7, 11)] == ["duplicate", "ok", "duplicate"]
    assert np.array_equal(found.features[found.position[11]], ROWS[7])
    assert any(note.startswith("1 exact duplicates were given other features") for note in found.notes)
    assert not any("given other" in note for note in given(IMAGES, ROWS).notes)


def test_the_first_rows_come_first_with_their_features() -> None:
    class First:
        rows = np.array([2, 3, 7, 9])

        def __call__(self, rows: np.ndarray, features: np.ndarray, thumbs: Any) -> None:
            self.seen = rows, features, thumbs(rows)

    blank = ROWS.copy()
    blank[3] = np.nan
    for images in (IMAGES, None):
        first = First()
        source = open_images(IMAGES, features=blank) if images is not None else open_images(blank)
        encoders.encode(source, encoders.build(source=source), first=first)
        rows, features, thumbs = first.seen
        assert rows.tolist() == [2, 9]
        assert np.array_equal(features, ROWS[[2, 9]])
        assert len(thumbs) == (0 if images is None else 2)


def test_columns_of_the_source_itself(tmp_path: Path) -> None:
    files = write_images(tmp_path / "p", 5)
    data = [path.read_bytes() for path in sorted(files.iterdir())]
    columns = {"image": data, "path": list("edcba"), "v": pa.array(ROWS[:5].tolist(), pa.list_(pa.float32()))}
    pq.write_table(pa.table(columns), tmp_path / "all.parquet")
    for features in ("v", tmp_path / "all.parquet", f"{tmp_path / 'all.parquet'}:v"):
        found = given(tmp_path / "all.parquet", features)
        assert np.array_equal(found.features[found.position], ROWS[:5])


# -- alone -------------------------------------------------------------------------------------------------------------


def test_rows_alone_in_any_order() -> None:
    order = RNG.permutation(12)
    one, other = (encoders.encode(s, encoders.build(source=s)) for s in (open_images(ROWS), open_images(ROWS[order])))
    assert np.array_equal(one.features, other.features)
    assert np.array_equal(one.features[one.position], ROWS)
    assert np.array_equal(one.position[order], other.position)
    assert one.status == ["duplicate" if i in (7, 11) else "ok" for i in range(12)]
    assert isinstance(one.thumbs, NoThumbs)
    assert not one.widths.any()


def test_rows_of_nan_are_no_images() -> None:
    rows = np.concatenate([ROWS, np.full((1, 6), np.nan)])
    source = open_images(rows)
    found = encoders.encode(source, encoders.build(source=source))
    assert found.position[12] == -1
    assert (found.status[12], found.reasons[12]) == ("unreadable", "no features given")
    assert found.notes == ["1 of 13 images have no features and are in no group: row 12"]


def test_a_stop_is_heard() -> None:
    source = open_images(ROWS)
    with pytest.raises(Interrupted):
        encoders.encode(source, encoders.build(source=source), on_progress=lambda done, total: True)


@pytest.mark.parametrize("beside", [True, False])
def test_many_lie_in_a_file(beside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ilk.files.large._IN_MEMORY", 1)
    source = open_images(IMAGES, features=ROWS) if beside else open_images(ROWS)
    found = encoders.encode(source, encoders.build(source=source), cache=tmp_path)
    assert isinstance(found.features, np.memmap)
    assert np.array_equal(found.features[found.position], ROWS)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_tensors(kind: torch.dtype) -> None:
    tensor = torch.from_numpy(ROWS).to(kind)
    for source in (open_images(tensor), open_images(IMAGES, features=tensor)):
        assert isinstance(source, OwnFeatures)
        assert np.array_equal(source.features(np.arange(12)), tensor.float().numpy())


# -- what cannot be ----------------------------------------------------------------------------------------------------


def test_what_does_not_fit_the_images(odd: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has 12 rows, and there are 15 images\. .*open_images\(SOURCE\)\.names\(\)"):
        open_images(odd, features=ROWS)
    with pytest.raises(DataError, match=r"names none of the images: it has a, b, and the source .*png"):
        open_images(odd, features=table(tmp_path, ["a", "b"], ROWS[:2]))
    blank = np.concatenate([ROWS[:1] * np.nan, ROWS[1:]])
    path = table(tmp_path, ["0_0000.png", *map(str, range(11))], blank)
    with pytest.raises(DataError, match="has features; all are NaN"):
        open_images(odd, features=path)
    with pytest.raises(ArgumentError, match="holds features already"):
        open_images(ROWS, features=ROWS)


def test_features_and_an_encoder_are_one_too_many() -> None:
    source = open_images(IMAGES, features=ROWS)
    assert encoders.build("features", source=source).name == "features"
    for name in ("fast", "pixels", "numpy:mean", np.mean):
        with pytest.raises(ArgumentError, match="features of your own are given too"):
            encoders.build(name, source=source)
    with pytest.raises(ArgumentError, match="has no setting 'image_size'; it has none"):
        encoders.build(source=source, settings={"image_size": 32})
    with pytest.raises(ArgumentError, match="takes none"):
        encoders.build(source=source, weights="x.pt")
    for name in ("features", "features+pixels"):
        with pytest.raises(ArgumentError, match="give the features too, with --features FILE"):
            encoders.build(name, source=open_images(IMAGES))


def test_a_run_takes_features_of_its_own_length_only() -> None:
    source = open_images(ROWS)
    again = encoders.rebuild(encoders.build(source=source).spec())
    assert again.n_features == 6
    assert np.array_equal(encoders.encode(open_images(ROWS[:1]), again).features, ROWS[:1])
    with pytest.raises(DataError, match="has 5 numbers an image, and the groups were made from 6"):
        encoders.encode(open_images(ROWS[:, :5]), again)
    with pytest.raises(ArgumentError, match="give their features too, with --features FILE"):
        encoders.encode(open_images(IMAGES), again)
    pixels = encoders.build("pixels", source=open_images(IMAGES))
    for source, cure in (
        (open_images(ROWS), "give the images"),
        (open_images(IMAGES, features=ROWS), "leave the feat"),
    ):
        with pytest.raises(ArgumentError, match=f"those of encoder pixels: {cure}"):
            encoders.encode(source, pixels)
    with pytest.raises(RunError, match="damaged"):
        encoders.rebuild({**again.spec(), "n_features": "6"})
