"""A Parquet file with an image column as `Listing`: rows are read a window at a time, the column never as a whole."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ilk.errors import DataError
from ilk.files.listing import Listing, Row, build

__all__ = ["column_names", "has_images", "list_parquet", "open_parquet", "read_column"]

_WINDOW_BYTES = 32 * 2**20  # what one window of rows may take, by the file's own average
_WINDOWS = 3  # how many are kept: threads that walk the file together are not all in the same one


def list_parquet(path: Path, split: str = "all") -> Listing:
    """Images of a Parquet file, in row order.

    The image column is the one named "image", else the only one of the kind: binary, or a struct with `bytes` and
    maybe `path`. A name is the row's path where the column has one, else the row's number.

    Raises
    ------
    DataError
        Where the file cannot be read or no column, or more than one, could be meant.
    """
    file = open_parquet(path)
    column, in_struct, with_path = _image_column(file, path)
    count = file.metadata.num_rows
    width = max(6, len(str(max(count - 1, 0))))
    given = read_column(path, f"{column}.path") if with_path else []
    rows = [Row(_row_name(given[i] if given else None, i, width), where=i) for i in range(count)]
    windows = _Windows(file, column, in_struct)

    def reader(rows: list[Row]) -> Callable[[int], bytes]:
        # a split may have left rows out: positions in the listing are not positions in the file
        place = np.fromiter((int(str(row.where)) for row in rows), np.int64, len(rows))
        return lambda i: windows.read(int(place[i]))

    state = path.stat()
    salt = f"{state.st_size}:{state.st_mtime_ns}:{column}"
    return build("parquet", path, rows, reader, split=split, ordered=True, salt=salt)


def read_column(path: Path, column: str) -> list[Any]:
    """One small column of a Parquet file (a nested one as "image.path") as a list.

    Raises
    ------
    DataError
        Where it cannot be read.
    """
    import pyarrow as pa

    outer, _, inner = column.partition(".")
    try:
        found = open_parquet(path).read(columns=[column], use_threads=False).column(outer).combine_chunks()
        return list((found.field(inner) if inner else found).to_pylist())
    except (pa.lib.ArrowException, OSError, KeyError) as error:
        raise DataError(f"{path}: the column {column!r} cannot be read: {error}") from error


def column_names(path: Path) -> list[str]:
    """Names of the columns of a Parquet file."""
    return [str(name) for name in open_parquet(path).schema_arrow.names]


def open_parquet(path: Path) -> Any:
    """Return the open Parquet file.

    Raises
    ------
    DataError
        It cannot be read as one.
    """
    # pyarrow takes 0.2 s to import and most sources are not Parquet
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path, buffer_size=2**20, pre_buffer=False)
    except (pa.lib.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a readable Parquet file: {str(error).splitlines()[0]}") from error


def has_images(path: Path) -> bool:
    """Whether a Parquet file has a column that may hold images."""
    return bool(_candidates(open_parquet(path)))


def _candidates(file: Any) -> dict[str, tuple[bool, bool]]:
    """Columns that may hold images: whether each is a struct, and whether that has a path."""
    import pyarrow as pa

    def is_bytes(kind: Any) -> bool:
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    candidates: dict[str, tuple[bool, bool]] = {}
    for column in file.schema_arrow:
        kind = column.type
        if is_bytes(kind):
            candidates[column.name] = (False, False)
        elif pa.types.is_struct(kind):
            inner = {kind.field(i).name: kind.field(i).type for i in range(kind.num_fields)}
            if "bytes" in inner and is_bytes(inner["bytes"]):
                candidates[column.name] = (True, "path" in inner and pa.types.is_string(inner["path"]))
    return candidates


def _image_column(file: Any, path: Path) -> tuple[str, bool, bool]:
    """Name of the image column, whether it is a struct, and whether that has a path."""
    candidates = _candidates(file)
    names = [column.name for column in file.schema_arrow]
    if "image" in candidates:
        return ("image", *candidates["image"])
    if not candidates:
        raise DataError(
            f"{path} has no image column (binary, or a struct with `bytes`); "
            f"its columns are {', '.join(names) or 'none'}"
        )
    if len(candidates) > 1:
        raise DataError(f"{path} has several image columns ({', '.join(candidates)}); name the wanted one `image`")
    ((name, (in_struct, with_path)),) = candidates.items()
    return name, in_struct, with_path


def _row_name(given: str | None, i: int, width: int) -> str:
    """The path a row states, if it is a plain relative one; else the row's number."""
    parts = given.replace("\\", "/").split("/") if given else [".."]
    return "/".join(parts) if ".." not in parts and parts[0] and ":" not in parts[0] else f"{i:0{width}d}"


class _Windows:
    """The image column, a window of rows at a time; going on is cheap, going back starts a row group again."""

    def __init__(self, file: Any, column: str, in_struct: bool) -> None:
        self._file, self._column, self._in_struct = file, column, in_struct
        self._lock = threading.Lock()
        groups = [file.metadata.row_group(g) for g in range(file.metadata.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum([group.num_rows for group in groups], dtype=np.int64)])
        self._steps = [
            int(np.clip(_WINDOW_BYTES * group.num_rows // max(group.total_byte_size, 1), 1, 4096)) for group in groups
        ]
        self._cache: OrderedDict[tuple[int, int], Any] = OrderedDict()  # (row group, window) -> rows
        self._at: tuple[int, int] = (-1, 0)  # the row group being read, and its next window
        self._batches: Iterator[Any] = iter(())

    def read(self, row: int) -> bytes:
        import pyarrow as pa

        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        window, place = divmod(row - int(self._starts[group]), self._steps[group])
        try:
            with self._lock:
                value = self._window(group, window)[place].as_py()
        except (pa.lib.ArrowException, StopIteration, IndexError) as error:
            raise OSError(f"damaged in the Parquet file: {error}") from error
        if value is None:
            raise OSError("no image in this row")
        return bytes(value)

    def _window(self, group: int, window: int) -> Any:
        if (group, window) in self._cache:
            self._cache.move_to_end((group, window))
            return self._cache[group, window]
        if self._at[0] != group or self._at[1] > window:
            column = f"{self._column}.bytes" if self._in_struct else self._column
            self._batches = self._file.iter_batches(
                self._steps[group], row_groups=[group], columns=[column], use_threads=False
            )
            self._at = (group, 0)
        for at in range(self._at[1], window + 1):
            found = next(self._batches).column(0)
            self._at = (group, at + 1)
        self._cache[group, window] = found.field("bytes") if self._in_struct else found
        while len(self._cache) > _WINDOWS:
            self._cache.popitem(last=False)
        return self._cache[group, window]
