"""End a training at random moments, let the same command finish it: is the run that of an undisturbed one, to the byte?

    python benchmarks/kill_trials.py                         nine trained methods, six trials each
    python benchmarks/kill_trials.py dec dac --trials 2 --seed 1

Every trial ends its job one to three times, with SIGKILL (half of them), SIGTERM or Ctrl-C, each at a moment drawn
within the time of the undisturbed job, and then gives the same command to its end. Compared are the tables, the model,
the features and the map; nothing may be left beside the run, inside it, or in the cache. 300 of the digits, presets
"tiny": every stage of a training is there, and takes about a second.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

METHODS = ("autoencoder", "vae", "swwae", "gan", "dec", "jule", "dac", "deepcluster", "scan")
SAME = ("assignments.parquet", "images.parquet", "clusters.json", "map.npy", "features.npy", "model/state.safetensors")
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def main() -> None:
    """Try the methods and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", default=METHODS)
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, help="begin no method after this")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # a process that forks must have one thread
    _import_all()
    begin, found = time.monotonic(), {}
    with tempfile.TemporaryDirectory(prefix="ilk-kills-") as scratch:
        source = _digits(Path(scratch))
        for name in options.methods:
            if options.minutes is None or time.monotonic() - begin < 60 * options.minutes:
                found[name] = trials(name, source, Path(scratch), options.trials, options.seed)
                print(f"{name}: {found[name]}", file=sys.stderr, flush=True)
    tried = [trial for method in found.values() for trial in method["trials"]]
    print(
        json.dumps(
            {
                "images": 300,
                "seed": options.seed,
                "trials": len(tried),
                "ended": sum(trial["ended"] for trial in tried),
                "byte_identical": sum(not trial["differs"] for trial in tried),
                "with_leftovers": sum(bool(trial["left"]) for trial in tried),
                "methods": found,
            }
        )
    )


def trials(name: str, source: Path, scratch: Path, n: int, seed: int) -> dict[str, Any]:
    """Return what `n` trials of the method `name` gave."""
    rng = random.Random(f"{seed} {name}")
    options = ["cluster", source, "-k", "10", "-m", name, "--labels", "none", "--set", "preset=tiny", "--no-names"]
    calm = [*options, "-o", scratch / f"{name}-calm", "--cache", scratch / f"cache-{name}-calm"]
    begin = time.monotonic()
    if (code := _finish(_started(calm))) != 0:
        return {"failed": code, "trials": []}
    took = time.monotonic() - begin
    done = []
    for trial in range(n):
        home = scratch / f"{name}-{trial}"
        home.mkdir()
        run, cache = home / "run", home / "cache"
        command = [*options, "-o", run, "--cache", cache]
        ended = 0
        for _ in range(rng.choice((1, 2, 3))):
            ended += _ended(command, rng.choice(SIGNALS), rng.random() * took)
        code = _finish(_started(command))
        differs = [file for file in SAME if _digest(run / file) != _digest(calm_run(calm) / file)]
        done.append({"ended": ended, "exit_code": code, "differs": differs, "left": sorted(_left(home))})
        shutil.rmtree(home)
    shutil.rmtree(calm_run(calm))
    return {"seconds_undisturbed": round(took, 1), "trials": done}


def calm_run(command: list[Any]) -> Path:
    """Return the run folder that `command` writes."""
    return Path(command[command.index("-o") + 1])


def _left(home: Path) -> Iterator[str]:
    """Whatever should not be there any more: temporary files, an unfinished run beside the finished one."""
    for path in home.rglob("*"):
        place = path.relative_to(home)
        if place.parts[0] not in ("run", "cache") or path.name.startswith(".") or path.suffix in (".tmp", ".partial"):
            yield str(place)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else f"no {path.name}"


def _started(command: list[Any]) -> int:
    """Begin the command line in a child that has everything imported; its process."""
    child = os.fork()
    if child:
        return child
    code = 97
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.stdout = sys.stderr = os.fdopen(null, "w")
        from ilk.cli import main as ilk

        code = ilk([str(part) for part in command])
    finally:
        os._exit(code)


def _finish(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _ended(command: list[Any], how: signal.Signals, after: float) -> bool:
    """Begin `command` and end it `after` seconds later; False where it was done by then."""
    child = _started(command)
    until = time.monotonic() + after
    while time.monotonic() < until:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.005)
    if how == signal.SIGINT:
        os.kill(child, how)
    else:
        os.killpg(child, how)
    _finish(child)
    return True


def _digits(scratch: Path) -> Path:
    from sklearn.datasets import load_digits

    images = load_digits().images[:300]
    np.savez(scratch / "digits300.npz", x=(images * 15.9375).astype(np.uint8))
    return scratch / "digits300.npz"


def _import_all() -> None:
    import matplotlib.backends.backend_agg
    import pyarrow.parquet
    import safetensors.torch
    import sklearn.mixture
    import torch
    import umap

    import ilk.cli.commands
    import ilk.jobs
    import ilk.report

    assert all((umap, pyarrow, safetensors, matplotlib, sklearn, ilk))
    torch.set_num_threads(1)


if __name__ == "__main__":
    main()
