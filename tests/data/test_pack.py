"""Packed images: the same pixels as reading them, each decoded once, whatever happened in between."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ilk.data import ArrayImages, channel_mean, open_images, pack
from ilk.errors import ArgumentError, DataError, Interrupted


def write(folder: Path, sizes: list[tuple[int, int]], seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for i, (h, w) in enumerate(sizes):
        coarse = Image.fromarray(rng.integers(0, 255, (6, 6, 3), np.uint8))
        coarse.resize((w, h), Image.Resampling.BICUBIC).save(folder / f"{i:05}.png")
    for path in folder.iterdir():
        os.utime(path, (time.time() - 100,) * 2)
    return folder


@pytest.mark.parametrize(
    ("sizes", "side"),
    [
        ([(20, 30), (28, 28), (25, 27)], 28),
        ([(40, 50), (48, 90), (30, 33)], 32),
        ([(100, 200), (300, 120), (49, 60)], 96),
        ([(12, 12)] * 3, 12),
        ([(64, 64)] * 3, 64),
        ([(70, 70)] * 3, 96),
    ],
)
def test_the_size_follows_the_images(tmp_path: Path, sizes: list[tuple[int, int]], side: int) -> None:
    packed = pack(open_images(write(tmp_path / "photos", sizes)), cache=tmp_path / "cache")
    assert packed.image_size == (side, side)
    assert packed.images.shape == (3, side, side)
    assert packed.facts.widths.tolist() == [w for _, w in sizes]
    array = np.zeros((3, *sizes[0], 3), np.uint8)
    if len(set(sizes)) == 1:
        assert pack(open_images(array)).images.shape[1:] == (side, side)


def test_pixels_are_those_of_the_source(tmp_path: Path) -> None:
    source = open_images(write(tmp_path / "photos", [(100 + i, 130) for i in range(40)]))
    packed = pack(source, 40, cache=tmp_path / "cache")
    assert packed.images.pixels.shape == (40, 40, 40, 3)
    assert torch.equal(packed.images.read(range(40)), source.sized(40).read(range(40)))
    assert packed.images.names() == source.names()
    assert packed.images.read([3, 3, 0]).is_contiguous(memory_format=torch.channels_last)
    wide = pack(source, 40, cache=tmp_path / "cache", margin=1.15)
    assert (wide.image_size, wide.images.shape) == ((40, 40), (3, 46, 46))


def test_odd_files_and_copies_are_told_as_encoding_tells_them(tmp_path: Path) -> None:
    root = write(tmp_path / "photos", [(50, 60)] * 6)
    shutil.copy(root / "00002.png", root / "copy.png")
    (root / "00003.png").write_bytes(b"not an image at all")
    packed = pack(open_images(root), cache=tmp_path / "cache")
    facts = packed.facts
    assert facts.status == ["ok", "ok", "ok", "unreadable", "ok", "ok", "duplicate"]
    assert facts.position.tolist() == [0, 1, 2, -1, 3, 4, 2]
    assert facts.rows.tolist() == [0, 1, 2, 4, 5]
    assert facts.reasons[3]
    assert facts.sizes.tolist() == [path.stat().st_size for path in sorted(root.iterdir())]
    assert len(packed) == 5
    assert torch.equal(packed.images.read([3]), open_images(root).read([4]))
    assert facts.thumbs.read([6]).tobytes() == facts.thumbs.read([2]).tobytes()
    made = packed.encoded(np.full((5, 7), 1e9, np.float32))
    assert (made.features.dtype, made.features.shape) == (np.float16, (5, 7))
    assert np.isfinite(made.features).all()
    assert made.status == facts.status
    with pytest.raises(ValueError, match="4 rows of features for 5"):
        packed.encoded(np.zeros((4, 7)))


def test_nothing_is_decoded_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path / "photos", [(80, 90)] * 20)
    first = pack(open_images(root), cache=tmp_path / "cache")
    monkeypatch.setattr("ilk.data.folder.decode", None)
    again = pack(open_images(root), cache=tmp_path / "cache")
    assert (first.facts.n_encoded, again.facts.n_encoded, again.facts.n_cached) == (20, 0, 20)
    assert np.array_equal(first.images.pixels, again.images.pixels)


def test_arrays_of_the_right_size_are_not_copied() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (30, 12, 12), np.uint8)
    packed = pack(open_images(pixels))
    assert packed.images.pixels is pixels
    pixels = pixels.copy()
    pixels[7] = pixels[3]
    packed = pack(open_images(pixels))
    assert packed.images.pixels is pixels
    assert len(packed) == 29
    assert packed.facts.position[7] == 3
    assert torch.equal(packed.images.read([7, 28])[:, 0], torch.from_numpy(pixels[[8, 29]]))
    assert packed.images.names([7]) == ["8"]
    assert packed.images.fingerprint() != open_images(pixels).fingerprint()
    tensor = torch.from_numpy(pixels)
    assert pack(open_images(tensor)).images.pixels is tensor


def test_arrays_of_another_size() -> None:
    grey = np.random.default_rng(0).integers(0, 255, (9, 8, 8), np.uint8)
    packed = pack(open_images(grey), 28)
    assert packed.images.shape == (1, 28, 28)
    assert torch.equal(packed.images.read(range(9)), open_images(grey).sized(28).read(range(9)))
    assert (packed.facts.widths == 8).all()
    large = np.random.default_rng(0).integers(0, 255, (9, 100, 130, 3), np.uint8)
    packed = pack(open_images(large), margin=1.15)
    assert (packed.image_size, packed.images.shape) == ((96, 96), (3, 110, 110))
    assert packed.facts.heights.tolist() == [100] * 9
    clear = np.random.default_rng(0).integers(0, 255, (9, 8, 8, 4), np.uint8)
    packed = pack(open_images(clear))
    assert packed.images.shape == (3, 8, 8)
    assert torch.equal(packed.images.read([4]), open_images(clear).read([4]))


def test_sides_of_three_and_four_pixels_are_no_channels() -> None:
    for side in (1, 3, 4):
        for images in (np.arange(5 * side * side, dtype=np.uint8).reshape(5, side, side), np.zeros((2, 9, 9, 3), "u1")):
            assert pack(open_images(images), side).images.shape[1:] == (side, side)


@pytest.mark.parametrize("kind", ["array", "chosen", "tensor", "colour"])
def test_reading_by_an_index_on_the_device(kind: str) -> None:
    """The road of a GPU, walked on the CPU: the index is a tensor and so are the images."""
    pixels = np.random.default_rng(0).integers(0, 255, (20, 6, 6, 3), np.uint8)
    images = open_images(pixels if kind == "colour" else torch.from_numpy(pixels))
    images = images.take([5, 4, 9, 0]) if kind == "chosen" else images
    index = torch.tensor([3, 1, 1])
    assert torch.equal(images.read(index), images.read(index.tolist()))
    assert images.to("cpu") is images


def test_pixels_go_to_a_gpu_that_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ilk.compute.free_memory", lambda device: 20 * 36 * 3 * 2)
    pixels = np.random.default_rng(0).integers(0, 255, (20, 6, 6, 3), np.uint8)
    for images in (open_images(pixels), open_images(pixels).take([4, 2])):
        there = images.to("meta")  # a device without memory: what is asked of it can be seen
        assert isinstance(there.pixels, torch.Tensor)
        assert there.pixels.device.type == "meta"
        assert tuple(there.pixels.shape) == (len(images), 6, 6, 3)
        assert there.names() == images.names()
    assert open_images(pixels).to("meta", share=0.49).pixels is pixels


def test_a_disk_without_room_is_named_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_images(write(tmp_path / "photos", [(80, 90)] * 4))
    free = 4 * 96 * 96 * 3 * 2
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=free - 1))
    with pytest.raises(DataError, match=r"4 images of 96 × 96 pixels take .* more than half .* --cache"):
        pack(source, cache=tmp_path / "cache")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=free))
    pack(source, cache=tmp_path / "cache")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=0))
    pack(source, cache=tmp_path / "cache")  # it is there already


def test_large_packs_are_announced_and_live_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_images(write(tmp_path / "photos", [(80, 90)] * 4))
    notes: list[str] = []
    pack(source, cache=tmp_path / "cache", on_note=notes.append)
    assert notes == []
    monkeypatch.setattr("ilk.data.packing._SMALL", 100)
    monkeypatch.setattr("ilk.files.large._IN_MEMORY", 100)
    packed = pack(source, 90, cache=tmp_path / "cache", on_note=notes.append)
    assert len(notes) == 1
    assert "4 images of 90 × 90 pixels" in notes[0]
    assert isinstance(packed.images.pixels.base, np.memmap)
    assert torch.equal(packed.images.read([1]), source.sized(90).read([1]))


def test_a_stop_keeps_what_was_done(tmp_path: Path) -> None:
    root = write(tmp_path / "photos", [(60, 60)] * 700)
    with pytest.raises(Interrupted):
        pack(open_images(root), 32, cache=tmp_path / "cache", on_progress=lambda done, total: done >= 200)
    resumed = pack(open_images(root), 32, cache=tmp_path / "cache")
    assert 0 < resumed.facts.n_encoded <= 500
    assert np.array_equal(resumed.images.pixels, pack(open_images(root), 32, cache=tmp_path / "other").images.pixels)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_a_kill_loses_at_most_the_shard_in_work(tmp_path: Path) -> None:
    root, cache = write(tmp_path / "photos", [(60, 60)] * 700), tmp_path / "cache"
    code = f"""
import os, signal
from ilk.data import open_images, pack
pack(open_images({str(root)!r}), 32, cache={str(cache)!r}, on_progress=lambda done, total: (
    os.kill(os.getpid(), signal.SIGKILL) if done >= 550 else None))
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=120)
    assert done.returncode == -signal.SIGKILL
    resumed = pack(open_images(root), 32, cache=cache)
    assert resumed.facts.n_encoded <= 700 - 550 + 256
    assert np.array_equal(resumed.images.pixels, pack(open_images(root), 32, cache=tmp_path / "other").images.pixels)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_memory_is_bounded(tmp_path: Path) -> None:
    """430 MB of pixels within 256 MiB: 4,000 images that cost nothing to decode."""
    code = f"""
import numpy as np
from ilk.data import FolderImages, folder, open_images, pack
from ilk.files.decode import Decoded
source = open_images({str(write(tmp_path / "photos", [(60, 60)] * 4))!r})
listing = source.listing
listing.names = [f"{{i}}.png" for i in range(4000)]
listing.sizes, listing.stamps = np.ones(4000, np.int64), np.zeros(4000, np.int64)
listing.read = lambda i: i.to_bytes(4, "big")
def decode(data, size, **_):
    return Decoded(np.full((*size, 3), int.from_bytes(data, "big") % 251, np.uint8), 60, 60, None)
folder.decode = decode
def peak():  # KiB; unlike ru_maxrss it does not begin with what the parent had
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
before = peak()
packed = pack(FolderImages(listing), 190, cache={str(tmp_path / "cache")!r})
assert packed.images.pixels.nbytes > 4.2e8
print((peak() - before) / 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=300, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 256


def test_mean_of_channels() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (50, 5, 7, 3), np.uint8)
    expected = pixels.mean((0, 1, 2)) / 255
    np.testing.assert_allclose(channel_mean(ArrayImages(pixels), rows=16), expected, atol=1e-6)


@pytest.mark.parametrize(("options", "hint"), [({"margin": 0.5}, "margin"), ({"image_size": 0}, "image_size")])
def test_what_is_refused(options: dict[str, float], hint: str) -> None:
    with pytest.raises(ArgumentError, match=hint):
        pack(open_images(np.zeros((3, 8, 8), np.uint8)), **options)


def test_no_images_and_no_readable_images(tmp_path: Path) -> None:
    assert len(pack(open_images(np.zeros((0, 8, 8), np.uint8)))) == 0
    for name in "ab":
        (tmp_path / f"{name}.png").write_bytes(b"not an image at all")
    packed = pack(open_images(tmp_path), cache=tmp_path / "cache")
    assert (len(packed), packed.facts.status) == (0, ["unreadable"] * 2)
