"""`encode`: each image once, found again by content, and the same bytes whatever happened in between."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ilk import encoders
from ilk.data import open_images, shards
from ilk.encoders import FrozenEncoder, encode
from ilk.errors import DataError

Photos = Callable[..., Path]


def counted(network: FrozenEncoder) -> tuple[FrozenEncoder, list[int]]:
    """Return the encoder and a list that grows by the number of images of each call."""
    calls: list[int] = []
    forward = network.forward

    def count(pixels: torch.Tensor) -> Any:
        calls.append(len(pixels))
        return forward(pixels)

    return replace(network, forward=count), calls


def age(root: Path) -> None:
    """Make files look old enough for their time stamps to be trusted."""
    for path in root.rglob("*.*"):
        os.utime(path, (time.time() - 100,) * 2)


def test_rows_in_the_order_of_their_content(network: FrozenEncoder, photos: Photos, tmp_path: Path) -> None:
    source = open_images(photos(21))
    result = encode(source, network, cache=tmp_path / "cache")
    truth = network(source.sized(32, "crop", network.crop_pct).read(range(21))).astype(np.float16)
    assert result.features.dtype == np.float16
    assert np.array_equal(result.features[result.position], truth)
    assert [result.hashes[row] for row in result.rows] == sorted(result.hashes)
    assert result.position[result.rows].tolist() == list(range(21))
    assert (result.n_encoded, result.n_cached) == (21, 0)
    assert result.images_per_second > 0
    assert (result.widths == 40).all()
    assert result.sizes.tolist() == [path.stat().st_size for path in sorted((tmp_path / "photos").iterdir())]


def test_second_run_encodes_and_reads_nothing(
    network: FrozenEncoder, photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = photos(20)
    age(root)
    encoder, calls = counted(network)
    first = encode(open_images(root), encoder, cache=tmp_path / "cache")
    assert sum(calls) == 20
    source = open_images(root)
    monkeypatch.setattr(source.listing, "read", lambda row: pytest.fail("read"))
    again = encode(source, encoder, cache=tmp_path / "cache")
    assert sum(calls) == 20
    assert (again.n_encoded, again.n_cached) == (0, 20)
    assert np.array_equal(first.features, again.features)
    assert again.sizes.tolist() == first.sizes.tolist()
    assert again.widths.tolist() == first.widths.tolist()


def test_only_what_is_new_is_encoded(network: FrozenEncoder, photos: Photos, tmp_path: Path) -> None:
    encoder, calls = counted(network)
    root = photos(12)
    age(root)
    encode(open_images(root), encoder, cache=tmp_path / "cache")
    photos(1, first=90)
    (root / "0003.png").rename(root / "zz.png")
    calls.clear()
    result = encode(open_images(root), encoder, cache=tmp_path / "cache")
    assert sum(calls) == 1
    assert (result.n_encoded, result.n_cached) == (1, 12)
    other = tmp_path / "elsewhere"
    root.rename(other)
    calls.clear()
    encode(open_images(other), encoder, cache=tmp_path / "cache")
    assert not calls


def test_changed_file_is_encoded_again(network: FrozenEncoder, photos: Photos, tmp_path: Path) -> None:
    root = photos(4)
    age(root)
    first = encode(open_images(root), network, cache=tmp_path / "cache")
    (root / "0001.png").write_bytes((root / "0002.png").read_bytes())
    second = encode(open_images(root), network, cache=tmp_path / "cache")
    assert len(second.features) == 3
    assert second.status == ["ok", "ok", "duplicate", "ok"]
    assert np.array_equal(second.features[1], first.features[2])


def test_duplicates_and_unreadable(network: FrozenEncoder, photos: Photos, tmp_path: Path) -> None:
    root = photos(10)
    for i in range(30):
        (root / f"copy{i:02d}.png").write_bytes((root / "0004.png").read_bytes())
    (root / "0000.jpg").write_bytes(b"text")
    (root / "cut.png").write_bytes((root / "0001.png").read_bytes()[:200])
    encoder, calls = counted(network)
    source = open_images(root)
    for _ in range(2):
        result = encode(source, encoder, cache=tmp_path / "cache")
        names = source.names()
        assert sum(calls) == 10
        assert len(result.features) == 10
        assert [names[i] for i, status in enumerate(result.status) if status == "unreadable"] == ["0000.jpg", "cut.png"]
        assert sum(status == "duplicate" for status in result.status) == 30
        assert result.position[names.index("0000.jpg")] == -1
        assert result.position[names.index("copy29.png")] == result.position[names.index("0004.png")]
        assert result.reasons[names.index("cut.png")]
        assert result.reasons[names.index("0004.png")] is None
        assert (np.array(result.status, object)[result.rows] == "ok").all()


def test_unreadable_ones_are_tried_again_by_another_decoder(
    network: FrozenEncoder, photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = photos(3)
    (root / "bad.jpg").write_bytes(b"text")
    age(root)
    encode(open_images(root), network, cache=tmp_path / "cache")
    tried: list[bytes] = []
    decode = sys.modules["ilk.data.folder"].decode  # type: ignore[attr-defined]
    monkeypatch.setattr("ilk.data.folder.decode", lambda data, *a, **k: (tried.append(data), decode(data, *a, **k))[1])
    encode(open_images(root), network, cache=tmp_path / "cache")
    assert not tried
    monkeypatch.setattr(shards, "_DECODER", "a later one")
    result = encode(open_images(root), network, cache=tmp_path / "cache")
    assert tried == [b"text"]
    assert result.status.count("unreadable") == 1


@pytest.mark.parametrize("how", ["cut", "garbage", "flipped", "empty"])
def test_damaged_shard_is_made_again(how: str, network: FrozenEncoder, photos: Photos, tmp_path: Path) -> None:
    root = photos(8)
    age(root)
    first = encode(open_images(root), network, cache=tmp_path / "cache")
    path = next((tmp_path / "cache" / "features" / network.key).glob("*.safetensors"))
    data = path.read_bytes()
    flipped = data[:-9] + bytes([data[-9] ^ 255]) + data[-8:]
    path.write_bytes({"cut": data[: len(data) // 2], "garbage": b"x" * 500, "flipped": flipped, "empty": b""}[how])
    encoder, calls = counted(network)
    second = encode(open_images(root), encoder, cache=tmp_path / "cache")
    assert np.array_equal(first.features, second.features)
    assert sum(calls) == 8
    assert "damaged" in second.notes[0]
    calls.clear()
    assert not encode(open_images(root), encoder, cache=tmp_path / "cache").notes
    assert not calls


def test_workers_do_not_change_the_result(network: FrozenEncoder, photos: Photos, tmp_path: Path) -> None:
    source = open_images(photos(40))
    results = [
        encode(source, replace(network, workers=workers), cache=tmp_path / str(workers)).features
        for workers in (1, 2, 5)
    ]
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])


def test_few_blocks_are_in_flight(network: FrozenEncoder, photos: Photos) -> None:
    lock, now, most = threading.Lock(), [0], [0]
    source = open_images(photos(90))
    forward = network.forward

    def slow(pixels: torch.Tensor) -> Any:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.01)
        found = forward(pixels)
        with lock:
            now[0] -= 1
        return found

    before = torch.get_num_threads()
    encode(source, replace(network, workers=3, forward=slow))
    assert most[0] == 4  # one thread more than cores
    assert torch.get_num_threads() == before


def test_slow_caller_holds_the_workers_back(network: FrozenEncoder, photos: Photos) -> None:
    encoder, calls = counted(network)
    ahead: list[int] = []

    def slow(done: int, total: int) -> None:
        time.sleep(0.05)
        ahead.append(sum(calls) - done)

    encode(open_images(photos(200)), encoder, on_progress=slow)
    assert max(ahead) <= encoder.batch_size * (encoder.workers + 2)


def test_stopping_keeps_what_was_done(network: FrozenEncoder, photos: Photos, tmp_path: Path) -> None:
    source = open_images(photos(60))
    encoder, calls = counted(network)
    with pytest.raises(encoders.Interrupted):
        encode(source, encoder, cache=tmp_path / "cache", on_progress=lambda done, total: done >= 20)
    assert 20 <= sum(calls) <= 60 - 8
    done = sum(calls)
    calls.clear()
    result = encode(source, encoder, cache=tmp_path / "cache")
    assert result.n_encoded == sum(calls) <= 60 - 20
    assert done + sum(calls) <= 60 + 8 * (network.workers + 2)
    assert np.array_equal(result.features, encode(source, network).features)


def test_progress_and_keyboard(network: FrozenEncoder, photos: Photos, tmp_path: Path) -> None:
    source = open_images(photos(30))
    seen: list[tuple[int, int]] = []

    def interrupt(done: int, total: int) -> None:
        seen.append((done, total))
        if done >= 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode(source, network, cache=tmp_path / "cache", on_progress=interrupt)
    seen.clear()
    result = encode(source, network, cache=tmp_path / "cache", on_progress=lambda *at: seen.append(at))
    assert result.n_cached >= 10
    assert seen[0][0] < seen[-1][0] == 30
    assert not any(thread.name.startswith("ilk-encode") for thread in threading.enumerate())


KILLED = """
import sys, os, time
from dataclasses import replace
from ilk import encoders
from ilk.data import open_images
weights, root, cache, home = sys.argv[1:]
options = {"settings": {"image_size": 32}, "device": "cpu", "cache": home, "precision": "fp32"}
network = encoders.build("test_efficientnet", weights=weights, **options)
forward = network.forward
def slow(pixels):
    time.sleep(.02)
    return forward(pixels)
print("ready", flush=True)
encoders.encode(open_images(root), replace(network, forward=slow), cache=cache)
"""


def test_killed_run_resumes_with_the_same_features(
    network: FrozenEncoder, photos: Photos, tmp_path: Path, weights: Path, home: Path
) -> None:
    root, cache = photos(700), tmp_path / "cache"
    command = [sys.executable, "-W", "ignore", "-c", KILLED, *map(str, (weights, root, cache, home))]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        folder = cache / "features" / network.key
        limit = time.monotonic() + 60
        while len(list(folder.glob("*.safetensors"))) < 1 and time.monotonic() < limit and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    kept = len(list(folder.glob("*.safetensors")))
    assert kept >= 1
    encoder, calls = counted(network)
    resumed = encode(open_images(root), encoder, cache=cache)
    assert 0 < sum(calls) < 700
    assert resumed.n_cached >= 200 * kept
    fresh = encode(open_images(root), network, cache=tmp_path / "other")
    assert np.array_equal(resumed.features, fresh.features)


def test_full_disk(network: FrozenEncoder, photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, cache = open_images(photos(10)), tmp_path / "cache"
    encode(source, replace(network, key="other"), cache=cache)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("ilk.disk.writing.os.fsync", full)
    with pytest.raises(DataError, match="No space left on device; free some space"):
        encode(source, network, cache=cache)
    assert not list((cache / "features" / network.key).iterdir())
    monkeypatch.undo()
    assert encode(source, network, cache=cache).n_encoded == 10


def test_no_cache_leaves_nothing(
    network: FrozenEncoder, photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    result = encode(open_images(photos(5)), network)
    assert result.thumbs.read([0]).any()
    del result
    assert not list((tmp_path / "tmp").iterdir())


def test_features_that_are_not_finite(network: FrozenEncoder, photos: Photos) -> None:
    broken = replace(network, forward=lambda pixels: np.full((len(pixels), network.n_features), np.nan, np.float32))
    with pytest.raises(DataError, match="not finite"):
        encode(open_images(photos(3)), broken)


def test_arrays_take_the_same_road(network: FrozenEncoder, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (12, 32, 32, 3), np.uint8)
    pixels[7] = pixels[3]
    result = encode(open_images(pixels), replace(network, crop_pct=1.0), cache=tmp_path)
    truth = network(torch.from_numpy(pixels).permute(0, 3, 1, 2)).astype(np.float16)
    assert np.array_equal(result.features[result.position], truth)
    assert result.status[7] == "duplicate"


def test_large_features_live_in_a_file(photos: Photos, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ilk.files.large._IN_MEMORY", 100)
    result = encode(open_images(photos(9)), encoders.build("classic"))
    assert isinstance(result.features, np.memmap)
    assert np.isfinite(result.features).all()


def test_cache_is_measured_and_cleared(network: FrozenEncoder, photos: Photos, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    root = photos(9)
    age(root)
    encode(open_images(root), network, cache=cache)
    (cache / "mine.txt").write_text("keep")
    sizes = encoders.cache_size(cache)
    assert sizes["features"] > 0
    assert sizes["files"] > 0
    assert encoders.clear_cache(cache) == sum(sizes.values())
    assert [path.name for path in cache.iterdir()] == ["mine.txt"]
    assert sum(encoders.cache_size(tmp_path / "nowhere").values()) == 0


def test_names_and_order_of_files_do_not_matter(network: FrozenEncoder, photos: Photos, tmp_path: Path) -> None:
    root = photos(15)
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    for i, path in enumerate(sorted(root.iterdir())):
        (renamed / f"{(7 * i) % 15:02d}.png").write_bytes(path.read_bytes())
    shuffled = [str(path) for path in sorted(root.iterdir(), key=lambda path: path.name[::-1])]
    found = [encode(open_images(source), network, cache=None) for source in (root, renamed, shuffled)]
    assert found[0].rows.tolist() != found[1].rows.tolist()
    for other in found[1:]:
        assert np.array_equal(found[0].features, other.features)
    images = np.random.default_rng(0).integers(0, 255, (40, 9, 9), np.uint8)
    images[30] = images[3]
    mixed = np.random.default_rng(1).permutation(40)
    for name in ("pixels", "gradients"):
        encoder = encoders.build(name, source=open_images(images))
        one, other = encode(open_images(images), encoder), encode(open_images(images[mixed]), encoder)
        assert len(one.features) == 39
        assert np.array_equal(one.features, other.features)
        assert np.array_equal(one.features[one.position][mixed], other.features[other.position])
        assert other.status.count("duplicate") == 1
