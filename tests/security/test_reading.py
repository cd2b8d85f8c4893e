"""A file is asked what it is before it is read, and read with bounds."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from trial import SMALL, Ilk, refused, write_images

from ilk import disk, runs
from ilk.errors import DataError, RunError
from ilk.files import Sprites, write_thumbs

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes, devices and links")

DEEP = "[" * 200_000 + "]" * 200_000
FILES = {
    "run.json": "info",
    "clusters.json": "info",
    "images.parquet": "info",
    "assignments.parquet": "report",
    "map.npy": "report",
    "features.npy": "export",
    "k_table.json": "report",
    "scores.json": "report",
    "figures.json": "report",
    "model/state.json": "predict",
    "model/state.safetensors": "predict",
    "model/encoder.safetensors": "predict",
}


@pytest.fixture(autouse=True)
def nothing_hangs() -> Iterator[None]:
    """A read that waits for ever is an error, not a night without results."""

    def late(*_: object) -> None:
        raise TimeoutError("waited for ever")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(300)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def ask(ilk: Ilk, command: str, photos: Path) -> Any:
    more = {"predict": [photos], "export": ["atlas", "--as", "embedding-atlas"]}.get(command, [])
    return ilk(command, "run", *more)


# -- what it is --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["pipe", "zero", "link", "folder"])
def test_files_of_a_run_that_are_none(
    ilk: Ilk, photos: Path, finished_copy: Path, tmp_path: Path, name: str, kind: str
) -> None:
    path = finished_copy / name
    was = path.exists()
    if was:
        path.rename(tmp_path / "elsewhere")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "zero" else tmp_path / "elsewhere")
    if name == "model/encoder.safetensors" and kind == "link":
        (tmp_path / "elsewhere").write_bytes(b"")
    if kind == "link" and not (tmp_path / "elsewhere").exists():
        return  # a link to nothing, where the run need not have a file
    refused(ask(ilk, FILES[name], photos), name.rpartition("/")[2].partition(".")[0])


def test_a_pipe_below_the_photos(ilk: Ilk, home: Path) -> None:
    """`run.json` is looked for in every folder of the photos: a pipe of that name must not be waited for."""
    write_images(home / "photos", 12)
    for part in ("a", "b", "c"):
        write_images(home / "photos" / part, 4, seed=ord(part))
    os.mkfifo(home / "photos" / "a" / "run.json")
    (home / "photos" / "b" / "run.json").symlink_to("/dev/zero")
    with open(home / "photos" / "c" / "run.json", "wb") as file:
        file.truncate(20 * 2**30)
    os.mkfifo(home / "photos" / "run.json")
    said = ilk("cluster", "photos", "-o", "run", "-k", "3", *SMALL)
    assert said.code == 0, said
    assert "24 image files" in said.out


@pytest.mark.parametrize("kind", ["pipe", "zero", "deep"])
def test_a_manifest_of_an_export_that_is_none(ilk: Ilk, home: Path, finished: Path, kind: str) -> None:
    manifest = home / "out" / ".ilk-export.json"
    manifest.parent.mkdir()
    if kind == "pipe":
        os.mkfifo(manifest)
    elif kind == "zero":
        manifest.symlink_to("/dev/zero")
    else:
        manifest.write_text(DEEP)
    refused(ilk("export", finished, "out"), ".ilk-export.json")
    assert [path.name for path in manifest.parent.iterdir()] == [manifest.name]


def test_pipes_as_sources_labels_and_weights(ilk: Ilk, home: Path, photos: Path, finished: Path) -> None:
    os.mkfifo(home / "labels.csv")
    os.mkfifo(home / "list.txt")
    os.mkfifo(home / "weights.safetensors")
    (home / "zero.npz").symlink_to("/dev/zero")
    for source in ("list.txt", "zero.npz"):
        refused(ilk("cluster", source), source, "neither a file nor a folder")
    refused(ilk("evaluate", finished, "--labels", "labels.csv"), "labels.csv")
    refused(
        ilk("cluster", photos, "--encoder", "test_vit", "--weights", "weights.safetensors", "-k", "2"), "weights.saf"
    )


def test_pipes_in_a_cache_and_a_checkpoint(ilk: Ilk, home: Path, photos: Path, tmp_path: Path) -> None:
    command = ("cluster", photos, "-k", "3", "--encoder", "classic", "--set", "preset=tiny", "--cache", tmp_path / "c")
    assert ilk(*command, "-o", "first").code == 0
    shards = [*(tmp_path / "c" / "features").rglob("*.safetensors"), *(tmp_path / "c" / "files").rglob("*.safetensors")]
    assert len(shards) == 3, "features of the images and of their jittered copies, and what is known of the files"
    for path in shards:
        path.unlink()
        os.mkfifo(path)
    assert ilk(*command, "-o", "second").code == 0
    labels = [runs.load_run(home / name).labels().tolist() for name in ("first", "second")]
    assert labels[0] == labels[1]
    (home / "x.partial" / "checkpoint").mkdir(parents=True)
    for name in ("state.json", "state.safetensors"):
        os.mkfifo(home / "x.partial" / "checkpoint" / name)
    checkpoint = runs.Checkpoint(home / "x.partial", 0.0)
    assert checkpoint.load() is None
    assert checkpoint.notes


# -- how much ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (DEEP.encode(), "deep"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "deep"),
        (b"[" + b"[]," * 5_000_000 + b"[]]", "values"),
        (b"\xff\xfe", "utf-8"),
        (b"1" * 5000, "digits"),
    ],
    ids=["200,000 lists", "40 objects", "many values", "no text", "a long number"],
)
def test_json_with_bounds(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(ValueError, match=words):
        disk.read_json(tmp_path / "a.json")


def test_large_files_are_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "a.json", "wb") as file:
        file.truncate(100 * 2**30)  # a hole: it takes no room
    with pytest.raises(OSError, match="larger than 64 MiB"):
        disk.read_json(tmp_path / "a.json")


@pytest.mark.parametrize("name", ["clusters.json", "scores.json", "k_table.json", "figures.json", "model/state.json"])
def test_deep_json_in_a_run(ilk: Ilk, photos: Path, finished_copy: Path, name: str) -> None:
    (finished_copy / name).write_text(DEEP)
    refused(ask(ilk, FILES[name], photos), name.rpartition("/")[2].partition(".")[0], "deep")


def rows_of_zeros(path: Path, n: int) -> None:
    table = pq.read_table(path)
    kinds = {name: table[name].type for name in table.column_names}
    empty = {"string": "ok", "null": None}
    pq.write_table(
        pa.table({name: pa.repeat(pa.scalar(empty.get(str(kind), 0), kind), n) for name, kind in kinds.items()}),
        path,
        compression="zstd",
    )


@pytest.mark.parametrize("name", ["assignments.parquet", "images.parquet"])
def test_a_table_of_many_rows(ilk: Ilk, home: Path, finished_copy: Path, name: str) -> None:
    rows_of_zeros(finished_copy / name, 10_000_000)
    assert (finished_copy / name).stat().st_size < 1_000_000
    refused(ask(ilk, FILES[name], home), name, "10,000,000 rows")


def change(table: Path, **columns: Any) -> None:
    pq.write_table(pa.table({**pq.read_table(table).to_pydict(), **columns}), table)


TABLES: dict[str, tuple[str, dict[str, Any]]] = {
    "an index that is not there": ("assignments.parquet", {"index": [*range(35), 10**12]}),
    "an index below 0": ("assignments.parquet", {"index": [*range(35), -1]}),
    "an index twice": ("assignments.parquet", {"index": [0, *range(35)]}),
    "groups in words": ("assignments.parquet", {"group": ["a"] * 36}),
    "groups beyond all sense": ("assignments.parquet", {"group": [10**12] * 36}),
    "lists": ("assignments.parquet", {"second": [[1]] * 36}),
    "a text of a megabyte": ("images.parquet", {"path": ["x" * 2**20] * 36}),
    "names are numbers": ("images.parquet", {"path": list(range(36))}),
    "an unknown status": ("images.parquet", {"status": ["?"] * 36}),
    "a duplicate of nothing": ("images.parquet", {"duplicate_of": ["nowhere.png"] * 36}),
    "rows in another order": ("images.parquet", {"index": list(range(36))[::-1]}),
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_that_do_not_fit(finished_copy: Path, kind: str) -> None:
    name, columns = TABLES[kind]
    change(finished_copy / name, **columns)
    run = runs.load_run(finished_copy)
    with pytest.raises(RunError, match=rf"{name} is missing or damaged"):
        run.images() and run.assignments()


@pytest.mark.parametrize(
    "damage",
    [
        lambda a: a[:-1],
        lambda a: a.astype(np.int8),
        lambda a: a.reshape(-1),
        lambda a: np.array([{}] * len(a), object),
        lambda a: a.astype([("a", "f2")]) if a.ndim else a,
    ],
    ids=["shorter", "integers", "flat", "objects", "records"],
)
@pytest.mark.parametrize("name", ["features.npy", "map.npy"])
def test_arrays_that_do_not_fit(finished_copy: Path, name: str, damage: Callable[[Any], Any]) -> None:
    np.save(finished_copy / name, damage(np.load(finished_copy / name)), allow_pickle=True)
    run = runs.load_run(finished_copy)
    with pytest.raises(RunError, match=name.replace(".", r"\.")):
        run.features() if name == "features.npy" else run.map()


def test_an_array_that_claims_more_than_it_has(finished_copy: Path) -> None:
    path = finished_copy / "features.npy"
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f2", "fortran_order": False, "shape": (36, 2**40)})
    with pytest.raises(RunError, match=r"features\.npy.*bytes"):
        runs.load_run(finished_copy).features()


JSONS: dict[str, tuple[str, str, Any]] = {
    "sizes in words": ("run.json", "summary/sizes", ["a"]),
    "no seconds": ("run.json", "summary/seconds", None),
    "warnings are a number": ("run.json", "warnings", 3),
    "n beyond all sense": ("run.json", "source/n", 10**30),
    "history of texts": ("run.json", "history", ["x"]),
    "a group without a number": ("clusters.json", "0/id", None),
    "pictures that are not there": ("clusters.json", "0/exemplars", [10**9]),
    "quality in words": ("clusters.json", "0/quality", {"silhouette": "high"}),
}


@pytest.mark.parametrize("kind", JSONS)
def test_json_that_does_not_fit(ilk: Ilk, finished_copy: Path, kind: str) -> None:
    name, place, value = JSONS[kind]
    whole = json.loads((finished_copy / name).read_text("utf-8"))
    *way, last = (int(part) if part.isdecimal() else part for part in place.split("/"))
    inner = whole
    for part in way:
        inner = inner[part]
    inner[last] = value
    (finished_copy / name).write_text(json.dumps(whole), "utf-8")
    refused(ilk("info", "run"), name, "--overwrite")


# -- pictures ----------------------------------------------------------------------------------------------------------


def png_bomb(side: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 2**22))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [9000, 14_000, 60_000])
def test_plots_that_unpack_to_gigabytes(
    ilk: Ilk, finished_copy: Path, monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    """They are drawn anew, and not shown."""
    seen = []
    real = Image.open

    def watched(*arguments: Any, **options: Any) -> Any:
        image = real(*arguments, **options)
        seen.append(max(image.size))
        return image

    (finished_copy / "plots" / "silhouettes.png").write_bytes(png_bomb(side))
    monkeypatch.setattr("PIL.Image.open", watched)
    assert ilk("report", "run").code == 0
    assert seen
    assert max(seen) < side
    assert f'width="{side}"' not in (finished_copy / "report.html").read_text("utf-8")


def vp8x(width: int, height: int) -> bytes:
    """The first bytes of a WebP with a canvas of that size."""
    body = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + (width - 1).to_bytes(3, "little")
    body += (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def test_sheets_that_unpack_to_gigabytes(ilk: Ilk, finished_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    huge = io.BytesIO()
    Image.new("RGB", (4000, 4000)).save(huge, "WEBP", lossless=True, method=0)
    opened = []
    (finished_copy / "thumbs" / "00000.bin").unlink()
    for data in (b"RIFF", b"", vp8x(16383, 16383), vp8x(2**24, 2**24), huge.getvalue()):
        (finished_copy / "thumbs" / "00000.webp").write_bytes(data)
        with monkeypatch.context() as patch:
            patch.setattr("PIL.Image.open", lambda *a, **k: opened.append(a))
            with pytest.raises(DataError, match="sprite sheet"):
                Sprites(finished_copy / "thumbs").read([0])
    assert opened == []  # Pillow makes room for the whole canvas when it opens a WebP
    assert ilk("report", "run").code == 0
    refused(ilk("export", "run", "atlas", "--as", "embedding-atlas"), "sprite sheet")


@pytest.mark.parametrize("side", [257, 9000, 60_000])
def test_thumbnails_that_unpack_to_gigabytes(
    ilk: Ilk, finished_copy: Path, monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    """Neither unpacked here nor handed to a browser."""
    write_thumbs(finished_copy / "thumbs", [png_bomb(side)] * 24)
    with monkeypatch.context() as patch:
        patch.setattr("PIL.ImageFile.ImageFile.load", lambda *a: pytest.fail("it was unpacked"))
        for read in (Sprites(finished_copy / "thumbs").picture, Sprites(finished_copy / "thumbs").pixels):
            with pytest.raises(DataError, match=r"00000\.bin: a thumbnail is damaged"):
                read(0)
    assert ilk("report", "run").code == 0
    refused(ilk("export", "run", "atlas", "--as", "embedding-atlas"), "00000.bin")


def test_whole_sheets_are_read_in_every_form(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sheet = rng.integers(0, 255, (48, 768, 3), np.uint8)
    for i, how in enumerate(({"quality": 80}, {"lossless": True}, {"quality": 80, "exif": b"Exif\0\0x"})):
        Image.fromarray(sheet).save(tmp_path / f"{i:05}.webp", "WEBP", **how)
        assert Sprites(tmp_path).read([i * 256 + 3]).shape == (1, 48, 48, 3)


def test_thumbs_behind_a_link(ilk: Ilk, finished_copy: Path, tmp_path: Path) -> None:
    shutil.move(finished_copy / "thumbs", tmp_path / "elsewhere")
    (finished_copy / "thumbs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="cannot be read"):
        Sprites(finished_copy / "thumbs").read([0])
