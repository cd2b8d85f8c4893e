"""Arrays by name, as safetensors: written whole, read with a checksum, or mapped."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ilk.disk.reading import JSON_BYTES, check_memory, opened, parse_json
from ilk.disk.writing import check_replaceable, new_folder

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["file_digest", "map_tensors", "open_tensors", "read_tensors", "tensor_digest", "write_tensors"]

_TYPES = {"U8": "u1", "U32": "<u4", "I64": "<i8", "F16": "<f2", "F32": "<f4"}  # that a file of ours may hold


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


def map_tensors(path: Path, *, follow: bool = False) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]]:
    """Return the arrays of a safetensors file as read-only memory maps, and its metadata. No array is read.

    Parameters
    ----------
    path
    follow
        Whether a link is good enough.

    Raises
    ------
    OSError
        As `opened`.
    ValueError
        It is no such file, its header says more than the file has, or an array is of a type that none of ilk's has.
    """
    import numpy as np  # not at the top: see `ilk.disk.reading`

    with opened(path, follow=follow) as file:
        size, first = os.fstat(file.fileno()).st_size, file.read(8)
        start = 8 + int.from_bytes(first, "little")
        if len(first) < 8 or start > min(size, JSON_BYTES):
            raise ValueError("no safetensors file, or cut off")
        head = parse_json(file.read(start - 8))
        data = np.memmap(file, np.uint8, "r", start, (size - start,)) if size > start else np.empty(0, np.uint8)
    if not isinstance(head, dict):
        raise ValueError("no safetensors file")
    metadata = head.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(one, str) for one in metadata.values()):
        raise ValueError("its metadata are no texts")
    return {name: _mapped(data, said) for name, said in head.items()}, metadata


def _mapped(data: npt.NDArray[Any], said: Any) -> npt.NDArray[Any]:
    """Return the part of `data` that the header says an array is."""
    if not isinstance(said, dict) or said.get("dtype") not in _TYPES:
        raise ValueError("an array of a type that does not belong there")
    shape, ends = _numbers(said.get("shape")), _numbers(said.get("data_offsets"))
    kind, length = _TYPES[said["dtype"]], int(_TYPES[said["dtype"]][-1]) * math.prod(shape)
    if len(ends) != 2 or ends[1] > len(data) or ends[1] - ends[0] != length:
        raise ValueError("an array that is not where it should be")
    found: npt.NDArray[Any] = data[ends[0] : ends[1]].view(kind).reshape(shape)
    return found


def _numbers(value: Any) -> list[int]:
    if not isinstance(value, list) or not all(type(one) is int and 0 <= one < 2**53 for one in value):
        raise ValueError("an array without a shape, or without a position")
    return value


def tensor_digest(tensors: Mapping[str, npt.NDArray[Any]], text: str = "") -> str:
    """Return 32 hex digits (BLAKE2b) of arrays, by their names, and of `text`."""
    import numpy as np

    found = hashlib.blake2b(text.encode(), digest_size=16)
    for name in sorted(tensors):
        found.update(np.ascontiguousarray(tensors[name]).view(np.uint8).reshape(-1).data)
    return found.hexdigest()


def file_digest(path: Path) -> str:
    """Return 32 hex digits (BLAKE2b) of the content of a regular file. About 1 s a GB.

    Raises
    ------
    OSError
        As `opened`.
    """
    with opened(path) as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
