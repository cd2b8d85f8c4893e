"""Decode every image of a source with two threads and say what it cost: python benchmarks/bad_inputs.py SOURCE."""

from __future__ import annotations

import json
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ilk.files import Listing, decode, open_source
from ilk.files.helper import shared_pool


def own_peak() -> int:
    """Return this process's peak in the units of ru_maxrss, which on Linux may be that of whoever started it."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    start = time.perf_counter()
    source = open_source(sys.argv[1])
    if not isinstance(source, Listing):
        raise SystemExit("a source of files is needed")

    def readable(i: int) -> bool:
        try:
            return decode(source.read(i), (224, 224)).reason is None
        except OSError:
            return False

    with ThreadPoolExecutor(2) as threads:
        good = sum(threads.map(readable, range(len(source))))
    shared_pool().close()  # the children's peak is known once they have ended
    seconds = time.perf_counter() - start
    unit = 2**20 if sys.platform == "darwin" else 2**10
    peak = own_peak()
    # the largest child counted once for each of the two helpers: an upper bound
    peak += 2 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    result = {"n": len(source), "readable": good, "unreadable": len(source) - good}
    print(json.dumps({**result, "seconds": round(seconds, 2), "peak_rss_mib": round(peak / unit, 1)}))


if __name__ == "__main__":
    main()
