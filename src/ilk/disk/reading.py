"""Files that may be anybody's: asked what they are before they are read, and read only as far as they make sense."""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = [
    "JSON_BYTES",
    "array_header",
    "check_memory",
    "opened",
    "parse_json",
    "read_array",
    "read_bytes",
    "read_json",
    "within",
]

JSON_BYTES = 64 << 20
"""Most bytes of a JSON file of a run; a hundred thousand groups take half of it."""

_VALUES = 4_000_000  # in one JSON file: each takes up to 100 bytes of memory, whatever it takes on the disk
_DEPTH = 32  # lists within lists; ours have 6
_NONBLOCK = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)


def opened(path: str | Path, *, follow: bool = False) -> BufferedReader:
    """Open a regular file for reading, without waiting for a pipe or asking a device.

    Parameters
    ----------
    path
        Its folders are not looked at; see `within`.
    follow
        Whether a link is good enough. In a run it is not: a run from elsewhere would read any file of the user.

    Raises
    ------
    OSError
        Missing, no regular file, or a link.
    """
    if not follow and os.path.islink(path):  # noqa: PTH114 - asked first: systems disagree about the error of O_NOFOLLOW
        raise OSError(errno.ELOOP, "a link, where a file of its own belongs", str(path))
    descriptor = os.open(path, os.O_RDONLY | _NONBLOCK | (0 if follow else _NOFOLLOW))
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            what = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe"}.get(stat.S_IFMT(mode), "a device")
            raise OSError(errno.EINVAL, f"{what}, not a file", str(path))
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bytes(path: str | Path, limit: int, *, follow: bool = False) -> bytes:
    """Return the content of a regular file of at most `limit` bytes.

    Raises
    ------
    OSError
        As `opened`, or it is larger.
    """
    with opened(path, follow=follow) as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(size + 1) if size <= limit else b""
        if len(data) > size:  # it grows, or is one of those of /proc
            data += file.read(limit + 1 - len(data))
    if max(size, len(data)) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit / 2**20:,.3g} MiB", str(path))
    return data


def read_json(path: Path, *, limit: int = JSON_BYTES, values: int = _VALUES, follow: bool = False) -> Any:
    """Return what a JSON file holds.

    Raises
    ------
    OSError
        As `read_bytes`.
    ValueError
        It is no JSON, holds more than `values` values, or is nested more than 32 deep.
    """
    return parse_json(read_bytes(path, limit, follow=follow), values=values)


def parse_json(data: bytes, *, values: int = _VALUES) -> Any:
    r"""Return what `data` holds: UTF-8 JSON, of bounded size in memory.

    >>> parse_json(b'{"a": [1, 2]}')
    {'a': [1, 2]}
    >>> parse_json(b"[" * 100_000 + b"]" * 100_000)
    Traceback (most recent call last):
    ValueError: nested too deep
    """
    if data.count(b",") + data.count(b"[") + data.count(b"{") > values:
        raise ValueError(f"more than {values:,} values")
    try:
        found = json.loads(data.decode("utf-8"))
    except RecursionError:
        raise ValueError("nested too deep") from None
    level = [found]
    for _ in range(_DEPTH):
        inner = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list))
        level = [value for part in inner for value in part if isinstance(value, dict | list)]
        if not level:
            return found
    raise ValueError("nested too deep")


def read_array(path: Path, *, follow: bool = False) -> npt.NDArray[Any]:
    """Return a ``.npy`` file as a read-only memory map. Nothing is unpickled.

    Raises
    ------
    OSError
        As `opened`.
    ValueError
        It is no such file, holds Python objects, or its header says more than the file has.
    """
    import numpy as np  # not at the top: the command line needs the rest of this package before it needs any numbers

    with opened(path, follow=follow) as file:
        shape, fortran, dtype = array_header(file)
        start, size = file.tell(), os.fstat(file.fileno()).st_size
        length = dtype.itemsize * math.prod(shape)
        if dtype.hasobject:
            raise ValueError("an array of Python objects, a pickle, which is never loaded")
        if not dtype.itemsize or min(shape, default=0) < 0:
            raise ValueError(f"an array of {dtype} {shape}")
        if start + length != size:
            raise ValueError(f"{size:,} bytes, where {start + length:,} belong")
        if not length:  # nothing to map
            return np.empty(shape, dtype)
        return np.memmap(file, dtype, "r", start, shape, "F" if fortran else "C")


def array_header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, Fortran order and dtype from the beginning of an ``.npy`` file; ValueError where it is damaged."""
    import tokenize

    from numpy.lib import format as npy

    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except (TypeError, SyntaxError, EOFError, MemoryError, RecursionError, tokenize.TokenError) as error:
        raise ValueError(f"its header is damaged ({type(error).__name__})") from None
    return shape, fortran, dtype


def check_memory(path: Path) -> None:
    """Raise ValueError where the file `path` is larger than half of this machine's memory: a hole takes no room."""
    size = path.stat().st_size
    if hasattr(os, "sysconf") and 2 * size > os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"):
        raise ValueError(f"{size / 2**30:,.0f} GiB do not fit into the memory of this machine")


def within(folder: Path, *parts: str) -> Path:
    """Return ``folder/parts…`` after a look at the folders between: none of them may be a link.

    Raises
    ------
    OSError
        One is.
    """
    path = folder
    for part in parts[:-1]:
        path = path / part
        if path.is_symlink():
            raise OSError(errno.ELOOP, "a link, where a folder of its own belongs", str(path))
    return path / parts[-1]
