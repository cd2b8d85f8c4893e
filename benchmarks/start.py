"""How long ``ilk --help`` takes, as a whole process: median of nine starts after two that do not count."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time


def main() -> None:
    """Print the median as JSON."""
    seconds = []
    for _ in range(11):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "ilk", "--help"], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"help_seconds": round(statistics.median(seconds[2:]), 3)}))


if __name__ == "__main__":
    main()
