"""choose_k: scan, measure, refine, suggest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ilk import compute
from ilk.choose import ranking
from ilk.choose.criteria import Silhouettes, calinski_harabasz, davies_bouldin, stratified
from ilk.choose.neighborhood import LOOSE, Neighborhood, Neighbors, Window
from ilk.choose.ranking import CRITERIA, KChoice
from ilk.choose.scan import Scan, one_thread
from ilk.choose.spaces import Fit, Space, open_space
from ilk.choose.stability import Cloud, Halves, clouds
from ilk.errors import ArgumentError, NotEnoughImages, nearest
from ilk.vectors import Rows, check_count

__all__ = ["choose_k"]

_ROUNDS = 3
_CLEARLY = 0.1  # by which few groups must stand farther apart than those of a cloud, to be natural below the window


def choose_k(
    features: npt.ArrayLike,
    *,
    k_grid: Sequence[int] | None = None,
    k_max: int = 50,
    criteria: Sequence[str] = CRITERIA,
    n_init: int = 3,
    sample_size: int | None = 5000,
    random_state: int = 0,
    graph: Neighbors | None = None,
) -> KChoice:
    """Measure K-means groups for many numbers of groups K, and suggest three of them.

    Parameters
    ----------
    features : (n, d) float
        An array, a memmap or a tensor. Best in a reduced space (PCA or UMAP): in raw features the silhouette favours
        very small K.
    k_grid
        Numbers to try, each from 2 up; those that are not below the number of distinct rows are left out. By default
        `candidates`, then numbers between the best ones and their neighbours.
    k_max
        Largest number that is tried without a `k_grid`.
    criteria
        Some of "silhouette", "calinski_harabasz", "davies_bouldin", "stability", "modularity".
    n_init
        K-means starts per number; one of them goes on from the number before.
    sample_size
        The silhouette is exact up to this many rows and taken on a stratified sample of about that size above. None:
        always exact.
    random_state : int
        From 0 to 2**32 - 1.
    graph : (index, distance) of (n, k) int64 and float32, optional
        Nearest neighbours of every row, for instance in the space that the features were reduced from; a row may be its
        own first. By default the 15 nearest among the rows, or among 20,000 of them. Used by "modularity" alone.

    Raises
    ------
    NotEnoughImages
        Fewer than three distinct rows: there is no number to choose.
    ArgumentError
        An option outside of what is allowed.
    DataError
        NaN or infinite values.

    Notes
    -----
    Silhouette, Calinski-Harabasz and Davies-Bouldin equal scikit-learn's. Stability is the mean adjusted Rand index of
    K-means fits to halves of the rows (three splits; 8,000 rows at most) that label the same 2,000 rows. Modularity is
    the share of the neighbour graph's affinities inside the groups, less what chance would put there.

    Natural is the lowest sum of ranks in a window around the number of communities of the neighbour graph (.4 to 2.5
    times), or below it where the groups are nearly separate pieces of the graph (less than 1 % of the affinities are
    between them) and stand clearly farther apart than those of a cloud without groups (silhouette + .1). Without
    "modularity" there is no window.

    Cost: distances of the (sampled) rows once, 2·m²·d FLOPs and at most 256 MiB, then m² additions per K. Rows wider
    than 128, if there are at most 8,192 of them, are used through their inner products: 2·n²·d FLOPs once, and after
    that an iteration of K-means costs n·K. Starts
    race in a projection on 48 axes that keep nearly all inertia (three products of n² and
    48 numbers, once), and the best goes on among the rows until it rests. Up to 4,096 rows the scan uses one thread,
    which is set for the process and put back. Other rows are copied once as float32.

    Examples
    --------
    >>> import numpy as np
    >>> blobs = np.repeat(np.eye(4), 25, 0) * 9 + np.random.default_rng(0).normal(size=(100, 4))
    >>> choice = choose_k(blobs)
    >>> choice.natural, choice.clear
    (4, True)
    >>> choose_k(np.random.default_rng(0).normal(size=(100, 4))).clear
    False
    """
    grid = _check_grid(k_grid, check_count(k_max, "k_max", 2))
    criteria = _check_criteria(criteria)
    check_count(n_init, "n_init")
    if sample_size is not None:
        check_count(sample_size, "sample_size", 2)
    compute.generator(random_state)
    rows = Rows.of(_matrix(features), "features")
    space = open_space(rows)
    distinct = int(space.ids.max()) + 1
    grid = ranking.candidates(distinct, k_max) if grid is None else [k for k in grid if k < distinct]
    if not grid:
        least = 3 if k_grid is None else min(k_grid) + 1
        raise NotEnoughImages(
            f"{distinct} distinct image(s): too few to choose a number of groups. "
            f"Give at least {least}, or set K with -k."
        )
    advisor = _Advisor(space, criteria, n_init, sample_size, random_state, graph)
    advisor.measure(grid)
    for _ in range(_ROUNDS if k_grid is None else 0):
        suggested, best = advisor.suggested()
        advisor.measure(ranking.between(list(advisor.rows), {k for k in (*suggested.values(), *best.values()) if k}))
    return advisor.choice()


def _matrix(features: Any) -> Any:
    if isinstance(features, torch.Tensor):
        return features
    array = features if isinstance(features, np.ndarray) else np.asarray(features)
    if array.dtype not in (np.float16, np.float32, np.float64):
        array = array.astype(np.float32)
    return array


def _check_grid(grid: Sequence[int] | None, k_max: int) -> list[int] | None:
    return None if grid is None else sorted({check_count(k, "k_grid", 2) for k in grid})


def _check_criteria(criteria: Sequence[str]) -> list[str]:
    asked = [criteria] if isinstance(criteria, str) else list(criteria)
    for name in asked:
        if name not in CRITERIA:
            raise ArgumentError(f"criteria={name!r}: choose from {', '.join(CRITERIA)}." + nearest(name, CRITERIA))
    if not asked:
        raise ArgumentError(f"criteria is empty: choose from {', '.join(CRITERIA)}.")
    return [name for name in CRITERIA if name in asked]


class _Advisor:
    """The table while it grows."""

    def __init__(
        self,
        space: Space,
        criteria: list[str],
        n_init: int,
        sample_size: int | None,
        seed: int,
        graph: Neighbors | None,
    ) -> None:
        self.space, self.criteria, self.sample_size, self.seed = space, criteria, sample_size, seed
        self.scan = Scan(space, n_init, seed)
        self.halves = Halves(space, seed) if "stability" in criteria else None
        self.near = Neighborhood(space, graph, seed) if "modularity" in criteria else None
        self.silhouettes: Silhouettes | None = None
        self.rows: dict[int, dict[str, Any]] = {}
        self.clouds: dict[int, float] = {}

    def measure(self, grid: list[int]) -> None:
        """Add a row for each K of `grid`, which rises."""
        with one_thread(len(self.space)):
            fits = [self.scan.fit(k) for k in grid]
        if not fits:
            return
        if self.silhouettes is None and "silhouette" in self.criteria:
            self.silhouettes = self._open_silhouettes(fits[-1])
        scores = self.silhouettes(fits) if self.silhouettes else [0.0] * len(fits)
        total = self.space.total()
        for k, fit, score in zip(grid, fits, scores, strict=True):
            row: dict[str, Any] = {"k": k}
            for name in self.criteria:
                if name == "silhouette":
                    row[name] = round(score, 4)
                elif name == "calinski_harabasz":
                    row[name] = float(f"{calinski_harabasz(fit, total):.6g}")
                elif name == "davies_bouldin":
                    row[name] = round(davies_bouldin(fit, self.space.between(fit)), 4)
                elif name == "modularity" and self.near is not None:
                    row[name] = round(self.near.modularity(fit.labels), 2)  # as for stability
                elif self.halves is not None:
                    row[name] = round(self.halves.stability(k), 2)  # more digits would rank noise
            self.rows[k] = row

    def _open_silhouettes(self, finest: Fit) -> Silhouettes:
        n = len(self.space)
        if self.sample_size is None or n <= self.sample_size:
            index = torch.arange(n, device=finest.labels.device)
            return Silhouettes(self.space, index, torch.ones(n, device=index.device))
        return Silhouettes(self.space, *stratified(finest, self.sample_size, compute.generator(self.seed)))

    def ranked(self) -> list[dict[str, Any]]:
        """Return the rows by K, with their rank sums."""
        return ranking.rank([self.rows[k] for k in sorted(self.rows)], self.criteria)

    def suggested(self) -> tuple[dict[str, int | None], dict[str, int]]:
        """Return {coarse, natural, fine} and the best K of each criterion."""
        allowed = None if self.near is None else _Allowed(self, self.near.window)
        return ranking.suggest(self.ranked(), self.criteria, allowed)

    def apart(self, k: int) -> bool:
        """Return whether `k` groups are nearly separate pieces of the neighbour graph, and no mere cuts of a cloud."""
        assert self.near is not None
        if self.near.cut(self.scan.fit(k).labels) > LOOSE:
            return False
        if "silhouette" not in self.criteria:
            return True
        if k not in self.clouds:
            self.clouds[k] = clouds(self.space, k, self.seed, halves=False).silhouette
        return bool(self.rows[k]["silhouette"] >= self.clouds[k] + _CLEARLY)

    def choice(self) -> KChoice:
        """Return what follows from the table."""
        ranked = self.ranked()
        suggested, best = self.suggested()
        natural = suggested["natural"]
        assert natural is not None
        cloud: Cloud | None = None
        if len(self.criteria) > 2:
            cloud = clouds(self.space, natural, self.seed, halves=self.halves is not None)
        clear, why = ranking.verdict(ranked, natural, best, cloud)
        labels = {k: _by_size(self.scan.fit(k).labels) for k in suggested.values() if k}
        number = None if self.near is None else self.near.window.number
        return KChoice(ranked, natural, suggested["coarse"], suggested["fine"], best, clear, why, labels, number)


class _Allowed:
    """The numbers that may be natural. A number below the window is looked into only when it is asked for."""

    def __init__(self, advisor: _Advisor, window: Window) -> None:
        self.advisor, self.window = advisor, window

    def __contains__(self, k: object) -> bool:
        window = self.window
        return k in window or (isinstance(k, int) and k < window.low and self.advisor.apart(k))


def _by_size(labels: torch.Tensor) -> npt.NDArray[np.int64]:
    """Number groups from the largest; ties by their first row."""
    found: npt.NDArray[np.int64] = labels.cpu().numpy()
    _, first, sizes = np.unique(found, return_index=True, return_counts=True)
    rank = np.empty(len(sizes), np.int64)
    rank[np.lexsort((first, -sizes))] = np.arange(len(sizes))
    return rank[found]
