"""Folders at addresses are the folders that they would be on the disk."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from afar import Put, pictures

from ilk.errors import DataError
from ilk.files import Listing, open_source


def on_disk(files: dict[str, bytes], folder: Path) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture(params=["memory", "bucket"])
def put(request: pytest.FixtureRequest) -> Put:
    found: Put = request.getfixturevalue(request.param)
    return found


def listed(source: Any, **how: Any) -> Listing:
    found = open_source(source, **how)
    assert isinstance(found, Listing)
    return found


def test_a_prefix_is_listed_and_read_as_the_folder_it_mirrors(put: Put, tmp_path: Path) -> None:
    files = {**pictures(9), "notes.txt": b"hello", "a/film.mp4": b"0000", "plain": next(iter(pictures(1, 5).values())),
             ".hidden/x.png": b"x", "a/._x.png": b"x", "empty.png": b""}  # fmt: skip
    here, there = listed(on_disk(files, tmp_path)), listed(put(files))
    assert there.kind == here.kind == "folder"
    assert there.names == here.names
    assert there.sizes.tolist() == here.sizes.tolist()
    assert there.passed_over.as_record() == here.passed_over.as_record()
    assert [there.read(i) for i in range(len(there))] == [here.read(i) for i in range(len(here))]
    assert there.path(0) is None


def test_train_and_test_are_parts(put: Put) -> None:
    address = put(
        {f"{part}/{name}": data for part in ("train", "test") for name, data in pictures(4, len(part)).items()}
    )
    assert len(listed(address)) == 8
    assert len(listed(address, split="test")) == 4


def test_a_part_is_sent_and_reads_elsewhere(put: Put) -> None:
    whole = listed(put(pictures(6)))
    part = pickle.loads(pickle.dumps(whole.part(2, 5)))
    assert [part.read(i) for i in range(3)] == [whole.read(i) for i in range(2, 5)]
    assert part.marks() == (whole.marks() or [])[2:5]


def test_patterns_braces_lists_and_single_images(put: Put) -> None:
    files = {f"s-{i:03d}/{n}.png": data for i in range(3) for n, data in enumerate(pictures(2, i).values())}
    address = put(files)
    assert len(listed(f"{address}/s-*/0.png")) == 3
    some = listed(f"{address}/s-{{000..001}}/{{0,1}}.png").names
    assert some == ["s-000/0.png", "s-000/1.png", "s-001/0.png", "s-001/1.png"]
    assert len(listed(f"{address}/s-00[12]")) == 4
    assert listed(f"{address}/s-000/1.png").names == ["1.png"]
    pair = listed([f"{address}/s-001/1.png", f"{address}/s-001/0.png"])
    assert pair.names == ["1.png", "0.png"]
    both = listed([f"{address}/s-000", f"{address}/s-001"])
    assert both.names == ["s-000/0.png", "s-000/1.png", "s-001/0.png", "s-001/1.png"]
    with pytest.raises(DataError, match="nothing"):
        listed(f"{address}/nope-*")
    with pytest.raises(DataError, match="there is nothing at"):
        listed(f"{address}/s-{{000..007}}/0.png")


def test_more_names_than_one_answer_holds(s3: Any) -> None:
    data = next(iter(pictures(1).values()))
    for i in range(1005):
        s3.put_object(Bucket="pics", Key=f"many/{i:05d}.png", Body=data)
    found = listed("s3://pics/many")
    assert found.names == [f"{i:05d}.png" for i in range(1005)]


def test_one_request_lists_and_none_is_for_an_image(
    slow_client: None, s3: Any, bucket: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    from s3fs import S3FileSystem

    address, asked = bucket(pictures(20)), []
    real = S3FileSystem._call_s3

    async def counted(self: Any, method: str, *rest: Any, **more: Any) -> Any:
        asked.append(method)
        return await real(self, method, *rest, **more)

    monkeypatch.setattr(S3FileSystem, "_call_s3", counted)
    found = listed(address)
    assert len(asked) <= 3
    del asked[:]
    found.read(3)
    assert asked == ["get_object"]  # no question for the size before it


def test_what_changed_has_another_mark_and_what_did_not_has_not(put: Put) -> None:
    files = pictures(4)
    address = put(files)
    first, again = listed(address).marks(), listed(address).marks()
    assert first == again
    assert b"" not in (first or [b""])
    name = sorted(files)[1]
    put({name: files[name][:-1] + b"!"})  # as long, and in the same second
    changed = listed(address).marks() or []
    assert [a == b for a, b in zip(first or [], changed, strict=True)].count(False) == 1


def test_a_server_that_knows_whole_seconds_alone_is_not_trusted() -> None:
    from ilk.files.remote import found_of

    seconds = found_of("x", {"size": 1, "mtime": 1_700_000_000})
    tagged = [found_of("x", {"size": 1, "mtime": 1_700_000_000, "ETag": tag}) for tag in ("a", "a", "b")]
    stamps = [one.stamp for one in tagged]
    assert seconds.stamp % 10**9 == 0
    assert all(stamp % 10**9 and stamp // 10**9 == 1_700_000_000 for stamp in stamps)
    assert stamps[0] == stamps[1] != stamps[2]


def test_names_that_lead_out_are_refused(s3: Any, bucket: Put) -> None:
    data = next(iter(pictures(1).values()))
    found = listed(bucket({"a.png": data, "x/../../b.png": data, "c//d.png": data}))
    assert found.names == ["a.png", "c/d.png", "x/../../b.png"]
    assert list(found.refused) == [2]


def test_what_ilk_made_is_passed_over(put: Put) -> None:
    data = next(iter(pictures(1).values()))
    run = {f"run/{name}": data for name in ("run.json", "assignments.parquet", "thumbs/0.webp")}
    found = listed(put({"a.png": data, **run, "out/.ilk-export.json": b"{}", "out/cats/a.png": data}))
    assert found.names == ["a.png"]
    assert found.passed_over["results"].count == 5
