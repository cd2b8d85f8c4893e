"""The columns of every table that ilk writes, defined once: one name, one meaning, in whatever table it stands.

The tables are ``images``, ``assignments``, ``suggestions`` and ``changes`` (Parquet files of a run or its updates),
``groups`` (what `export` writes), ``predictions`` (what `predict` writes), ``atlas`` (for Embedding Atlas) and
``moved`` (what `compare` writes).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["COLUMNS", "TABLES_VERSION", "Column", "columns_of", "kinds_of", "written"]

TABLES_VERSION = 2
"""In the metadata of every Parquet table as ``ilk_tables``; 1 had other names for some (`_FORMER` in tables.py)."""


class Column(NamedTuple):
    """One column.

    Attributes
    ----------
    name : str
    dtype : str
        "int64", "float32", "text" …, as Parquet holds it.
    tables : str
        Where it stands, with spaces between; a table with ? behind it has the column in some runs only.
    about : str
        One sentence.
    """

    name: str
    dtype: str
    tables: str
    about: str

    @property
    def kind(self) -> str:
        """What the values are: "whole", "number", "text" or "object"."""
        return {"int": "whole", "flo": "number", "tex": "text"}.get(self.dtype[:3], "object")


COLUMNS = (
    Column("x", "float32", "atlas", "First coordinate on the run's map."),
    Column("y", "float32", "atlas", "Second coordinate on the run's map."),
    Column("index", "int64", "images assignments suggestions changes", "Number of the file in the source, from 0."),
    Column(
        "path",
        "text",
        "images groups predictions atlas moved changes",
        "Name in the source, relative, with `/`; unique.",
    ),
    Column("bytes", "int64", "images", "Size of the file."),
    Column("width", "int32", "images", "Pixels as stored; 0 where unknown."),
    Column("height", "int32", "images", "Pixels as stored; 0 where unknown."),
    Column(
        *("group", "int64", "assignments groups predictions atlas"),
        "Number of the group; -1: in none of them; empty for unreadable files.",
    ),
    Column(
        *("group_name", "text", "groups predictions atlas"),
        "What a person called the group, else `group 3`; `not assigned` for -1.",
    ),
    Column(
        *("looks_like", "text", "groups predictions atlas"),
        "Words guessed for what the group shows; empty where there are none.",
    ),
    Column("caption", "text", "atlas", "Name of the group with the guessed words, in one line."),
    Column(
        *("confidence", "float32", "assignments groups predictions atlas"),
        "0 to 1: probability of the best group, what `ilk predict` says of the image as a new one.",
    ),
    Column("known", "float64", "predictions", "0 to 1: sum of all group probabilities; the threshold tests it."),
    Column("distance", "float32", "assignments groups", "To the centre of its group, where the groups were sought."),
    Column(
        *("second", "int64", "assignments groups predictions atlas"),
        "Number of the second-best group; empty where there is none.",
    ),
    Column(
        *("silhouette", "float32", "assignments groups atlas"),
        "-1 to 1: how much nearer it is to its own group than to the next, in the features.",
    ),
    Column(
        *("silhouette_reduced", "float32", "assignments"),
        "The same in the reduced space (UMAP), where the groups were sought in one.",
    ),
    Column("status", "text", "images groups predictions atlas", "`ok`, `duplicate` or `unreadable`."),
    Column("duplicate_of", "text", "images groups predictions", "For a duplicate, the path of the image it equals."),
    Column("reason", "text", "images groups predictions", "Why an unreadable file could not be read."),
    Column("content", "text", "images", "BLAKE2b of the file's bytes, 32 hex digits."),
    Column("gone", "int8", "changes", "1 where the file is not in the source any more."),
    Column("exported", "text", "groups", "The file that the export made of it; empty where there is none."),
    Column("image", "struct", "atlas?", "The thumbnail as JPEG, or PNG of small images: `bytes` and `path`."),
    Column("neighbors", "struct", "atlas?", "The 15 nearest images: `ids` (rows of this table) and `distances`."),
    Column("coarse", "int64", "suggestions?", "Group at the coarse number of groups."),
    Column("natural", "int64", "suggestions?", "Group at the natural number of groups."),
    Column(
        *("fine", "int64", "suggestions? assignments? groups? predictions?"),
        "Group at the fine number of groups; outside of `suggestions` the fine cluster of a method with two levels.",
    ),
    Column("run_a", "text", "moved", "The first of the two runs compared."),
    Column("group_a", "int64", "moved", "Number of its group in the first run."),
    Column("group_name_a", "text", "moved", "Name of that group."),
    Column("run_b", "text", "moved", "The second of the two runs compared."),
    Column("group_b", "int64", "moved", "Number of its group in the second run."),
    Column("group_name_b", "text", "moved", "Name of that group."),
    Column("kind", "text", "moved", "`part` or `moved`: whether most of its group went with it."),
)
_PLAIN = [column for column in COLUMNS if column.kind != "object"]


def columns_of(table: str, *more: str) -> tuple[str, ...]:
    """Return the columns of `table` in their order, and those of `more` that only some runs have.

    >>> columns_of("suggestions"), columns_of("suggestions", "fine")
    (('index',), ('index', 'fine'))
    """
    wanted = {table, *(f"{table}?" for _ in more)}
    found = [column for column in COLUMNS if wanted & {*column.tables.split()}]
    return tuple(c.name for c in found if table in c.tables.split() or c.name in more)


def kinds_of(table: str, *, some: bool = False) -> dict[str, str]:
    """Return column -> kind of `table`; with `some`, those that only some runs have."""
    there = f"{table}?" if some else table
    return {column.name: column.kind for column in COLUMNS if there in column.tables.split()}


def written(columns: Mapping[str, Any]) -> Any:
    """Return `columns` as an Arrow table of the types in `COLUMNS`, which says what version of the columns it has."""
    import pyarrow as pa

    types = {column.name: pa.type_for_alias("string" if column.kind == "text" else column.dtype) for column in _PLAIN}
    arrays = {name: pa.array(values) for name, values in columns.items()}
    typed = {name: values.cast(types.get(name, values.type)) for name, values in arrays.items()}
    return pa.table(typed).replace_schema_metadata({"ilk_tables": str(TABLES_VERSION)})
