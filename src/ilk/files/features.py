"""Features of the user's own: vectors in a .npy or Parquet file or an array, beside images or instead of them."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ilk.errors import DataError
from ilk.files.arrays import mapped_npy
from ilk.files.columns import read_vectors
from ilk.files.large import release
from ilk.files.matching import some
from ilk.files.messages import plain_errors

__all__ = ["NO_FEATURES", "FeatureSet", "are_features", "load_features", "split_column"]

NO_FEATURES = "no features given"
"""Why an image is in no group that has none."""

_ALLOWED = "features: float16, float32 or float64 of shape (n, d), a row for each image"
_MOST = 1e15  # squares of larger numbers leave the range of float32
_BLOCK = 16 * 2**20  # bytes
_PARQUET = (".parquet", ".pq")


@dataclass(eq=False)
class FeatureSet:
    """Vectors, a row for each image. As a source they are images without pictures.

    Attributes
    ----------
    values : ndarray float16, float32 or float64 (n, d)
        As given; may be a memory map. A row of NaN alone means: no features.
    names : list of str
        The names in the file, else "row 0", "row 1", …
    named : bool
        Whether the file names the images.
    root : Path or None
        The file.
    about : str
        Where these are in the file: which columns.
    notes : list of str
    """

    values: NDArray[Any]
    names: list[str]
    named: bool = False
    root: Path | None = None
    about: str = ""
    notes: list[str] = field(default_factory=list)
    kind: str = "features"
    _seen: tuple[NDArray[np.bool_], str] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def what(self) -> str:
        """How the features are called in messages."""
        return "the array of features" if self.root is None else str(self.root)

    @property
    def width(self) -> int:
        """Numbers per image, d."""
        return int(self.values.shape[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """What `read` gives: float16 where they are given so, float32 otherwise."""
        return np.dtype(np.float16 if self.values.dtype.itemsize == 2 else np.float32)

    def read(self, rows: NDArray[np.int64] | slice) -> NDArray[Any]:
        """Return the features (b, d) of `rows` in `dtype`."""
        release(self.values)  # what was read before: of a mapped file all would stay in memory, block after block
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused
            return np.ascontiguousarray(self.values[rows], self.dtype)

    def blocks(self) -> list[slice]:
        """Return all rows in slices of at most 16 MiB, or of one row."""
        step = max(1, _BLOCK // (4 * self.width))
        return [slice(start, min(start + step, len(self))) for start in range(0, len(self), step)]

    def given(self) -> NDArray[np.bool_]:
        """Return (n,) whether each row holds features.

        Raises
        ------
        DataError
            A row holds NaN among its numbers, infinity, or numbers beyond 1e15; or no row holds features.
        """
        return self._looked()[0]

    def fingerprint(self) -> str:
        """Return 32 hex digits of all numbers and names. Reads them once."""
        return self._looked()[1]

    def _looked(self) -> tuple[NDArray[np.bool_], str]:
        if self._seen is None:
            content = hashlib.blake2b(f"{self.values.shape} {self.dtype}".encode(), digest_size=16)
            content.update("\0".join(self.names).encode("utf-8", "surrogateescape") if self.named else b"")
            given = np.ones(len(self), bool)
            odd: list[int] = []
            most = min(_MOST, float(np.finfo(self.dtype).max))
            for part in self.blocks():
                block = self.read(part)
                content.update(block.data)
                with np.errstate(invalid="ignore"):
                    whole = (np.abs(block) <= most).all(1)
                if not whole.all():
                    given[part] = ~np.isnan(block).all(1)
                    odd += (part.start + np.flatnonzero(~whole & given[part])).tolist()
            if odd:
                rows = "1 row holds" if len(odd) == 1 else f"{len(odd):,} rows hold"
                raise DataError(
                    f"{self.what}: {rows} NaN, infinity or numbers beyond {_MOST:g}: {some(self.names[i] for i in odd)}"
                    ". Give such images a row of NaN alone: they have no features then."
                )
            if not given.any():
                raise DataError(f"{self.what}: no row holds features; all are NaN.")
            self._seen = given, content.hexdigest()
        return self._seen


def are_features(dtype: Any, shape: tuple[int, ...]) -> bool:
    """Whether an array is one of features rather than of images."""
    return np.dtype(dtype).kind == "f" and len(shape) == 2


def load_features(spec: str | os.PathLike[str] | NDArray[Any] | FeatureSet) -> FeatureSet:
    """Return the features in a ``.npy`` or Parquet file, ``FILE.parquet:COLUMN``, or an array.

    Raises
    ------
    DataError
        There is no such file, or what it holds is not features.

    Examples
    --------
    >>> load_features(np.zeros((2, 3), np.float32)).names
    ['row 0', 'row 1']
    """
    with plain_errors():
        return _loaded(spec)


def _loaded(spec: str | os.PathLike[str] | NDArray[Any] | FeatureSet) -> FeatureSet:
    if isinstance(spec, FeatureSet):
        return spec
    if not isinstance(spec, str | os.PathLike):
        if not isinstance(spec, np.ndarray):
            raise DataError(f"features are a file or an array, got {type(spec).__name__}")
        return _set_of(spec, None)
    path, column = split_column(Path(spec))
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise DataError(f"features {path}: this {what}; give a .npy or .parquet file.")
    ending = path.suffix.lower()
    if ending == ".npy":
        return _set_of(mapped_npy(path, _ALLOWED), path)
    if ending not in _PARQUET:
        raise DataError(f"features {path}: give a float .npy (n, d), or a .parquet with a column of them.")
    found = read_vectors(path, column)
    made = _set_of(found.values, path, found.names)
    made.about = found.about
    return made


def split_column(path: Path) -> tuple[Path, str]:
    """Return the file and the column that ``FILE.parquet:COLUMN`` names.

    >>> split_column(Path("a.parquet:x"))[1], split_column(Path("a.npy"))[1]
    ('x', '')
    """
    whole = path if path.exists() else Path(os.path.expanduser(path))  # noqa: PTH111 - a home that is not there is a name
    file, colon, column = str(whole).rpartition(":")
    if colon and column and not whole.exists() and Path(file).suffix.lower() in _PARQUET:
        return Path(file), column
    return whole, ""


def _set_of(values: NDArray[Any], root: Path | None, names: list[str] | None = None) -> FeatureSet:
    """Return the checked features; what they hold is looked at later."""
    found = FeatureSet(values, names or [], names is not None, root)
    what = f"{found.what} is {values.dtype} {values.shape}"
    if values.dtype.kind in "iub":
        raise DataError(
            f"{what}; whole numbers look like pixels or labels. Allowed are {_ALLOWED}: x.astype('float32')"
        )
    if values.dtype.kind != "f" or values.dtype.itemsize > 8:
        raise DataError(f"{what}; allowed are {_ALLOWED}")
    if values.ndim != 2:
        hint = ": x.reshape(len(x), -1)" if values.ndim > 2 else ""
        raise DataError(f"{what}; allowed are {_ALLOWED}{hint}")
    if 0 in values.shape:
        raise DataError(f"{what}: there are no features in it")
    twice = [name for name, count in Counter(names or []).items() if count > 1]
    if twice:
        raise DataError(f"{found.what} names {len(twice):,} image(s) more than once: {some(twice)}")
    found.names = [f"row {i}" for i in range(len(values))] if names is None else names
    return found
