"""The steps of the classical baselines on plain arrays."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ilk import compute
from ilk.errors import DataError
from ilk.layout import Graph
from ilk.methods.assign.placer import Space, graph_of
from ilk.methods.assign.rules import unit_rows
from ilk.methods.baselines.classical_settings import GraphSettings, NMFSettings
from ilk.vectors import connected, graph_nmf, kmeans, neighbors

__all__ = [
    "chosen_rows",
    "drawable",
    "edges",
    "factors",
    "kmeans_labels",
    "merged",
    "near",
]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def drawable(encoder: Any) -> bool:
    """Return whether features are images that can be shown."""
    return bool(encoder.name == "pixels")


# -- graphs ------------------------------------------------------------------------------------------------------------


def chosen_rows(features: npt.NDArray[Any], space: Space, settings: GraphSettings, unit: bool) -> npt.NDArray[Any]:
    """Return what distances are measured in: the principal components, or the features."""
    if settings.neighbors_in == "pca":
        return space.rows
    return np.asarray(unit_rows(features) if unit else features, np.float32)


def near(features: npt.NDArray[Any], space: Space, settings: GraphSettings, width: int, unit: bool) -> Graph:
    """Return every image's `width` nearest neighbours, itself first."""
    if settings.neighbors_in == "pca":
        return graph_of(space, width + 1)
    rows = torch.from_numpy(chosen_rows(features, space, settings, unit))
    index, distance = neighbors(rows, rows, min(width, len(rows) - 1), exclude_self=True)
    own = np.arange(len(rows), dtype=np.int64)[:, None]
    return Graph(np.hstack([own, index.numpy()]), np.hstack([np.zeros((len(rows), 1), np.float32), distance.numpy()]))


def edges(rows: npt.NDArray[Any], graph: Graph, *, mutual: bool = False) -> Any:
    """Return the graph of `rows` as a sparse matrix of distances in one piece."""
    return connected(rows, graph.index, graph.distance, mutual=mutual)


def kmeans_labels(rows: Floats, k: int, n_init: int, seed: int) -> Ints:
    """Return the groups (m,) that K-means finds among `rows`."""
    found = kmeans(torch.from_numpy(rows), k, n_init=n_init, generator=compute.generator(seed))
    labels: Ints = found.labels.numpy()
    return labels


def merged(rows: Floats, graph: Any, k: int, linkage: str) -> tuple[Ints, npt.NDArray[np.float64]]:
    """Merge along the edges of `graph` until `k` groups are left; return them, and the whole tree as SciPy has it."""
    from sklearn.cluster import AgglomerativeClustering

    model = AgglomerativeClustering(k, linkage=linkage, connectivity=graph, compute_distances=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labels = np.asarray(model.set_params(compute_full_tree=True).fit_predict(rows), np.int64)
    m = len(rows)
    counts = np.ones(2 * m - 1)
    for number, (left, right) in enumerate(model.children_):
        counts[m + number] = counts[left] + counts[right]
    tree = np.column_stack([model.children_, model.distances_, counts[m:]]).astype(np.float64)
    return labels, tree


# -- factors -----------------------------------------------------------------------------------------------------------


def factors(
    rows: npt.NDArray[Any], space: Space, count: int, settings: NMFSettings, seed: int
) -> tuple[Floats | None, Floats]:
    """Return components (count, d) of length 1; and coefficients (m, count) where neighbours had a part in them."""
    if float(rows.min()) < 0:
        raise DataError(
            "NMF needs features of at least 0, and this encoder gives negative ones: use encoder=pixels or classic."
        )
    if settings.locality:
        graph = graph_of(space, settings.n_neighbors + 1)
        affinity = connected(space.rows, graph.index, graph.distance)
        affinity.data[:] = 1.0
        w, h = graph_nmf(rows, affinity, count, locality=settings.locality, steps=settings.max_iter, seed=int(seed))
        return w.numpy(), h.numpy()
    return None, _plain_factors(rows, count, settings.max_iter, seed)


def _plain_factors(rows: npt.NDArray[Any], count: int, steps: int, seed: int) -> Floats:
    from sklearn.decomposition import NMF

    start = "nndsvda" if count <= min(rows.shape) else "random"
    model = NMF(count, init=start, random_state=int(seed), max_iter=steps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "maximum number of iterations": that is what was asked for
        model.fit(np.asarray(rows, np.float32))
    h = np.asarray(model.components_, np.float32)
    return np.asarray(h / np.maximum(np.linalg.norm(h, axis=1, keepdims=True), 1e-12), np.float32)
