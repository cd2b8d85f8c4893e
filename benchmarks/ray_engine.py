"""What several machines cost more than one: a Ray cluster of two nodes with one core each, on this machine.

python benchmarks/ray_engine.py overhead N PART ENCODER   CPU seconds of N generated JPEG, beside one process
python benchmarks/ray_engine.py kmeans N D K              an iteration with two slices, beside one process
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from common import cpu_seconds, generate

from ilk import encoders
from ilk.data import open_images
from ilk.scale import Ray
from ilk.vectors import kmeans


@contextlib.contextmanager
def nodes() -> Iterator[str]:
    """Yield the address of a cluster: a head without cores, and two nodes with one each."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    store = {"object_store_memory": 200 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **store})
    for _ in range(2):
        cluster.add_node(num_cpus=1, **store)
    try:
        yield str(cluster.address)
    finally:
        cluster.shutdown()


def overhead(options: argparse.Namespace) -> dict[str, Any]:
    """CPU seconds of encoding N images in one process, and of two workers."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="ilk-ray-") as scratch:
        home = Path(scratch)
        generate(home / "photos", options.n)
        source = open_images(home / "photos")
        encoder = encoders.build(options.encoder, source=source, cache=home / "one")
        encoder.workers = 1
        before = cpu_seconds()
        alone = encoders.encode(source, encoder, cache=home / "one")
        one = cpu_seconds() - before
        again = encoders.build(options.encoder, source=source, cache=home / "many", precision=encoder.precision)
        with nodes() as address:
            engine = Ray(address, part=options.part)
            told = engine.fill(source, again, home / "many", "cpu")
        many = encoders.encode(source, again, cache=home / "many")
        return {
            "n_images": options.n, "part": options.part, "encoder": encoder.name, "precision": encoder.precision,
            "one_process_cpu_s": round(one, 2), "workers_cpu_s": round(told["cpu"], 2),
            "overhead": round(told["cpu"] / one - 1, 3), "starting_cpu_s_per_worker": round(told["start"] / 2, 2),
            "same_features": bool((alone.features == many.features).all()),
            "encoded_afterwards": many.n_encoded,
        }  # fmt: skip


def k_means(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of an iteration in one process with one thread, and with two slices; and whether labels are the same."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    centers = torch.randn(options.k, options.d, generator=generator)
    x = centers[torch.randint(options.k, (options.n,), generator=generator)]
    x += torch.randn(x.shape, generator=generator)
    start = x[torch.randperm(options.n, generator=generator)[: options.k]]
    how = {"init": start, "max_iter": options.iterations, "tol": 0.0}
    begin, spent = time.perf_counter(), time.process_time()
    one = kmeans(x, options.k, **how)
    found = {"one_wall_s": time.perf_counter() - begin, "one_cpu_s": time.process_time() - spent}
    with nodes() as address, tempfile.TemporaryDirectory(prefix="ilk-ray-") as scratch:
        begin, spent = time.perf_counter(), time.process_time()
        many = Ray(address).kmeans(x, options.k, scratch, **how)
        found |= {"two_slices_wall_s": time.perf_counter() - begin, "driver_cpu_s": time.process_time() - spent}
    return {
        "n": options.n, "d": options.d, "k": options.k, "n_iter": [one.n_iter, many.n_iter],
        **{name: round(value, 2) for name, value in found.items()},
        "different_labels": int((one.labels != many.labels).sum()), "inertia": [one.inertia, many.inertia],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True)
    first = commands.add_parser("overhead")
    first.add_argument("n", type=int)
    first.add_argument("part", type=int)
    first.add_argument("encoder")
    first.set_defaults(run=overhead)
    second = commands.add_parser("kmeans")
    for name in ("n", "d", "k"):
        second.add_argument(name, type=int)
    second.add_argument("--iterations", type=int, default=20)
    second.set_defaults(run=k_means)
    options = parser.parse_args()
    print(json.dumps(options.run(options)))


if __name__ == "__main__":
    main()
