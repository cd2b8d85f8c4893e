"""One worker of an engine: an encoder, and one part of a source after the other into the shared cache.

Plain Python that any engine can start in a process of its own. Rows of numbers and pictures go into the cache and
nowhere else: what a worker is given is which images, and what it answers is how many.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ilk
from ilk import disk
from ilk.errors import DataError, Interrupted, RunError
from ilk.files import Listing, Samples

__all__ = ["Job", "Worker", "appears", "spoor"]

_LOOKS, _PAUSE = 12, 0.5  # a file that another machine wrote may show up late where folders are shared over a network


@dataclass(frozen=True)
class Job:
    """What all workers are given first, as plain data.

    Attributes
    ----------
    spec : mapping
        `FrozenEncoder.spec`: the encoder, its weights by their hash, back end and precision. Nobody chooses anew.
    weights : list of str
        Files with the weights, in the cache.
    cache : str
        The folder that all machines share.
    device : str
        "cpu" or "cuda".
    token : str
        Name of a file that whoever gives the work has left in the cache.
    example, content : Listing or None, bytes
        One image, and its hash.
    """

    spec: Mapping[str, Any]
    weights: list[str]
    cache: str
    device: str
    token: str
    example: Listing | None
    content: bytes
    version: str = ilk.__version__


def spoor(cache: str | Path, token: str) -> Path:
    """Return the file by which a worker and whoever gives the work know that they see the same cache."""
    return Path(cache) / "engine" / token


class Worker:
    """An encoder in a process of its own. One thread encodes; others may `look` and `stop` meanwhile.

    Parameters
    ----------
    threads : int
        Cores that this worker may use.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._stop = threading.Event()
        self._done = 0

    def begin(self, job: Job) -> dict[str, Any]:
        """Check that this machine sees what the others see, and build the encoder; return who this is.

        Raises
        ------
        DataError
            Another version of ilk; a cache that is not shared or cannot be written; a source that is not seen here.
        RunError
            This machine would encode in another way.
        """
        spent = time.process_time()
        here = f"{socket.gethostname()} (process {os.getpid()})"
        if job.version != ilk.__version__:
            raise DataError(f"{here} has ilk {ilk.__version__}, this machine {job.version}: install the same on all.")
        self._check_cache(job, here)
        self._check_source(job, here)
        import torch  # what can be refused is refused before it is loaded

        from ilk import encoders

        torch.set_num_threads(self.threads)
        self.encoder = encoders.rebuild(
            job.spec,
            job.weights or None,
            device=job.device,
            cache=job.cache,  # in the precision of the spec
        )
        if self.encoder.key != job.spec["key"]:
            raise RunError(
                f"{here} encodes in another way ({self.encoder.name} by {self.encoder.backend} in "
                f"{self.encoder.precision}) than this machine ({job.spec['name']} by {job.spec['backend']} in "
                f"{job.spec['precision']}): features would not mix. Install the same packages on all machines, or try "
                "--precision fp32."
            )
        self.encoder.workers = self.threads
        self._cache = Path(job.cache)
        nice = os.nice(0) if hasattr(os, "nice") else 0
        return {"host": socket.gethostname(), "pid": os.getpid(), "nice": nice, "cpu": time.process_time() - spent}

    def encode(self, part: Listing, samples: Samples) -> dict[str, Any]:
        """Encode the images of `part` into the cache; return how many were encoded and were there, and what it took."""
        from ilk.data import FolderImages
        from ilk.scale.parts import encode_part

        began, spent = time.perf_counter(), time.process_time()
        self._done = 0
        try:
            found = encode_part(FolderImages(part, samples), self.encoder, self._cache, on_progress=self._progress)
        except Interrupted:
            return {"stopped": True}
        return {
            "n_encoded": found.n_encoded,
            "n_cached": found.n_cached,
            "seconds": time.perf_counter() - began,
            "cpu": time.process_time() - spent,
        }

    def look(self) -> int:
        """Return how many images of the part in work are done."""
        return self._done

    def stop(self) -> None:
        """Ask the part in work to end; what is finished of it is kept."""
        self._stop.set()

    def _progress(self, done: int, total: int) -> bool:
        self._done = done
        return self._stop.is_set()

    def _check_cache(self, job: Job, here: str) -> None:
        token = spoor(job.cache, job.token)
        if not appears(token):
            raise DataError(
                f"{here} does not see the same cache: {job.cache} is another folder there, or none. Give one that all "
                "machines share under the same path, with --cache DIR."
            )
        if why := disk.unwritable(token.parent):
            raise DataError(f"{here} cannot write the cache {job.cache} ({why}): let all machines write there.")

    def _check_source(self, job: Job, here: str) -> None:
        from ilk.files import content_hash

        if job.example is None:
            return
        try:
            same, why = content_hash(job.example.read(0)) == job.content, "it is another file there"
        except OSError as error:
            same, why = False, str(error)
        if not same:
            raise DataError(
                f"{here} does not see the same images: {job.example.names[0]} of {job.example.root} {why}. Put them "
                "where all machines see them under the same path."
            )


def appears(path: Path) -> bool:
    """Whether a file is there, or is so after some seconds."""
    for _ in range(_LOOKS):
        if path.is_file():
            return True
        time.sleep(_PAUSE)
    return False
