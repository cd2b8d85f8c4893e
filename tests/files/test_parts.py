"""Pictures made of far more parts than any needs are not taken apart; all others are."""

from __future__ import annotations

import importlib
import io
import struct
import zlib

import pytest
from PIL import Image

from ilk.files import decode, probe
from ilk.files.parts import too_many_parts


def saved(kind: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (16, 12), (200, 10, 10)).save(out, kind)
    return out.getvalue()


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(parts: int) -> bytes:
    data = saved("PNG")
    return data[:33] + chunk(b"abCd") * parts + data[33:]


def png_after(parts: int) -> bytes:
    data = saved("PNG")
    return data[:-12] + chunk(b"IDAT") * parts + data[-12:]


def jpeg(parts: int) -> bytes:
    data = saved("JPEG")
    return data[:2] + b"\xff\xe9\0\2" * parts + data[2:]


def filled(parts: int) -> bytes:
    data = saved("JPEG")
    return data[:2] + b"\xff" * parts + data[2:]


def gif(parts: int) -> bytes:
    data = saved("GIF")
    at = 13 + (3 << (data[10] & 7) + 1)
    return data[:at] + b"\x21\xfe" + b"\1a" * parts + b"\0" + data[at:]


def gif_blocks(parts: int) -> bytes:
    data = saved("GIF")
    at = 13 + (3 << (data[10] & 7) + 1)
    return data[:at] + b"\x21\xfe\0" * parts + data[at:]


@pytest.mark.parametrize("made", [png, png_after, jpeg, filled, gif, gif_blocks])
def test_millions_of_parts_are_not_gone_through(made: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(made)
    few = made(20_000)
    assert probe(few) == (16, 12)
    assert decode(few, None).pixels is not None
    module = importlib.import_module("ilk.files.decode")  # the function has its name
    for reader in ("_open_here", "shared_pool"):  # none is asked
        monkeypatch.delattr(module, reader)
    many = made(200_000)
    assert decode(many, None).reason == "made of more than 100,000 parts, which no picture needs"
    assert probe(many) is None


def test_a_jpeg_of_tables_alone() -> None:
    data = saved("JPEG")
    table = b"\xff\xdb" + struct.pack(">H", 65_522) + (b"\0" + b"\1" * 64) * 1008
    assert decode(data[:2] + table + data[2:], None).pixels is not None
    found = decode(data[:2] + table * 1100 + data[2:], None)
    assert found.reason == "has more than 64 MiB before its picture"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF"])
def test_however_it_is_cut_the_count_ends(kind: str) -> None:
    data = saved(kind)
    assert all(too_many_parts(data[:n]) is None for n in range(len(data)))
