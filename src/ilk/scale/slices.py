"""K-means with the rows in slices, one in the memory of each worker of a cluster; see `ilk.vectors.slices`.

Rows get to the workers as a file in the cache that they share, and never through an engine: what travels are centres,
sums, and at the end the labels.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ilk import disk
from ilk.errors import DataError, TaskFailed
from ilk.scale.crew import QUIET
from ilk.scale.worker import appears
from ilk.vectors import Each, Slice

__all__ = ["Holder", "held"]


class Holder:
    """A slice in a process of its own.

    Parameters
    ----------
    file : str
        Safetensors with the rows "x" of all slices.
    a, b : int
        Those of this slice.
    spherical : bool
    """

    def __init__(self, file: str, a: int, b: int, spherical: bool) -> None:
        if not appears(Path(file)):
            raise DataError(f"{file} is not seen by all machines: give a cache that they share, with --cache DIR.")
        torch.set_num_threads(1)
        with disk.open_tensors(Path(file)) as tensors:
            x = torch.from_numpy(tensors.get_slice("x")[a:b])
        self._slice = Slice(x, a, spherical=spherical)

    def ask(self, method: str, *arguments: Any) -> Any:
        """Return what the slice answers."""
        return getattr(self._slice, method)(*arguments)


@contextlib.contextmanager
def held(ray: Any, x: Tensor, home: Path, count: int, spherical: bool) -> Iterator[Each]:
    """Yield what asks `count` slices of `x` (n, d) that workers hold; the file between them is removed at once.

    Raises
    ------
    TaskFailed
        A worker was lost.
    """
    file = home / "engine" / f"{secrets.token_hex(16)}.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    disk.own_folder(file.parent)
    cuts = [(i * len(x) // count, (i + 1) * len(x) // count) for i in range(count)]
    make = ray.remote(Holder).options(num_cpus=1, max_restarts=0, runtime_env={"env_vars": QUIET})
    holders: list[Any] = []

    def each(method: str, *arguments: Any) -> list[Any]:
        if method == "rows":  # they are here
            return [x[arguments[0]]]
        try:
            shared = [ray.put(one) if isinstance(one, Tensor) else one for one in arguments]  # once to each machine
            found: list[Any] = ray.get([holder.ask.remote(method, *shared) for holder in holders])
            return found
        except ray.exceptions.RayTaskError as error:
            cause = getattr(error, "cause", None)
            raise (cause if isinstance(cause, Exception) else TaskFailed(disk.one_line(error))) from None
        except ray.exceptions.RayError as error:
            raise TaskFailed(f"a worker with rows was lost: {disk.one_line(error)[:300]}") from None

    try:
        disk.write_tensors(file, {"x": x.contiguous().numpy()})
        holders += [make.remote(str(file), a, b, spherical) for a, b in cuts]
        yield each
    finally:
        for holder in holders:
            with contextlib.suppress(Exception):
                ray.kill(holder)
        with contextlib.suppress(OSError):
            file.unlink()
