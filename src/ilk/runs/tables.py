"""Tables of a run, read with bounds: as many rows as such a file can hold, plain columns of the right types only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ilk import disk
from ilk.runs.columns import COLUMNS

__all__ = ["count_rows", "read_table"]

_ROWS_PER_BYTE, _FREE_ROWS = 4, 1000  # tables of ours take 1.3 bytes a row at least; fewer is a bomb
_CELL = 32  # bytes of memory that a value takes in a list
_TEXT = 1 << 16  # most characters of one text


_OPTIONAL = {column.name: column.kind for column in COLUMNS if column.kind != "object"}
"""Columns that a table of ours may lack, and what they hold where they are there."""
_FORMER = {"group": "cluster", "duplicate_of": "twin"}
"""What columns were called in tables of version 1. A twin was the number of a row; `duplicate_of` is a path."""


def read_table(path: Path, needed: Mapping[str, str], *, more: bool = True) -> dict[str, list[Any]]:
    """Return the plain columns of a Parquet file as lists; equal texts share their memory.

    Columns have the names and meanings of today, also those of an older table.

    Parameters
    ----------
    path
    needed
        Column -> "whole", "number" or "text".
    more
        Return further columns too, where they are of one of these kinds.

    Raises
    ------
    OSError
        Missing, a link, or no regular file.
    ValueError
        Damaged; a column is missing or of another kind; or far more rows than a file of that size would hold.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with disk.opened(path) as file:
            found = pq.ParquetFile(file)
            kinds = {column.name: _kind(column.type) for column in found.schema_arrow}
            _check_size(path, found.metadata, len(kinds))
            former = {new: old for new, old in _FORMER.items() if old in kinds and new not in kinds}
            _check_kinds(kinds, needed, former)
            wanted = {former.get(name, name) for name in needed}
            plain = [name for name, kind in kinds.items() if kind and (more or name in wanted)]
            file.seek(0)
            texts = [name for name in plain if kinds[name] == "text"]
            table = pq.ParquetFile(file, read_dictionary=texts).read(columns=plain, use_threads=False)
            columns = {name: _values(name, table.column(name)) for name in plain}
            if short := [name for name, values in columns.items() if len(values) != found.metadata.num_rows]:
                raise ValueError(f"column {short[0]} is not as long as the table")
            return _renamed(columns, former)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from None


def _check_kinds(kinds: Mapping[str, str], needed: Mapping[str, str], former: Mapping[str, str]) -> None:
    """Raise unless the columns that are needed are there, and all that have a name of ours hold what they should."""
    known = {name: kind for name, kind in _OPTIONAL.items() if former.get(name, name) in kinds}
    for name, kind in {**known, **needed}.items():
        stored = former.get(name, name)
        kind = "whole" if stored == "twin" else kind
        if stored not in kinds:
            raise ValueError(f"no column {name}")
        if kinds[stored] not in (kind, "nothing") and (kind, kinds[stored]) != ("number", "whole"):
            raise ValueError(f"column {stored} is of another type")


def _renamed(columns: dict[str, list[Any]], former: Mapping[str, str]) -> dict[str, list[Any]]:
    """Return the columns of an older table as a table of today has them."""
    today = {old: new for new, old in former.items()}
    if (rows := columns.get("twin")) is not None and "twin" in today:
        paths = columns.get("path", [])
        if not all(row is None or 0 <= row < len(paths) for row in rows):
            raise ValueError("a duplicate of an image that is not there")
        columns = {**columns, "twin": [None if row is None else paths[row] for row in rows]}
    return {today.get(name, name): values for name, values in columns.items()}


def count_rows(path: Path) -> int:
    """Return the number of rows of a Parquet file, read from its foot; errors as those of `read_table`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with disk.opened(path) as file:
            found = pq.ParquetFile(file).metadata
            _check_size(path, found, found.num_columns)
            return int(found.num_rows)
    except pa.ArrowException as error:
        raise ValueError(str(error)) from None


def _kind(type_: Any) -> str:
    """Return what a column holds: whole, number, text, nothing; empty for what no table of ours has."""
    from pyarrow import types

    if types.is_integer(type_):
        return "whole"
    if types.is_floating(type_):
        return "number"
    if types.is_string(type_) or types.is_large_string(type_):
        return "text"
    return "nothing" if types.is_null(type_) else ""


def _check_size(path: Path, metadata: Any, n_columns: int) -> None:
    rows, size = metadata.num_rows, path.stat().st_size
    if not 0 <= rows <= _ROWS_PER_BYTE * size + _FREE_ROWS:
        raise ValueError(f"{rows:,} rows in {size:,} bytes")
    if hasattr(os, "sysconf"):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if 2 * rows * n_columns * _CELL > memory:
            raise ValueError(f"{rows:,} rows do not fit into the memory of this machine")


def _values(name: str, column: Any) -> list[Any]:
    """Return a column as a list. A text that is there a million times is one text in memory."""
    found: list[Any] = []
    for chunk in column.chunks:
        if hasattr(chunk, "dictionary"):
            words = chunk.dictionary.to_pylist()
            if any(len(word) > _TEXT for word in words if word is not None):
                raise ValueError(f"column {name} holds a text of more than {_TEXT:,} characters")
            indices = chunk.indices.to_pylist()
            if any(i is not None and not 0 <= i < len(words) for i in indices):
                raise ValueError(f"column {name} has words beyond its dictionary")
            found += [None if i is None else words[i] for i in indices]
        else:
            found += chunk.to_pylist()
    return found
