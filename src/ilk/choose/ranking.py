"""From a table of criteria to three suggestions, and to whether there is a clear number at all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["CRITERIA", "FACTOR", "KChoice", "between", "candidates", "rank", "suggest", "verdict"]

Row = dict[str, Any]

CRITERIA = ("silhouette", "calinski_harabasz", "davies_bouldin", "stability")
NAMES = dict(zip(CRITERIA, ("silhouette", "Calinski-Harabasz", "Davies-Bouldin", "stability"), strict=True))
FACTOR = 1.5  # two numbers of groups closer than this are one suggestion
# Neither was fitted to labels. At .75 two labelings share three quarters of what chance does not explain.
# The silhouettes of a dozen draws of one cloud of 100 rows lie about .05 apart (.03 to .08 in 2 and 10 dimensions).
LEAST_STABILITY, LEAST_ABOVE_A_CLOUD = 0.75, 0.05


@dataclass(frozen=True)
class KChoice:
    """The evidence and what follows from it.

    Attributes
    ----------
    table : list of dict
        One row per number of groups: k, the criteria that were asked for, rank_sum.
    natural : int
        Best rank sum.
    coarse, fine : int or None
        Best rank sum among numbers smaller and larger by a factor of at least 1.5; None where there is none.
    best : dict
        Best number by each criterion.
    clear : bool
        Whether the data show this number, or none in particular.
    why : str
        One sentence for either.
    """

    table: list[Row]
    natural: int
    coarse: int | None
    fine: int | None
    best: dict[str, int]
    clear: bool
    why: str

    def suggested(self) -> dict[str, int | None]:
        """Return {coarse, natural, fine}."""
        return {"coarse": self.coarse, "natural": self.natural, "fine": self.fine}


def candidates(n: int, k_max: int = 50) -> list[int]:
    """Return the numbers of groups to try first for `n` distinct rows: from 2 to the largest, in steps of about 25 %.

    >>> candidates(1000)
    [2, 3, 4, 5, 6, 7, 9, 11, 14, 17, 21, 26, 33, 40, 50]
    >>> candidates(5)
    [2, 3, 4]
    """
    top = min(k_max, n - 1)
    if top < 2:
        return []
    steps = max(1, math.ceil(math.log(top / 2, 1.25)))
    return sorted({round(2 * (top / 2) ** (i / steps)) for i in range(steps + 1)})


def between(known: Sequence[int], at: Iterable[int]) -> list[int]:
    """Return the numbers half-way from each of `at` to its neighbours in `known` that are not known yet.

    >>> between([2, 3, 5, 9, 17], [9, 2])
    [7, 13]
    """
    ordered = sorted(known)
    found = set()
    for k in at:
        place = ordered.index(k)
        found |= {(k + other) // 2 for other in ordered[max(place - 1, 0) : place + 2]}
    return sorted(found - set(known))


def rank(table: list[Row], criteria: Sequence[str]) -> list[Row]:
    """Return the rows with their rank_sum: the best of a criterion is 1, equal values share the mean of their ranks.

    >>> [row["rank_sum"] for row in rank([{"k": 2, "silhouette": 0.5}, {"k": 3, "silhouette": 0.7}], ["silhouette"])]
    [2.0, 1.0]
    """
    sums = [0.0] * len(table)
    for name in criteria:
        values = [_badness(row, name) for row in table]
        for i, value in enumerate(values):
            better = sum(other < value for other in values)
            sums[i] += better + (values.count(value) + 1) / 2
    return [{**row, "rank_sum": total} for row, total in zip(table, sums, strict=True)]


def _badness(row: Row, name: str) -> float:
    return float(row[name]) if name == "davies_bouldin" else -float(row[name])


def suggest(ranked: list[Row], criteria: Sequence[str]) -> tuple[dict[str, int | None], dict[str, int]]:
    """Return {coarse, natural, fine} and the best K of each criterion; a tie goes to the smaller K."""

    def least(rows: list[Row]) -> int | None:
        return min(rows, key=lambda row: (row["rank_sum"], row["k"]))["k"] if rows else None

    natural = least(ranked)
    assert natural is not None
    suggested = {
        "coarse": least([row for row in ranked if row["k"] * FACTOR <= natural]),
        "natural": natural,
        "fine": least([row for row in ranked if row["k"] >= natural * FACTOR]),
    }
    best = {name: min(ranked, key=lambda row: (_badness(row, name), row["k"]))["k"] for name in criteria}
    return suggested, best


def verdict(ranked: list[Row], natural: int, best: dict[str, int], cloud: float | None) -> tuple[bool, str]:
    """Return whether `natural` is what the data show, and why, in one sentence.

    Parameters
    ----------
    cloud
        Silhouette of `natural` groups of a cloud without groups; None where it is not known.

    Notes
    -----
    A clear number passes four questions, asked in this order. Do halves of the images give the same groups? Are the
    groups better separated than those that K-means makes of a cloud without groups? Do three of the four criteria have
    their best within a factor of 1.5? And is it not merely the largest number tried?
    """
    row = next(row for row in ranked if row["k"] == natural)
    if len(best) < 3:
        return False, f"only {' and '.join(NAMES[name] for name in best)} was looked at; nothing confirms it"
    if "stability" in row and row["stability"] < LEAST_STABILITY:
        return False, (
            f"no clear number of groups: two halves of the images agree too little on {natural} groups "
            f"(stability {row['stability']:.2f}, {LEAST_STABILITY} is asked for)"
        )
    if cloud is not None and "silhouette" in row and row["silhouette"] < cloud + LEAST_ABOVE_A_CLOUD:
        return False, (
            f"no clear number of groups: {natural} groups stand hardly farther apart than those of a cloud without "
            f"groups would (silhouette {row['silhouette']:.2f}, the cloud {max(cloud, 0.0):.2f})"
        )
    near = [name for name, k in best.items() if natural / FACTOR < k < natural * FACTOR]
    if len(near) < 3:
        told = ", ".join(f"{NAMES[name]} {k}" for name, k in best.items())
        return False, f"no clear number of groups: the criteria disagree (best: {told})"
    if natural == max(row["k"] for row in ranked) and len(ranked) > 1:
        return False, f"no clear number of groups: {natural} is the largest number tried, more may be better"
    agree = "all four criteria" if len(near) == len(CRITERIA) else ", ".join(NAMES[name] for name in near)
    halves = f"; halves of the images agree ({row['stability']:.2f})" if "stability" in row else ""
    return True, f"{agree} are best at or close to {natural}{halves}"
