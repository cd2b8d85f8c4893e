"""Published data sets as their authors pack them, as `ArraySet`: IDX files (MNIST and its kin), CIFAR-10 and -100."""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ilk import disk
from ilk.disk import printable
from ilk.errors import DataError
from ilk.files.arrays import ArraySet
from ilk.files.plainpickle import plain_pickle
from ilk.machine import available_memory

__all__ = ["dataset_files", "dataset_labels", "is_dataset_file", "load_dataset"]

_IDX = re.compile(r"(.*?)images?([-._]idx[34])?([-._]ubyte)?(\.gz)?", re.I)
_PARTS = re.compile(r"(.*?)(images?|labels?)([-._]idx[134])?([-._]ubyte)?(\.gz)?", re.I)
_CIFAR = re.compile(r"(data_batch(_\d+)?|test_batch|train|test)(\.bin)?")
_MOST = 2**31  # bytes of a file of one of these sets; the largest known has half a GiB
_DEFLATE = 1032  # times that gzip packs zeros
_PICKLE = 2**28  # bytes of a pickled batch; the largest has 155 MB
_WORD = 1000  # letters of a label
_ROW = 3072  # bytes of an image of CIFAR: three planes of 32 x 32
_LABELS = {"auto": (b"labels", b"fine_labels"), "fine": (b"fine_labels",), "coarse": (b"coarse_labels",)}


def is_dataset_file(path: Path, head: bytes) -> str | None:
    """Return "idx" or "cifar" where a file of this name and with these first bytes is one of images; else None."""
    if _IDX.fullmatch(path.name) and _idx_head(path, head) is not None:
        return "idx"
    if not _CIFAR.fullmatch(path.name):
        return None
    if path.suffix == ".bin":
        size = path.stat().st_size
        return "cifar" if size and (size % (_ROW + 1) == 0 or size % (_ROW + 2) == 0) else None
    return "cifar" if head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5") else None


def _idx_head(path: Path, head: bytes) -> tuple[int, ...] | None:
    """Return the shape that an IDX file of bytes states; None where it is none."""
    if head.startswith(b"\x1f\x8b"):
        try:
            with disk.opened(path, follow=True) as raw, gzip.open(raw) as file:
                head = file.read(20)
        except (OSError, EOFError, zlib.error):
            return None
    if head[:3] != b"\0\0\x08" or len(head) < 4 or head[3] not in (1, 3, 4) or len(head) < 4 + 4 * head[3]:
        return None
    return tuple(int(n) for n in np.frombuffer(head[4 : 4 + 4 * head[3]], ">u4"))


def load_dataset(location: Path, split: str = "all") -> ArraySet | None:
    """Return the images of such a file, or of the set in a folder or up to two below it; None where there is none.

    Raises
    ------
    DataError
        It is damaged, there are several, or it has no such split.
    """
    found = _files(location)
    if found is None:
        return None
    kind, parts = found
    if split != "all":
        if split not in parts:
            raise DataError(
                f"{location} has no part {split!r}; it has {', '.join(filter(None, parts)) or 'one part only'}"
            )
        parts = {split: parts[split]}
    read: Callable[[Path], NDArray[np.uint8]] = _idx_images if kind == "idx" else _cifar_images
    pixels, names, merged = [], list[str](), []
    for part, files in parts.items():
        images = [read(file) for file in files]
        count = sum(map(len, images))
        pixels += images
        width = max(6, len(str(count - 1)))
        names += [f"{part}/{i:0{width}d}" if part else f"{i:0{width}d}" for i in range(count)]
        merged.append(f"{part or 'all'} ({count:,})")
    if len({images.shape[1:] for images in pixels}) > 1:
        raise DataError(f"{location}: the parts are of different sizes")
    if not names:
        raise DataError(f"there is no image in {location}")
    notes = [f"merged {' and '.join(merged)}; split=train or test takes one"] if len(parts) > 1 else []
    return ArraySet(kind, pixels[0] if len(pixels) == 1 else np.concatenate(pixels), names, location, notes)


def dataset_labels(source: ArraySet, word: str) -> list[NDArray[Any]] | None:
    """Return the labels that lie beside the images of `source`, part by part; None where there are none.

    `word` is "auto", or for CIFAR-100 "fine" or "coarse".
    """
    found = _files(source.root) if source.root is not None else None
    if found is None:
        return None
    kind, parts = found
    wanted = dict.fromkeys(name.rpartition("/")[0] for name in source.names)
    files = [file for part in wanted for file in parts.get(part, [])]
    if kind == "idx":
        beside = [_idx_labels_file(file) for file in files]
        return [_idx(file, 1) for file in beside] if word == "auto" and all(map(Path.is_file, beside)) else None
    labels = [_cifar_labels(file, word) for file in files]
    return None if any(one is None for one in labels) else [one for one in labels if one is not None]


def _files(location: Path) -> tuple[str, dict[str, list[Path]]] | None:
    """Return the kind of the data set at `location`, and its files by part ("" where there is one part only)."""
    if location.is_file():
        with disk.opened(location, follow=True) as file:
            kind = is_dataset_file(location, file.read(32))
        return None if kind is None else (kind, {"": [location]})
    for folder in _folders(location):
        kinds = {path: kind for path in sorted(folder.iterdir()) if (kind := _kind(path)) is not None}
        if not kinds:
            continue
        kind = next(iter(kinds.values()))
        files = [path for path, one in kinds.items() if one == kind]
        files = [path for path in files if path.suffix != ".gz" or path.with_suffix("") not in kinds]  # unpacked beside
        parts: dict[str, list[Path]] = {}
        for path in files:
            test = re.search(r"test|t10k", path.name, re.I)
            parts.setdefault(
                "test" if test else "train" if re.search("train|batch", path.name, re.I) else "", []
            ).append(path)
        if kind == "idx" and (many := next((files for files in parts.values() if len(files) > 1), None)):
            raise DataError(
                f"{folder} holds several sets of images ({', '.join(p.name for p in many[:4])}); give one file"
            )
        ordered: dict[str, list[Path]] = {part: parts[part] for part in ("", "train", "test") if part in parts}
        return kind, {"": next(iter(ordered.values()))} if len(ordered) == 1 else ordered
    return None


def dataset_files(location: Path) -> set[str]:
    """Return the files of the data set below `location`, by their relative names, with those of its labels."""
    found = _files(location)
    folders = {file.parent for files in found[1].values() for file in files} if found else ()
    return {
        path.relative_to(location).as_posix()
        for folder in folders
        for path in folder.iterdir()
        if _PARTS.fullmatch(path.name) or _CIFAR.fullmatch(path.name)
    }


def _kind(path: Path) -> str | None:
    if not (_IDX.fullmatch(path.name) or _CIFAR.fullmatch(path.name)) or not path.is_file():
        return None
    with disk.opened(path, follow=True) as file:
        return is_dataset_file(path, file.read(32))


def _folders(location: Path) -> Sequence[Path]:
    """Return `location` and up to 100 folders at most two below it."""
    children = _below(location)
    return [location, *children, *(inner for child in children for inner in _below(child))][:100]


def _below(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(e.path) for e in entries if e.is_dir(follow_symlinks=False) and e.name[0] != ".")[:100]
    except OSError:
        return []


# -- IDX ---------------------------------------------------------------------------------------------------------------
def _idx_images(path: Path) -> NDArray[np.uint8]:
    pixels = _idx(path, 3, 4)
    if pixels.ndim == 4 and pixels.shape[3] not in (1, 3):
        raise DataError(f"{path} holds {pixels.shape}; images are (n, height, width) or (n, height, width, 1 or 3)")
    return pixels


def _idx(path: Path, *dimensions: int) -> NDArray[np.uint8]:
    try:
        with disk.opened(path, follow=True) as raw:
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            with gzip.open(raw) if packed else raw as file:
                head = file.read(4)
                count = head[3] if len(head) == 4 and head[:3] == b"\0\0\x08" else 0
                shape = _idx_head(path, head + file.read(4 * count)) if count else None
                if shape is None or len(shape) not in dimensions:
                    raise DataError(
                        f"{path} is no IDX file of bytes with {' or '.join(map(str, dimensions))} dimensions"
                    )
                size = int(np.prod([int(n) for n in shape], dtype=object))
                packs = os.fstat(raw.fileno()).st_size * (_DEFLATE if packed else 1)  # how much can be in it
                there = size <= min(_MOST, packs)
                if there and size > available_memory():
                    raise DataError(f"{path}: {shape} do not fit in memory")
                data = file.read(size + 1) if there else b""
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    if len(data) != size:
        raise DataError(f"{path} is damaged: it states {shape} and holds {'more' if len(data) > size else 'less'}")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _idx_labels_file(path: Path) -> Path:
    name = re.sub(r"images?", "labels", path.name, flags=re.I).replace("idx3", "idx1").replace("idx4", "idx1")
    other = name.removesuffix(".gz") if name.endswith(".gz") else f"{name}.gz"
    return path.with_name(name) if path.with_name(name).exists() else path.with_name(other)


# -- CIFAR -------------------------------------------------------------------------------------------------------------
def _cifar_images(path: Path) -> NDArray[np.uint8]:
    if path.suffix == ".bin":
        rows = _binary(path)[:, -_ROW:]
    else:
        found = _batch(path)
        rows = found[b"data"]
    return np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def _cifar_labels(path: Path, word: str) -> NDArray[Any] | None:
    if path.suffix == ".bin":
        rows = _binary(path)
        both = rows.shape[1] == _ROW + 2  # CIFAR-100: coarse, fine
        column = {"auto": -_ROW - 1, "fine": -_ROW - 1 if both else None, "coarse": 0 if both else None}.get(word)
        return None if column is None else rows[:, column]
    found = _batch(path)
    keys = _LABELS.get(word, (word.encode(),))
    key = next((key for key in keys if key in found and key != b"data"), None)
    return None if key is None else _flat(found[key], f"{path}, {printable(word)}")


def _flat(values: Any, what: str) -> NDArray[Any]:
    """Return labels as an array: lists in lists and long texts would be written out by NumPy."""
    if isinstance(values, np.ndarray):
        return values
    if type(values) not in (list, tuple) or not all(type(one) in (int, bool, float, str, bytes) for one in values):
        raise DataError(f"{what}: labels are one number or word an image")
    if any(len(one) > _WORD for one in values if isinstance(one, str | bytes)):
        raise DataError(f"{what}: a label of more than {_WORD} letters")
    return np.asarray(values)


def _binary(path: Path) -> NDArray[np.uint8]:
    data = _bytes(path)
    width = _ROW + 1 if "batch" in path.name or len(data) % (_ROW + 2) else _ROW + 2
    if not data or len(data) % width:
        raise DataError(f"{path} is damaged: {len(data):,} bytes are no whole number of images of {width:,}")
    return np.frombuffer(data, np.uint8).reshape(-1, width)


def _batch(path: Path) -> dict[bytes, Any]:
    """Return a pickled batch, its keys as bytes."""
    found = plain_pickle(_bytes(path, _PICKLE), str(path))
    batch = (
        {key.encode(errors="surrogatepass") if isinstance(key, str) else key: one for key, one in found.items()}
        if type(found) is dict
        else {}
    )
    data = batch.get(b"data")
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != _ROW:
        raise DataError(f"{path} is a pickle without the images of CIFAR (`data`, uint8 of shape (n, 3072))")
    return batch


def _bytes(path: Path, limit: int = _MOST) -> bytes:
    try:
        return disk.read_bytes(path, limit, follow=True)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
