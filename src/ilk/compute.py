"""Devices, memory, generators and the process group: the one file that knows where the work is done.

Every function of the process group is the identity when the process is alone, so callers never ask "am I distributed?".
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ilk.errors import ArgumentError, nearest
from ilk.machine import available_memory, number

__all__ = [
    "all_gather",
    "all_sum",
    "average_gradients",
    "broadcast",
    "device",
    "forget_peak",
    "free_memory",
    "generator",
    "has_bf16",
    "keep_freed",
    "keep_threads",
    "peak_memory",
    "pool",
    "rank",
    "real_float32",
    "seeded",
    "threads",
    "wait",
    "world_size",
]

_DEVICES = ("auto", "cpu", "cuda")
_MAX_SEED = 2**63


def device(name: str | torch.device = "auto") -> torch.device:
    """Return the device called `name`; ``"auto"`` is the GPU if there is one, else the CPU.

    Parameters
    ----------
    name : {"auto", "cpu", "cuda", "cuda:N"} or torch.device

    Raises
    ------
    ArgumentError
        If the name is unknown, or no such device is usable here.

    Examples
    --------
    >>> device("cpu")
    device(type='cpu')
    """
    text = str(name)
    kind, _, number = text.partition(":")
    if kind not in _DEVICES or (number and (kind != "cuda" or not number.isdecimal())):
        allowed = "'auto', 'cpu', 'cuda' or 'cuda:N'"
        raise ArgumentError(f"device={text!r} is unknown; allowed: {allowed}.{nearest(text, _DEVICES)}")
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cpu" or (kind == "auto" and not found):
        return torch.device("cpu")
    if not found:
        raise ArgumentError(f"device={text!r}: no CUDA GPU is usable here; allowed: 'auto' or 'cpu'")
    if number and int(number) >= found:
        raise ArgumentError(f"device={text!r}: only {found} GPU(s) here; allowed: 'cuda:0' to 'cuda:{found - 1}'")
    return torch.device("cuda" if kind == "auto" else text)


def _check_seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < _MAX_SEED:
        raise ArgumentError(f"seed={seed!r}: must be an integer from 0 to 2**63 - 1")
    return int(seed)


def generator(seed: int, device: str | torch.device = "cpu") -> torch.Generator:
    """Return a fresh random generator on `device`, seeded with `seed`.

    Examples
    --------
    >>> torch.rand(1, generator=generator(0)) == torch.rand(1, generator=generator(0))
    tensor([True])
    """
    return torch.Generator(device).manual_seed(_check_seed(seed))


@contextmanager
def real_float32(wanted: bool) -> Iterator[None]:
    """Within it GPUs convolve and multiply in all 23 bits of float32, where `wanted`, and not in TF32's 10.

    cuDNN takes TF32 for convolutions unless it is forbidden. On a CPU nothing changes.
    """
    kinds: tuple[Any, ...] = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [kind.allow_tf32 for kind in kinds]
    try:
        if wanted:
            for kind in kinds:
                kind.allow_tf32 = False
        yield
    finally:
        for kind, value in zip(kinds, before, strict=True):
            kind.allow_tf32 = value


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators of torch (CPU, GPUs), NumPy and Python for a block, then put them back as they were.

    For code that draws from the global state and takes no generator, such as the constructors of ``torch.nn``.

    Examples
    --------
    >>> with seeded(3):
    ...     first = torch.nn.Linear(2, 2).weight
    >>> with seeded(3):
    ...     torch.equal(first, torch.nn.Linear(2, 2).weight)
    True
    """
    seed = _check_seed(seed)
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002 - the global state is the point
    gpus = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=gpus):
        try:
            torch.manual_seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
            random.seed(seed)
            yield
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002
            random.setstate(python_state)


def free_memory(device: str | torch.device = "cpu") -> int:
    """Return how many bytes `device` can still give to this process.

    The CPU's answer is that of `ilk.machine.available_memory`, once idle memory of this process is given back.

    Examples
    --------
    >>> free_memory("cpu") > 2**20
    True
    """
    where = torch.device(device)
    _give_back()
    if where.type == "cuda":
        free, _ = torch.cuda.mem_get_info(where)
        return int(free) + torch.cuda.memory_reserved(where) - torch.cuda.memory_allocated(where)
    return available_memory()


@functools.cache
def keep_freed() -> bool:
    """Let this process keep the memory it frees, for what it asks for next; return whether that was possible.

    Every step of a training on a CPU takes and frees the same maps. By default the C library may return them to the
    system, and writing to them again costs a page fault for every 4 KiB: up to a quarter of the time of a convolutional
    network's step (benchmarks/training.py dac-port).

    Notes
    -----
    For glibc: blocks up to 32 MiB, the most that it allows, come from the heap, of which up to 2 GiB stay.
    `free_memory` returns what lies idle.
    """
    library = _glibc()
    if library is None:
        return False
    return bool(library.mallopt(_TRIM_THRESHOLD, 2**31 - 1) and library.mallopt(_MMAP_THRESHOLD, 2**25))


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # their numbers in malloc.h


def _give_back() -> None:
    """Return to the system what the C library keeps and nothing uses."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


@functools.cache
def _glibc() -> ctypes.CDLL | None:
    """Return the C library of this process, where it is glibc."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None


def forget_peak() -> None:
    """Begin anew with what `peak_memory` returns, where the system allows it: on Linux."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", "ascii")


def peak_memory() -> int | None:
    """Return the most bytes of main memory that this process held at once; None where the system does not say.

    Counted since `forget_peak` on Linux, else since the process began.
    """
    kept = number(Path("/proc/self/status"), "VmHWM:", 1024)
    if kept is None:
        with contextlib.suppress(ImportError):  # Windows has no such module
            import resource

            kept = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return kept


def has_bf16(device: str | torch.device = "cpu") -> bool:
    """Return whether `device` computes in bfloat16, rather than only store it."""
    if torch.device(device).type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    units = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in units)


def threads() -> int:
    """Return how many CPU threads one operation of torch may use.

    Examples
    --------
    >>> threads() >= 1
    True
    """
    return torch.get_num_threads()


def wait(device: str | torch.device) -> None:
    """Wait until `device` has done what it was given; a CPU always has."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def keep_threads() -> Iterator[None]:
    """Leave torch's number of threads as it was.

    Other libraries set it for themselves, and where they share OpenMP with torch, for torch too; the last digits of a
    result hang on it.

    Examples
    --------
    >>> before = threads()
    >>> with keep_threads():
    ...     torch.set_num_threads(before + 1)
    >>> threads() == before
    True
    """
    before = threads()
    try:
        yield
    finally:
        if threads() != before:
            torch.set_num_threads(before)


@contextmanager
def pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool whose threads use one core each, and leave torch's number of threads as it was."""
    limit: Callable[[], object] = (lambda: torch.set_num_threads(1)) if workers > 1 else (lambda: None)
    with (
        keep_threads(),
        ThreadPoolExecutor(workers, thread_name_prefix="ilk-encode", initializer=limit) as executor,
    ):
        yield executor


# the process group ----------------------------------------------------------------------------------------------------


def _in_company() -> bool:
    from torch import distributed

    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def rank() -> int:
    """Return the number of this process in its group; 0 when alone."""
    from torch import distributed

    return distributed.get_rank() if _in_company() else 0


def world_size() -> int:
    """Return how many processes work together; 1 when alone."""
    from torch import distributed

    return distributed.get_world_size() if _in_company() else 1


def all_sum(tensor: Tensor) -> Tensor:
    """Return the sum of `tensor` over all processes; `tensor` itself when alone. The argument is not changed.

    Examples
    --------
    >>> all_sum(torch.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """
    if not _in_company():
        return tensor
    from torch import distributed

    total = tensor.detach().clone()
    distributed.all_reduce(total)
    return total


def all_gather(tensor: Tensor) -> Tensor:
    """Return the rows of all processes, in the order of their ranks; `tensor` itself when alone.

    Parameters
    ----------
    tensor : Tensor (n_r, ...)
        The number of rows may differ from process to process, the rest of the shape may not.

    Returns
    -------
    Tensor (sum of n_r, ...)
    """
    if not _in_company():
        return tensor
    from torch import distributed

    counts = [torch.zeros(1, dtype=torch.int64, device=tensor.device) for _ in range(world_size())]
    distributed.all_gather(counts, torch.tensor([len(tensor)], device=tensor.device))
    sizes = [int(count) for count in counts]
    padded = tensor.new_zeros((max(sizes), *tensor.shape[1:]))
    padded[: len(tensor)] = tensor.detach()
    parts = [torch.empty_like(padded) for _ in sizes]
    distributed.all_gather(parts, padded)
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])


def broadcast(tensor: Tensor, source: int = 0) -> Tensor:
    """Return what process `source` passed as `tensor`; `tensor` itself when alone.

    All processes must pass the same shape and dtype.
    """
    if not _in_company():
        return tensor
    from torch import distributed

    received = tensor.detach().clone()
    distributed.broadcast(received, source)
    return received


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Replace each gradient by its mean over all processes, in one exchange per dtype; does nothing when alone.

    A parameter without a gradient here counts as a gradient of zeros, so every process exchanges the same tensors.
    """
    if not _in_company():
        return
    from torch import distributed

    kinds: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for parameter in parameters:
        if not parameter.requires_grad:
            continue
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        kinds.setdefault((parameter.grad.dtype, parameter.grad.device), []).append(parameter.grad)
    for gradients in kinds.values():
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= world_size()
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()
