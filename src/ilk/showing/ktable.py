"""The table of numbers of groups as a person reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["k_table"]

# key, title, +1 where more is better, format
_COLUMNS = (
    ("silhouette", "silhouette", 1, ".3f"),
    ("calinski_harabasz", "Calinski", 1, ",.0f"),
    ("davies_bouldin", "Davies", -1, ".3f"),
    ("stability", "stability", 1, ".2f"),
    ("modularity", "modul.", 1, ".2f"),
    ("rank_sum", "ranks", -1, ".1f"),
)
_SHOWN = 8


def k_table(
    rows: Sequence[Mapping[str, Any]], suggested: Mapping[str, int | None], *, every: bool = False
) -> tuple[list[str], list[list[str]], int]:
    """Return titles, lines (the suggested numbers, the best ones, the best of each column), and how many are left out.

    With `every` none is left out. The best value of a column carries a star, and what is suggested its name.

    >>> rows = [{"k": 2, "silhouette": 0.25}, {"k": 3, "silhouette": 0.5}]
    >>> k_table(rows, {"coarse": None, "natural": 3, "fine": None})
    (['groups', 'silhouette ', ''], [['2', '0.250 ', ''], ['3', '0.500*', 'natural']], 0)
    """
    columns = [column for column in _COLUMNS if all(column[0] in row for row in rows)]
    best = {key: max(sign * row[key] for row in rows) * sign for key, _, sign, _ in columns}
    names = {k: name for name, k in suggested.items() if k}
    key, _, sign, _ = columns[-1]  # the rank sum, where there is one
    ordered = sorted(rows, key=lambda row: (row["k"] not in names, -sign * row[key]))
    starred = {min(row["k"] for row in rows if row[key] == value) for key, value in best.items()}
    shown = {row["k"] for row in ordered[:_SHOWN]} | starred
    lines = [
        [
            str(row["k"]),
            *(f"{row[key]:{form}}{'*' if row[key] == best[key] else ' '}" for key, _, _, form in columns),
            names.get(row["k"], ""),
        ]
        for row in rows
        if every or row["k"] in shown
    ]
    return ["groups", *(f"{title} " for _, title, _, _ in columns), ""], lines, len(rows) - len(lines)
