"""How soon `ilk cluster` shows the first groups, from the start of the process.

    python benchmarks/first.py clothing500.tar WEIGHTS [--n 100000] [--slow vit_small_patch14_dinov2.lvd142m]

Three folders: 500 photos; N generated JPEGs; and the photos under a network twelve times slower, with random weights
(how long it takes does not depend on them). Every run starts with an empty feature cache; the encoder was converted
before. The large run is stopped when its groups are shown.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from scale import generate

MARKS = {"found": "found", "encoder": "encoder", "first": "first", "look at": "picture"}


def timed(arguments: list[str], stop: bool) -> dict[str, Any]:
    """Run ilk and return the seconds at which lines of interest came; with `stop`, interrupt it after the last."""
    start = time.perf_counter()
    command = [sys.executable, "-u", "-m", "ilk", "cluster", *arguments, "--labels", "none"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    ) as run:
        seen: dict[str, Any] = {}
        assert run.stdout is not None
        for line in run.stdout:
            for text, name in MARKS.items():
                if line.startswith(text):
                    seen.setdefault(name, round(time.perf_counter() - start, 2))
            if stop and "picture" in seen:
                run.send_signal(signal.SIGINT)
                break
        run.stdout.read()
    seen["all"] = None if stop else round(time.perf_counter() - start, 2)
    return seen


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos")
    parser.add_argument("weights")
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--slow", default="vit_small_patch14_dinov2.lvd142m")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="ilk-first-") as scratch:
        home = Path(scratch)
        import timm
        import torch
        from safetensors.torch import save_file

        torch.manual_seed(0)
        slow = home / "slow.safetensors"
        save_file(timm.create_model(options.slow, pretrained=False, img_size=518).state_dict(), slow)
        generate(home / "large", options.n)
        fast = ["--encoder", "mobilenetv2_100", "--weights", options.weights, "-k", "10"]
        sources = {
            "photos": (options.photos, fast, False),
            "large": (str(home / "large"), fast, True),
            "slow_encoder": (options.photos, ["--encoder", options.slow, "--weights", str(slow), "-k", "10"], True),
        }
        result: dict[str, Any] = {"n_large": options.n, "slow": options.slow}
        for name, (source, arguments, stop) in sources.items():
            for turn in ("convert", "measure"):
                cache = home / f"cache-{name}"
                extra = ["--cache", str(cache), "-o", str(home / f"{name}-{turn}")]
                seen = timed([source, *arguments, *extra], stop or turn == "convert")
                for part in ("features", "files"):
                    subprocess.run(["rm", "-rf", str(cache / part)], check=True)
            result[name] = seen
    print(json.dumps(result))


if __name__ == "__main__":
    main()
