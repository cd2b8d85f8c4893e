"""The engine on a Ray cluster of two nodes with one core each, and a head without: the same as one process."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from trial import Ilk

import ilk as package
from ilk import encoders, vectors
from ilk.data import FolderImages, open_images
from ilk.errors import DataError, Interrupted, NotEnoughImages, RunError, TaskFailed
from ilk.files.reading import Reader
from ilk.scale import Ray, crew
from ilk.scale.worker import Job, Worker

N, PART = 64, 16
OPTIONS = {"n_clusters": 4, "encoder": "gradients", "preset": "tiny"}

# ray opens sockets and files that it leaves to the end of the process, and uses what Python is about to drop
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
    pytest.mark.filterwarnings("ignore:.*RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO:FutureWarning"),
]


class Nodes:
    """A cluster, and which of its nodes a process belongs to."""

    def __init__(self, home: str) -> None:
        from ray.cluster_utils import Cluster

        small = {"include_dashboard": False, "object_store_memory": 80 * 2**20}
        self._node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "temp_dir": home, **small})
        self.nodes = [self.cluster.add_node(**self._node) for _ in range(2)]

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def lose(self, pid: int) -> None:
        """End the node that the process `pid` is on, from one moment to the next; another one joins."""
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        (lost,) = [n for n in self.nodes if n.all_processes["raylet"][0].process.pid == parent]
        self.nodes.remove(lost)
        self.cluster.remove_node(lost, allow_graceful=False)
        self.nodes.append(self.cluster.add_node(**self._node))


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    pytest.importorskip("ray")
    before = dict(os.environ)
    home = tempfile.mkdtemp(prefix="r", dir="/tmp")  # short: paths of sockets have at most 107 bytes
    Path(home, "ray").mkdir()  # where Ray notes the address of the head, and does not make the folder for that
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_TMPDIR": home}
    made = Nodes(home)
    yield made
    made.cluster.shutdown()
    shutil.rmtree(home, ignore_errors=True)
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 images in four groups, one of them twice, and a file that is none."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for i in range(N - 2):
        flat = np.full((16, 16, 3), 60 * (i % 4), np.uint8)
        flat[:: 2 + i % 4] = 20
        Image.fromarray(flat + rng.integers(0, 9, flat.shape, np.uint8)).save(folder / f"{i:03}.png")
    shutil.copy(folder / "003.png", folder / "zz copy of 003.png")
    (folder / "040 broken.png").write_bytes(b"nothing")
    return folder


@dataclass(frozen=True)
class Gate(Reader):
    """Reads as another reader, but for one image: a worker that reads it says so, and waits until it may."""

    of: Reader
    row: int
    folder: str
    driver: int

    def __call__(self, i: int) -> bytes:
        if i == self.row and os.getpid() != self.driver:
            gate = Path(self.folder)
            (gate / str(os.getpid())).touch()
            while not (gate / "open").exists():
                if (gate / "deadly").exists():
                    os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(0.01)
        return self.of(i)

    def take(self, rows: Any) -> Reader:
        kept = list(rows)
        return replace(self, of=self.of.take(kept), row=kept.index(self.row) if self.row in kept else -1)


@pytest.fixture
def gated(pictures: Path, tmp_path: Path) -> tuple[FolderImages, Path]:
    """The images, one of the second part behind a gate; and the folder with the pids of those who wait there."""
    import ray

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # nobody else has this module
    listing = open_images(pictures).listing
    gate = tmp_path / "gate"
    gate.mkdir()
    reader = Gate(listing._reader, 20, str(gate), os.getpid())
    return FolderImages(replace(listing, _reader=reader)), gate


def waiting(gate: Path) -> list[int]:
    """Who waits at the gate."""
    return [int(path.name) for path in gate.iterdir() if path.name.isdecimal()]


def features(source: Any, encoder: Any, cache: Path) -> tuple[bytes, list[str], int]:
    """Return features and states of all images, and how many were encoded to get them."""
    found = encoders.encode(source, encoder, cache=cache)
    return found.features.tobytes(), found.status, found.n_encoded


def same_in_the_end(pictures: Path, cache: Path) -> None:
    """Whatever became of workers: the features are those of one process, and nothing is left to encode."""
    source = open_images(pictures)
    encoder = encoders.build("gradients", source=source)
    alone = features(source, encoder, cache.parent / "alone")
    found = features(source, encoder, cache)
    assert found[:2] == alone[:2]
    assert (found[2], alone[2]) == (0, N - 2)


def test_a_run_is_that_of_one_process(nodes: Nodes, pictures: Path, ilk: Ilk, home: Path) -> None:
    term = signal.getsignal(signal.SIGTERM)
    package.cluster(pictures, "alone", options={**OPTIONS, "cache": "one"})
    told = ["-k", 4, "--encoder", "gradients", "--set", "preset=tiny"]
    said = ilk("cluster", pictures, "-o", "many", *told, "--cache", home / "many cache", "--no-names",
               "--engine", "ray", "--address", nodes.address, "--json")  # fmt: skip
    assert said.code == 0, said.err
    assert (said.json["n_images"], said.json["n_unreadable"], said.json["n_duplicates"]) == (N - 1, 1, 1)
    assert "engine   encoded by 1 worker on 1 machine (Ray" in said.err  # 64 images are one part
    assert "gradients, as asked; encoded by 1 worker" in package.load_run("many").header["encoder"]["why"]
    for file in ("assignments.parquet", "features.npy", "map.npy", "clusters.json"):
        assert (home / "alone" / file).read_bytes() == (home / "many" / file).read_bytes(), file
    assert signal.getsignal(signal.SIGTERM) == term
    assert not (home / "many cache" / "engine").exists()
    assert len(package.predict("many", pictures).group) == N


@pytest.mark.parametrize("lost", ["worker", "node"])
def test_a_lost_worker_costs_its_part(nodes: Nodes, gated: Any, pictures: Path, tmp_path: Path, lost: str) -> None:
    source, gate = gated
    encoder = encoders.build("gradients", source=source)
    seen: list[int] = []

    def progress(done: int, total: int) -> None:
        seen.append(done)
        if (pids := waiting(gate)) and not (gate / "open").exists():
            nodes.lose(pids[0]) if lost == "node" else os.kill(pids[0], signal.SIGKILL)
            (gate / "open").touch()

    told = Ray(nodes.address, part=PART).fill(source, encoder, tmp_path / "cache", "cpu", progress)
    assert (told["lost"], told["workers"], len(told["hosts"])) == (1, 2, 1)
    assert len(waiting(gate)) == 2  # the part was begun by the one and done by the other
    assert seen[-1] == N
    same_in_the_end(pictures, tmp_path / "cache")


def test_stopped_and_given_again(nodes: Nodes, gated: Any, pictures: Path, tmp_path: Path) -> None:
    source, gate = gated
    encoder = encoders.build("gradients", source=source)

    def stop(done: int, total: int) -> bool:
        if waiting(gate) and done >= PART:
            (gate / "open").touch()
        return (gate / "open").exists()

    engine = Ray(nodes.address, workers=1, part=PART)
    with pytest.raises(Interrupted, match="the same command goes on from here"):
        engine.fill(source, encoder, tmp_path / "cache", "cpu", stop)
    told = engine.fill(source, encoder, tmp_path / "cache", "cpu")
    assert 0 < told["n_encoded"] <= N - PART
    same_in_the_end(pictures, tmp_path / "cache")


def test_a_part_that_ends_its_workers_is_named(
    nodes: Nodes, gated: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "_LIVES", 1)
    source, gate = gated
    (gate / "deadly").touch()
    with pytest.raises(TaskFailed, match=r"images 17 to 32 \(016.png … 031.png\) ended 1 worker"):
        Ray(nodes.address, workers=1, part=PART).fill(source, encoders.build("pixels", source=source), tmp_path, "cpu")


@pytest.mark.parametrize("what", ["cache", "images"])
def test_what_is_not_shared_is_refused(
    nodes: Nodes, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """A path that means another folder in each process, as one on two machines does."""
    monkeypatch.chdir(tmp_path)
    here = Path("/proc/self/cwd")
    shutil.copytree(pictures, "pictures")
    source = open_images(here / "pictures" if what == "images" else pictures)
    cache = here / "cache" if what == "cache" else tmp_path / "cache"
    with pytest.raises(DataError, match=rf"does not see the same {what}: .*(--cache DIR|under the same path)"):
        Ray(nodes.address, workers=1).fill(source, encoders.build("pixels", source=source), cache, "cpu")
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_groups_of_slices_are_those_of_one_process(nodes: Nodes, tmp_path: Path) -> None:
    x = torch.from_numpy(load_digits().data.astype(np.float32))
    alone = vectors.kmeans(x, 10)
    found = Ray(nodes.address).kmeans(x, 10, tmp_path)
    assert (found.labels == alone.labels).all()
    assert found.n_iter == alone.n_iter
    assert not list(tmp_path.rglob("*.safetensors"))
    with pytest.raises(NotEnoughImages, match="n_clusters=2000"):
        Ray(nodes.address, workers=1).kmeans(x, 2000, tmp_path)


# -- without a cluster -------------------------------------------------------------------------------------------------


def test_what_a_worker_refuses(pictures: Path, tmp_path: Path) -> None:
    encoder = encoders.build("gradients", source=open_images(pictures))
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "token").touch()
    job = Job(encoder.spec(), [], str(tmp_path), "cpu", "token", None, b"")
    assert Worker(1).begin(job)["pid"] == os.getpid()
    with pytest.raises(DataError, match=r"has ilk .*, this machine 0.0.1: install the same on all"):
        Worker(1).begin(replace(job, version="0.0.1"))
    with pytest.raises(RunError, match="encodes in another way"):
        Worker(1).begin(replace(job, spec={**encoder.spec(), "key": "another"}))


def test_one_line_for_what_cannot_be(ilk: Ilk, photos: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    small = ["-k", 3, "--encoder", "pixels", "--set", "preset=tiny", "--cache", tmp_path / "cache"]

    def line(*arguments: object) -> str:
        said = ilk("cluster", *arguments)
        assert said.code == 1
        assert said.err.count("\n") == 1
        return said.err

    assert "add --engine ray" in line(photos, *small, "--workers", 2)
    assert "HOST:PORT" in line(photos, *small, "--engine", "ray", "--address", "ray://somewhere")
    assert "at least 1" in line(photos, *small, "--engine", "ray", "--workers", 0)
    assert "give images as files" in line("digits", *small, "--engine", "ray")
    assert "127.0.0.1:9 cannot be reached" in line(photos, *small, "--engine", "ray", "--address", "127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "pip install 'ilk[ray]'" in line(photos, *small, "--engine", "ray")
