"""Parts of a source at an address fill the cache as one process does."""

from __future__ import annotations

from pathlib import Path

from afar import Put, pictures

from ilk import scale
from ilk.data import open_images
from ilk.encoders import build, encode


def test_two_parts_are_one_whole(bucket: Put, tmp_path: Path) -> None:
    address = bucket(pictures(12))
    encoder = build("pixels")
    for a, b in scale.cut(12, 6):
        scale.encode_part(open_images(address), encoder, tmp_path / "parts", a, b)
    parts = encode(open_images(address), encoder, cache=tmp_path / "parts")
    whole = encode(open_images(address), encoder, cache=tmp_path / "whole")
    assert (parts.n_encoded, parts.n_cached) == (0, 12)
    assert parts.features.tobytes() == whole.features.tobytes()
