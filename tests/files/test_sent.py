"""Parts of listings of every kind: sent to another process, they give the same bytes, names and marks there."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ilk.files import Listing, open_source
from ilk.files.arrays import from_array
from ilk.files.memory import list_pictures
from ilk.files.reading import Handle
from ilk.files.several import as_listing, joined

_FILES = Path("/proc/self/fd")
_OLD = 1_600_000_000
_READ = """
import pickle, sys
parts = pickle.load(sys.stdin.buffer)
found = {
    key: ([part.read(i) if i not in part.refused else part.refused[i] for i in range(len(part))],
          part.marks(), part.names, [part.path(i) for i in range(len(part))], part.fingerprint())
    for key, part in parts.items()
}
pickle.dump(found, sys.stdout.buffer)
"""


def _png(i: int) -> bytes:
    out = BytesIO()
    Image.fromarray(np.full((4, 4, 3), i % 256, np.uint8)).save(out, "PNG")
    return out.getvalue()


def _aged(path: Path) -> Path:
    for one in [path, *path.rglob("*")]:
        os.utime(one, (_OLD, _OLD))
    return path


def _folder(root: Path, n: int = 7) -> Path:
    for i in range(n):
        (root / f"c{i % 2}").mkdir(parents=True, exist_ok=True)
        (root / f"c{i % 2}" / f"{i}.png").write_bytes(_png(i))
    return _aged(root)


def _tar(path: Path) -> Path:
    with tarfile.open(path, "w") as archive:
        for i in range(6):
            info = tarfile.TarInfo(f"{i}.png")
            info.size, info.mtime = len(_png(i)), _OLD
            archive.addfile(info, BytesIO(_png(i)))
    return _aged(path)


def _zip(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(6):
            archive.writestr(zipfile.ZipInfo(f"{i}.png"), _png(i))
    return _aged(path)


def _table(path: Path) -> Path:
    beside = path.parent / "beside.png"
    beside.write_bytes(_png(99))
    image = [{"bytes": _png(i), "path": f"{i}.png"} for i in range(5)] + [{"bytes": None, "path": "beside.png"}]
    pq.write_table(pa.table({"image": image}), path, row_group_size=2)
    _aged(beside)
    return _aged(path)


@pytest.fixture(scope="module")
def listings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Listing]]:
    """A listing of each kind, opened by relative paths."""
    home = tmp_path_factory.mktemp("sent")
    here = Path.cwd()
    os.chdir(home)
    _folder(home / "photos")
    odd = os.fsencode(home / "photos") + b"/caf\xe9.png"
    with open(odd, "wb") as file:
        file.write(_png(50))
    os.utime(odd, (_OLD, _OLD))
    (home / "photos" / "lost.png").symlink_to("nothing")
    shards = home / "shards"
    shards.mkdir()
    for name in ("a.tar", "b.tar"):
        _tar(shards / name)
    (home / "list.txt").write_text("photos/c1/3.png\nphotos/c0/2.png\nphotos/none.png\nphotos/c0/0.png\n")
    (home / "names.txt").write_text("x")
    named = pa.table({"file": [f"photos/c{i % 2}/{i}.png" for i in range(5)]})
    pq.write_table(named, home / "named.parquet")
    found = {
        "folder": open_source("photos"),
        "tar": open_source(_tar(home / "a.tar").name),
        "zip": open_source(_zip(home / "a.zip").name),
        "parquet": open_source(_table(home / "a.parquet").name),
        "named": open_source(str(_aged(home / "named.parquet"))),
        "list": open_source("list.txt"),
        "shards": open_source("shards"),
        "several": open_source(["photos", "a.zip", "a.tar", "a.parquet"]),
        "pictures": list_pictures([Image.fromarray(np.full((4, 4), i, np.uint8)) for i in range(5)]),
        "array": as_listing(from_array(np.arange(5 * 16, dtype=np.uint8).reshape(5, 4, 4))),
    }
    found["nested"] = joined("several", Path(), [("s/", found["shards"]), ("p/", found["pictures"])])
    found["taken"] = found["several"].take([9, 2, 3, 0, 16])
    yield found  # type: ignore[misc]
    os.chdir(here)


def test_a_part_of_every_kind_is_the_same_in_another_process(listings: dict[str, Listing], tmp_path: Path) -> None:
    parts = {}
    for key, whole in listings.items():
        whole.read(next(i for i in range(len(whole)) if i not in whole.refused))  # open handles are not sent
        parts |= {(key, a, b): whole.part(a, b) for a, b in ((0, 2), (1, len(whole) - 1), (0, len(whole)), (2, 2))}
    found = subprocess.run(
        [sys.executable, "-c", _READ], input=pickle.dumps(parts), stdout=subprocess.PIPE, check=True, cwd=tmp_path
    )
    for (key, a, b), (data, marks, names, paths, _) in pickle.loads(found.stdout).items():
        whole = listings[key]
        expected = whole.marks()
        assert names == whole.names[a:b], key
        assert data == [whole.refused.get(i) or whole.read(i) for i in range(a, b)], key
        assert a == b or marks == (None if expected is None else expected[a:b]), key
        for path, there in zip(map(whole.path, range(a, b)), paths, strict=True):
            assert there == (None if path is None else str(Path(path).absolute())) or path == "None", key


def test_marks_are_of_all_that_has_stamps(listings: dict[str, Listing]) -> None:
    for key in ("folder", "tar", "zip", "parquet", "list", "shards", "several"):
        part = pickle.loads(pickle.dumps(listings[key].part(0, 3)))
        marks = part.marks()
        assert marks is not None, key
        assert [mark for i, mark in enumerate(marks) if i not in part.refused] == [
            mark for i, mark in enumerate((listings[key].marks() or [])[:3]) if i not in part.refused
        ]
        assert all(len(mark) == 16 for mark in marks), key


def test_a_part_is_as_small_as_its_rows(listings: dict[str, Listing], tmp_path: Path) -> None:
    whole = open_source(_folder(tmp_path / "many", 400))
    assert isinstance(whole, Listing)
    assert len(pickle.dumps(whole.part(0, 10))) < len(pickle.dumps(whole)) / 10
    several = listings["several"].part(0, 3)
    assert len(several.parts) == 1  # the others are not needed


def test_an_archive_that_changed_is_not_read(tmp_path: Path) -> None:
    path = _tar(tmp_path / "a.tar")
    whole = open_source(path)
    assert isinstance(whole, Listing)
    sent = pickle.dumps(whole.part(0, 2))
    del whole
    path.write_bytes(path.read_bytes() + bytes(512))
    with pytest.raises(OSError, match="changed since it was listed"):
        pickle.loads(sent).read(0)


def test_many_archives_share_few_open_files(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    for i in range(80):
        _tar(folder / f"{i:03}.tar")
    if not _FILES.is_dir():
        pytest.skip("this system does not say which files are open")
    before = len(list(_FILES.iterdir()))
    whole = open_source(folder)
    assert isinstance(whole, Listing)
    assert all(whole.read(i) for i in range(0, len(whole), 3))
    assert len(list(_FILES.iterdir())) - before <= 64
    del whole
    assert len(list(_FILES.iterdir())) <= before


def test_one_file_is_one_handle_in_the_process_it_arrives_in(listings: dict[str, Listing]) -> None:
    first, second = (pickle.loads(pickle.dumps(listings["tar"].part(a, a + 1))) for a in (0, 1))
    handles = {id(listing._reader.archive) for listing in (first, second)}
    assert isinstance(first._reader.archive, Handle)
    assert len(handles) == 1
