"""Images that are arrays already: npz, npy, scikit-learn's digits, an ndarray in memory -> `ArraySet`.

Only pixels are read here: of an npz the keys `x`, `x_train` and `x_test` and no other. No pickle is ever loaded.
"""

from __future__ import annotations

import hashlib
import math
import zipfile
from dataclasses import dataclass, field
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ilk import disk
from ilk.errors import DataError
from ilk.files.passed import PassedOver
from ilk.files.unpacking import DAMAGED, Member
from ilk.machine import available_memory

__all__ = [
    "ARRAY_KINDS",
    "ArraySet",
    "as_before",
    "from_array",
    "load_digits",
    "load_npy",
    "load_npz",
    "mapped_npy",
    "npz_array",
    "npz_header",
]

ARRAY_KINDS = ("npz", "npy", "digits", "idx", "cifar", "array")
"""Kinds of `ArraySet`: their images have numbers for names, so labels go by position."""

_ALLOWED = "uint8 images of shape (n, height, width), (n, height, width, 1) or (n, height, width, 3)"
_HASHED_WHOLE = 2**30  # bytes; of a larger array the fingerprint takes a sample of the images
_SAMPLE = 4096
_HEADER = 64 * 2**10  # bytes; NumPy itself reads no header above 10,000
_PIECE = 2**20


@dataclass(eq=False)
class ArraySet:
    """Images of one size.

    Attributes
    ----------
    kind : str
        One of `ARRAY_KINDS`.
    pixels : ndarray uint8 (n, h, w) or (n, h, w, c)
        c is 1 or 3. May be a read-only memmap.
    names : list of str
        Unique: "000000", "train/000000" or "digits/0000".
    root : Path or None
        The file; None for what is in memory.
    notes : list of str
        What the user should know.
    passed_over : PassedOver
        What lies beside the files of a published data set.
    by_content : bool
        Whether `fingerprint` reads all pixels, however many.
    """

    kind: str
    pixels: NDArray[np.uint8]
    names: list[str]
    root: Path | None = None
    notes: list[str] = field(default_factory=list)
    passed_over: PassedOver = field(default_factory=PassedOver)
    by_content: bool = False
    _fingerprint: str | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.names)

    def fingerprint(self) -> str:
        """32 hex digits of the pixels and nothing else.

        Above 1 GiB of 4,096 images spread over them, unless `by_content`.
        """
        if self._fingerprint is None:
            pixels = self.pixels
            digest = hashlib.blake2b(f"{pixels.shape}".encode(), digest_size=16)
            index: Any = np.arange(len(pixels))
            if pixels.nbytes > _HASHED_WHOLE and not self.by_content:
                index = np.unique(np.linspace(0, len(pixels) - 1, _SAMPLE).astype(np.int64))
            step = max(1, 2**24 // max(1, pixels[0].nbytes))
            for i in range(0, len(index), step):
                digest.update(np.ascontiguousarray(pixels[index[i : i + step]]).data)
            self._fingerprint = digest.hexdigest()
        return self._fingerprint


def as_before(images: ArraySet, fingerprint: object) -> None:
    """Let `images` give the fingerprint of all pixels, where the one of a run may have been made so and differs."""
    if images.pixels.nbytes > _HASHED_WHOLE and images.fingerprint() != fingerprint:
        images.by_content, images._fingerprint = True, None


def from_array(pixels: NDArray[Any], split: str = "all") -> ArraySet:
    """An array in memory, or a memmap.

    >>> from_array(np.zeros((2, 8, 8), np.uint8)).names
    ['000000', '000001']
    """
    _no_split(split, "an array")
    _check(pixels.dtype, pixels.shape, "the array")
    return ArraySet("array", pixels, _numbered(len(pixels)))


def load_npy(path: Path, split: str = "all") -> ArraySet:
    """A .npy file, mapped and not read.

    Raises
    ------
    DataError
        Where it is damaged, or holds anything but uint8 images.
    """
    _no_split(split, str(path))
    pixels = mapped_npy(path, _ALLOWED)
    _check(pixels.dtype, pixels.shape, str(path))
    return ArraySet("npy", pixels, _numbered(len(pixels)), path)


def mapped_npy(path: Path, wanted: str) -> NDArray[Any]:
    """Return the array of a .npy file, mapped and not read; `wanted` says for the error what it should be."""
    try:
        found: NDArray[Any] = disk.read_array(path, follow=True)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read as {wanted}: {_plain(error)}") from error
    return found


def load_npz(path: Path, split: str = "all") -> ArraySet:
    """The key `x`, or `x_train` and `x_test`, of a .npz file.

    Raises
    ------
    DataError
        Where it is damaged, has other keys, or holds anything but uint8 images.
    """
    headers = npz_header(path)
    if "x" in headers:
        _no_split(split, str(path))
        parts = {"": "x"}
    elif {"x_train", "x_test"} <= headers.keys():
        parts = {part: f"x_{part}" for part in ("train", "test") if split in ("all", part)}
    else:
        found = ", ".join(sorted(headers)) or "none"
        raise DataError(f"{path} has no key `x`, nor `x_train` and `x_test`; its keys are {found}")
    shapes = {key: headers[key][0] for key in parts.values()}
    for key, shape in shapes.items():
        _check(headers[key][1], shape, f"{path}, key {key!r}")
    if len({shape[1:] for shape in shapes.values()}) > 1:
        raise DataError(f"{path}: x_train {shapes['x_train']} and x_test {shapes['x_test']} are of different sizes")
    counts = [shape[0] for shape in shapes.values()]
    whole = (sum(counts), *next(iter(shapes.values()))[1:])
    if math.prod(whole) > available_memory():
        raise DataError(f"{path}: {whole[0]:,} images of {whole[1:]} do not fit in memory; use a .npy file")
    if len(parts) == 1:
        pixels = npz_array(path, next(iter(shapes)))
    else:  # part by part into one array: never twice the whole in memory
        pixels = np.empty(whole, np.uint8)
        at = 0
        for key, count in zip(shapes, counts, strict=True):
            pixels[at : at + count] = npz_array(path, key)
            at += count
    names = [f"{part}/{name}" if part else name for part, n in zip(parts, counts, strict=True) for name in _numbered(n)]
    notes = []
    if len(parts) == 2:
        notes.append(f"merged x_train ({counts[0]:,}) and x_test ({counts[1]:,}); split=train or test takes one")
    return ArraySet("npz", pixels, names, path, notes)


def load_digits(split: str = "all") -> ArraySet:
    """The 1,797 handwritten digits (8 × 8) inside scikit-learn, 0 … 16 brought to 0 … 255."""
    _no_split(split, "digits")
    pixels = np.rint(_digits() * (255 / 16)).astype(np.uint8)
    return ArraySet("digits", pixels, [f"digits/{i:04d}" for i in range(len(pixels))])


def _digits() -> NDArray[np.float64]:
    """Return the (1797, 8, 8) images of scikit-learn, from its file: importing it takes most of a second."""
    spec = find_spec("sklearn")
    for location in spec.submodule_search_locations or () if spec else ():
        file = Path(location) / "datasets" / "data" / "digits.csv.gz"
        if file.is_file():
            return np.loadtxt(file, delimiter=",")[:, :-1].reshape(-1, 8, 8)
    from sklearn.datasets import load_digits as load

    return np.asarray(load().images, np.float64)


def npz_header(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Shape and dtype of every array in a .npz file; the data stays unread.

    Raises
    ------
    DataError
        Where it is not a .npz file.
    """
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.filename.endswith(".npy"):
                    with Member(archive, info) as member:
                        shape, _, dtype = disk.array_header(BytesIO(member.read(_HEADER)))
                        found[info.filename.removesuffix(".npy")] = (shape, dtype)
    except DAMAGED as error:
        raise DataError(f"{path} is not a readable .npz file: {_plain(error)}") from error
    return found


def npz_array(path: Path, key: str) -> NDArray[Any]:
    """One array of a .npz file.

    Raises
    ------
    DataError
        Where it is damaged or would need pickle.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo(f"{key}.npy")
            with Member(archive, info) as member:
                return _read_array(member, info.file_size)
    except (*DAMAGED, MemoryError, KeyError) as error:
        raise DataError(f"{path}: the key {key!r} cannot be read: {_plain(error)}") from error


def _read_array(member: Member, stated: int) -> NDArray[Any]:
    """Return the array of a member of `stated` bytes, which is read a piece at a time."""
    start = member.read(_HEADER)
    head = BytesIO(start)
    shape, fortran, dtype = disk.array_header(head)
    if dtype.hasobject:
        raise ValueError("Python objects")
    size = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or size > stated - head.tell():
        raise ValueError(f"it states {shape} and holds less")
    if size > available_memory():
        raise ValueError(f"{shape} do not fit in memory")
    data = np.empty(size, np.uint8)
    piece, at = start[head.tell() :][:size], 0
    while at < size:
        if not piece:
            raise ValueError(f"it states {shape} and breaks off")
        data[at : at + len(piece)] = np.frombuffer(piece, np.uint8)
        at += len(piece)
        piece = member.read(min(_PIECE, size - at))
    return data.view(dtype).reshape(shape, order="F" if fortran else "C")


def _check(dtype: np.dtype[Any], shape: tuple[int, ...], what: str) -> None:
    if len(shape) == 2:
        hint = ": x.astype('float32')" if dtype.kind in "iub" else ""
        raise DataError(
            f"{what} is {dtype} of shape {shape}; allowed are {_ALLOWED}, and features (n, d) as a float .npy{hint}"
        )
    if dtype != np.uint8:
        hint = "; scale floats with (x * 255).round().astype('uint8')" if dtype.kind == "f" else ""
        raise DataError(f"{what} is {dtype} {shape}; allowed are {_ALLOWED}{hint}")
    if len(shape) == 4 and shape[3] == 4:
        raise DataError(f"{what} is {shape}, with alpha; compose it over a colour first: allowed are {_ALLOWED}")
    if len(shape) == 4 and shape[1] in (1, 3) and shape[3] not in (1, 3):
        raise DataError(f"{what} is {shape}, channels first; use x.transpose(0, 2, 3, 1): allowed are {_ALLOWED}")
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3)):
        raise DataError(f"{what} is of shape {shape}; allowed are {_ALLOWED}")
    if 0 in shape:
        raise DataError(f"{what} is of shape {shape}: there is no image in it")


def _no_split(split: str, what: str) -> None:
    if split != "all":
        raise DataError(f"{what} has no train and test parts, so there is no split {split!r}; leave it out")


def _numbered(count: int) -> list[str]:
    width = max(6, len(str(count - 1)))
    return [f"{i:0{width}d}" for i in range(count)]


def _plain(error: BaseException) -> str:
    """An error's first line, and in ilk's words where NumPy speaks of pickle."""
    text = str(error).strip().split("\n")[0]
    if "pickle" in text or "Python objects" in text:
        return "it is not plain numbers (pickle, which is never loaded), or damaged"
    return text[:200] or type(error).__name__
