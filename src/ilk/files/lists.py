"""Lists of paths as `Listing`: of the caller, or in a text file, a CSV or JSON lines."""

# ruff: noqa: PTH100, PTH116, PTH118, PTH120
# Plain strings and os: a Path for each of 100,000 files takes seconds and most of the memory.

from __future__ import annotations

import codecs
import csv
import io
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ilk import disk
from ilk.errors import DataError
from ilk.files.folders import read_path
from ilk.files.listing import MAX_BYTES, Listing, Row, build
from ilk.files.matching import NAME_COLUMNS
from ilk.files.passed import extension
from ilk.files.reading import Reader

__all__ = ["LIST_ENDINGS", "PathReader", "list_paths", "open_list", "table_rows", "text_of"]

LIST_ENDINGS = ("txt", "lst", "list", "csv", "tsv", "jsonl", "ndjson", "")
_LONGEST, _CUTS = 4096, 8  # letters of a path; cuts looked at from either end
_BOMS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32"}
_BOMS |= {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def open_list(file: Path, split: str = "all") -> Listing:
    """Return the files that a list names, in its order; relative names are below the folder of the list.

    Raises
    ------
    DataError
        It is no text, or names nothing.

    Notes
    -----
    ``.csv`` and ``.tsv``: the column called name, path, file, file_name, image …, else the first. ``.jsonl``: such a
    key, or each line a string. Any other text: a path a line. A path is taken as it stands; where there is no such
    file, without quotes or spaces around it, with / for \\, and without what follows the last tab or space (a label).
    A line that begins with # is a path where there is such a file, else a comment.
    """
    text = text_of(file)
    ending = extension(file.name)
    base = os.path.abspath(file.parent)
    notes: list[str] = []
    if ending in ("csv", "tsv"):
        given = _of_table(text, file, base)
    elif ending in ("jsonl", "ndjson"):
        given = list(_of_json(text, file))
    else:
        given = _of_lines(text, base, notes)
    found = [_found(path, base) or path if path.strip() else None for path in given]
    if not any(found):
        raise DataError(f"{file} names no file: there is no image in it")
    listing = list_paths(found, file.parent, split)
    listing.notes[:0] = notes
    return listing


def text_of(file: Path) -> str:
    """Return the text of a list: UTF-8 (odd bytes kept as surrogates), or UTF-16 or UTF-32 as its first bytes say.

    Raises
    ------
    DataError
        It cannot be read, or is no text.
    """
    try:
        data = disk.read_bytes(file, MAX_BYTES, follow=True)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error
    coding = next((name for bom, name in _BOMS.items() if data.startswith(bom)), None)
    if coding is None and b"\0" in data[:1000]:  # without a mark: every other byte of plain text is zero
        odd, even = data[1:1000:2].count(0), data[:1000:2].count(0)
        coding = "utf-16-le" if odd > 4 * even else "utf-16-be" if even > 4 * odd else None
    try:
        text = data.decode(coding or "utf-8", "surrogateescape" if coding in (None, "utf-8") else "strict")
    except UnicodeError:
        text = "\0"
    if "\0" in text:
        raise DataError(f"{file} is not a text file: it holds zero bytes")
    return text.removeprefix("\ufeff")


def _of_lines(text: str, base: str, notes: list[str]) -> list[str]:
    lines = [line for raw in text.split("\n") if (line := raw.strip("\r")).strip()]
    kept = [line for line in lines if not line.startswith("#") or _found(line, base)]
    if comments := len(lines) - len(kept):
        what = "1 line that begins" if comments == 1 else f"{comments:,} lines that begin"
        notes.append(f"{what} with # and name{'s' * (comments == 1)} no file: taken as comment{'s' * (comments > 1)}")
    return kept


def _of_table(text: str, file: Path, base: str) -> list[str]:
    first = text.partition("\n")[0]
    delimiter = "\t" if extension(file.name) == "tsv" else max(",;\t", key=first.count)  # at a tie the first: a comma
    rows = table_rows(text, delimiter, f"{file} is not a CSV")
    if not rows:
        return []
    header = [cell.strip().lower() for cell in rows[0]]
    at = next((header.index(word) for word in NAME_COLUMNS if word in header), None)
    body = rows if at is None else rows[1:]
    if at is None:
        at = next((i for i, cell in enumerate(rows[0]) if _found(cell, base)), None)
    if at is None and len(rows) > 1:  # a header of other words: the column in which the first row names a file
        at = next((i for i, cell in enumerate(rows[1]) if _found(cell, base)), None)
        body = rows[1:]
    if at is None:
        raise DataError(
            f"{file} has no column of paths: none is called {', '.join(NAME_COLUMNS)}, and none holds names of files "
            f"in {file.parent}; its first row is {', '.join(rows[0][:6])}"
        )
    given = [row[at] if len(row) > at else "" for row in body]
    if any("\n" in path and not _found(path, base) for path in given):  # a quote that another one far below ends
        by_line = table_rows(text, delimiter, f"{file} is not a CSV", by_line=True)
        given = [row[at] if len(row) > at else "" for row in (by_line if body is rows else by_line[1:])]
    return given


def table_rows(text: str, delimiter: str, wrong: str, by_line: bool = False) -> list[list[str]]:
    """Return the rows of a CSV that hold anything: no row vanishes in a quote that does not end.

    Parameters
    ----------
    text, delimiter
    wrong : str
        How the error begins.
    by_line : bool
        Whether each line is a row of its own. It is one anyway where the quotes do not fit; a line in which they do
        not is taken without them.

    Raises
    ------
    DataError
        A cell is far too long.
    """

    def read(lines: Iterable[str], quoting: int) -> list[list[str]]:
        return list(csv.reader(lines, delimiter=delimiter, strict=True, quoting=quoting))  # type: ignore[arg-type]

    def alone(line: str) -> list[list[str]]:
        try:
            return read([line], csv.QUOTE_MINIMAL)
        except csv.Error:
            return read([line], csv.QUOTE_NONE)

    try:
        rows = None if by_line else read(io.StringIO(text, newline=""), csv.QUOTE_MINIMAL)
    except csv.Error:
        rows = None
    try:
        if rows is None:
            rows = [row for line in io.StringIO(text, newline=None) for row in alone(line.rstrip("\n"))]
    except csv.Error as error:
        raise DataError(f"{wrong}: {error}") from error
    return [row for row in rows if any(cell.strip() for cell in row)]


def _of_json(text: str, file: Path) -> Iterator[str]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value: Any = disk.parse_json(line.encode("utf-8", "surrogateescape"))
        except ValueError as error:
            raise DataError(f"{file}, line {number}: not JSON ({error})") from error
        if isinstance(value, dict):
            lower = {str(key).lower(): one for key, one in value.items()}
            value = next((lower[word] for word in NAME_COLUMNS if isinstance(lower.get(word), str)), None)
        if not isinstance(value, str):
            raise DataError(f"{file}, line {number}: no path; it belongs under one of {', '.join(NAME_COLUMNS)}")
        yield value


def _found(given: str, base: str) -> str | None:
    """Return `given`, or what else it may mean, where there is such a file; else None."""
    for path in _meanings(given):
        try:
            if os.path.lexists(os.path.join(base, path)):
                return path
        except ValueError:  # a zero byte
            return None
    return None


def _meanings(given: str) -> Iterator[str]:
    """Yield what a line may mean, the most literal first."""
    yield given
    words = [given.strip(), given.strip().strip("\"'")]
    if any("\udc80" <= letter <= "\udcff" for letter in given):  # no UTF-8: Windows
        words.append(given.encode("utf-8", "surrogateescape").decode("cp1252", "replace").strip().strip("\"'"))
    for word in words:
        yield word
        yield word.replace("\\", "/")
        for end in _ends(word):  # a label behind it
            cut = word[:end].strip().strip("\"'")
            if cut:
                yield cut
                yield cut.replace("\\", "/")


def _ends(word: str) -> list[int]:
    """Return where a path with a label behind it may end: at a tab, the last space, or a comma or ; behind that.

    Of many only the first and the last few, and none beyond what can be a path: a line is gone through once.
    """
    space = word.rfind(" ")
    found = [
        at for at, letter in enumerate(word[: _LONGEST + 1]) if letter == "\t" or (letter in " ;," and at >= space)
    ]
    return found if len(found) <= 2 * _CUTS else found[:_CUTS] + found[-_CUTS:]


def list_paths(paths: Sequence[str | os.PathLike[str] | None], folder: Path, split: str = "all") -> Listing:
    """The given files in the given order; relative ones are below `folder`.

    Names are relative to `folder` where all lie below it, else to the folder that all have in common. A path that
    cannot be read is a refused row, and so is None, a row without a path; one given twice is two rows, the second named
    with #2.
    """
    base = os.path.abspath(folder)
    whole = [None if path is None else os.path.normpath(os.path.join(base, os.fspath(path))) for path in paths]
    full = [path for path in whole if path is not None]
    root = base
    if not all(path.startswith(base.rstrip(os.sep) + os.sep) for path in full):
        try:
            root = os.path.commonpath([os.path.dirname(path) for path in full])
        except ValueError as error:  # two drives
            raise DataError(f"the listed files have no folder in common: {error}") from error
    rows = [
        Row(f"row {i}", reason="no path in this row")
        if path is None
        else _path_row(path, os.path.relpath(path, root).replace(os.sep, "/"))
        for i, path in enumerate(whole, 1)
    ]

    def reader(rows: list[Row]) -> PathReader:
        return PathReader([str(row.where) for row in rows])

    listing = build("list", Path(root), rows, reader, split=split, ordered=True)
    if len(rows) > 1 and len(listing.refused) == len(rows):
        reasons = Counter(listing.refused.values())
        if reasons["no such file"] == len(rows):
            listing.notes.append(f"none of the {len(rows):,} listed files is there: they were looked for in {base}")
    return listing


@dataclass(frozen=True)
class PathReader(Reader):
    """Files by their whole paths."""

    paths: list[str]
    on_disk = True

    def path(self, i: int) -> str:
        """Return where image `i` lies."""
        return self.paths[i]

    def __call__(self, i: int) -> bytes:
        """Return the bytes of image `i`."""
        return read_path(self.paths[i])

    def take(self, rows: Sequence[int]) -> PathReader:
        """Return the reader of the images `rows` alone."""
        return PathReader([self.paths[i] for i in rows])


def _path_row(path: str, raw: str) -> Row:
    try:
        state = os.stat(path)
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError)
        return Row(raw, reason="no such file" if missing else getattr(error, "strerror", None) or "not a path")
    if stat.S_ISDIR(state.st_mode):
        return Row(raw, reason="a folder, not a file")
    if not stat.S_ISREG(state.st_mode):
        return Row(raw, reason="not a regular file")
    return Row(raw, state.st_size, state.st_mtime_ns, where=path)
