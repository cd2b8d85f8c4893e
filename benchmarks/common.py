"""What several measurements need: clocks, memory, photos of an archive, generated pictures."""

from __future__ import annotations

import io
import itertools
import multiprocessing
import resource
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

KINDS, SIDE = 10, 256


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return seconds and result."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def cpu_seconds() -> float:
    """Return CPU seconds of this process and of its finished children."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def peak_mib(who: int = resource.RUSAGE_SELF) -> float:
    """Return the largest resident memory so far, in MiB."""
    return resource.getrusage(who).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


class Memory(threading.Thread):
    """Samples the summed resident memory of a process and its children, five times a second."""

    def __init__(self, pid: int) -> None:
        import psutil

        super().__init__(daemon=True)
        self.process, self.gone = psutil.Process(pid), psutil.NoSuchProcess
        self.now = self.peak = 0
        self.start()

    def run(self) -> None:
        """Sample until the process has ended."""
        while True:
            try:
                family = [self.process, *self.process.children(recursive=True)]
                self.now = sum(p.memory_info().rss for p in family)
            except self.gone:
                return
            self.peak = max(self.peak, self.now)
            time.sleep(0.2)


def members(archive: str | Path) -> list[tuple[str, bytes]]:
    """Return name and bytes of every file of a tar, by name."""
    with tarfile.open(archive) as tar:
        files = sorted((member for member in tar if member.isfile()), key=lambda member: member.name)
        return [(member.name, tar.extractfile(member).read()) for member in files]  # type: ignore[union-attr]


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return scikit-learn's digits: uint8 (1797, 8, 8), and their classes."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return np.round(found.images * 255 / 16).astype(np.uint8), found.target


def generate(folder: Path, n: int) -> None:
    """Write `n` smooth random textures of ten kinds, 256 px JPEGs that cost what photos of that size cost to decode."""
    bounds = np.linspace(0, n, multiprocessing.cpu_count() + 1).astype(int)
    workers = [
        multiprocessing.Process(target=_write, args=(folder, *map(int, ab))) for ab in itertools.pairwise(bounds)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def _write(folder: Path, start: int, stop: int) -> None:
    """Write pictures `start` … `stop`, 1,000 a subfolder."""
    for i in range(start, stop):
        rng = np.random.default_rng(i)
        kind = i % KINDS
        coarse = rng.integers(0, 256, (3 + 2 * kind, 3 + 2 * kind, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        grain = rng.integers(-8, 9, (SIDE, SIDE, 1), dtype=np.int16)
        pixels = np.clip(np.asarray(picture, np.int16) + grain, 0, 255).astype(np.uint8)
        path = folder / f"{i // 1000:03}" / f"{i:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=80)
        path.write_bytes(buffer.getvalue())
