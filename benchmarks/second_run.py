"""CPU seconds of ``ilk cluster digits -k 10``, everything in: with an empty cache, and again from what that left.

    python benchmarks/second_run.py [--rounds 3]

Every round has a cache of its own. The second run of a round is what somebody feels who changes one option.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile


def seconds(scratch: str, name: str) -> float:
    """Return the CPU seconds of one run, its children included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "ilk", "cluster", "digits", "-k", "10", "-o", f"{scratch}/{name}"],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "XDG_CACHE_HOME": f"{scratch}/cache"},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print medians and all rounds as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = []
    for _ in range(parser.parse_args().rounds):
        with tempfile.TemporaryDirectory(prefix="ilk-second-") as scratch:
            rounds.append([round(seconds(scratch, name), 2) for name in ("first", "second")])
    first, second = (statistics.median(column) for column in zip(*rounds, strict=True))
    told = {"cpu_seconds_first": first, "cpu_seconds_second": second, "rounds": rounds, "load": os.getloadavg()[0]}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
