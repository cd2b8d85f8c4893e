"""Features of the user's own in a Parquet file: a column of lists, or columns of numbers, and the names beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ilk.errors import DataError, nearest
from ilk.files.large import release, room
from ilk.files.matching import LABEL_COLUMNS, NAME_COLUMNS, tidy
from ilk.files.parquet import open_parquet, read_column

__all__ = ["Columns", "has_vectors", "read_vectors"]

_USUAL = ("features", "feature", "embedding", "embeddings", "vector", "vectors")
_BYTES = 32 * 2**20  # what a batch of rows may take, by the file's own average
_NAME = 1000  # letters of the name of an image
_NUMBER = 8  # bytes of a number in a batch
_FEW, _PACKED = 64 * 2**20, 1000  # numbers that any file may have; and for each of its bytes


@dataclass(frozen=True)
class Columns:
    """What a Parquet file has to say of features.

    Attributes
    ----------
    values : (n, d) float16 or float32
        NaN in the rows where it holds none. In a file if large.
    names : list of str or None
        Tidy names of the images, where there is a column of them.
    about : str
        Which columns these are.
    """

    values: NDArray[Any]
    names: list[str] | None
    about: str


def has_vectors(path: Path) -> bool:
    """Whether a Parquet file has a column of lists of floats."""
    return any(_kind(column.type) == "vector" for column in open_parquet(path).schema_arrow)


def read_vectors(path: Path, column: str = "") -> Columns:
    """Read the features of a Parquet file.

    Parameters
    ----------
    path
    column
        Lists of floats, of any size of list, or plain floats. Empty: the only column of lists, or the one of them that
        is called features, embedding or vector; where there is none, all columns of floats, in their order, but for
        those that are called like labels.

    Raises
    ------
    DataError
        The file cannot be read, no column or more than one could be meant, or the lists are not of one length.
    """
    import pyarrow as pa

    file = open_parquet(path)
    kinds = {str(one.name): _kind(one.type) for one in file.schema_arrow}
    chosen = _chosen(path, kinds, column)
    lists = kinds[chosen[0]] == "vector"
    named = _name_column(file, chosen)
    try:
        values = _filled(path, file, chosen, lists)
    except (pa.lib.ArrowException, OSError) as error:
        raise DataError(f"{path}: the column {chosen[0]!r} cannot be read: {error}") from error
    names = None if named is None else read_column(path, named)
    if names is not None and any(name is not None and len(name) > _NAME for name in names):
        raise DataError(f"{path}: the column {named!r} holds texts of more than {_NAME:,} letters, which are no names.")
    if names is not None and None in names:
        raise DataError(f"{path}: the column {named!r} names no image in row {names.index(None)}.")
    about = f"column {chosen[0]}" if len(chosen) == 1 else f"{len(chosen)} columns, {chosen[0]} … {chosen[-1]}"
    return Columns(values, None if names is None else [tidy(name) for name in names], about)


def _kind(kind: Any) -> str:
    """Return "vector" for lists of floats, "whole" for lists of whole numbers, "number" for floats, "text", else ""."""
    import pyarrow as pa

    is_a = pa.types
    kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    if is_a.is_list(kind) or is_a.is_large_list(kind) or is_a.is_fixed_size_list(kind):
        inner = kind.value_type
        return "vector" if is_a.is_floating(inner) else "whole" if is_a.is_integer(inner) else ""
    if is_a.is_string(kind) or is_a.is_large_string(kind):
        return "text"
    return "number" if is_a.is_floating(kind) else ""


def _chosen(path: Path, kinds: dict[str, str], column: str) -> list[str]:
    """Return the columns that hold the features."""
    vectors = [name for name, kind in kinds.items() if kind == "vector"]
    there = ", ".join(kinds) or "none"
    if column:
        if column not in kinds:
            raise DataError(f"{path} has no column {column!r}; its columns are {there}.{nearest(column, kinds)}")
        if kinds[column] not in ("vector", "number"):
            raise DataError(f"{path}: the column {column!r} holds no floats: features are lists of floats, or floats.")
        return [column]
    usual = [name for name in vectors if name.lower() in _USUAL]
    if len(vectors) == 1 or len(usual) == 1:
        return usual if len(usual) == 1 else vectors
    if vectors:
        raise DataError(f"{path} has several columns of features ({', '.join(vectors)}): name one, {path}:{vectors[0]}")
    numbers = [name for name, kind in kinds.items() if kind == "number" and name.lower() not in LABEL_COLUMNS]
    if not numbers:
        whole = "; whole numbers look like pixels or labels" if "whole" in kinds.values() else ""
        raise DataError(f"{path} has no column of features, lists of floats or floats{whole}; its columns are {there}")
    return numbers


def _name_column(file: Any, chosen: list[str]) -> str | None:
    """Return the column with the names of the images."""
    texts = {one.name.lower(): str(one.name) for one in file.schema_arrow if _kind(one.type) == "text"}
    return next((texts[word] for word in NAME_COLUMNS if word in texts and texts[word] not in chosen), None)


def _filled(path: Path, file: Any, chosen: list[str], lists: bool) -> NDArray[Any]:
    """Return the chosen columns as (n, d), read a batch at a time."""
    import pyarrow as pa

    n = file.metadata.num_rows
    numbers = _numbers(path, file, chosen)
    step = int(np.clip(_BYTES * n // max(numbers * _NUMBER, 1), 1, 65_536))
    half = all("halffloat" in str(file.schema_arrow.field(name).type) for name in chosen)
    found: NDArray[Any] | None = None
    at = 0
    for batch in file.iter_batches(step, columns=chosen, use_threads=False):
        columns = [one.storage if isinstance(one, pa.ExtensionArray) else one for one in batch.columns]
        block = _listed(path, chosen[0], columns[0], at) if lists else _plain(columns)
        if found is None or (lists and found.shape[1] == 0):  # rows without a list say nothing of its length
            found = room(n, block.shape[1], np.float16 if half else np.float32)
            found[:at] = np.nan
        if block.shape[1] not in (0, found.shape[1]):
            raise DataError(_uneven(path, chosen[0], at, block.shape[1], found.shape[1]))
        with np.errstate(over="ignore"):  # what float32 cannot hold is found infinite later
            found[at : at + len(block)] = block if block.shape[1] else np.nan
        at += len(block)
        release(found)
    if found is None or not found.shape[1]:
        raise DataError(f"{path}: the column {chosen[0]!r} holds no features.")
    return found


def _numbers(path: Path, file: Any, chosen: list[str]) -> int:
    """Return how many numbers the chosen columns claim to hold.

    Numbers that are alike take no room in the file, and each takes some in memory and on the disk.
    """
    groups = [file.metadata.row_group(g) for g in range(file.metadata.num_row_groups)]
    chunks = [group.column(i) for group in groups for i in range(group.num_columns)]
    inner = tuple(f"{name}." for name in chosen)
    numbers = sum(c.num_values for c in chunks if c.path_in_schema in chosen or c.path_in_schema.startswith(inner))
    size = path.stat().st_size
    if numbers > max(_FEW, _PACKED * size):
        raise DataError(f"{path} claims {numbers:,} numbers in {size:,} bytes: they cannot be features")
    return int(numbers)


def _plain(columns: list[Any]) -> NDArray[Any]:
    """Return columns of floats as (b, d)."""
    return np.stack([one.to_numpy(zero_copy_only=False) for one in columns], axis=1)


def _listed(path: Path, name: str, column: Any, at: int) -> NDArray[Any]:
    """Return a column of lists as (b, d); NaN in rows whose list is missing or empty, and d = 0 where all are."""
    import pyarrow.compute as pc

    every = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    there = every > 0
    lengths = every[there]
    d = int(lengths[0]) if len(lengths) else 0
    if (lengths != d).any():
        odd = int(np.flatnonzero(lengths != d)[0])
        raise DataError(_uneven(path, name, at + int(np.flatnonzero(there)[odd]), int(lengths[odd]), d))
    block = np.full((len(column), d), np.nan, np.float64)
    if d:
        block[there] = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, d)
    return block


def _uneven(path: Path, name: str, row: int, d: int, usual: int) -> str:
    return f"{path}: {name!r} has {d:,} numbers in row {row}, and {usual:,} before: features are of one length."
