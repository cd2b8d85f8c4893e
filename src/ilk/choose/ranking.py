"""From a table of criteria to three suggestions, and to whether there is a clear number at all."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.choose.stability import Cloud

__all__ = ["CRITERIA", "FACTOR", "KChoice", "between", "candidates", "rank", "suggest", "verdict"]

Row = dict[str, Any]

CRITERIA = ("silhouette", "calinski_harabasz", "davies_bouldin", "stability", "modularity")
NAMES = dict(
    zip(CRITERIA, ("silhouette", "Calinski-Harabasz", "Davies-Bouldin", "stability", "modularity"), strict=True)
)
_WORDS = {3: "three", 4: "four", 5: "five"}
FACTOR = 1.5  # two numbers of groups closer than this are one suggestion
FAR = 3  # and farther apart than this they are more than one level from each other
# None was fitted to labels. At .75 two labelings share three quarters of what chance does not explain.
# The silhouettes of a dozen draws of one cloud of 100 rows lie about .05 apart (.03 to .08 in 2 and 10 dimensions).
LEAST_STABILITY, LEAST_ABOVE_A_CLOUD = 0.75, 0.05
MOST_OF_A_CLOUD = 0.5  # halves disagree at most half as much as those of a cloud do (disagreement: 1 - stability)
RIVAL = 0.9  # of the rank sum of the best number far from natural: natural's own is to be below that


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
        Best rank sum among numbers smaller and larger by a factor of 1.5 to 3; None where there is none.
    best : dict
        Best number by each criterion.
    clear : bool or None
        Whether the data show this number, or none in particular; None where that was not judged.
    why : str
        One sentence for either.
    labels : dict
        Number -> K-means groups (n,) int64 of each suggested one, numbered from the largest.
    number : int or None
        Communities of the neighbour graph; None where "modularity" was not asked for.
    """

    table: list[Row]
    natural: int
    coarse: int | None
    fine: int | None
    best: dict[str, int]
    clear: bool | None
    why: str
    labels: dict[int, npt.NDArray[np.int64]] = field(default_factory=dict, compare=False, repr=False)
    number: int | None = None

    def unjudged(self, reason: str) -> KChoice:
        """Return the same suggestions without a verdict, and the reason."""
        return replace(self, clear=None, why=f"no verdict on the number of groups: {reason}")

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
        position = ordered.index(k)
        found |= {(k + other) // 2 for other in ordered[max(position - 1, 0) : position + 2]}
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


def suggest(
    ranked: list[Row], criteria: Sequence[str], allowed: Container[int] | None = None
) -> tuple[dict[str, int | None], dict[str, int]]:
    """Return {coarse, natural, fine} and the best K of each criterion; a tie goes to the smaller K.

    Natural is one of the `allowed` numbers, where there is one among the rows.
    """

    def least(rows: list[Row]) -> int | None:
        return min(rows, key=lambda row: (row["rank_sum"], row["k"]))["k"] if rows else None

    natural = least([row for row in ranked if allowed is None or row["k"] in allowed] or ranked)
    assert natural is not None
    suggested = {
        "coarse": least([row for row in ranked if row["k"] * FACTOR <= natural <= row["k"] * FAR]),
        "natural": natural,
        "fine": least([row for row in ranked if natural * FACTOR <= row["k"] <= natural * FAR]),
    }
    best = {name: min(ranked, key=lambda row: (_badness(row, name), row["k"]))["k"] for name in criteria}
    return suggested, best


def verdict(ranked: list[Row], natural: int, best: dict[str, int], cloud: Cloud | None) -> tuple[bool, str]:
    """Return whether `natural` is what the data show, and why, in one sentence.

    Parameters
    ----------
    cloud
        What `natural` groups of a cloud without groups reach; None where it is not known.

    Notes
    -----
    A clear number passes five questions, asked in this order. Do halves of the images give the same groups, and
    disagree at most half as much as halves of a cloud without groups? Are the groups better separated than those that
    K-means makes of such a cloud? Do three of the criteria have their best within a factor of 1.5? Is every number
    beyond that factor clearly worse? And is it not merely the largest number tried?
    """
    row = next(row for row in ranked if row["k"] == natural)
    if len(best) < 3:
        return False, f"only {' and '.join(NAMES[name] for name in best)} was looked at; nothing confirms it"
    doubt = (
        _unstable(row, cloud)
        or _unseparated(row, cloud)
        or _disagreeing(natural, best)
        or _rivalled(ranked, row)
        or _at_the_end(ranked, natural)
    )
    if doubt:
        return False, f"no clear number of groups: {doubt}"
    halves = f"; two halves of the images agree on the groups ({row['stability']:.2f})" if "stability" in row else ""
    return True, f"{_balance(ranked, natural, best)}{halves}"


def _balance(ranked: list[Row], natural: int, best: dict[str, int]) -> str:
    """Say how `natural` stands among all numbers, so that it agrees with the table."""
    measures = f"{_WORDS[len(best)]} measures" if len(best) in _WORDS else f"{len(best)} measures"
    if {*best.values()} == {natural}:
        return f"{natural} is best by all {measures}"
    first, second = sorted(ranked, key=lambda row: (row["rank_sum"], row["k"]))[:2]
    if first["k"] == natural:
        return f"{natural} is best on balance of {measures}, {second['k']} comes next"
    return (
        f"{natural} is best on balance of {measures} among the numbers that suit how many alike images there are "
        f"({first['k']} would be best of all)"
    )


def _unstable(row: Row, cloud: Cloud | None) -> str | None:
    if "stability" not in row:
        return None
    if row["stability"] < LEAST_STABILITY:
        return (
            f"two halves of the images agree too little on {row['k']} groups "
            f"(stability {row['stability']:.2f}, {LEAST_STABILITY} is asked for)"
        )
    if cloud is not None and 1 - row["stability"] > MOST_OF_A_CLOUD * (1 - cloud.stability):
        return (
            f"two halves of a cloud without groups agree about as well on {row['k']} groups "
            f"(stability {row['stability']:.2f}, the cloud {cloud.stability:.2f})"
        )
    return None


def _unseparated(row: Row, cloud: Cloud | None) -> str | None:
    if cloud is None or "silhouette" not in row or row["silhouette"] >= cloud.silhouette + LEAST_ABOVE_A_CLOUD:
        return None
    return (
        f"{row['k']} groups stand hardly farther apart than those of a cloud without "
        f"groups would (silhouette {row['silhouette']:.2f}, the cloud {max(cloud.silhouette, 0.0):.2f})"
    )


def _near(natural: int, best: dict[str, int]) -> list[str]:
    return [name for name, k in best.items() if natural / FACTOR < k < natural * FACTOR]


def _disagreeing(natural: int, best: dict[str, int]) -> str | None:
    if len(_near(natural, best)) >= 3:
        return None
    return f"the criteria disagree (best: {', '.join(f'{NAMES[name]} {k}' for name, k in best.items())})"


def _rivalled(ranked: list[Row], row: Row) -> str | None:
    far = [other for other in ranked if other["k"] * FACTOR <= row["k"] or other["k"] >= row["k"] * FACTOR]
    rival = min(far, key=lambda other: other["rank_sum"], default=None)
    if rival is None or row["rank_sum"] < RIVAL * rival["rank_sum"]:
        return None
    sums = f"rank sums {row['rank_sum']:g} and {rival['rank_sum']:g}"
    return f"{rival['k']} groups are about as good as {row['k']} ({sums})"


def _at_the_end(ranked: list[Row], natural: int) -> str | None:
    if len(ranked) < 2 or natural < max(row["k"] for row in ranked):
        return None
    return f"{natural} is the largest number tried, more may be better"
