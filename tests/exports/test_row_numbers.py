"""Images that are named by the number of their row: a table that was sorted anew must not pass for the old one."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from album import group
from PIL import Image

import ilk
from ilk.errors import DataError
from ilk.runs import Run

N = 20


def picture(i: int) -> bytes:
    """Stripes that lie (odd) or stand (even), with a spot of its own."""
    stripes = np.tile(np.array([0, 200], np.uint8), (8, 4))
    pixels = (stripes.T if i % 2 else stripes).copy()
    pixels[i % 8, 3 + i // 8 % 5] = 100 + i // 40
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def write(path: Path, order: Sequence[int], names: str = "") -> None:
    bytes_of = [picture(i) for i in order]
    column = [{"bytes": data, "path": names.format(i)} for i, data in zip(order, bytes_of, strict=True)]
    pq.write_table(pa.table({"image": column if names else bytes_of, "label": [i % 2 for i in order]}), path)
    os.utime(path, (10**9 + len(order), 10**9 + order[1]))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    write(tmp_path / "t.parquet", range(N))
    return group(tmp_path / "t.parquet", tmp_path / "run", 2)


SORTED = [*range(0, N, 2), *range(1, N, 2)]
MOVED = sum(i != at for at, i in enumerate(SORTED))


def accuracy(run: Run) -> float:
    scores = ilk.evaluate(run, "label")
    assert scores is not None
    return float(scores["acc"])


def test_labels_of_a_table_sorted_anew_are_refused(run: Run, tmp_path: Path) -> None:
    assert accuracy(run) == 1
    os.utime(tmp_path / "t.parquet", (1, 1))  # touched, and the same
    assert accuracy(run) == 1
    write(tmp_path / "t.parquet", [*range(N), 21, 22])  # rows behind them change no number
    assert accuracy(run) == 1
    before = run.scores()
    write(tmp_path / "t.parquet", SORTED)
    with pytest.raises(DataError, match=rf"{MOVED} of {N} rows of .*t\.parquet do not hold .* \(such as 000001\)"):
        ilk.evaluate(run, "label")
    assert run.scores() == before
    (tmp_path / "l.csv").write_text("name,label\n" + "".join(f"{i:06},{i % 2}\n" for i in range(N)))
    with pytest.raises(DataError, match="do not hold the images of the run any more"):
        ilk.evaluate(run, str(tmp_path / "l.csv"))


def test_rows_of_one_name_are_told_apart_by_their_place(tmp_path: Path) -> None:
    table = tmp_path / "t.parquet"
    write(table, range(N), names="image.png")
    run = group(table, tmp_path / "run", 2)
    assert accuracy(run) == 1
    write(table, SORTED, names="image.png")
    with pytest.raises(DataError, match=rf"{MOVED} of {N} rows of .* \(such as image\.png#2\)"):
        ilk.evaluate(run, "label")
    done = ilk.export(run, tmp_path / "out", source=table, mode="copy")
    assert (done.n_images, len(done.missing)) == (N - MOVED, MOVED)


def test_names_are_names_in_any_order(tmp_path: Path) -> None:
    write(tmp_path / "t.parquet", range(N), names="{:02}.png")
    run = group(tmp_path / "t.parquet", tmp_path / "run", 2)
    write(tmp_path / "t.parquet", SORTED, names="{:02}.png")
    assert accuracy(run) == 1
    assert ilk.export(run, tmp_path / "out", mode="copy", source=tmp_path / "t.parquet").n_images == N


@pytest.mark.parametrize("named", [False, True])
def test_no_other_image_is_exported_under_a_number(run: Run, tmp_path: Path, named: bool) -> None:
    place = tmp_path / "t.parquet"
    if named:
        place = place.rename(tmp_path / "elsewhere.parquet")
    source = place if named else None
    assert ilk.export(run, tmp_path / "all", source=source).n_images == N
    write(place, SORTED)
    done = ilk.export(run, tmp_path / "out", source=source)
    assert (done.n_images, len(done.missing)) == (N - MOVED, MOVED)
    assert set(done.missing.values()) == {
        "another image than the one that was grouped has this number in the source now"
    }
    for folder in (tmp_path / "all", tmp_path / "out"):
        groups = [
            {Image.open(path).getpixel((1, 0)) for path in part.glob("*.png")} for part in sorted(folder.glob("0*"))
        ]
        assert sorted(groups, key=min) == [{0}, {200}]


def test_a_run_that_knows_no_contents_says_so(run: Run, tmp_path: Path) -> None:
    table = pq.read_table(run.path / "images.parquet").drop_columns(["content"])
    pq.write_table(table, run.path / "images.parquet")
    run = ilk.load_run(run.path)
    assert accuracy(run) == 1  # the very file
    done = ilk.export(run, tmp_path / "out", source=tmp_path / "t.parquet")
    assert done.n_images == N
    assert any(note.startswith(f"{N} images are taken by the number of their row") for note in done.notes)
    os.utime(tmp_path / "t.parquet", (1, 1))
    with pytest.raises(DataError, match="do not hold the images of the run any more"):
        ilk.evaluate(run, "label")


def test_tables_among_several_sources(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    for i in range(6):
        (tmp_path / "more" / f"{i:06}.png").write_bytes(picture(2 * i + 40))
    write(tmp_path / "t.parquet", range(N))
    run = group([str(tmp_path / "more"), str(tmp_path / "t.parquet")], tmp_path / "run", 2)
    (tmp_path / "l.csv").write_text("name,label\n" + "".join(f"{name},1\n" for name in run.images()["path"]))
    assert ilk.evaluate(run, str(tmp_path / "l.csv")) is not None
    write(tmp_path / "t.parquet", SORTED)
    with pytest.raises(DataError, match=rf"{MOVED} of 26 rows of .* \(such as t.parquet/000001\)"):
        ilk.evaluate(run, str(tmp_path / "l.csv"))
