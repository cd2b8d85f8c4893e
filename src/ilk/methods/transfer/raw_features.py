"""Groups of features as they are: K-means on raw rows, and the silhouette of all of them for a list of K.

This is the fourth seed's experiment (preset "raw_features"). It is kept as it was, quirks included, to compare with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ilk import compute
from ilk.methods.grid import USUAL, fit_grid
from ilk.methods.pipeline import distinct_up_to
from ilk.methods.transfer.settings import ENCODERS, TransferSettings
from ilk.vectors import Gram, gram_kmeans, gram_matrix, kmeans, silhouettes

__all__ = [
    "RawChoice",
    "RawGroups",
    "encoder_of",
    "figures",
    "group_raw",
]

Ints = npt.NDArray[np.int64]

MOST_FOR_GRAM = 20_000  # rows; their inner products take 1.6 GB then
_CURVES = 9
_POINTS = 201


@dataclass(frozen=True)
class RawChoice:
    """The silhouette of every K that was tried, and the K it is highest for.

    Attributes
    ----------
    table : list of dict
        k, silhouette.
    natural : int
        The K of the highest silhouette, the smaller one on a tie: what the experiment takes.
    coarse, fine : None
        A single curve suggests nothing else.
    best : dict
        Criterion → K.
    clear : bool
        Always False.
    why : str
        Why this number is not to be trusted.
    """

    table: list[dict[str, Any]]
    natural: int
    coarse: None = None
    fine: None = None
    clear: bool = False

    @property
    def best(self) -> dict[str, int]:
        """The best K of the one criterion."""
        return {"silhouette": self.natural}

    @property
    def why(self) -> str:
        """Say what to think of the number."""
        edge = self.natural in (self.table[0]["k"], self.table[-1]["k"])
        return (
            f"K = {self.natural} has the highest silhouette of raw features"
            + (", at an end of the list that was tried" if edge and len(self.table) > 1 else "")
            + "; that one number is not to be trusted: for other evidence run without preset=raw_features (-k auto)"
        )

    def suggested(self) -> dict[str, int | None]:
        """Return {coarse, natural, fine}."""
        return {"coarse": self.coarse, "natural": self.natural, "fine": self.fine}


@dataclass(frozen=True)
class RawGroups:
    """Groups for every K that was tried.

    Attributes
    ----------
    grid : list of int
    labels : list of (m,) int64
    scores : list of float
        Mean silhouettes; empty where a single K was asked for.
    curves : list of (201,) float32
        Quantiles of the silhouettes of all rows.
    """

    grid: list[int]
    labels: list[Ints]
    scores: list[float]
    curves: list[npt.NDArray[np.float32]]

    @property
    def notes(self) -> list[str]:
        """What the user should know."""
        choice = self.choice()
        return [choice.why] if choice else []

    def choice(self) -> RawChoice | None:
        """Return the table and the K of the highest silhouette; None where a single K was asked for."""
        if not self.scores:
            return None
        table = [{"k": k, "silhouette": round(s, 6)} for k, s in zip(self.grid, self.scores, strict=True)]
        return RawChoice(table, self.grid[int(np.argmax(self.scores))])

    def fit_predict(self, x: Any) -> Ints:
        """Return the groups (m,) of the chosen K: what a clusterer answers."""
        return self.labels[int(np.argmax(self.scores)) if self.scores else 0]


def group_raw(features: npt.NDArray[Any], settings: TransferSettings, k: int | None, seed: int) -> RawGroups:
    """Group the rows of `features` by K-means into `k` groups, or, for None, for every K of the grid, with silhouettes.

    Parameters
    ----------
    features
        (m, d) float16 or float32, may be a memmap. It is never held in memory as a whole.
    settings
        Of these k_grid and n_init.

    Raises
    ------
    ArgumentError, NotEnoughImages
        The grid does not fit the number of distinct rows.

    Notes
    -----
    With m < d and up to 20,000 rows everything comes from their m² inner products (m² d FLOPs, once); otherwise 2 m k d
    FLOPs for each iteration of each K and 2 m² d for the distances, which all K share.
    """
    most = (settings.k_grid or USUAL)[-1]
    grid = [k] if k else fit_grid(settings.k_grid, distinct_up_to(features, most + 1))
    source = gram_matrix(features) if len(features) <= min(MOST_FOR_GRAM, features.shape[1]) else features
    labels = []
    for number in grid:
        start = compute.generator(seed)
        if isinstance(source, Gram):
            labels.append(gram_kmeans(source, number, n_init=settings.n_init, generator=start)[0])
        else:
            labels.append(kmeans(source, number, n_init=settings.n_init, generator=start).labels)
    found = [] if k else silhouettes(source, labels)
    share = torch.linspace(0, 1, _POINTS, dtype=torch.float64)
    return RawGroups(
        grid,
        [row.numpy() for row in labels],
        [float(row.double().mean()) for row in found],
        [row.double().quantile(share).float().numpy() for row in found],
    )


def encoder_of(preset: str, encoder: str, settings: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the encoder and its settings: those of the preset for a network, and over them what the user set.

    >>> encoder_of("raw_features", "auto", {"pool": "gap"})
    ('densenet201', {'image_size': 224, 'resize': 'stretch', 'pool': 'gap'})
    >>> encoder_of("default", "auto", {}), encoder_of("raw_features", "pixels", {})
    (('auto', {}), ('pixels', {}))
    """
    own = dict(ENCODERS.get(preset, {}))
    usual = own.pop("encoder", "auto")
    name = usual if encoder == "auto" else encoder
    return name, {**({} if name in ("auto", "pixels", "classic") else own), **settings}


# -- figures -----------------------------------------------------------------------------------------------------------


def figures(features: npt.NDArray[Any], labels: Ints, raw: RawGroups) -> list[dict[str, Any]]:
    """Return the two figures of the experiment as plain data: raw columns 0 and 1, and silhouettes of all images."""
    shown: list[dict[str, Any]] = [
        {
            "name": "raw-columns",
            "title": "Two raw feature columns",
            "caption": "Columns 0 and 1 of the features, coloured by group: 2 of "
            f"{features.shape[1]:,} dimensions, as the fourth seed shows them.",
            "kind": "scatter",
            "panels": [
                {
                    "title": f"{len(np.unique(labels))} groups",
                    "points": np.ascontiguousarray(features[:, :2], np.float32),
                    "labels": labels,
                }
            ],
            "x_label": "column 0",
            "y_label": "column 1",
        }
    ]
    if raw.curves:
        some = sorted(set(np.linspace(0, len(raw.grid) - 1, min(_CURVES, len(raw.grid))).round().astype(int).tolist()))
        shown.append(
            {
                "name": "raw-silhouettes",
                "title": "Silhouettes of all images, in raw features",
                "caption": "For each K, the silhouettes of all images from the lowest to the highest. A group that "
                "stands apart would lift its share of the curve well above 0.",
                "kind": "lines",
                "x": np.linspace(0, 100, _POINTS),
                "series": {f"K = {raw.grid[i]}": raw.curves[i] for i in some},
                "x_label": "share of the images (%)",
                "y_label": "silhouette (−1 to 1)",
            }
        )
    return shown
