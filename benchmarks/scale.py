"""What a large folder costs: N generated 256 px JPEGs in a folder tree, grouped with `-k 10`.

    python benchmarks/scale.py 100000 WEIGHTS

Samples the summed resident memory of ilk's processes, and compares its peak with what stood after the encoder was
loaded. The pictures are smooth random textures of ten kinds: they cost what photos of that size cost to decode.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import multiprocessing
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

KINDS, SIDE = 10, 256


def write(folder: Path, start: int, stop: int) -> None:
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


def generate(folder: Path, n: int) -> None:
    """Write `n` pictures with one process a core."""
    cores = multiprocessing.cpu_count()
    bounds = np.linspace(0, n, cores + 1).astype(int)
    workers = [
        multiprocessing.Process(target=write, args=(folder, int(a), int(b))) for a, b in itertools.pairwise(bounds)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


class Memory(threading.Thread):
    """Samples the summed resident memory of a process and its children, five times a second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.process = psutil.Process(pid)
        self.now = self.peak = 0
        self.start()

    def run(self) -> None:
        while True:
            try:
                family = [self.process, *self.process.children(recursive=True)]
                self.now = sum(p.memory_info().rss for p in family)
            except psutil.NoSuchProcess:
                return
            self.peak = max(self.peak, self.now)
            time.sleep(0.2)


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("n", type=int)
    parser.add_argument("weights")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ilk-scale-") as scratch:
        folder = Path(scratch) / "pictures"
        generate(folder, options.n)
        command = [sys.executable, "-m", "ilk", "cluster", str(folder), "-k", "10", "--json", "-o", f"{scratch}/run"]
        command += ["--encoder", "mobilenetv2_100", "--weights", options.weights, "--cache", f"{scratch}/cache"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        memory, loaded = Memory(process.pid), 0
        for line in process.stderr or ():
            print(line, end="", file=sys.stderr, flush=True)
            if line.startswith("encoder"):
                loaded = memory.now
        summary = json.loads((process.stdout or io.StringIO()).read())
        if process.wait():
            raise SystemExit("ilk failed")
    print(json.dumps({
        "n_images": summary["n_images"],
        "seconds": summary["seconds"],
        "images_per_second": summary["images_per_second"],
        "list_and_encode_seconds": round(summary["seconds"]["list"] + summary["seconds"]["encode"], 1),
        "loaded_mib": round(loaded / 2**20),
        "peak_rss_mib": round(memory.peak / 2**20),
        "above_loaded_mib": round((memory.peak - loaded) / 2**20),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
