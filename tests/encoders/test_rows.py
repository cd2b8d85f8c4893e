"""`encode_rows`: a few images, the same features as `encode` gives, through the same cache."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_encode import counted

from ilk.data import open_images, shards
from ilk.encoders import FrozenEncoder, encode, encode_rows
from ilk.errors import DataError

Photos = Callable[..., Path]


def test_the_features_of_some_rows(network: FrozenEncoder, photos: Photos, tmp_path: Path) -> None:
    source = open_images(photos(30))
    whole = encode(source, network)
    rows = np.array([7, 29, 0, 12])
    features, read = encode_rows(source, rows, whole.hashes, network)
    assert (features.dtype, read.tolist()) == (np.float32, [True] * 4)
    assert np.array_equal(features.astype(np.float16), whole.features[whole.position[rows]])


def test_the_cache_is_shared_with_encode(network: FrozenEncoder, photos: Photos, tmp_path: Path) -> None:
    source, cache = open_images(photos(300)), tmp_path / "cache"
    hashes = encode(source, network).hashes
    network, calls = counted(network)
    rows = np.arange(0, 300, 1)
    first, _ = encode_rows(source, rows[:280], hashes, network, cache=cache)
    assert sum(calls) == 280
    second, read = encode_rows(source, rows, hashes, network, cache=cache)
    assert (sum(calls), read.all()) == (300, True)
    assert np.array_equal(first.astype(np.float16), second[:280].astype(np.float16))
    whole = encode(source, network, cache=cache)
    assert (sum(calls), whole.n_encoded) == (300, 0)
    assert np.array_equal(whole.features[whole.position], second.astype(np.float16))
    assert whole.thumbs.read([0, 299]).any()


def test_what_cannot_be_read_any_more(network: FrozenEncoder, photos: Photos) -> None:
    root = photos(6)
    source = open_images(root)
    hashes = encode(source, network).hashes
    (root / "0002.png").unlink()
    (root / "0004.png").write_bytes(b"nonsense")
    features, read = encode_rows(source, np.arange(6), hashes, network)
    assert read.tolist() == [True, True, False, True, False, True]
    assert not features[~read].any()
    assert features[read].any(1).all()


def test_a_full_disk_costs_only_the_cache(
    network: FrozenEncoder, photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_images(photos(5))
    hashes = encode(source, network).hashes

    def full(path: Path, data: bytes) -> None:
        raise DataError(f"cannot write {path}: {errno.ENOSPC}")

    monkeypatch.setattr(shards, "write_whole", full)
    _, read = encode_rows(source, np.arange(5), hashes, network, cache=tmp_path / "cache")
    assert read.all()


def test_no_rows(network: FrozenEncoder, photos: Photos) -> None:
    features, read = encode_rows(open_images(photos(4)), np.empty(0, np.int64), [b""] * 4, network)
    assert features.shape == (0, network.n_features)
    assert read.shape == (0,)
