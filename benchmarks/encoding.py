"""How fast images are encoded, end to end, against the plain script and against what the machine can do.

    python benchmarks/encoding.py --photos clothing500.tar [--model fast | --model NAME --weights FILE] [--images 3000]

The photos are written repeatedly into a temporary folder, each copy with its own bytes at the end, so that every file
has another hash and is decoded. Per round, one after the other: the plain script, then `ilk.encoders.encode` with an
empty feature cache in a process of its own (model conversion apart), which also measures e (images/s of the encoder
alone, all cores) and d (seconds of one core to read, hash, decode and thumbnail one image), before and after. The
bound on c cores is 1 / (1/e + d/c).

Prints one JSON object: medians over the rounds, and the rounds themselves. Ratios are taken within a round, because
other work on the machine slows both. Encoders side by side (`balanced`) are compared with their bound alone.
`cpu_share` and `cpu_ratio` are the same in CPU seconds, which such work disturbs less.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path


def unpack(archive: Path, folder: Path, count: int) -> None:
    """Write `count` photos, each with different bytes."""
    with tarfile.open(archive) as tar:
        photos = [tar.extractfile(member).read() for member in tar if member.isfile()]
    for i in range(count):
        (folder / f"{i:06d}.jpg").write_bytes(photos[i % len(photos)] + i.to_bytes(8, "little"))


def timed(task, workers: int) -> tuple[float, float]:
    """Return (wall, CPU) seconds of running task(k) on `workers` threads."""
    threads = [threading.Thread(target=task, args=(k,)) for k in range(workers)]
    wall, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - wall, time.process_time() - cpu


def ours(folder: Path, model: str, weights: Path | None, cache: Path) -> dict[str, float]:
    """Encode the folder with an empty feature cache; measure e and d in the same process, before and after."""
    import torch

    from ilk import encoders
    from ilk.data import open_images

    source = open_images(folder)
    encoder = encoders.build(model, weights=weights, source=source, device="cpu", cache=cache)
    sized = source.sized(encoder.image_size, encoder.resize, encoder.crop_pct)
    cores, batch = encoder.workers, encoder.batch_size
    pixels = sized.read(range(batch))
    encoder(pixels)
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    alone, decode = [], []

    def probe() -> None:
        calls = 12
        wall, cpu = timed(lambda k: [encoder(pixels) for _ in range(calls)], cores)
        alone.append((calls * batch * cores / wall, cpu / (calls * batch * cores)))
        step = len(source) // 128
        wall, cpu = timed(lambda k: [sized.scan([row * step]) for row in range(128)], 1)
        decode.append((wall / 128, cpu / 128))

    for _ in range(2):
        probe()
    wall, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as features:
        result = encoders.encode(source, encoder, cache=features)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    for _ in range(2):
        probe()
    assert result.n_encoded == len(source)
    e, d = statistics.median(a[0] for a in alone), statistics.median(a[0] for a in decode)
    least = statistics.median(a[1] for a in alone) + statistics.median(a[1] for a in decode)
    speed, bound = len(source) / wall, 1 / (1 / e + d / cores)
    return {
        "images_per_second": speed,
        "e": e,
        "d_ms": 1000 * d,
        "bound": bound,
        "share_of_bound": speed / bound,
        "cpu_share": least * len(source) / cpu,
        "cpu_ms": 1000 * cpu / len(source),
        "backend": encoder.backend,
        "precision": encoder.precision,
        "threads": torch.get_num_threads(),
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "rss_before_mib": resident,
    }


def run(*command: str) -> dict[str, float]:
    """Run a Python script and return the JSON object it prints last."""
    done = subprocess.run([sys.executable, "-W", "ignore", *command], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    """Run the rounds and print the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--weights", type=Path, help="of the model; the bundled ones otherwise")
    parser.add_argument("--model", default="fast")
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--plain-images", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cache", type=Path, help="where the converted model is kept")
    parser.add_argument("--ours", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ours is not None:
        print(json.dumps(ours(options.ours, options.model, options.weights, options.cache)))
        return
    here = Path(__file__).resolve()
    same = ["--model", options.model] + ([] if options.weights is None else ["--weights", str(options.weights)])
    rounds = []
    with tempfile.TemporaryDirectory() as temporary:
        folder, cache = Path(temporary) / "photos", options.cache or Path(temporary) / "cache"
        folder.mkdir()
        unpack(options.photos, folder, options.images)
        for _ in range(options.rounds):
            limit = str(min(options.plain_images, options.images))
            single = options.model != "balanced" and "+" not in options.model
            plain = (
                run(str(here.with_name("plain_script.py")), str(folder), *same, "--limit", limit) if single else None
            )
            found = run(str(here), "--photos", "-", *same, "--cache", str(cache), "--ours", str(folder))
            if plain is not None:
                found["plain"] = plain["images_per_second"]
                found["ratio"] = found["images_per_second"] / found["plain"]
                found["cpu_ratio"] = plain["cpu_ms"] / found["cpu_ms"]
            found["load"] = os.getloadavg()[0]
            rounds.append(found)
            print(json.dumps(found), file=sys.stderr)
    numbers = [key for key, value in rounds[0].items() if isinstance(value, float)]
    print(
        json.dumps(
            {**{key: statistics.median(r[key] for r in rounds) for key in numbers}, **facts(options), "rounds": rounds}
        )
    )


def facts(options: argparse.Namespace) -> dict[str, object]:
    """Return what the figures depend on."""
    from importlib.metadata import version

    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    cpu = next((line.split(":")[1].strip() for line in lines if "model name" in line), "")
    names = ("torch", "timm", "openvino", "Pillow", "numpy", "ilk")
    return {
        "model": options.model,
        "images": options.images,
        "cpu": cpu or platform.processor(),
        "cores": os.cpu_count(),
        "versions": {name: version(name) for name in names},
    }


if __name__ == "__main__":
    main()
