"""When and with what a photo was taken, as Pillow wrote it; whatever the bytes are, nothing is raised."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from ilk.files.exif import HEAD, Taken, taken


def photo(kind: str, **fields: str) -> bytes:
    """A small picture with EXIF: taken, changed, make, model."""
    exif = Image.Exif()
    for name, tag in {"changed": 0x0132, "make": 0x010F, "model": 0x0110}.items():
        if name in fields:
            exif[tag] = fields[name]
    if "taken" in fields:
        exif.get_ifd(0x8769)[0x9003] = fields["taken"]
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, kind, exif=exif)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_every_container(kind: str) -> None:
    data = photo(kind, taken="2024:05:17 10:20:30", changed="2025:01:01 00:00:00", make="Acme", model="One")
    assert taken(data[:HEAD]) == Taken("2024-05-17 10:20:30", "Acme One")


def test_what_is_missing_or_odd() -> None:
    assert taken(photo("TIFF", changed="2025:01:01 00:00:00", model="X")) == Taken("2025-01-01 00:00:00", "X")
    assert taken(photo("JPEG", changed="2025:01:01 00:00:00")) == Taken("2025-01-01 00:00:00", "")
    assert taken(photo("JPEG", taken="0000:00:00 00:00:00", model="X")) == Taken("", "X")
    assert taken(photo("JPEG", taken="2024:13:01 00:00:00")) == Taken()
    assert taken(photo("JPEG", make="NIKON CORPORATION", model="NIKON D70")).camera == "NIKON D70"
    assert taken(photo("JPEG", make="A\u202eB\nC", model="x" * 5000)).camera.isprintable()
    assert len(taken(photo("JPEG", model="x" * 5000)).camera) <= 64
    assert taken(photo("JPEG")) == Taken()


def test_no_bytes_make_it_fail() -> None:
    rng = np.random.default_rng(0)
    whole = photo("JPEG", taken="2024:05:17 10:20:30", make="Acme", model="One")
    for _ in range(2000):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 4):
            data[at] = rng.integers(0, 256)
        found = taken(bytes(data[: rng.integers(0, len(data) + 1)]))
        assert all(part.isprintable() for part in found)
