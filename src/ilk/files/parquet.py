"""A Parquet file with an image column as `Listing`: rows are read a window at a time, the column never as a whole."""

# ruff: noqa: PTH116, PTH118
# Plain strings and os: a Path for each of 100,000 rows takes seconds.

from __future__ import annotations

import base64
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ilk.disk import one_line
from ilk.errors import DataError, nearest
from ilk.files.addresses import Address, is_address
from ilk.files.folders import read_path
from ilk.files.listing import IMAGE_EXTENSIONS, MAX_BYTES, Listing, Row, build, looks_like_image
from ilk.files.matching import NAME_COLUMNS
from ilk.files.passed import extension
from ilk.files.reading import Handle, Reader, state_of
from ilk.files.remote import seekable
from ilk.files.windows import Windows

__all__ = ["TableReader", "column_names", "has_images", "is_column", "list_parquet", "open_parquet", "read_column"]

_ROWS = 100_000  # as many may be in a file of any size
_BYTES = "BYTE_ARRAY"  # how Parquet calls bytes and texts of any length
_NAME = 1000  # letters of a path that is a name too
_LOOKED_AT = 16  # rows, to see what a column of text holds


def list_parquet(path: Path | Address, split: str = "all", column: str = "") -> Listing:
    """Images of a Parquet file, in row order.

    The image column is `column`, else the one named "image", else the only one of the kind: binary, or a struct with
    `bytes` and maybe `path`; where there is none, texts that are base64 or names of files. A name is the row's path
    where the column has one, else the row's number. Rows with a path and no bytes are files in the folder of the table
    or below it, and nowhere else.

    Raises
    ------
    DataError
        Where the file cannot be read or no column, or more than one, could be meant.
    """
    state = state_of(path)
    file = open_parquet(path)
    name, kind = _image_column(file, path, column)
    count = file.metadata.num_rows
    width = max(6, len(str(max(count - 1, 0))))
    paths = {"struct+path": f"{name}.path", "path": name}.get(kind)
    given = read_column(path, paths) if paths else []
    beside = Beside(path.parent)
    rows = [Row(_row_name(given[i] if given else None, i, width), where=i) for i in range(count)]
    if kind == "path":
        rows = [beside.row(row, given[i]) for i, row in enumerate(rows)]
        return build("parquet", path, rows, beside.reader, split=split, ordered=True, salt=_salt(state, name))
    if kind == "struct+path":
        for i, all_are in _without_bytes(file, f"{name}.bytes"):
            rows[i] = beside.stamped(rows[i], given[i], all_are)
    leaf = f"{name}.bytes" if kind.startswith("struct") else name
    table = _Table(path, state, leaf, name, kind)

    def reader(rows: list[Row]) -> TableReader:
        # a split may have left rows out: positions in the listing are not positions in the file
        positions = np.fromiter((int(str(row.where)) for row in rows), np.int64, len(rows))
        return TableReader(table, positions, [given[i] for i in positions] if given else [], beside.folder)

    salt = f"{_salt(state, name)}:{beside.seen()}"
    return build("parquet", path, rows, reader, split=split, ordered=True, salt=salt)


def _without_bytes(file: Any, column: str) -> Iterator[tuple[int, bool]]:
    """Yield the rows that may hold nothing in `column`, and whether they do for sure: by what is said of row groups."""
    start = 0
    schema = file.metadata.schema
    types = {schema.column(i).path: schema.column(i).physical_type for i in range(len(schema))}
    for g in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(g)
        chunk = next((c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == column), None)
        if chunk is not None and chunk.physical_type != types.get(
            column
        ):  # asked for its statistics, pyarrow would abort
            raise DataError(f"the Parquet file is damaged: part {g} of its column {column!r} is of another type")
        record = chunk.statistics if chunk is not None and chunk.is_stats_set else None
        if record is None or not record.has_null_count or record.null_count:
            all_are = record is not None and record.has_null_count and record.null_count == group.num_rows
            yield from ((i, all_are) for i in range(start, start + group.num_rows))
        start += group.num_rows


def _salt(state: tuple[int, int], column: str) -> str:
    return f"{state[0]}:{state[1]}:{column}"


@dataclass(frozen=True, eq=False)
class TableReader(Reader):
    """Rows of a table, by their positions (n,) int64; those that hold no image may name a file below `folder`."""

    table: Handle[Windows]
    positions: NDArray[np.int64]
    given: list[str | None]  # the names; empty where the table has none
    folder: str

    def __call__(self, i: int) -> bytes:
        """Return the bytes of image `i`."""
        data = self.table.get().read(int(self.positions[i]))
        if data is None and self.given and (name := self.given[i]):
            return read_path(_place(self.folder, name))
        if not data:
            raise OSError("no image in this row")
        return data

    def take(self, rows: Sequence[int]) -> TableReader:
        """Return the reader of the images `rows` alone."""
        given = [self.given[i] for i in rows] if self.given else []
        return TableReader(self.table, self.positions[np.asarray(rows, np.int64)], given, self.folder)


class _Table(Handle[Windows]):
    """An open table, and the rows of its image column that were read last."""

    def _opened(self) -> Windows:
        leaf, name, kind = self.how
        try:
            return Windows(open_parquet(self.path, packed=leaf), name, kind)
        except DataError as error:  # it could be read when it was listed
            raise OSError(str(error)) from error


def read_column(path: Path | Address, column: str) -> list[Any]:
    """One small column of a Parquet file (a nested one as "image.path") as a list; equal texts are one object.

    Raises
    ------
    DataError
        Where it cannot be read.
    """
    import pyarrow as pa

    outer, _, inner = column.partition(".")
    try:
        file = open_parquet(path, packed=column)
        values: list[Any] = []
        for group in range(file.metadata.num_row_groups):  # each has values of its own to point to
            for chunk in file.read_row_group(group, columns=[column], use_threads=False).column(outer).chunks:
                found = chunk.field(inner) if inner else chunk
                if isinstance(found, pa.DictionaryArray):
                    words = found.dictionary.to_pylist()
                    values += [None if at is None else words[at] for at in found.indices.to_pylist()]
                else:
                    values += found.to_pylist()
        return values
    # ValueError: no UTF-8; OverflowError: dates and times that Python does not have
    except (pa.lib.ArrowException, OSError, KeyError, IndexError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: the column {column!r} cannot be read: {one_line(error)[:200]}") from error


def column_names(path: Path | Address) -> list[str]:
    """Names of the columns of a Parquet file."""
    return [str(name) for name in open_parquet(path).schema_arrow.names]


def open_parquet(path: Path | Address, packed: str = "") -> Any:
    """Return the open Parquet file.

    Parameters
    ----------
    path
    packed : str
        A column of bytes or texts whose values stay where they are once, and rows point to them: one value may stand in
        a hundred thousand rows, and would else take its room in memory in each.

    Raises
    ------
    DataError
        It cannot be read as one, or it claims far more rows than bytes: rows that are alike take no room in the file,
        and each takes some in memory.
    """
    # pyarrow takes 0.2 s to import and most sources are not Parquet
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(seekable(path), buffer_size=2**20, pre_buffer=False)
        rows, size = file.metadata.num_rows, state_of(path)[0]
    except (pa.lib.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a readable Parquet file: {one_line(error)[:200]}") from error
    if not 0 <= rows <= _ROWS + size:
        raise DataError(f"{path} claims {rows:,} rows in {size:,} bytes: they cannot hold images or features")
    leaves = file.metadata.schema
    if any(leaves.column(i).path == packed and leaves.column(i).physical_type == _BYTES for i in range(len(leaves))):
        return pq.ParquetFile(
            seekable(path), metadata=file.metadata, read_dictionary=[packed], buffer_size=2**20, pre_buffer=False
        )
    return file


def has_images(path: Path) -> bool:
    """Whether a Parquet file has a column of bytes that may be images."""
    return bool(_candidates(open_parquet(path)))


def is_column(path: Path, column: str) -> bool:
    """Whether `column` of a Parquet file may be images: bytes, base64 or names of files."""
    file = open_parquet(path)
    return column in _candidates(file) or column in _texts(file)


def _candidates(file: Any) -> dict[str, str]:
    """Columns of bytes that may be images, and how they lie: "bytes", "struct" or "struct+path"."""
    import pyarrow as pa

    def is_bytes(kind: Any) -> bool:
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    def is_text(kind: Any) -> bool:
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))

    candidates: dict[str, str] = {}
    for column in file.schema_arrow:
        kind = column.type
        if is_bytes(kind):
            candidates[column.name] = "bytes"
        elif pa.types.is_struct(kind):
            inner = {kind.field(i).name: kind.field(i).type for i in range(kind.num_fields)}
            if "bytes" in inner and is_bytes(inner["bytes"]):
                candidates[column.name] = "struct+path" if "path" in inner and is_text(inner["path"]) else "struct"
    return candidates


def _texts(file: Any) -> dict[str, str]:
    """Columns of text that are images: "base64" or "path", by the first text in them."""
    import pyarrow as pa

    found: dict[str, str] = {}
    for column in file.schema_arrow:
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            continue
        try:
            batch = next(file.iter_batches(_LOOKED_AT, columns=[column.name], use_threads=False), None)
            first = next((value for value in (batch.column(0).to_pylist() if batch else []) if value), "")
        except (pa.lib.ArrowException, OSError, ValueError):
            continue
        if extension(first) in IMAGE_EXTENSIONS and len(first) < 4096:
            found[column.name] = "path"
        elif (head := _from_base64(first[:96])) and looks_like_image(head[:32]):
            found[column.name] = "base64"
    return found


def _from_base64(text: str) -> bytes | None:
    """Return the bytes of base64 or of a data address; of an unfinished one as many as are whole."""
    code = text.partition(",")[2] if text.startswith("data:") else text
    code = "".join(code.split())
    try:
        return base64.b64decode(code[: len(code) // 4 * 4], validate=True)
    except ValueError:
        return None


def _image_column(file: Any, path: Path | Address, wanted: str) -> tuple[str, str]:
    """Name of the image column, and how images lie in it."""
    candidates = _candidates(file) or _texts(file)
    names = [column.name for column in file.schema_arrow]
    if wanted:
        candidates = {**_texts(file), **_candidates(file)}
        if wanted not in candidates:
            raise DataError(
                f"{path} has no image column {wanted!r}; it has {', '.join(candidates) or 'none'}."
                f"{nearest(wanted, list(candidates))}"
            )
        return wanted, candidates[wanted]
    if not candidates:
        lists = [column.name for column in file.schema_arrow if str(column.type).startswith(("list", "large_list"))]
        hint = (
            f". Rows with lists of images ({', '.join(lists[:3])}) are not read: write one image a row" if lists else ""
        )
        raise DataError(
            f"{path} has no image column (binary, a struct with `bytes`, base64, or names of files); "
            f"its columns are {', '.join(names) or 'none'}{hint}"
        )
    chosen = next((name for name in ("image", *NAME_COLUMNS) if name in candidates), None)
    if chosen is None and len(candidates) > 1:
        raise DataError(
            f"{path} has several image columns ({', '.join(candidates)}); name one: {path}:{next(iter(candidates))}"
        )
    chosen = chosen or next(iter(candidates))
    return chosen, candidates[chosen]


def _row_name(given: str | None, i: int, width: int) -> str:
    """The path a row states, if it is a plain relative one of at most 1,000 letters; else the row's number."""
    given = None if given and len(given) > _NAME else given
    parts = given.replace("\\", "/").split("/") if given else [".."]
    return "/".join(parts) if ".." not in parts and parts[0] and ":" not in parts[0] else f"{i:0{width}d}"


class Beside:
    """Files that rows of a table name instead of holding them: in its folder or below it, links followed."""

    def __init__(self, folder: Path | Address) -> None:
        self.folder = str(folder) if isinstance(folder, Address) else os.path.realpath(folder)
        self._seen = hashlib.blake2b(digest_size=16)

    def row(self, row: Row, given: str | None) -> Row:
        """Return `row` with size, stamp and path of the file `given`, or why it cannot be read."""
        try:
            path = _place(self.folder, given)
            state = os.stat(path)
        except OSError as error:
            return row._replace(reason=str(error.strerror or error))
        if not stat.S_ISREG(state.st_mode):
            return row._replace(reason="not a regular file")
        return row._replace(size=state.st_size, stamp=state.st_mtime_ns, where=path)

    def stamped(self, row: Row, given: str | None, known: bool) -> Row:
        """Return `row` with size and stamp of the file `given`, where there is one.

        Where it is not `known` that the row holds no image of its own it keeps its size; that of the file goes into
        `seen`.
        """
        found = self.row(row, given)
        if found.reason:
            return row
        self._seen.update(f"{row.where}:{found.size}:{found.stamp};".encode())
        return row._replace(size=min(found.size, MAX_BYTES) if known else 0, stamp=found.stamp)

    def seen(self) -> str:
        """Return hex digits of all sizes and stamps that `stamped` saw."""
        return self._seen.hexdigest()

    @staticmethod
    def reader(rows: list[Row]) -> FileReader:
        """Return the reader of such rows."""
        return FileReader([str(row.where) for row in rows])


@dataclass(frozen=True)
class FileReader(Reader):
    """Files that rows of a table name. They belong to the table, so they have no `path` of their own."""

    paths: list[str]

    def __call__(self, i: int) -> bytes:
        """Return the bytes of image `i`."""
        return read_path(self.paths[i])

    def take(self, rows: Sequence[int]) -> FileReader:
        """Return the reader of the images `rows` alone."""
        return FileReader([self.paths[i] for i in rows])


def _place(folder: str, given: str | None) -> str:
    if not given:
        raise OSError("no image in this row")
    if "\0" in given:
        raise OSError("the row holds no image, and what no file can be called")
    if is_address(folder):
        raise OSError("the row names a file and holds no image: beside a table at an address none is read")
    path = os.path.realpath(os.path.join(folder, given.replace("\\", "/")))
    if not path.startswith(folder.rstrip(os.sep) + os.sep):
        raise OSError("the row holds a path outside of the folder of the table, and no image")
    return path
