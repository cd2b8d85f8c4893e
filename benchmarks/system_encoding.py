"""How fast images are encoded, end to end, against the plain script and against what the machine can do.

    python benchmarks/system.py encode PHOTOS.tar [--model fast | --model NAME --weights FILE] [--images 3000]

The photos are written repeatedly into a temporary folder, each copy with its own bytes at the end, so that every file
has another hash and is decoded. Per round, one after the other, each in a process of its own:

* the plain script, features as people write it: timm's model and evaluation transform, torch's DataLoader with 2
  workers, fp32, batches of 32, no_grad; timed from the first batch asked for to the last feature;
* `ilk.encoders.encode` with an empty feature cache (model conversion apart), which also measures e (images/s of the
  encoder alone, all cores) and d (seconds of one core to read, hash, decode and thumbnail one image), before and after.
  The bound on c cores is 1 / (1/e + d/c).

Medians over the rounds, and the rounds themselves. Ratios are taken within a round, because other work on the machine
slows both. Encoders side by side (`balanced`) are compared with their bound alone. `cpu_share` and `cpu_ratio` are the
same in CPU seconds, which such work disturbs less.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from common import cpu_seconds, members, peak_mib


def encode(options: argparse.Namespace) -> dict[str, Any]:
    """Photos to features beside a plain script, and beside the bound of decoder and encoder."""
    same = [options.model, options.weights or "-"]
    single = options.model != "balanced" and "+" not in options.model
    photos, rounds = [data for _, data in members(options.photos)], []
    with tempfile.TemporaryDirectory() as temporary:
        folder, cache = Path(temporary) / "photos", options.cache or f"{temporary}/cache"
        folder.mkdir()
        for i in range(options.images):
            (folder / f"{i:06d}.jpg").write_bytes(photos[i % len(photos)] + i.to_bytes(8, "little"))
        for _ in range(options.rounds):
            limit = str(min(options.plain_images, options.images))
            plain = _apart("plain", str(folder), *same, limit) if single else None
            found = _apart("ours", str(folder), *same, str(cache))
            if plain is not None:
                found["plain"] = plain["images_per_second"]
                found["ratio"] = found["images_per_second"] / found["plain"]
                found["cpu_ratio"] = plain["cpu_ms"] / found["cpu_ms"]
            found["load"] = os.getloadavg()[0]
            rounds.append(found)
            print(json.dumps(found), file=sys.stderr)
    numbers = [key for key, value in rounds[0].items() if isinstance(value, float)]
    medians = {key: statistics.median(r[key] for r in rounds) for key in numbers}
    return {**medians, "model": options.model, "images": options.images, "cores": os.cpu_count(), "rounds": rounds}


def _apart(*words: str) -> dict[str, float]:
    """Measure one side in a process of its own."""
    command = [sys.executable, "-W", "ignore", __file__, *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _plain(folder: str, model: str, weights: str, limit: str) -> dict[str, Any]:
    """Encode a folder as people write it."""
    import timm
    import torch
    from PIL import Image
    from safetensors.torch import load_file
    from timm.data import create_transform, resolve_data_config
    from torch.utils.data import DataLoader, Dataset

    from ilk.encoders import bundled, names  # the short name and the weights; nothing of ours is timed

    class Images(Dataset):
        def __init__(self) -> None:
            self.paths = sorted(Path(folder).rglob("*.jpg"))[: int(limit)]
            self.transform = create_transform(**resolve_data_config({}, model=net))

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, row: int) -> torch.Tensor:
            with Image.open(self.paths[row]) as image:
                return self.transform(image.convert("RGB"))

    name = names.parts(model)[0]
    net = timm.create_model(name, num_classes=0)
    state = bundled.state(name) if weights == "-" else load_file(weights)
    net.load_state_dict({key: value for key, value in state.items() if not key.startswith("classifier.")})
    net.eval()
    loader = DataLoader(Images(), batch_size=32, num_workers=2)
    start, used = time.perf_counter(), cpu_seconds()
    with torch.no_grad():
        features = torch.cat([net(batch) for batch in loader])
    seconds = time.perf_counter() - start
    del loader
    cpu = cpu_seconds() - used
    return {"images_per_second": len(features) / seconds, "cpu_ms": 1000 * cpu / len(features)}


def _threads(task: Any, workers: int) -> tuple[float, float]:
    """Return (wall, CPU) seconds of running task() on `workers` threads."""
    threads = [threading.Thread(target=task) for _ in range(workers)]
    wall, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - wall, time.process_time() - cpu


def _ours(folder: str, model: str, weights: str, cache: str) -> dict[str, Any]:
    """Encode the folder with an empty feature cache; measure e and d in the same process, before and after."""
    import torch

    from ilk import encoders
    from ilk.data import open_images

    source = open_images(folder)
    own = None if weights == "-" else Path(weights)
    encoder = encoders.build(model, weights=own, source=source, device="cpu", cache=Path(cache))
    sized = source.sized(encoder.image_size, encoder.resize, encoder.crop_pct)
    cores, batch = encoder.workers, encoder.batch_size
    pixels = sized.read(range(min(batch, len(source))))
    encoder(pixels)
    resident, alone, decode = peak_mib(), [], []

    def probe() -> None:
        calls, rows = 12, min(128, len(source))
        wall, cpu = _threads(lambda: [encoder(pixels) for _ in range(calls)], cores)
        done = calls * len(pixels) * cores
        alone.append((done / wall, cpu / done))
        step = len(source) // rows
        wall, cpu = _threads(lambda: [sized.scan([row * step]) for row in range(rows)], 1)
        decode.append((wall / rows, cpu / rows))

    probe(), probe()
    wall, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as features:
        result = encoders.encode(source, encoder, cache=features)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    probe(), probe()
    assert result.n_encoded == len(source)
    e, d = statistics.median(a[0] for a in alone), statistics.median(a[0] for a in decode)
    least = statistics.median(a[1] for a in alone) + statistics.median(a[1] for a in decode)
    speed, bound = len(source) / wall, 1 / (1 / e + d / cores)
    return {
        "images_per_second": speed, "e": e, "d_ms": 1000 * d, "bound": bound, "share_of_bound": speed / bound,
        "cpu_share": least * len(source) / cpu, "cpu_ms": 1000 * cpu / len(source), "backend": encoder.backend,
        "precision": encoder.precision, "threads": torch.get_num_threads(), "rss_mib": peak_mib(),
        "rss_before_mib": resident,
    }  # fmt: skip


if __name__ == "__main__":  # one side, in the process that `_apart` starts
    print(json.dumps({"plain": _plain, "ours": _ours}[sys.argv[1]](*sys.argv[2:])))
