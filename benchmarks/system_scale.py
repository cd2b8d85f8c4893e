"""Measurements of `system.py` on many small images: what a kill costs, what a start costs, encoding by two trees."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import cpu_seconds, peak_mib
from PIL import Image

from ilk.data.shards import Shard, Store

_OLD = 1_600_000_000  # files that are older than a moment are known again by their time
_D = 384

# One process: encode a folder into a cache; most > 0: SIGKILL to itself when so many images are done.
_ENCODE = """
import json, os, resource, signal, sys
from ilk import encoders
from ilk.data import open_images
from ilk.files import Listing

folder, cache, most, counted = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
read = [0]
if counted:
    inner = Listing.read
    def reading(self, i):
        read[0] += 1
        return inner(self, i)
    Listing.read = reading

def spent():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime

def progress(done, total):
    if most and done >= most:
        print(json.dumps({"done": done}), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

begin = spent()
images = open_images(folder)
encoder = encoders.build("pixels", source=images)
listed, read[0] = spent(), 0
found = encoders.encode(images, encoder, cache=cache, on_progress=progress)
ready = spent()
thumbs = sum(len(block) for block in found.thumbs.blocks())
print(json.dumps({
    "read": read[0], "encoded": found.n_encoded, "list": listed - begin, "encode": ready - listed,
    "thumbs": spent() - ready, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}), flush=True)
"""


def kill(options: argparse.Namespace) -> dict[str, Any]:
    """How many files are read again after SIGKILL in the middle of a run over N of them."""
    n = int(options.n)
    with tempfile.TemporaryDirectory(prefix="ilk-kill-") as scratch:
        folder = _pictures(Path(scratch) / "photos", n)
        first = _encoded(folder, Path(scratch) / "cache", n // 2)
        second = _encoded(folder, Path(scratch) / "cache")
        third = _encoded(folder, Path(scratch) / "cache")
    again = second["read"] - (n - first["done"])
    return {"n_images": n, "done_when_killed": first["done"], "read_by_the_next": second["read"], "read_twice": again,
            "read_by_the_third": third["read"]}  # fmt: skip


def shards(options: argparse.Namespace) -> dict[str, Any]:
    """CPU seconds to open a cache of N shards of 256 images, without its index and with it."""
    n = int(options.n)
    thumb = b"\xff\xd8" + bytes(600)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(prefix="ilk-shards-") as scratch:
        folder = Path(scratch) / "features" / "key"
        folder.mkdir(parents=True)
        store = Store(folder, _D)
        blank = np.zeros(_D, np.float16)
        for _ in range(n):
            names = [row.tobytes() for row in rng.integers(0, 256, (256, 16), dtype=np.uint8)]
            store.add(Shard(names, [blank] * 256, [thumb] * 256, [8] * 256, [8] * 256, [None] * 256))
        (folder / "index").unlink(missing_ok=True)
        cold, _ = _opened(folder)
        Store(folder, _D).complete()
        warm, size = _opened(folder)
        index = (folder / "index").stat().st_size
    return {"n_shards": n, "n_images": 256 * n, "cpu_seconds_without_index": cold, "cpu_seconds_with_index": warm,
            "index_mib": round(index / 2**20, 1), "images_known": size}  # fmt: skip


def _opened(folder: Path) -> tuple[float, int]:
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom ilk.data.shards import Store\n"
        "def spent():\n    u = resource.getrusage(resource.RUSAGE_SELF)\n    return u.ru_utime + u.ru_stime\n"
        f"begin = spent()\nstore = Store(Path(sys.argv[1]), {_D})\nprint(spent() - begin, int(store.index.count()))"
    )
    said = subprocess.run([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True, check=True)
    seconds, count = said.stdout.split()
    return round(float(seconds), 3), int(count)


def paired(options: argparse.Namespace) -> dict[str, Any]:
    """CPU seconds to list and encode N small JPEG with a cheap encoder, by this tree and by another, turn by turn.

    With `--groups K` also those of the whole command, `ilk cluster FOLDER -k K` with an empty cache.
    """
    n, trees = int(options.n), {"after": None, **({"before": options.before} if options.before else {})}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in trees}
    with tempfile.TemporaryDirectory(prefix="ilk-paired-") as scratch:
        folder = _pictures(Path(scratch) / "photos", n)
        for turn in range(options.rounds):
            for name in sorted(trees, reverse=bool(turn % 2)):
                cache = Path(scratch) / f"{name}-{turn}"
                told = _encoded(folder, cache, tree=trees[name])
                again = _encoded(folder, cache, tree=trees[name])
                found[name].append({**told, "again": again["list"] + again["encode"]})
                subprocess.run(["rm", "-r", str(cache)], check=True)
                if options.groups:
                    found[name][-1] |= _clustered(folder, cache, options.groups, trees[name])
                    subprocess.run(["rm", "-r", str(cache), f"{cache}-run"], check=True)
                print(name, found[name][-1], file=sys.stderr, flush=True)
    kinds = ("list", "encode", "thumbs", "again", "peak", *(("command", "command_peak") if options.groups else ()))
    middle = {name: {kind: round(statistics.median(one[kind] for one in all_), 2) for kind in kinds}
              for name, all_ in found.items()}  # fmt: skip
    ratio = {}
    if "before" in middle:
        ratio = {kind: round(statistics.median(b[kind] / a[kind] for a, b in zip(found["before"], found["after"],
                 strict=True)), 3) for kind in kinds}  # fmt: skip
    return {"n_images": n, "rounds": options.rounds, "cpu_seconds_and_peak_mib": middle, "after_by_before": ratio,
            "own_cpu_seconds": round(cpu_seconds(), 1), "own_peak_mib": round(peak_mib())}  # fmt: skip


def _clustered(folder: Path, cache: Path, groups: int, tree: str | None) -> dict[str, float]:
    words = [sys.executable, "-m", "ilk", "cluster", str(folder), "-k", str(groups), "--encoder", "pixels"]
    words += ["--set", "image_size=16", "--cache", str(cache), "-o", f"{cache}-run", "--json"]
    process = subprocess.Popen(words, env=_home(tree), stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the command ended with {status}")
    return {"command": used.ru_utime + used.ru_stime, "command_peak": used.ru_maxrss / 1024}


def _home(tree: str | None) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", **({"PYTHONPATH": str(Path(tree) / "src")} if tree else {})}


def _pictures(folder: Path, n: int) -> Path:
    """Make `n` different JPEG of 48 pixels, in folders of 1,000."""
    rng = np.random.default_rng(0)
    for i in range(n):
        path = folder / f"{i // 1000:04}" / f"{i:07}.jpg"
        if i % 1000 == 0:
            path.parent.mkdir(parents=True)
        Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((48, 48)).save(path, quality=80)
        os.utime(path, (_OLD, _OLD))
    return folder


def _encoded(folder: Path, cache: Path, kill_at: int = 0, tree: str | None = None) -> dict[str, Any]:
    words = [sys.executable, "-c", _ENCODE, str(folder), str(cache), str(kill_at), "1"]
    said = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False, env=_home(tree))
    if not said.stdout:
        raise SystemExit("the measured process ended without a word")
    return json.loads(said.stdout.splitlines()[-1])  # type: ignore[no-any-return]
