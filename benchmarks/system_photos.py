"""Measurements of `system.py` on photos: one image, many new ones, first groups, memory."""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from common import Memory, generate, members, timed

import ilk
from ilk import jobs
from ilk.data import open_images

VOTING = 70_000
MARKS = {"found": "found", "encoder": "encoder", "first": "first", "look at": "picture"}


def one_image(options: argparse.Namespace) -> dict[str, Any]:
    """What one image costs a program that holds a model: `model.predict([path])` beyond decoding and encoding.

    Every fifth photo is new to the run of the others. For each, in turn: reading, decoding and encoding by hand;
    `predict`; `predict` of a model where 70,000 images vote (those of the run with noise, so that the groups stay);
    `nearest`. Reported is the median of what `predict` takes on top, photo by photo; the time that 19 of 20 stay below;
    and the median of what it takes of all cores, which other programs on the machine hardly change.
    """
    with tempfile.TemporaryDirectory(prefix="ilk-one-") as scratch:
        home = Path(scratch)
        for name, data in members(options.photos):
            (home / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
            (home / "photos" / name).write_bytes(data)
        photos = sorted(path for path in (home / "photos").rglob("*") if path.is_file())
        new, cache = photos[::5], home / "cache"
        run = ilk.cluster(
            [path for path in photos if path not in set(new)], home / "run", options=_settings(options, cache)
        )
        load, model = timed(lambda: run.model(cache=cache))
        large = _many(run.model(cache=cache))
        large.predict([new[0]])  # makes its index
        model.nearest([new[0]])
        rows: dict[str, list[tuple[float, float]]] = {"hand": [], "predict": [], "large": [], "nearest": []}
        for path in new * options.rounds:
            rows["hand"].append(_milliseconds(lambda path=path: _by_hand(model.encoder_, path)))
            rows["predict"].append(_milliseconds(lambda path=path: model.predict([path])))
            rows["large"].append(_milliseconds(lambda path=path: large.predict([path])))
            rows["nearest"].append(_milliseconds(lambda path=path: model.nearest([path], 5)))
        together = model.predict_proba(new)
        with ThreadPoolExecutor(8) as pool:
            alone = list(pool.map(lambda path: model.predict_proba([path])[0], new))
    over = {name: np.array(rows[name]) - np.array(rows["hand"]) for name in rows if name != "hand"}
    return {
        "photos": len(photos),
        "asked": len(rows["hand"]),
        "load_seconds": round(load, 2),
        "decode_encode_ms": _middle(rows["hand"]),
        "predict_ms": _middle(rows["predict"]),
        "over_ms": _middle(over["predict"]),
        f"over_ms_{VOTING}": _middle(over["large"]),
        "over_ms_nearest": _middle(over["nearest"]),
        "threads_agree": bool(np.array_equal(together, alone)),
        "load_average": round(os.getloadavg()[0], 1),
    }


def _settings(options: argparse.Namespace, cache: Path) -> dict[str, Any]:
    weights = {} if options.weights == "none" else {"weights": options.weights}
    return {"n_clusters": getattr(options, "k", 10), "encoder": options.encoder, "cache": cache, **weights}


def _many(model: Any) -> Any:
    """Give `model` 70,000 images that vote."""
    voter, rng = model.assigner_.voter, np.random.default_rng(0)
    rows = rng.integers(0, len(voter.space), VOTING)
    noise = rng.normal(0, 0.05, (VOTING, voter.space.shape[1]))
    many = dataclasses.replace(
        voter, space=(voter.space[rows] + noise).astype(np.float32), proba=voter.proba.take(rows)
    )
    model.assigner_ = dataclasses.replace(model.assigner_, voter=many)
    return model


def _milliseconds(work: Callable[[], Any]) -> tuple[float, float]:
    """Time one call: on the clock, and of all cores."""
    cpu = time.process_time()
    return 1e3 * timed(work)[0], 1e3 * (time.process_time() - cpu)


def _middle(values: Any) -> dict[str, float]:
    """Medians on the clock and of all cores, and what 19 of 20 stay below on the clock."""
    wall, cpu = np.array(values).T
    found = {"median": np.median(wall), "p95": np.quantile(wall, 0.95), "cpu": np.median(cpu)}
    return {name: round(float(value), 2) for name, value in found.items()}


def _by_hand(encoder: Any, path: Path) -> None:
    """Read, decode and encode one photo, and nothing else."""
    source = open_images([path]).sized(encoder.image_size, encoder.resize, encoder.crop_pct)
    encoder(source.scan([0], bare=True).pixels)


def predict(options: argparse.Namespace) -> dict[str, Any]:
    """What `ilk predict` costs beyond decoding and encoding, for generated JPEGs new to a run, without a cache.

    Seconds of listing, decoding and encoding are measured inside; the rest is what assigning groups costs.
    """
    with tempfile.TemporaryDirectory(prefix="ilk-predict-") as scratch:
        home = Path(scratch)
        generate(home / "new", options.n)
        generate(home / "known", options.known)
        run = jobs.cluster(home / "known", home / "run", options=_settings(options, home / "cache"))
        marks: list[tuple[float, Any]] = []
        start = time.perf_counter()
        jobs.predict(run, home / "new", on_event=lambda e: marks.append((time.perf_counter() - start, e.get("done"))))
        total = time.perf_counter() - start
    encoding = [at for at, done in marks if done is not None]
    encode = encoding[-1] - encoding[0]
    return {
        "n": options.n,
        "seconds": round(total, 2),
        "load_seconds": round(encoding[0], 2),
        "encode_seconds": round(encode, 2),
        "rest_seconds": round(total - encoding[-1], 2),
        "over": round((total - encode) / encode, 4),
    }


def first(options: argparse.Namespace) -> dict[str, Any]:
    """How soon `ilk cluster` shows the first groups, from the start of the process.

    Three folders: the photos; N generated JPEGs; and the photos under a network twelve times slower, with random
    weights (how long it takes does not depend on them). Every run starts with an empty feature cache; the encoder was
    converted before. The large run is stopped when its groups are shown.
    """
    import timm
    import torch
    from safetensors.torch import save_file

    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="ilk-first-") as scratch:
        home = Path(scratch)
        torch.manual_seed(0)
        slow = home / "slow.safetensors"
        save_file(timm.create_model(options.slow, pretrained=False, img_size=518).state_dict(), slow)
        generate(home / "large", options.n)
        fast = ["--encoder", options.encoder, "--weights", options.weights, "-k", "10"]
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
                result[name] = _lines([source, *arguments, *extra], stop or turn == "convert")
                for part in ("features", "files"):
                    shutil.rmtree(cache / part, ignore_errors=True)
    return result


def _lines(arguments: list[str], stop: bool) -> dict[str, Any]:
    """Run ilk and return the seconds at which lines of interest came; with `stop`, interrupt it after the last."""
    start = time.perf_counter()
    command = [sys.executable, "-u", "-m", "ilk", "cluster", *arguments, "--labels", "none"]
    own = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=own) as run:
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


def memory(options: argparse.Namespace) -> dict[str, Any]:
    """What a large folder costs: N generated 256 px JPEGs in a folder tree, grouped with `-k 10`.

    The peak of the summed resident memory of ilk's processes is compared with what stood after the encoder was loaded.
    """
    with tempfile.TemporaryDirectory(prefix="ilk-scale-") as scratch:
        generate(Path(scratch) / "pictures", int(options.n))
        command = [sys.executable, "-m", "ilk", "cluster", f"{scratch}/pictures", "-k", "10", "--json"]
        command += ["--encoder", options.encoder, "-o", f"{scratch}/run", "--cache", f"{scratch}/cache"]
        command += [] if options.weights == "none" else ["--weights", options.weights]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        sampled, loaded = Memory(process.pid), 0
        for line in process.stderr or ():
            print(line, end="", file=sys.stderr, flush=True)
            if line.startswith("encoder"):
                loaded = sampled.now
        summary = json.loads((process.stdout or io.StringIO()).read())
        if process.wait():
            raise SystemExit("ilk failed")
    return {
        "n_images": summary["n_images"],
        "seconds": summary["seconds"],
        "images_per_second": summary["images_per_second"],
        "list_and_encode_seconds": round(summary["seconds"]["list"] + summary["seconds"]["encode"], 1),
        "loaded_mib": round(loaded / 2**20),
        "peak_rss_mib": round(sampled.peak / 2**20),
        "above_loaded_mib": round((sampled.peak - loaded) / 2**20),
    }
