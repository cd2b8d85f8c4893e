"""The number of groups: candidates, evidence, and a choice that can be argued with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ilk import compute
from ilk.errors import NotEnoughImages
from ilk.vectors import kmeans, silhouette_score

__all__ = ["KChoice", "candidates", "choose_k"]


@dataclass(frozen=True)
class KChoice:
    """The evidence and what follows from it.

    Attributes
    ----------
    table : list of dict
        One row per number of groups: k, silhouette.
    coarse, natural, fine : int or None
        The best number; the best one smaller and larger by a factor of at least 1.5.
    """

    table: list[dict[str, Any]]
    natural: int
    coarse: int | None
    fine: int | None

    def suggested(self) -> dict[str, int | None]:
        """Return {coarse, natural, fine}."""
        return {"coarse": self.coarse, "natural": self.natural, "fine": self.fine}


def candidates(n: int, k_max: int = 50) -> list[int]:
    """Return the numbers of groups to try for `n` distinct rows: every one up to 12, then steps of about 15 %.

    >>> candidates(1000, 30)
    [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 18, 20, 23, 26, 29]
    >>> candidates(5)
    [2, 3, 4]
    """
    top = min(k_max, n - 1)
    grid, k = [], 2
    while k <= top:
        grid.append(k)
        k = max(k + 1, int(k * 1.15))
    return grid


def choose_k(
    features: npt.ArrayLike,
    *,
    k_grid: list[int] | None = None,
    k_max: int = 50,
    n_init: int = 3,
    sample_size: int = 5000,
    random_state: int = 0,
) -> KChoice:
    """Score numbers of groups by the silhouette of K-means groups.

    Parameters
    ----------
    features
        (n, d) float, best in a reduced space (PCA or UMAP): in raw features the silhouette favours very small K.
    k_grid
        Numbers to try; by default `candidates` of the number of distinct rows.
    sample_size
        The silhouette is exact up to this many rows, and taken on a stratified sample above.

    Raises
    ------
    NotEnoughImages
        Fewer than three distinct rows: there is no number to choose.

    Notes
    -----
    Cost: one K-means fit of `n_init` starts per candidate, and sample_size² d per silhouette.

    Examples
    --------
    >>> import numpy as np
    >>> blobs = np.repeat(np.eye(4), 25, 0) * 9 + np.random.default_rng(0).normal(size=(100, 4))
    >>> choose_k(blobs).natural
    4
    """
    x = torch.from_numpy(np.require(features, np.float32, ["C", "W"]))
    distinct = len(torch.unique(x, dim=0))
    grid = candidates(distinct, k_max) if k_grid is None else [k for k in k_grid if 2 <= k < distinct]
    if not grid:
        raise NotEnoughImages(
            f"{distinct} distinct image(s): too few to choose a number of groups. Give at least 3, or set K with -k."
        )
    table = []
    for k in grid:
        fit = kmeans(x, k, n_init=n_init, generator=compute.generator(random_state))
        score = silhouette_score(x, fit.labels, sample_size=sample_size, generator=compute.generator(random_state))
        table.append({"k": k, "silhouette": round(float(score), 4)})
    natural = _best(table)
    return KChoice(
        table,
        natural,
        coarse=_best([row for row in table if row["k"] * 1.5 <= natural], None),
        fine=_best([row for row in table if row["k"] >= natural * 1.5], None),
    )


def _best(rows: list[dict[str, Any]], default: Any = None) -> Any:
    """K of the highest silhouette; the smaller K on a tie."""
    return max(rows, key=lambda row: (row["silhouette"], -row["k"]))["k"] if rows else default
