"""A handful of images without a cache: what the long way finds, in the calling thread and without a file."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ilk.data import FEW, Encoded, open_images, pack
from ilk.data.collect import Work, collect
from ilk.errors import Interrupted
from ilk.files import content_hash

PARTS = ("rows", "position", "sizes", "widths", "heights")


def means(pixels: torch.Tensor) -> np.ndarray:
    """Three numbers an image."""
    return pixels.double().mean((2, 3)).numpy().astype(np.float16)


WORK = Work("means", 3, np.float16, means, batch_size=3, workers=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven files: two photos and a copy of each, text, a copy of the text, and nothing at all."""
    rng = np.random.default_rng(0)
    root = tmp_path / "images"
    root.mkdir()
    for i in (0, 3):
        Image.fromarray(rng.integers(0, 255, (30 + i, 40, 3), np.uint8)).save(root / f"{i}.png")
        (root / f"{i + 1}.png").write_bytes((root / f"{i}.png").read_bytes())
    for name in ("2.png", "5.png"):
        (root / name).write_bytes(b"not an image at all")
    (root / "6.png").write_bytes(b"")
    return root


def assert_same(one: Encoded, other: Encoded) -> None:
    assert np.array_equal(one.features, other.features)
    assert one.features.dtype == other.features.dtype
    for part in PARTS:
        assert getattr(one, part).tolist() == getattr(other, part).tolist(), part
    assert (one.status, one.reasons, one.n_encoded) == (other.status, other.reasons, other.n_encoded)


def test_what_the_long_way_finds(folder: Path, tmp_path: Path) -> None:
    source = open_images(folder).sized(16)
    short, long = collect(source, WORK), collect(source, WORK, cache=tmp_path / "cache")
    assert_same(short, long)
    assert short.status == ["ok", "duplicate", "unreadable", "ok", "duplicate", "unreadable", "unreadable"]
    assert short.hashes == long.hashes
    assert [len(block) for block in short.thumbs.blocks(3)] == [3, 3, 1]
    assert list(short.thumbs.blocks()) == list(long.thumbs.blocks())
    assert (short.thumbs.read([2]) == short.thumbs.read([2])[0, 0, 0]).all()  # what cannot be read is grey


def test_rows_by_content(folder: Path, tmp_path: Path) -> None:
    for name in range(10, 13):
        Image.new("RGB", (20, 20), (name, 0, 0)).save(folder / f"{name}.png")
    for name in ("1.png", "2.png"):
        (folder / name).unlink()
    source, work = open_images(folder).sized(16), replace(WORK, canonical=True)
    short, long = collect(source, work), collect(source, work, cache=tmp_path / "cache")
    assert_same(short, long)
    hashes = [short.hashes[row] for row in short.rows]
    assert hashes == sorted(hashes)
    assert not np.array_equal(short.rows, np.sort(short.rows))


@pytest.mark.parametrize("name", ["0.png", "2.png", "6.png"])
def test_one_file_by_itself(folder: Path, tmp_path: Path, name: str) -> None:
    source = open_images([folder / name]).sized(16)
    assert source.names() == [name]
    short, long = collect(source, WORK), collect(source, WORK, cache=tmp_path / "cache")
    assert_same(short, long)
    assert short.hashes == [content_hash((folder / name).read_bytes())], "it may be one of a run's images"


def test_arrays_too(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (5, 9, 9, 3), np.uint8)
    images[3] = images[1]
    source = open_images(images).sized(16)
    assert_same(collect(source, WORK), collect(source, WORK, cache=tmp_path / "cache"))


def test_neither_a_folder_nor_a_thread_is_made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("made")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    for name in ("2.png", "5.png", "6.png"):  # odd files are looked at by a helper
        (folder / name).unlink()
    source = open_images(folder).sized(16)
    assert collect(source, WORK).n_encoded == len(pack(source, 16)) == 2
    many = open_images([folder / "0.png"] * (FEW + 1)).sized(16)
    with pytest.raises(AssertionError, match="made"):  # the guard works
        collect(many, WORK)


def test_nothing_is_decoded_twice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ilk.data import folder as module

    decoded: list[int] = []
    real = module.decode
    monkeypatch.setattr(module, "decode", lambda data, *a, **k: decoded.append(len(data)) or real(data, *a, **k))
    collect(open_images(folder).sized(16), WORK)
    assert len(decoded) == len(set(decoded)) == 4  # two photos, one text, one empty file


def test_it_is_told_and_can_be_stopped(folder: Path) -> None:
    told: list[tuple[int, int]] = []
    source = open_images(folder).sized(16)
    collect(source, WORK, on_progress=lambda done, total: told.append((done, total)))
    assert told == [(0, 7), (7, 7)]
    with pytest.raises(Interrupted):
        collect(source, WORK, on_progress=lambda done, total: True)
