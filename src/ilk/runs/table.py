"""A table of a run in Python: a mapping of columns, which shows itself and turns into what other libraries read."""

from __future__ import annotations

import html
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from ilk import disk
from ilk.errors import ArgumentError, MissingDependency
from ilk.runs.columns import written
from ilk.runs.names import looks_like, plain_name

__all__ = ["Table", "table_of"]

_SHOWN = 10  # rows in a notebook
_LONGEST = 80  # characters of one value there
_GROUPED = ("group", "confidence", "distance", "second", "silhouette", "fine")  # columns of assignments


class Table(dict[str, list[Any]]):
    """Columns of equal length as lists, None where a value is missing: a dict, and a table.

    Examples
    --------
    >>> table = Table({"path": ["a.jpg", "b.jpg"], "group": [3, None]})
    >>> table["group"], table
    ([3, None], <Table: 2 rows of path, group>)
    >>> table.to_arrow().num_rows, next(table.rows())
    (2, {'path': 'a.jpg', 'group': 3})
    """

    @property
    def n_rows(self) -> int:
        """Number of rows; ``len`` is that of the columns."""
        return len(next(iter(self.values()), ()))

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield one dict per row."""
        return (dict(zip(self, values, strict=True)) for values in zip(*self.values(), strict=True))

    def to_arrow(self) -> Any:
        """Return a `pyarrow.Table`, of the types that `ilk.runs.COLUMNS` names."""
        return written(self)

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame`.

        Raises
        ------
        MissingDependency
            pandas is not installed: it does not come with ilk.
        """
        if importlib.util.find_spec("pandas") is None:
            raise MissingDependency("to_pandas() needs pandas: pip install pandas. to_arrow() needs nothing more.")
        return self.to_arrow().to_pandas()

    def __repr__(self) -> str:
        return f"<Table: {self.n_rows:,} rows of {', '.join(self)}>"

    def _repr_html_(self) -> str:
        """Return the first rows, for a notebook."""
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self)
        body = "".join(_line(row) for row in islice(self.rows(), _SHOWN))
        more = f"<p>{self.n_rows:,} rows; .to_pandas() and .to_arrow() have all of them</p>"
        return f"<div><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}</div>"


def table_of(
    images: Mapping[str, list[Any]],
    found: Mapping[str, list[Any]],
    clusters: Sequence[Mapping[str, Any]],
    columns: Sequence[str] | None = None,
) -> Table:
    """Return what `Run.table` does, from the tables of the run and its groups."""
    groups, n, index = {int(one["id"]): one for one in clusters}, len(images["path"]), found["index"]
    table: dict[str, list[Any]] = {"index": images["index"], "path": images["path"]}
    for name in _GROUPED:
        if name in found:
            values: list[Any] = [None] * n
            for row, value in zip(index, found[name], strict=True):
                values[row] = None if name == "second" and value == -1 else value
            table[name] = values
    named = {number: plain_name(group) for number, group in groups.items()} | {-1: plain_name({"id": -1}), None: None}
    words = {number: ", ".join(looks_like(group)) or None for number, group in groups.items()}
    table["group_name"] = [named.get(number, f"group {number}") for number in table["group"]]
    table["looks_like"] = [words.get(number) for number in table["group"]]
    table |= {name: values for name, values in images.items() if name not in table}
    wanted = [*table] if columns is None else list(columns)
    if unknown := [name for name in wanted if name not in table]:
        raise ArgumentError(f"there is no column {unknown[0]!r}. There are {', '.join(table)}.")
    order = ["index", "path", "group", "group_name", "looks_like"]
    if columns is None:
        wanted = order + [name for name in wanted if name not in order]
    return Table({name: table[name] for name in wanted})


def _line(row: Mapping[str, Any]) -> str:
    return "<tr>" + "".join(f"<td>{html.escape(_said(value))}</td>" for value in row.values()) + "</tr>"


def _said(value: Any) -> str:
    if value is None:
        return ""
    text = disk.printable(f"{value:.4g}" if isinstance(value, float) else str(value))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
