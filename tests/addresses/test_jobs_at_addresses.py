"""Whole jobs on images at addresses: the same groups, a run that opens again, and reasons instead of crashes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from afar import Put
from trial import CLASSIC, Ilk, refused, write_images

from ilk import encoders
from ilk.data import open_images
from ilk.errors import DataError
from ilk.files import addresses, remote


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


@pytest.fixture(params=["memory", "bucket"])
def put(request: pytest.FixtureRequest) -> Put:
    found: Put = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def photos(home: Path) -> Path:
    folder = write_images(home / "photos", 30)
    for i, path in enumerate(sorted(folder.iterdir())):
        (folder / "ab"[i % 2]).mkdir(exist_ok=True)
        path.rename(folder / "ab"[i % 2] / path.name)
    return folder


def source_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "run.json").read_text("utf-8"))["source"]
    return found


def forget() -> None:
    """As a process that has just begun."""
    addresses._allowed.clear()
    remote.forget()


def test_a_run_keeps_its_address_and_opens_it_again(ilk: Ilk, memory: Put, photos: Path, home: Path) -> None:
    address = memory(files_in(photos))
    assert ilk("cluster", address, *CLASSIC, "--labels", "prefix", "-o", "there").code == 0
    assert json.loads(Path("there/scores.json").read_text("utf-8"))["acc"] == 1
    assert source_of(Path("there"))["spec"] == address
    before = Path("there/run.json").stat().st_mtime_ns
    assert ilk("cluster", address, *CLASSIC, "--labels", "prefix", "-o", "there").code == 0
    assert Path("there/run.json").stat().st_mtime_ns == before  # it is that very run
    forget()
    said = ilk("predict", "there", f"{address}/a", "-o", "placed.csv")
    assert said.code == 0, said
    assert len(Path("placed.csv").read_text().splitlines()) == 16
    forget()
    new = (photos / "a/0_0000.png").read_bytes()
    memory({"a/0_9999.png": new[:-1] + b"!", "b/1_9999.png": (photos / "b/2_0005.png").read_bytes()})
    refused(ilk("update", "there"), "--fetch", address)
    said = ilk("update", "there", "--fetch", "--json")
    assert said.json["n_copies"] + said.json["n_new"] + said.json["n_unreadable"] == 2, said


def test_nothing_that_a_run_names_is_asked_for_unasked(
    ilk: Ilk, s3: Any, bucket: Put, photos: Path, home: Path
) -> None:
    """A run of somebody else may name any server: no command opens it without the user's word."""
    from s3fs import S3FileSystem

    from ilk.files.quick import Quick
    from ilk.gallery import serving

    address = bucket(files_in(photos))
    assert ilk("cluster", address, *CLASSIC, "--labels", "prefix", "-o", "there").code == 0
    forget()
    asked: list[str] = []
    real = S3FileSystem._call_s3

    async def counted(self: Any, method: str, *rest: Any, **more: Any) -> Any:
        asked.append(method)
        return await real(self, method, *rest, **more)

    def read(self: Quick, *rest: Any) -> None:
        asked.append("read")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(S3FileSystem, "_call_s3", counted)
        patch.setattr(Quick, "read", read)
        refused(ilk("export", "there", "out"), "--fetch", address)
        refused(ilk("evaluate", "there", "--labels", "prefix"), "--fetch", address)
        assert ilk("report", "there").code == 0  # of what the run holds
        assert ilk("info", "there").code == 0
        assert ilk("similar", "there", "a/0_0000.png").code == 0
        assert ilk("predict", "there", photos).code == 0
        refused(ilk("update", "there", "--dry-run"), "--fetch", address)
        with serving(Path("there")) as served:
            assert served.gallery.beside().originals.open() is None
            assert "--fetch" in str(served.gallery.beside().originals.gone)
        assert asked == []
        said = ilk("export", "there", "out", "--fetch")
        assert said.code == 0, said
        assert {"read", "get_object"} <= set(asked)
    assert sum(path.suffix == ".png" for path in Path("out").rglob("*")) == 30
    assert not any(path.is_symlink() for path in Path("out").rglob("*"))
    assert "at an address, so there is nothing to link" in said.out + said.err
    with serving(Path("there")) as served:
        assert served.gallery.beside().originals.open() is not None
    forget()
    assert ilk("export", "there", "again", "--source", address).code == 0
    assert ilk("evaluate", "there", "--labels", "prefix", "--fetch").code == 0


def test_missing_things_are_one_line_that_says_what_to_type(ilk: Ilk, s3: Any, s3_server: str, home: Path) -> None:
    refused(ilk("cluster", "s3://no-such-bucket/x", *CLASSIC), "there is no such bucket", "s3://no-such-bucket/x")
    refused(ilk("cluster", "s3://pics/nothing", *CLASSIC), "there is nothing at s3://pics/nothing")
    refused(ilk("cluster", "gs://bucket/x", *CLASSIC), "pip install 'ilk[gs]'")
    refused(ilk("cluster", "az://bucket/x", *CLASSIC), "pip install 'ilk[az]'")
    refused(ilk("cluster", "s4://bucket/x", *CLASSIC), "does not know s4://")
    refused(ilk("cluster", "s3://me:secret@pics/x", *CLASSIC), "aws configure")
    assert "secret" not in ilk("cluster", "s3://me:secret@pics/x", *CLASSIC).err
    refused(ilk("cluster", "https://127.0.0.1:9/a.png", *CLASSIC), "cannot be reached")
    refused(ilk("cluster", "s3://pics/box", *CLASSIC, "-o", "s3://pics/run"), "local disk", "aws s3 sync")
    assert not Path("s3:").exists()


def test_wrong_credentials(ilk: Ilk, s3: Any, bucket: Put, s3_server: str, photos: Path) -> None:
    def let_in(actions: bytes) -> None:
        asked = urllib.request.Request(f"{s3_server}/moto-api/reset-auth", actions, {"Content-Type": "text/plain"})
        with urllib.request.urlopen(asked) as answer:
            answer.read()

    address = bucket(files_in(photos))
    let_in(b"0")
    try:
        refused(ilk("cluster", address, *CLASSIC), "must not be read as you are", "aws configure")
    finally:
        let_in(b"inf")


def encoded(source: Any, cache: Path | None = None) -> Any:
    encoder = dataclasses.replace(encoders.build("pixels"), batch_size=16)
    return encoders.encode(open_images(source), encoder, cache=cache)


def digest(found: Any) -> str:
    return hashlib.sha256(found.features.tobytes()).hexdigest()


def test_features_are_those_of_the_folder(put: Put, photos: Path, tmp_path: Path) -> None:
    address, cache = put(files_in(photos)), tmp_path / "cache"
    first = encoded(address, cache)
    assert digest(first) == digest(encoded(photos))
    again = encoded(address, cache)
    assert (first.n_encoded, again.n_encoded, again.n_cached) == (30, 0, 30)
    put({"b/2_0005.png": files_in(photos)["a/0_0000.png"]})
    changed = encoded(address, cache)
    assert digest(changed) != digest(first)


def test_what_is_known_is_not_read_again(
    put: Put, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, cache = put(files_in(photos)), tmp_path / "cache"
    encoded(address, cache)
    read: list[str] = []
    real = remote.Store.read
    monkeypatch.setattr(remote.Store, "read", lambda self, place, *rest: read.append(place) or real(self, place, *rest))
    source, encoder = open_images(address), encoders.build("pixels")
    del read[:]
    encoders.encode(source, encoder, cache=cache)
    assert read == []


def test_without_credentials_public_data_is_read_all_the_same(
    s3: Any, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, data in files_in(photos).items():
        s3.put_object(Bucket="pics", Key=f"open/{name}", Body=data, ACL="public-read")
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.delenv(f"AWS_{name}")
    forget()
    assert digest(encoded("s3://pics/open")) == digest(encoded(photos))


def test_an_object_that_cannot_be_had_is_one_image_with_a_reason(
    slow_client: None, s3: Any, bucket: Put, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.exceptions import ClientError
    from s3fs import S3FileSystem

    address = bucket({**files_in(photos), "a/broken.png": b"\x89PNG and no more"})
    real = S3FileSystem._cat_file

    async def failing(self: Any, path: str, **more: Any) -> Any:
        if path.endswith("0_0003.png"):
            raise ClientError({"Error": {"Code": "SlowDown", "Message": "not https://me:pw@host/?sig=1"}}, "GetObject")
        if path.endswith("0_0006.png"):
            raise FileNotFoundError(path)
        return await real(self, path, **more)

    monkeypatch.setattr(S3FileSystem, "_cat_file", failing)
    monkeypatch.setattr(remote, "_PAUSE", 0)
    found = encoded(address)
    names = open_images(address).names()
    lost = {names[row]: found.reasons[row] for row in range(31) if found.status[row] == "unreadable"}
    assert set(lost) == {"b/0_0003.png", "a/0_0006.png", "a/broken.png"}
    assert "ClientError" in lost["b/0_0003.png"]
    assert "pw" not in lost["b/0_0003.png"]
    assert "sig" not in lost["b/0_0003.png"]
    assert "gone" in lost["a/0_0006.png"]


def test_an_answer_that_fails_once_is_asked_for_again(
    slow_client: None, s3: Any, bucket: Put, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from s3fs import S3FileSystem

    address = bucket(files_in(photos))
    real, failed = S3FileSystem._cat_file, set[str]()

    async def failing(self: Any, path: str, **more: Any) -> Any:
        if path not in failed:
            failed.add(path)
            raise ConnectionResetError("reset by peer")
        return await real(self, path, **more)

    monkeypatch.setattr(S3FileSystem, "_cat_file", failing)
    monkeypatch.setattr(remote, "_PAUSE", 0)
    assert digest(encoded(address)) == digest(encoded(photos))


def test_a_server_that_no_longer_answers_ends_the_job_and_it_goes_on(
    memory: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_images(tmp_path / "many", 700)
    address, cache = memory(files_in(folder)), tmp_path / "cache"
    real, left = remote.Store._cat, [500]

    def failing(self: remote.Store, *rest: Any) -> bytes:
        left[0] -= 1
        if left[0] < 0:
            raise PermissionError("the token has expired")
        return real(self, *rest)

    monkeypatch.setattr(remote.Store, "_cat", failing)
    with pytest.raises(DataError, match=r"one after the other could not be had .*goes on from here"):
        encoded(address, cache)
    left[0] = 10**6
    again = encoded(address, cache)
    assert again.n_cached > 0  # what was finished before is kept
    assert digest(again) == digest(encoded(folder))


def test_no_secret_is_kept_or_shown(ilk: Ilk, home: Path, photos: Path) -> None:
    import http.server
    import threading

    shutil.make_archive("photos", "zip", photos)
    handler = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        plain = f"http://127.0.0.1:{server.server_port}/photos.zip"
        signed = f"http://me:hunter2@127.0.0.1:{server.server_port}/photos.zip?X-Amz-Signature=s3cr3t"
        said = ilk("cluster", signed, *CLASSIC, "-o", "run", "--json")
        assert said.code == 0, said
        assert "s3cr3t" not in said.out
    finally:
        server.shutdown()
        server.server_close()
    assert source_of(Path("run"))["spec"] == plain
    for path in [*Path("run").rglob("*"), *(home.parent / "xdg").rglob("*")]:
        if path.is_file():
            data = path.read_bytes()
            assert b"hunter2" not in data, path
            assert b"s3cr3t" not in data, path
    assert "hunter2" not in said.out + said.err
