"""The quick client of S3: what it reads is what the other reads, and what it cannot do is left to the other."""

from __future__ import annotations

import os
from typing import Any

import pytest
from afar import Put, pictures

from ilk.files import addresses, remote
from ilk.files.quick import Quick

NAMES = (
    "plain.png", "ü 0001#%41.png", "a b+c&d=e?f.png", "ends.with.dots..png", "[brackets]{braces}~.png", "二.png",
    "two//slashes.png", "percent%2Fslash.png", "a/./dot.png", "quote'\".png",
)  # fmt: skip


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[bytes | None]:
    """What the quick client has answered."""
    pytest.importorskip("obstore")
    given: list[bytes | None] = []
    real = Quick.read

    def read(self: Quick, *rest: Any) -> bytes | None:
        given.append(real(self, *rest))
        return given[-1]

    monkeypatch.setattr(Quick, "read", read)
    return given


def store() -> remote.Store:
    return remote.store_of(addresses.checked("s3://pics"))


def test_every_name_is_read_and_nearly_all_quickly(s3: Any, bucket: Put, answers: list[bytes | None]) -> None:
    bucket({name: name.encode() for name in NAMES})
    for name in NAMES:
        assert store().read(f"pics/box/{name}") == name.encode()
    by_quick = {name for name, answer in zip(NAMES, answers, strict=True) if answer is not None}
    assert by_quick >= set(NAMES) - {"two//slashes.png", "a/./dot.png"}  # no paths as it knows them


@pytest.mark.parametrize(("start", "end"), [(0, 5), (7, 8), (3, None), (0, None), (None, 4), (90, 200)])
def test_pieces(s3: Any, bucket: Put, answers: list[bytes | None], start: int | None, end: int | None) -> None:
    data = bytes(range(100))
    bucket({"a.bin": data})
    assert store().read("pics/box/a.bin", start, end) == data[start:end]
    assert answers == [data[start:end]]


def test_what_is_gone_is_said_by_the_other(s3: Any, answers: list[bytes | None]) -> None:
    with pytest.raises(OSError, match="gone"):
        store().read("pics/none.png")
    assert answers == [None]


def test_an_object_that_is_too_large_is_not_held(s3: Any, bucket: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket({"large.bin": bytes(5000)})
    monkeypatch.setattr(remote, "_LARGEST", 999)
    with pytest.raises(OSError, match="larger than"):
        store().read("pics/box/large.bin")


def test_after_some_failures_it_is_not_tried_any_more(s3: Any, bucket: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    obstore = pytest.importorskip("obstore")
    bucket({f"{i}.png": b"x" for i in range(30)})
    tried = []

    def failing(*_: Any, **__: Any) -> Any:
        tried.append(1)
        raise OSError("proxy")

    monkeypatch.setattr(obstore, "get", failing)
    assert [store().read(f"pics/box/{i}.png") for i in range(30)] == [b"x"] * 30
    assert 0 < len(tried) < 10


def test_another_process_has_a_client_of_its_own(
    s3: Any, bucket: Put, answers: list[bytes | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, data = next(iter(pictures(1).items()))
    bucket({name: data})
    quick = Quick(store().fs, "pics", 4)
    assert quick.read(f"box/{name}", None, None, 10**6) == data
    monkeypatch.setattr(os, "getpid", lambda: -1)  # as after a fork: its threads are not there
    assert quick.read(f"box/{name}", None, None, 10**6) is None
