"""What the machine and the pipeline cost, one measurement a sub-command; prints one JSON object.

python benchmarks/system.py start                         ilk --help, as a whole process
python benchmarks/system.py second-run                    CPU seconds with an empty cache, and again
python benchmarks/system.py decode SOURCE                 every file of a source with two threads
python benchmarks/system.py encode PHOTOS.tar             photos to features, beside a plain script and the bound
python benchmarks/system.py one-image PHOTOS.tar WEIGHTS  one image, asked of a model that is loaded; neighbours too
python benchmarks/system.py predict WEIGHTS               10,000 new JPEGs, beyond decoding and encoding
python benchmarks/system.py first PHOTOS.tar WEIGHTS      how soon the first groups are shown
python benchmarks/system.py memory N WEIGHTS              N generated JPEGs: seconds of all stages, memory
python benchmarks/system.py report N                      plots and page of N images, opened in a browser
python benchmarks/system.py export N                      links, copies and tables of N images
python benchmarks/system.py kill N                        files read again after SIGKILL in the middle of N
python benchmarks/system.py shards N                      opening a cache of N shards, with its index and without
python benchmarks/system.py small-images N [--before TREE]   encoding N small JPEG, beside another version of ilk
python benchmarks/system.py order PHOTOS.tar              whether order and names of files decide anything
python benchmarks/system.py resume-encoding PHOTOS.tar WEIGHTS   a job killed five times
python benchmarks/system.py resume-training [--methods …]  trainings ended at random moments
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from common import digits, members, peak_mib, timed


def start(options: argparse.Namespace) -> dict[str, Any]:
    """Median of nine starts of ``ilk --help`` after two that do not count."""
    command = [sys.executable, "-m", "ilk", "--help"]
    once = lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: E731
    seconds = [timed(once)[0] for _ in range(options.rounds)]
    return {"help_seconds": round(statistics.median(seconds[2:]), 3)}


def second_run(options: argparse.Namespace) -> dict[str, Any]:
    """CPU seconds of ``ilk cluster digits -k 10``, everything in: with an empty cache, and from what that left.

    Every round has a cache of its own. The second run of a round is what somebody feels who changes one option.
    """

    def seconds(scratch: str, name: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "ilk", "cluster", "digits", "-k", "10", "-o", f"{scratch}/{name}"]
        own = {**os.environ, "XDG_CACHE_HOME": f"{scratch}/cache"}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=own)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    rounds = []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory(prefix="ilk-second-") as scratch:
            rounds.append([round(seconds(scratch, name), 2) for name in ("first", "second")])
    first, second = (statistics.median(column) for column in zip(*rounds, strict=True))
    return {"cpu_seconds_first": first, "cpu_seconds_second": second, "rounds": rounds, "load": os.getloadavg()[0]}


def decode(options: argparse.Namespace) -> dict[str, Any]:
    """Decode every image of a source with two threads; the peak is that of this process and twice a helper's."""
    from ilk.files import Listing, decode, open_source
    from ilk.files.helper import shared_pool

    source = open_source(options.source)
    if not isinstance(source, Listing):
        raise SystemExit("a source of files is needed")

    def readable(i: int) -> bool:
        try:
            return decode(source.read(i), (224, 224)).reason is None
        except OSError:
            return False

    def every() -> int:
        with ThreadPoolExecutor(2) as threads:
            good = sum(threads.map(readable, range(len(source))))
        shared_pool().close()  # the children's peak is known once they have ended
        return good

    seconds, good = timed(every)
    own, status = peak_mib(), Path("/proc/self/status")
    if status.exists():  # ru_maxrss on Linux may be that of whoever started this
        own = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 2**10
    peak = own + 2 * peak_mib(resource.RUSAGE_CHILDREN)  # the largest child counted for each helper: an upper bound
    counts = {"n": len(source), "readable": good, "unreadable": len(source) - good}
    return {**counts, "seconds": round(seconds, 2), "peak_rss_mib": round(peak, 1)}


def order(options: argparse.Namespace) -> dict[str, Any]:
    """Adjusted Rand index of the groups of the same images, permuted and renamed, with the first ones.

    Digits as an array and a folder of photos: as they are, in random orders, and with sets of random names.
    """
    import ilk
    from ilk import metrics

    found: dict[str, list[float]] = {}

    def compare(name: str, first: np.ndarray, labels: np.ndarray) -> None:
        found.setdefault(name, []).append(round(float(metrics.agreement(first, labels)["ari"]), 4))

    pixels = digits()[0]
    first = ilk.TransferClustering(options.k).fit(pixels).labels_
    for seed in range(options.seeds):
        mixed = np.random.default_rng(seed).permutation(len(pixels))
        compare("digits permuted", first[mixed], ilk.TransferClustering(options.k).fit(pixels[mixed]).labels_)
    photos = [data for _, data in members(options.archive)]
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"

        def grouped(names: list[str], at: str, as_list: bool) -> np.ndarray:
            root = Path(folder) / at
            root.mkdir()
            for name, data in zip(names, photos, strict=True):
                (root / name).write_bytes(data)
            source = [root / name for name in names] if as_list else root
            labels = ilk.TransferClustering(options.k, cache=cache).fit(source).labels_
            rank = np.argsort(np.argsort(names)) if not as_list else np.arange(len(names))
            return labels[rank]  # in the order of `photos`

        first = grouped([f"{i:04d}.jpg" for i in range(len(photos))], "plain", False)
        for seed in range(options.seeds):
            names = [f"{i:04d}.jpg" for i in np.random.default_rng(seed).permutation(len(photos))]
            name = Path(options.archive).stem
            compare(f"{name} renamed", first, grouped(names, f"renamed-{seed}", False))
            compare(f"{name} as a list in another order", first, grouped(names, f"listed-{seed}", True))
    return {"ari": found}


def main() -> None:
    """Measure one thing and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="MEASUREMENT")

    def add(name: str, call: Any, *names: str, **more: Any) -> None:
        command = commands.add_parser(name)
        command.set_defaults(call=call)
        for positional in names:
            command.add_argument(positional)
        for option, default in more.items():
            kind = type(default) if default is not None else str
            command.add_argument(f"--{option.replace('_', '-')}", type=kind, default=default)

    add("start", start, rounds=11)
    add("second-run", second_run, rounds=3)
    add("decode", decode, "source")
    add("order", order, "archive", k=10, seeds=3)
    encode = {"model": "fast", "weights": None, "images": 3000, "plain_images": 500, "rounds": 3, "cache": None}
    add("encode", "system_encoding.encode", "photos", **encode)
    add("one-image", "system_photos.one_image", "photos", "weights", encoder="mobilenetv2_100", k=10, rounds=3)
    add("predict", "system_photos.predict", "weights", encoder="mobilenetv2_100", n=10_000, known=2000)
    slow = "vit_small_patch14_dinov2.lvd142m"
    add("first", "system_photos.first", "photos", "weights", encoder="mobilenetv2_100", n=100_000, slow=slow)
    add("memory", "system_photos.memory", "n", "weights", encoder="mobilenetv2_100")
    add("report", "system_large.report", "n", keep=None, dimensions=1280, distinct=0)
    add("export", "system_large.export", "n")
    add("kill", "system_scale.kill", "n")
    add("shards", "system_scale.shards", "n")
    add("small-images", "system_scale.paired", "n", rounds=3, before=None, groups=0)
    add("resume-encoding", "system_stops.encoding", "archive", "weights", encoder="mobilenetv2_100", kills=5, copies=4)
    training = {"methods": "autoencoder,vae,swwae,gan,dec,jule,dac,deepcluster,scan", "trials": 6, "seed": 0}
    add("resume-training", "system_stops.training", **training)
    options = parser.parse_args()
    call = options.call
    if isinstance(
        call, str
    ):  # imported only where it is asked for: what others measure, memory above all, is without it
        module, _, function = call.partition(".")
        call = getattr(importlib.import_module(module), function)
    print(json.dumps(call(options)))


if __name__ == "__main__":
    main()
