"""First groups: those of a small sample, shown while the rest is encoded. The final groups keep their ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import linear_sum_assignment

from ilk import compute
from ilk.data.sources import evenly
from ilk.methods.pipeline import Grouping, by_size
from ilk.vectors import fit_pca, kmeans

__all__ = ["SAMPLE", "Preview", "kept_ids"]

SAMPLE = 300
"""Images that the first groups are made of. A smaller set has none: its final groups are there as soon."""

UNDECIDED = 12
"""First groups where their number is still to be chosen: a first look had better be too fine than too coarse."""

_FEWEST = 20
_WORTH = 50  # images left to encode below which nobody waits long enough to look at first groups
_PER_GROUP = 10
_EXAMPLES = 3
_SHOWN = 12

Ints = npt.NDArray[np.int64]


class Preview:
    """Provisional groups of evenly spaced images of a source.

    Every n-th image in the source's order: each folder gives its share. Which images these are, and hence their groups
    and ids, does not depend on how fast they come.

    Parameters
    ----------
    n : int
        Images in the source.
    n_clusters : int or "auto"
    seed : int
    report : callable
        Gets one record: stage "first", the groups with their ids, sizes and most typical images, ``left``, how many
        images are still to be encoded (0: few or none, nobody need see these groups), and for a picture ``thumbs``, a
        list with up to 12 thumbnails uint8 (b, 48, 48, 3) of each group, the most typical first.
    names : callable
        Names of rows of the source.
    then : callable
        Called when the first groups have been reported, or at once where there are none: work that would have
        delayed them.

    Attributes
    ----------
    rows : (s,) int64
        Rows of the source to encode first; none where the source is no larger than the sample.
    """

    def __init__(
        self,
        n: int,
        n_clusters: Any,
        seed: int,
        report: Callable[[dict[str, Any]], Any],
        names: Callable[[Ints], list[str]],
        then: Callable[[], None],
    ) -> None:
        self.rows = evenly(n, SAMPLE) if n > SAMPLE else np.empty(0, np.int64)
        self._n_clusters = n_clusters
        self._seed = seed
        self._report = report
        self._names = names
        self._then = then
        self._left = n - len(self.rows)
        self._found: dict[int, int] = {}  # row of the source -> first group
        if not len(self.rows):
            then()

    def watching(self, on_progress: Callable[[int, int], bool]) -> Callable[[int, int], bool]:
        """Return `on_progress` (done, total), through which it is seen how much is left to encode."""

        def progress(done: int, total: int) -> bool:
            self._left = total - done
            return on_progress(done, total)

        return progress

    def __call__(
        self, rows: Ints, features: npt.NDArray[Any], thumbs: Callable[[Iterable[int]], npt.NDArray[np.uint8]]
    ) -> None:
        """Group the distinct readable images of the sample: their rows (m,), features (m, d), thumbnails of rows."""
        try:
            self._show(rows, features, thumbs)
        finally:
            self._then()

    def _show(
        self, rows: Ints, features: npt.NDArray[Any], thumbs: Callable[[Iterable[int]], npt.NDArray[np.uint8]]
    ) -> None:
        m = len(rows)
        if m < _FEWEST:
            return  # too few to say anything: the final groups will
        space = fit_pca(features, min(50, m - 1, features.shape[1]), normalize=True).transform(features)
        distinct = len(torch.unique(space, dim=0))
        if distinct < 3:
            return
        wanted = UNDECIDED if self._n_clusters == "auto" else int(self._n_clusters)
        k = min(wanted, max(2, m // _PER_GROUP), distinct)
        fit = kmeans(space, k, n_init=3, generator=compute.generator(self._seed))
        labels, _ = by_size(fit.labels.numpy(), None)
        away = (space - fit.centers[fit.labels]).norm(dim=1).numpy()
        self._found = dict(zip(rows.tolist(), labels.tolist(), strict=True))
        order = np.lexsort((away, labels))
        members = [order[labels[order] == g] for g in range(int(labels.max()) + 1)]
        groups = [self._group(g, rows, mine) for g, mine in enumerate(members)]
        shown = [thumbs(rows[mine[:_SHOWN]]) for mine in members]
        given = self._n_clusters != "auto"
        left = self._left if self._left >= _WORTH else 0
        found = {"n": m, "k_given": given, "left": left, "groups": groups, "thumbs": shown}
        self._report({"stage": "first", **found})

    def _group(self, group: int, rows: Ints, mine: Ints) -> dict[str, Any]:
        return {"id": group, "size": len(mine), "examples": self._names(rows[mine[:_EXAMPLES]])}

    def keep(self, found: Grouping, rows: Ints) -> Grouping:
        """Return `found` (m rows, which are the rows `rows` of the source) with the ids that were shown first."""
        k = found.proba.shape[1]
        shared = [(i, first) for i, row in enumerate(rows.tolist()) if (first := self._found.get(row)) is not None]
        if not shared or not k:
            return found
        at, first = np.array(shared).T
        ids = kept_ids(found.labels[at], first, k)
        labels = np.where(found.labels >= 0, ids[found.labels], -1)
        return found._replace(labels=labels, proba=found.proba.renumbered(ids))


def kept_ids(final: Ints, first: Ints, k: int) -> Ints:
    """Return (k,) the id of each of `k` final groups: that of the first group it shares most images with.

    Parameters
    ----------
    final, first
        (s,) int64 final and first groups of the same images; -1 = none.
    k
        Number of final groups. First groups from `k` on cannot keep their id, as ids have no gaps.

    Notes
    -----
    The matching shares as many images as any can. Groups without a partner take the ids that are left, in order.

    Examples
    --------
    >>> kept_ids(np.array([0, 0, 0, 1, 1, 2]), np.array([1, 1, 0, 0, 0, 2]), 4)
    array([1, 0, 2, 3])
    """
    ids = np.full(k, -1, np.int64)
    both = (final >= 0) & (first >= 0) & (first < k)
    if both.any():
        shared = np.zeros((k, k), np.int64)
        np.add.at(shared, (final[both], first[both]), 1)
        groups, partners = linear_sum_assignment(shared, maximize=True)
        matched = shared[groups, partners] > 0
        ids[groups[matched]] = partners[matched]
    ids[ids < 0] = np.setdiff1d(np.arange(k), ids)
    return ids
