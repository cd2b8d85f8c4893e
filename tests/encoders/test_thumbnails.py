"""Thumbnails are made while images are encoded, and found again in the cache, also in one of an older ilk."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from older import encode_sheet
from safetensors.numpy import save

from ilk import disk
from ilk.data import open_images, shards
from ilk.encoders import FrozenEncoder, encode
from ilk.files.thumbs import decode_thumb, make_thumb, squares

Photos = Callable[..., Path]


def test_thumbnails(network: FrozenEncoder, photos: Photos, tmp_path: Path) -> None:
    root = photos(5)
    (root / "0002b.png").write_bytes((root / "0001.png").read_bytes())
    (root / "bad.jpg").write_bytes(b"text")
    source = open_images(root)
    result = encode(source, network)
    direct = source.sized(32, "crop", network.crop_pct).scan(range(7)).thumbs
    assert [thumb for block in result.thumbs.blocks(2) for thumb in block] == direct
    assert direct[3] == direct[1]
    assert direct[6] == b""
    thumbs = result.thumbs.read([6, 1])
    assert thumbs.shape == (2, 48, 48, 3)
    assert (thumbs[0] == thumbs[0][0, 0]).all()
    assert thumbs[1].std() > 0


def test_thumbnails_are_not_made_again(
    network: FrozenEncoder, photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was decoded once is read from the cache as it is."""
    source = open_images(photos(9))
    first = list(encode(source, network, cache=tmp_path).thumbs.blocks())
    for name in ("ilk.files.render.encoded", "ilk.shards.one.make_thumb", "ilk.data.folder.decode"):
        monkeypatch.setattr(name, lambda *a, **k: pytest.fail("a picture was made again"))
    assert list(encode(source, network, cache=tmp_path).thumbs.blocks()) == first


def test_a_cache_of_an_older_ilk(network: FrozenEncoder, photos: Photos, tmp_path: Path) -> None:
    """Its features are kept, and its thumbnails are those of 48 pixels that it has."""
    source = open_images(photos(9))
    now = encode(source, network, cache=tmp_path)
    right = now.thumbs.read(range(9))
    for path in (tmp_path / "features" / network.key).iterdir():
        with disk.open_tensors(path) as file:
            tensors = {name: file.get_tensor(name) for name in ("features", "hashes", "thumbs", "ends")}
            metadata = file.metadata()
        data, ends = tensors.pop("thumbs").tobytes(), [0, *tensors.pop("ends").tolist()]
        cells = squares([decode_thumb(data[a:b]) for a, b in itertools.pairwise(ends)], 48)
        tensors["sheet"] = np.frombuffer(encode_sheet(cells), np.uint8)
        metadata["digest"] = disk.tensor_digest(tensors, metadata["facts"])
        path.write_bytes(save(tensors, metadata))
    then = encode(source, network, cache=tmp_path)
    assert (then.n_encoded, then.n_cached) == (0, 9)
    assert (then.features == now.features).all()
    assert any("9 images are in the cache as an older ilk left them" in note for note in then.notes)
    assert not any("older ilk" in note for note in now.notes)
    assert np.abs(then.thumbs.read(range(9)).astype(int) - right).mean() < 9
    assert {decode_thumb(thumb).shape for block in then.thumbs.blocks() for thumb in block} == {(48, 48, 3)}


@pytest.mark.parametrize("ends", [[1], [2**31], [0, 0, 0], []])
def test_thumbnails_that_make_no_sense_are_left_out(ends: list[int], tmp_path: Path) -> None:
    store = shards.Store(tmp_path / "features" / "key", 1)
    thumb = make_thumb(np.zeros((4, 4), np.uint8))
    store.add(shards.Shard([b"x" * 16], [np.ones(1, np.float16)], [thumb], [4], [4], [None]))
    (path,) = (tmp_path / "features" / "key").iterdir()
    assert store.thumbs(path.stem) == [thumb]
    with disk.open_tensors(path) as file:
        tensors = {name: file.get_tensor(name) for name in ("features", "hashes", "thumbs")}
        path_metadata = file.metadata()
    path.write_bytes(save({**tensors, "ends": np.array(ends, np.uint32)}, path_metadata))
    assert store.thumbs(path.stem) is None
