"""Arrays by name, as safetensors: written whole, read with a checksum."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ilk.disk.reading import check_memory, opened
from ilk.disk.writing import check_replaceable, new_folder

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["file_digest", "open_tensors", "read_tensors", "write_tensors"]


def write_tensors(path: Path, tensors: Mapping[str, Any], *, torch: bool = False) -> None:
    """Write `tensors` (NumPy arrays, or with `torch` contiguous CPU tensors) as `path`, whole or not at all.

    Raises
    ------
    OSError
        The disk refuses.
    """
    if torch:
        from safetensors.torch import save_file
    else:
        from safetensors.numpy import save_file  # type: ignore[assignment]
    check_replaceable(path)
    # the library writes to a name, which it replaces by a file of its own with a mode of its own
    with new_folder(path.parent) as folder:
        made = folder / "tensors"
        save_file(dict(tensors), made)
        made.chmod(folder.stat().st_mode & 0o666)
        with open(made, "rb+") as file:
            os.fsync(file.fileno())
        made.replace(path)


def read_tensors(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a safetensors file.

    Raises
    ------
    OSError
        Missing, a link, or no regular file.
    ValueError
        Damaged, or far too large for this machine.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    with opened(path):  # the library takes names only
        check_memory(path)
        try:
            return dict(load_file(path))
        except (SafetensorError, KeyError, TypeError) as error:  # KeyError: a type that NumPy lacks
            raise ValueError(str(error)) from None


@contextlib.contextmanager
def open_tensors(path: Path) -> Iterator[Any]:
    """Yield a safetensors file, links followed, whose arrays are read one by one; errors are those of the library too.

    Raises
    ------
    OSError
        Missing, or no regular file.
    """
    from safetensors import safe_open

    with opened(path, follow=True), safe_open(path, "np") as file:  # the library takes names only
        yield file


def file_digest(path: Path) -> str:
    """Return 32 hex digits (BLAKE2b) of the content of a regular file. About 1 s a GB.

    Raises
    ------
    OSError
        As `opened`.
    """
    with opened(path) as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
