"""What `ilk predict` costs beyond decoding and encoding, for 10,000 new JPEGs.

    python benchmarks/predict.py WEIGHTS [--n 10000]

A run of 2,000 generated pictures; then the new ones are predicted, without a cache. Seconds of listing, decoding and
encoding are measured inside; the rest is what placing them costs.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from scale import generate

from ilk import jobs


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights")
    parser.add_argument("--n", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ilk-predict-") as scratch:
        home = Path(scratch)
        generate(home / "new", options.n)
        generate(home / "known", 2000)
        settings = {
            "n_clusters": 10,
            "encoder": "mobilenetv2_100",
            "weights": options.weights,
            "cache": home / "cache",
        }
        run = jobs.cluster(home / "known", home / "run", options=settings)
        marks: list[tuple[float, Any]] = []
        start = time.perf_counter()
        jobs.predict(run, home / "new", on_event=lambda e: marks.append((time.perf_counter() - start, e.get("done"))))
        total = time.perf_counter() - start
        encoding = [at for at, done in marks if done is not None]
        encode = encoding[-1] - encoding[0]
    print(
        json.dumps(
            {
                "n": options.n,
                "seconds": round(total, 2),
                "load_seconds": round(encoding[0], 2),
                "encode_seconds": round(encode, 2),
                "rest_seconds": round(total - encoding[-1], 2),
                "over": round((total - encode) / encode, 4),
            }
        )
    )


if __name__ == "__main__":
    main()
