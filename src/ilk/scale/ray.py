"""Ray as the engine: workers on all machines of a cluster encode the parts of a source into the cache they share.

The only module that imports ray. Its object store carries names, counts and errors; images are read, and features
written, by the workers themselves. A part whose worker is lost goes back into the queue.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import signal
import socket
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ilk import compute, disk
from ilk.data import FolderImages, ImageSource, OnProgress, OwnFeatures
from ilk.encoders import FrozenEncoder, missing
from ilk.errors import ArgumentError, DataError, MissingDependency, TaskFailed
from ilk.files import content_hash
from ilk.scale.crew import ZERO, Crew, Say
from ilk.scale.slices import held
from ilk.scale.worker import Job, spoor
from ilk.vectors import KMeansResult, Rows, kmeans_of_slices
from ilk.vectors.rows import Matrix

__all__ = ["Ray"]

_TRIES = 3  # of a K-means that loses a worker
_KNOCK = 10.0  # seconds in which the head of a cluster has to answer


@dataclass(frozen=True)
class Ray:
    """The machines of a running Ray cluster, as the engine of `ilk.cluster`.

    Parameters
    ----------
    address : str
        "auto": the cluster that this machine belongs to. Else ``HOST:PORT`` of the head.
    workers : int, optional
        Processes that encode, on one core each, or on one GPU. None: as many as the cluster has.
    part : int
        Images that one worker takes at a time: what is lost with it.

    Raises
    ------
    ArgumentError
        For a value outside of what is allowed.

    Notes
    -----
    All machines need the same ilk, and the source and the cache under the same path. Anybody who reaches the ports of
    a Ray cluster runs code on its machines: keep it in a network of your own. See docs/scale.md.

    Examples
    --------
    >>> Ray(workers=4)
    Ray(address='auto', workers=4, part=4096)
    """

    address: str = "auto"
    workers: int | None = None
    part: int = 4096

    def __post_init__(self) -> None:
        if self.address != "auto" and _host_and_port(self.address) is None:
            raise ArgumentError(
                f"address={self.address!r}: give 'auto' or HOST:PORT of the head, such as 10.0.0.1:6379."
            )
        for name, value in (("workers", self.workers), ("part", self.part)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ArgumentError(f"{name}={value!r}: give a whole number of at least 1.")

    def check(self, source: ImageSource) -> None:
        """Raise what there is to say of `source` before anything is done.

        Raises
        ------
        ArgumentError
            It is no set of files, so that there is nothing to send.
        MissingDependency
            ray is not installed.
        """
        if isinstance(source, OwnFeatures):
            raise ArgumentError("engine ray: these images come with their features, so there is nothing to encode.")
        if not isinstance(source, FolderImages):
            raise ArgumentError(
                "engine ray: give images as files; an array in memory is encoded here, without --engine."
            )
        _ray()

    def fill(
        self,
        source: ImageSource,
        encoder: FrozenEncoder,
        cache: str | Path | None,
        device: str = "auto",
        on_progress: OnProgress | None = None,
        say: Say = lambda text: None,
    ) -> dict[str, Any]:
        """Encode what the cache lacks of `source`; afterwards `ilk.encoders.encode` finds all of it there.

        Parameters
        ----------
        source, encoder, cache
            As for `ilk.encoders.encode`; the encoder has been decided on, and every worker builds the same.
        device : {"auto", "cpu", "cuda"}
            Where the workers compute: what this machine would do.
        on_progress : callable (done, total) -> bool or None
            True stops: what is finished is kept, and `Interrupted` is raised.
        say : callable (str)
            Gets what a person should know.

        Returns
        -------
        dict
            "by" (in words), "workers", "hosts", "n_encoded", "n_cached", "lost" (parts that were done again) "cpu"
            and "start" (seconds of the workers, with images and before the first).

        Raises
        ------
        ArgumentError
            No cache, an encoder of the user's own, or images that are no files.
        DataError
            No cluster; machines that do not see the same; what a worker says of the images.
        TaskFailed
            One part ended three workers, or no machine is left.
        Interrupted
            Stopped; the same command goes on.
        """
        self.check(source)
        assert isinstance(source, FolderImages)
        if cache is None:
            raise ArgumentError("engine ray: workers need a cache that all machines share: --cache DIR.")
        if encoder.own or not encoder.lasting:
            raise ArgumentError(f"engine ray: an encoder of your own ({encoder.name}) runs in this process only.")
        home = Path(cache).expanduser().absolute()
        lacking = missing(source, encoder, home)
        if not len(lacking):
            return {"by": "", "workers": 0, "hosts": [], **ZERO}
        token = secrets.token_hex(16)
        with _connected(self.address) as ray, _left(home, token):
            job = _job(source, encoder, home, compute.device(device).type, token)
            notify = on_progress or (lambda done, total: None)
            crew = Crew(ray, self.part, self.workers, job, lacking, source, notify, say)
            try:
                return crew.run()
            finally:
                crew.dismiss()

    def kmeans(
        self, x: Matrix, n_clusters: int, cache: str | Path, *, spherical: bool = False, **how: Any
    ) -> KMeansResult:
        """Group the rows of `x` as `ilk.vectors.kmeans` does, each of the workers with a slice of them.

        Parameters
        ----------
        x : Tensor or ndarray (n, d), float16 or float32
            Written once into `cache`, where the workers read their own rows.
        n_clusters, spherical, **how
            As in `ilk.vectors.kmeans_of_slices`.
        cache : path
            Shared by all machines.

        Returns
        -------
        KMeansResult
            That of one process, up to the rounding of sums in float64.

        Raises
        ------
        DataError
            No cluster, or a cache that is not shared.
        TaskFailed
            A worker was lost, three times.

        Notes
        -----
        Pays where an iteration takes one process far longer than a question to all workers, some hundredths of a
        second: from about 10⁹ / workers products n·k·d on (docs/scale.md).
        """
        rows = Rows.of(x)
        data = (rows.x if isinstance(rows.x, torch.Tensor) else torch.from_numpy(np.array(rows.x))).cpu()
        with _connected(self.address) as ray:
            count = max(1, min(self.workers or int(ray.cluster_resources().get("CPU", 1)), len(rows)))
            for left in reversed(range(_TRIES)):
                try:
                    with held(ray, data, Path(cache).expanduser().absolute(), count, spherical) as each:
                        return kmeans_of_slices(each, n_clusters, spherical=spherical, **how)
                except TaskFailed:
                    if not left:
                        raise
        raise AssertionError


def _host_and_port(address: Any) -> tuple[str, int] | None:
    """Return what an address consists of; None where it is none.

    >>> _host_and_port("10.0.0.1:6379"), _host_and_port("[::1]:6379"), _host_and_port("local")
    (('10.0.0.1', 6379), ('::1', 6379), None)
    """
    host, _, port = str(address).rpartition(":")
    if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 2**16:
        return None
    return host.strip("[]"), int(port)


def _ray() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what ray imports; nobody here can do anything about it
            import ray
    except ImportError as error:
        raise MissingDependency(
            f"--engine ray needs ray, which does not load ({error}): pip install 'ilk[ray]' on every machine."
        ) from None
    return ray


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Yield ray, connected to the cluster; a connection that was there before is used and stays."""
    ray = _ray()
    if ray.is_initialized():
        yield ray
        return
    if where := _host_and_port(address):
        try:  # where nobody listens, ray tries for five minutes and ends this process
            socket.create_connection(where, _KNOCK).close()
        except OSError as error:
            raise DataError(_unreached(address, error)) from None
    with _own_signals():
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
            raise DataError(_unreached(address, error)) from None
    with _own_words(ray):
        try:
            yield ray
        finally:
            ray.shutdown()


@contextlib.contextmanager
def _own_words(ray: Any) -> Iterator[None]:
    """Say ourselves what became of workers: ray prints pages of it, and to stdout, where a JSON object may be meant."""
    prints = "print_to_stdstream"
    inner = getattr(getattr(ray, "_private", None), "worker", None)
    before = getattr(inner, prints, None)
    if before is None:  # another version of ray, which may do so or not
        yield
        return
    setattr(inner, prints, lambda *_, **__: None)
    try:
        yield
    finally:
        setattr(inner, prints, before)


def _unreached(address: str, error: Exception) -> str:
    why = disk.one_line(error)
    if address == "auto":
        return (
            "no Ray cluster runs on this machine. Start one with `ray start --head` here, and `ray start --address "
            f"HOST:6379` on the others; or name its head with --address HOST:6379. ({why[:200]})"
        )
    return f"the Ray cluster at {address} cannot be reached from here: {why[:300]}"


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Keep what this process does on SIGTERM: ray puts a handler of its own in the place of it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _left(home: Path, token: str) -> Iterator[None]:
    """Leave a token in the cache for as long as the block lasts."""
    file = spoor(home, token)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        disk.own_folder(file.parent)
        disk.write_bytes(file, b"")
    except OSError as error:
        raise DataError(
            f"cannot write the cache {home}: {error.strerror or error}; choose another with --cache"
        ) from None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            file.unlink()
        with contextlib.suppress(OSError):
            file.parent.rmdir()  # where no other job has one there


def _job(source: FolderImages, encoder: FrozenEncoder, home: Path, device: str, token: str) -> Job:
    example, content = None, b""
    for row in range(min(len(source), 100)):
        with contextlib.suppress(OSError):
            content, example = content_hash(source.listing.read(row)), source.listing.part(row, row + 1)
            break
    weights = [str(file.absolute()) for file in encoder.weights_files]
    return Job(encoder.spec(), weights, str(home), device, token, example, content)
