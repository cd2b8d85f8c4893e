"""Archives and tables at addresses hold what they hold on the disk; also in braces, and as a data set of the hub."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from afar import Put, pictures
from test_addresses import listed, on_disk

from ilk.errors import DataError
from ilk.files import truth


def tar_of(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1_700_000_000
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zip_of(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def table_of(files: dict[str, bytes], rows: int = 3) -> bytes:
    out = io.BytesIO()
    images = pa.array([{"bytes": data, "path": name.rpartition("/")[2]} for name, data in files.items()])
    table = pa.table({"image": images, "label": pa.array([i % 3 for i in range(len(files))])})
    pq.write_table(table, out, row_group_size=rows)
    return out.getvalue()


MAKE = {"tar": tar_of, "zip": zip_of, "parquet": table_of}


@pytest.fixture(params=["memory", "bucket"])
def put(request: pytest.FixtureRequest) -> Put:
    found: Put = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("kind", MAKE)
def test_shards_are_read_as_on_the_disk(put: Put, kind: str, tmp_path: Path) -> None:
    made = {f"data/train-{i:05d}-of-00003.{kind}": MAKE[kind](pictures(7, seed=i)) for i in range(3)}
    made |= {f"data/test-00000-of-00001.{kind}": MAKE[kind](pictures(4, seed=9)), "README.md": b"# a card"}
    here, there = listed(on_disk(made, tmp_path)), listed(put(made))
    assert there.kind == here.kind == "shards"
    assert there.names == here.names
    assert [there.read(i) for i in range(len(there))] == [here.read(i) for i in range(len(here))]
    assert len(listed(put({}), split="test")) == 4
    assert there.passed_over.as_record() == here.passed_over.as_record()
    assert b"" not in (there.marks() or [b""])


@pytest.mark.parametrize("kind", MAKE)
def test_one_alone_and_braces(put: Put, kind: str, tmp_path: Path) -> None:
    made = {f"s-{i:03d}.{kind}": MAKE[kind](pictures(5, seed=i)) for i in range(4)}
    address, folder = put(made), on_disk(made, tmp_path)
    alone = listed(f"{address}/s-002.{kind}")
    assert alone.kind == kind
    assert [alone.read(i) for i in range(5)] == [listed(folder / f"s-002.{kind}").read(i) for i in range(5)]
    for start in (address, str(folder)):
        some = listed(f"{start}/s-{{001..003}}.{kind}")
        assert len(some) == 15
        assert {some.read(i) for i in range(15)} == {d for i in (1, 2, 3) for d in pictures(5, seed=i).values()}
        assert {name.split("/")[0].partition(".")[0] for name in some.names} == {"s-001", "s-002", "s-003"}


def test_labels_of_a_table_at_an_address(put: Put) -> None:
    address = put({"a.parquet": table_of(pictures(6))})
    assert sorted(truth("label", f"{address}/a.parquet").values()) == [0, 0, 1, 1, 2, 2]


def test_a_shard_that_changed_is_not_read_by_its_old_index(put: Put) -> None:
    address = put({"a.tar": tar_of(pictures(5)), "b.tar": tar_of(pictures(5, 1))})
    found = listed(address)
    put({"b.tar": tar_of({"x": b"0" * 9000} | pictures(5, 1))})
    for part in found.parts:
        part.listing._reader.archive.close()  # type: ignore[attr-defined]
    assert found.read(0)
    with pytest.raises(OSError, match="has changed since"):
        found.read(7)


def test_damaged_shards_are_named(put: Put) -> None:
    address = put({"a.tar": tar_of(pictures(5)), "b.tar": b"no tar" * 500, "c.parquet": b"PAR1 and nothing"})
    found = listed(address)
    assert len(found) == 5
    assert sum("passed over" in note for note in found.notes) == 2
    with pytest.raises(DataError, match="not a readable tar"):
        listed(f"{address}/b.tar")


def test_a_tar_is_read_in_pieces_and_not_image_by_image(
    slow_client: None, s3: Any, bucket: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    from s3fs import S3FileSystem

    found = listed(f"{bucket({'a.tar': tar_of(pictures(200))})}/a.tar")
    asked, real = [], S3FileSystem._call_s3

    async def counted(self: Any, method: str, *rest: Any, **more: Any) -> Any:
        asked.append(method)
        return await real(self, method, *rest, **more)

    monkeypatch.setattr(S3FileSystem, "_call_s3", counted)
    for i in range(200):
        found.read(i)
    assert len(asked) <= 3


def test_local_braces_say_what_is_missing(tmp_path: Path) -> None:
    on_disk({"s-0.tar": tar_of(pictures(5)), "s-2.tar": tar_of(pictures(5))}, tmp_path)
    with pytest.raises(DataError, match=r"there is no .*s-1\.tar"):
        listed(tmp_path / "s-{0..2}.tar")
    on_disk({"odd-{1..2}.tar": tar_of(pictures(5))}, tmp_path)
    assert listed(tmp_path / "odd-{1..2}.tar").kind == "tar"  # a file of that very name
    assert len(listed([str(tmp_path / "s-{0,2}.tar")])) == 10
