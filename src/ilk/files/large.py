"""Arrays that may be larger than memory."""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.errors import DataError

__all__ = ["free_memory", "release", "room"]

_IN_MEMORY = 256 * 2**20  # bytes above which an array lives in a file


def room(m: int, d: int, dtype: npt.DTypeLike = np.float16, folder: Path | None = None) -> npt.NDArray[Any]:
    """Return (m, d) of `dtype`, in memory, or in a nameless file in `folder` that vanishes with it.

    Raises
    ------
    DataError
        The disk is full.
    """
    size = m * d * np.dtype(dtype).itemsize
    if size < _IN_MEMORY:
        return np.zeros((m, d), dtype)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):
                # a hole in a mapped file that cannot be filled later would end the process without a word
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, dtype, "w+", shape=(m, d))
    except OSError as error:
        where = folder or tempfile.gettempdir()
        raise DataError(
            f"{size / 1e9:.1f} GB do not fit into {where} ({error.strerror}); "
            f"free some space, or {'choose another --cache' if folder else 'set TMPDIR to another disk'}"
        ) from None


def free_memory() -> int:
    """Return how many bytes this process can still get: what Linux calls available, within its control group's limit.

    Where that cannot be known it is the whole memory, or more than any file holds.
    """
    known = []
    with contextlib.suppress(OSError, ValueError, StopIteration):
        known.append(_number("/proc/meminfo", "MemAvailable:") * 1024)
    for limit, taken, state in _GROUPS:
        with contextlib.suppress(OSError, ValueError, StopIteration):  # "max"
            used = int(Path(taken).read_text("ascii")) - _number(state, "inactive_file")  # files that may go
            known.append(max(0, int(Path(limit).read_text("ascii")) - used))
    if not known and hasattr(os, "sysconf"):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(known, default=2**63)


_GROUP = "/sys/fs/cgroup/memory"
_GROUPS = (
    (f"{_GROUP}.max", f"{_GROUP}.current", f"{_GROUP}.stat"),
    (f"{_GROUP}/memory.limit_in_bytes", f"{_GROUP}/memory.usage_in_bytes", f"{_GROUP}/memory.stat"),
)


def _number(path: str, key: str) -> int:
    """Return the number behind `key` in a file of the kernel."""
    lines = Path(path).read_text("ascii").splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1])


def release(array: npt.NDArray[Any]) -> None:
    """Let go of the memory that a mapped file took while it was filled; what was written stays in the file."""
    mapped = getattr(array, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)
