"""Measurements of `system.py` on jobs that are ended and go on: is the run that of an undisturbed one?"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import digits, members

SHARD = 256
SAME = ("assignments.parquet", "images.parquet", "clusters.json", "map.npy", "features.npy", "model/state.safetensors")
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def encoding(options: argparse.Namespace) -> dict[str, Any]:
    """Kill a job in the middle of encoding, several times, then let it finish: are the groups those of a calm run?

    Every photo is there several times, each copy with other bytes after the end of the picture. At every kill the
    images that had been encoded but were not yet safe are counted: they are what is computed twice.
    """
    with tempfile.TemporaryDirectory(prefix="ilk-kills-") as scratch:
        return _killed(options, Path(scratch))


def _killed(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Run undisturbed, run with kills, compare."""
    for name, data in members(options.archive):
        for copy in range(options.copies):
            path = scratch / "photos" / f"{copy}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data + bytes([copy]))
    weights = options.weights if options.weights == "none" else str(Path(options.weights).resolve())
    job = [sys.executable, __file__, str(scratch / "photos"), options.encoder, weights]
    subprocess.run([*job, scratch / "calm", scratch / "cache-calm"], check=True, stdout=subprocess.DEVNULL)
    cache, rng, lost = scratch / "cache", random.Random(0), []
    command = [*job, str(scratch / "killed"), str(cache)]
    n_images = sum(1 for path in (scratch / "photos").rglob("*") if path.is_file())
    while len(lost) < options.kills:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        goal = _safe(cache) + rng.randrange(20, max(21, (n_images - _safe(cache)) // 2))
        done = 0
        for line in process.stdout or ():
            done = int(line)
            if done >= goal:
                break
        time.sleep(rng.random() * 0.3)
        process.send_signal(signal.SIGKILL)
        rest = [int(line) for line in (process.stdout or ()) if line.strip().isdigit()]
        process.wait()
        lost.append(max([done, *rest]) - _safe(cache))
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    tables = ("assignments.parquet", "features.npy", "map.npy")
    same = all(_digest(scratch / "calm" / name) == _digest(scratch / "killed" / name) for name in tables)
    fine = {"shard": SHARD, "at_most_one_shard": max(lost) <= SHARD}
    return {
        "n_images": n_images,
        "kills": options.kills,
        "same_assignments": same,
        "encoded_twice_per_kill": lost,
        **fine,
    }


def _job(source: str, encoder: str, weights: str, out: str, cache: str) -> None:
    """One job; says on stdout how many images were encoded so far."""
    import ilk

    def report(event: dict[str, object]) -> None:
        if "done" in event:
            print(event["done"], flush=True)

    own = {} if weights == "none" else {"weights": weights}
    options = {"encoder": encoder, "n_clusters": 10, "cache": cache, **own}
    ilk.cluster(source, out, options=options, labels="none", on_event=report)


def _safe(cache: Path) -> int:
    """Images whose features are in finished shards."""
    from safetensors import safe_open

    total = 0
    for shard in cache.glob("features/*/*.safetensors"):
        with safe_open(shard, "np") as file:
            total += file.get_slice("features").get_shape()[0]
    return total


def training(options: argparse.Namespace) -> dict[str, Any]:
    """End a training at random moments, let the same command finish it: is the run that of a calm one, to the byte?

    Every trial ends its job one to three times, with SIGKILL (half of them), SIGTERM or Ctrl-C, each at a moment drawn
    within the time of the undisturbed job, and then gives the same command to its end. Compared are the tables, the
    model, the features and the map; nothing may be left beside the run, inside it, or in the cache. 300 of the digits,
    presets "tiny": every stage of a training is there, and takes about a second.
    """
    os.environ["OMP_NUM_THREADS"] = "1"  # a process that forks must have one thread
    _import_all()
    found = {}
    with tempfile.TemporaryDirectory(prefix="ilk-kills-") as scratch:
        source = Path(scratch) / "digits300.npz"
        np.savez(source, x=digits()[0][:300])
        for name in options.methods.split(","):
            found[name] = trials(name, source, Path(scratch), options.trials, options.seed)
            print(f"{name}: {found[name]}", file=sys.stderr, flush=True)
    tried = [trial for method in found.values() for trial in method["trials"]]
    return {
        "images": 300,
        "seed": options.seed,
        "trials": len(tried),
        "ended": sum(trial["ended"] for trial in tried),
        "byte_identical": sum(not trial["differs"] for trial in tried),
        "with_leftovers": sum(bool(trial["left"]) for trial in tried),
        "methods": found,
    }


def trials(name: str, source: Path, scratch: Path, n: int, seed: int) -> dict[str, Any]:
    """Return what `n` trials of the method `name` gave."""
    rng = random.Random(f"{seed} {name}")
    options = ["cluster", source, "-k", "10", "-m", name, "--labels", "none", "--set", "preset=tiny", "--no-names"]
    calm_run = scratch / f"{name}-calm"
    calm = [*options, "-o", calm_run, "--cache", scratch / f"cache-{name}-calm"]
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
        differs = [file for file in SAME if _digest(run / file) != _digest(calm_run / file)]
        done.append({"ended": ended, "exit_code": code, "differs": differs, "left": sorted(_left(home))})
        shutil.rmtree(home)
    shutil.rmtree(calm_run)
    return {"seconds_undisturbed": round(took, 1), "trials": done}


def _left(home: Path) -> Iterator[str]:
    """Whatever should not be there any more: temporary files, an unfinished run beside the finished one."""
    for path in home.rglob("*"):
        inside = path.relative_to(home)
        if inside.parts[0] not in ("run", "cache") or path.name.startswith(".") or path.suffix in (".tmp", ".partial"):
            yield str(inside)


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


if __name__ == "__main__":  # the job that `encoding` kills
    _job(*sys.argv[1:])
