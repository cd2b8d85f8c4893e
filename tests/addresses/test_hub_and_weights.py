"""Data sets of Hugging Face by their layout, weights at addresses, and what is refused."""

from __future__ import annotations

import importlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from afar import Put, pictures
from test_addresses import listed, on_disk
from test_shards_at_addresses import table_of

from ilk.encoders import build
from ilk.errors import ArgumentError, DataError
from ilk.files import addresses, local_only, open_source, remote
from ilk.files.addresses import Address, without_secrets


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """hf:// as a server that holds one data set, as the hub lays it out."""
    pytest.importorskip("fsspec")
    from fsspec.implementations.memory import MemoryFileSystem

    class Hub(MemoryFileSystem):
        protocol = "hf"
        store: ClassVar[dict[str, Any]] = {}
        pseudo_dirs: ClassVar[list[str]] = [""]

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return "/" + path.removeprefix("hf://").strip("/")

    monkeypatch.setitem(importlib.import_module("fsspec.registry")._registry, "hf", Hub)
    remote.forget()
    tables = {f"data/{part}-0000{i}-of-00002.parquet": i for part in ("train", "test") for i in (0, 1)}
    files = {name: table_of(pictures(5, seed=i)) for name, i in tables.items()}
    for name, data in {**files, "README.md": b"# card", ".gitattributes": b"*.parquet lfs"}.items():
        Hub().pipe_file(f"/datasets/them/flowers/{name}", data)
    yield
    remote.forget()


def test_a_data_set_of_the_hub_is_its_tables(hub: None) -> None:
    found = listed("hf://datasets/them/flowers")
    assert (found.kind, len(found)) == ("shards", 20)
    assert len(listed("hf://datasets/them/flowers", split="test")) == 10
    assert found.read(0) in pictures(5, seed=0).values()
    assert found.root == "hf://datasets/them/flowers"


def test_without_a_network_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    with pytest.raises(DataError, match=r"hf://datasets/them/flowers cannot be reached .*is this machine online"):
        open_source("hf://datasets/them/flowers")


def test_weights_are_fetched_once_and_anew_when_they_changed(memory: Put, tmp_path: Path) -> None:
    from ilk.encoders.weights import local

    address = memory({"net.safetensors": b"first"}) + "/net.safetensors"
    first = local(address, tmp_path)
    assert (first.read_bytes(), first.parent) == (b"first", tmp_path / "downloads")
    before = first.stat().st_mtime_ns
    assert local(address, tmp_path).stat().st_mtime_ns == before
    memory({"net.safetensors": b"other"})
    assert local(address, tmp_path).read_bytes() == b"other"
    with pytest.raises(DataError, match="there is nothing at memory://box/none"):
        build("mobilenetv2_100", weights="memory://box/none.safetensors", cache=tmp_path)


def test_results_are_written_to_the_local_disk() -> None:
    for given in ("s3://bucket/run", Path("s3://bucket/run")):
        with pytest.raises(ArgumentError, match=r"-o s3://bucket/run: .*aws s3 sync FOLDER s3://bucket/run"):
            local_only(given, "-o")
    local_only(Path("runs/a"), "-o")


def test_what_is_no_picture_says_how_to_make_some(tmp_path: Path, memory: Put) -> None:
    on_disk({"clip one.mp4": b"\0\0\0\x18ftypmp42" * 9, "scan.pdf": b"%PDF-1.7"}, tmp_path)
    with pytest.raises(DataError, match=r"is a video: .*ffmpeg -i '.*clip one.mp4' -vf fps=1"):
        open_source(tmp_path / "clip one.mp4")
    with pytest.raises(DataError, match="pdftoppm"):
        open_source(tmp_path / "scan.pdf")
    with pytest.raises(DataError, match="is a video: download it"):
        open_source(memory({"clip.mp4": b"0" * 99}) + "/clip.mp4")


def test_addresses_in_lists_are_not_opened(memory: Put, tmp_path: Path) -> None:
    """A list may be anybody's, and could name any server."""
    address = memory(pictures(2))
    (tmp_path / "list.txt").write_text(f"{address}/a/x.png\n")
    found = listed(tmp_path / "list.txt")
    assert list(found.refused.values()) == ["no such file"]
    assert not addresses._allowed


def test_file_addresses_are_the_disk(tmp_path: Path) -> None:
    on_disk(pictures(2), tmp_path / "a b")
    assert listed(f"file://{tmp_path}/a%20b").root == tmp_path / "a b"
    assert len(listed([f"file://{tmp_path}/a b", str(tmp_path / "a b")])) == 2


@pytest.mark.parametrize("text", ["http://me:hunter2@h/a.tar?sig=x", "s3://k:hunter2@b/x", "az://c/x?sv=1&sig=hunter2"])
def test_secrets_are_not_in_what_is_shown(text: str) -> None:
    address = Address(text)
    for shown in (str(address), repr(address), f"{address}", without_secrets(f"GET {text}, failed"), address.key):
        assert "hunter2" not in shown
        assert "sig" not in shown
    assert address.whole == text
    assert Address("http://h/a?1").key != Address("http://h/a?2").key
