"""Servers on the loopback, and images on them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from afar import Put

from ilk.files import addresses


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """No address of another test has been asked for."""
    monkeypatch.setattr(addresses, "_allowed", set())


@pytest.fixture
def memory() -> Iterator[Put]:
    """What puts files into fsspec's memory, and returns their address."""
    fsspec = pytest.importorskip("fsspec")
    fs = fsspec.filesystem("memory")

    def put(files: Mapping[str, bytes]) -> str:
        for name, data in files.items():
            fs.pipe_file(f"/box/{name}", data)
        return "memory://box"

    yield put
    if fs.exists("/box"):
        fs.rm("/box", recursive=True)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server on the loopback."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Any:
    """A client of that server with two buckets, ``pics`` with images and one that is empty; all anew for each test."""
    import boto3

    from ilk.files import remote

    words = {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret", "DEFAULT_REGION": "us-east-1"}
    for name, value in {**words, "ENDPOINT_URL": s3_server, "EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    for name in ("CONFIG_FILE", "SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(f"AWS_{name}", str(tmp_path / "none"))
    remote.forget()
    client = boto3.client("s3")
    client.create_bucket(Bucket="pics")
    yield client
    _reset(s3_server)
    client.close()
    remote.forget()


def _reset(server: str) -> None:
    import urllib.request

    with urllib.request.urlopen(urllib.request.Request(f"{server}/moto-api/reset", method="POST")) as answer:
        answer.read()


@pytest.fixture
def slow_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects are read by the client that lists them, not by the quick one."""
    from ilk.files.quick import Quick

    monkeypatch.setattr(Quick, "of", lambda *_: None)


@pytest.fixture
def bucket(s3: Any) -> Put:
    """What puts files into the bucket, and returns their address."""

    def put(files: Mapping[str, bytes]) -> str:
        for name, data in files.items():
            s3.put_object(Bucket="pics", Key=f"box/{name}", Body=data)
        return "s3://pics/box"

    return put
