"""Kill a job five times in the middle of encoding, then let it finish: are the groups those of an undisturbed run?

    python benchmarks/kills.py clothing500.tar WEIGHTS

Also counts, at every kill, the images that had been encoded but were not yet safe: they are what is computed twice.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from safetensors import safe_open

import ilk

KILLS = 5
SHARD = 256


def photos(archive: str, folder: Path, copies: int = 4) -> None:
    """Write every photo `copies` times, each copy with other bytes after the end of the picture."""
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile():
                data = tar.extractfile(member).read()  # type: ignore[union-attr]
                for copy in range(copies):
                    path = folder / f"{copy}" / member.name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(data + bytes([copy]))


def job(source: str, weights: str, out: str, cache: str) -> None:
    """One job; says on stdout how many images were encoded so far."""

    def tell(event: dict[str, object]) -> None:
        if "done" in event:
            print(event["done"], flush=True)

    options = {"encoder": "mobilenetv2_100", "weights": weights, "n_clusters": 10, "cache": cache}
    ilk.cluster(source, out, options=options, labels="none", on_event=tell)


def safe(cache: Path) -> int:
    """Images whose features are in finished shards."""
    total = 0
    for shard in cache.glob("features/*/*.safetensors"):
        with safe_open(shard, "np") as file:
            total += file.get_slice("features").get_shape()[0]
    return total


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive")
    parser.add_argument("weights")
    parser.add_argument("--job", nargs=2, metavar=("OUT", "CACHE"))
    options = parser.parse_args()
    if options.job:
        job(options.archive, options.weights, *options.job)
        return
    with tempfile.TemporaryDirectory(prefix="ilk-kills-") as scratch:
        print(json.dumps(measure(options.archive, str(Path(options.weights).resolve()), Path(scratch))))


def measure(archive: str, weights: str, scratch: Path) -> dict[str, object]:
    """Run undisturbed, run with kills, compare."""
    photos(archive, scratch / "photos")
    job_command = [sys.executable, __file__, str(scratch / "photos"), weights, "--job"]
    calm = [*job_command, str(scratch / "calm"), str(scratch / "cache-calm")]
    subprocess.run(calm, check=True, stdout=subprocess.DEVNULL)
    cache, rng, lost = scratch / "cache", random.Random(0), []
    killed = [*job_command, str(scratch / "killed"), str(cache)]
    n_images = sum(1 for path in (scratch / "photos").rglob("*") if path.is_file())
    while len(lost) < KILLS:
        process = subprocess.Popen(killed, stdout=subprocess.PIPE, text=True)
        goal = safe(cache) + rng.randrange(20, max(21, (n_images - safe(cache)) // 2))
        done = 0
        for line in process.stdout or ():
            done = int(line)
            if done >= goal:
                break
        time.sleep(rng.random() * 0.3)
        process.send_signal(signal.SIGKILL)
        rest = [int(line) for line in (process.stdout or ()) if line.strip().isdigit()]
        process.wait()
        lost.append(max([done, *rest]) - safe(cache))
    subprocess.run(killed, check=True, stdout=subprocess.DEVNULL)
    same = all(
        (scratch / "calm" / name).read_bytes() == (scratch / "killed" / name).read_bytes()
        for name in ("assignments.parquet", "features.npy", "map.npy")
    )
    return {
        "n_images": n_images,
        "kills": KILLS,
        "same_assignments": same,
        "encoded_twice_per_kill": lost,
        "shard": SHARD,
        "at_most_one_shard": max(lost) <= SHARD,
    }


if __name__ == "__main__":
    main()
