"""The steps of transfer clustering on plain arrays: reduce, group, and vote for new images."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from ilk import compute
from ilk.errors import ArgumentError, NotEnoughImages, nearest
from ilk.layout import Graph, neighbor_graph, umap_embedding
from ilk.vectors import kmeans, neighbors

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

REDUCERS = ("umap", "pca", "none")
CLUSTERERS = ("gmm", "kmeans", "hdbscan", "agglomerative")
FEWEST_FOR_UMAP = 30
FEWEST_FOR_HDBSCAN = 5
MOST_FOR_A_FULL_TREE = 5000


class Grouping(NamedTuple):
    """Groups by size: labels (m,) int64, probabilities (m, k) float32, what was done, and what to know about it."""

    labels: Ints
    proba: Floats
    clusterer: str
    notes: list[str]


def check_choice(name: str, value: Any, allowed: tuple[str, ...], verb: str) -> None:
    """Raise unless `value` is one of `allowed` or an object with the method `verb`."""
    if isinstance(value, str):
        if value not in allowed:
            raise ArgumentError(f"{name}={value!r}: choose {', '.join(allowed)}." + nearest(value, allowed))
    elif not callable(getattr(value, verb, None)):
        raise ArgumentError(f"{name} must be one of {', '.join(allowed)} or an object with {verb}(), got {value!r}.")


def reduce_space(
    space: Floats, features: npt.NDArray[Any], reducer: Any, settings: dict[str, Any], seed: int
) -> tuple[Floats, Graph | None, list[str]]:
    """Return the space that groups are sought in, its neighbour graph where one was built, and notes.

    Parameters
    ----------
    space
        (m, p) principal components of the L2-normalised features.
    features
        (m, d) as encoded; used by ``reducer="none"`` alone.
    """
    if not isinstance(reducer, str):
        return np.require(reducer.fit_transform(space), np.float32, ["C", "W"]), None, []
    if reducer == "none":
        x = np.asarray(features, np.float32)
        return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12), None, []
    if reducer == "pca":
        return space, None, []
    if len(space) < FEWEST_FOR_UMAP:
        return space, None, [f"only {len(space)} distinct images: grouped in PCA space, too few for UMAP"]
    graph = neighbor_graph(torch.from_numpy(space), int(settings["n_neighbors"]))
    embedding = umap_embedding(
        space,
        graph,
        n_components=min(int(settings["components"]), len(space) - 2),
        min_dist=float(settings["min_dist"]),
        epochs=settings["epochs"],
        seed=seed,
    )
    return embedding, graph, []


def group(
    x: Floats, k: int | None, clusterer: Any, n_init: int, seed: int, graph: Graph | None = None, votes: int = 15
) -> Grouping:
    """Group the rows of `x` (m, e) with `clusterer` into `k` groups (None where the clusterer finds the number)."""
    notes: list[str] = []
    proba: Floats | None = None
    name = clusterer if isinstance(clusterer, str) else type(clusterer).__name__
    if name == "gmm" and k is not None:
        fitted = _mixture(x, k, n_init, seed, notes)
        if fitted is None:
            name = "kmeans"
        else:
            labels, proba = fitted
    if name == "kmeans" and k is not None:
        fit = kmeans(torch.from_numpy(x), k, n_init=max(n_init, 3), generator=compute.generator(seed))
        labels = fit.labels.numpy()
    elif name == "hdbscan":
        labels = _hdbscan(x)
    elif name == "agglomerative":
        labels = _agglomerative(x, k, graph)
    elif not isinstance(clusterer, str):
        labels = np.asarray(clusterer.fit_predict(x))
        if labels.shape != (len(x),):
            raise ArgumentError(f"{name}.fit_predict gave shape {labels.shape}, expected ({len(x)},).")
    labels, proba = _by_size(labels.astype(np.int64), proba)
    if proba is None:
        proba = _neighbour_shares(x, labels, votes, graph)
    return Grouping(labels, proba, name, notes)


def _mixture(x: Floats, k: int, n_init: int, seed: int, notes: list[str]) -> tuple[Ints, Floats] | None:
    """Gaussian mixture with full covariances, or None (and a note) where there is too little data for it."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    m, e = x.shape
    if m < k * (e + 2):
        notes.append(f"K-means instead of a Gaussian mixture: {m} distinct images are too few for {k} groups in {e}-D")
        return None
    model = GaussianMixture(
        k,
        covariance_type="full",
        reg_covar=1e-4 * max(float(x.var(0).mean()), 1e-12),
        n_init=n_init,
        init_params="k-means++",
        random_state=seed,
        max_iter=200,
    )
    collapsed = "K-means instead of a Gaussian mixture: a component collapsed"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            model.fit(x)
        except ValueError:  # an ill-conditioned covariance
            notes.append(collapsed)
            return None
    proba = model.predict_proba(x).astype(np.float32)
    labels = proba.argmax(1)
    if np.bincount(labels, minlength=k).min() < 2:
        notes.append(collapsed)
        return None
    if not model.converged_:
        notes.append(f"the Gaussian mixture did not converge in {model.max_iter} steps; its best start is used")
    return labels, proba


def _hdbscan(x: Floats) -> npt.NDArray[Any]:
    from sklearn.cluster import HDBSCAN

    if len(x) < FEWEST_FOR_HDBSCAN:
        raise NotEnoughImages(f"{len(x)} distinct images: HDBSCAN needs at least {FEWEST_FOR_HDBSCAN}. Use kmeans.")
    return np.asarray(HDBSCAN(min_cluster_size=max(FEWEST_FOR_HDBSCAN, len(x) // 200), copy=True).fit_predict(x))


def _agglomerative(x: Floats, k: int | None, graph: Graph | None) -> npt.NDArray[Any]:
    from scipy.sparse import csr_matrix
    from sklearn.cluster import AgglomerativeClustering

    connectivity = None
    if len(x) > MOST_FOR_A_FULL_TREE:  # the full tree needs m² distances; on the neighbour graph it needs m k
        graph = graph or neighbor_graph(torch.from_numpy(x), 15)
        m, width = graph.index.shape
        rows = np.repeat(np.arange(m), width)
        connectivity = csr_matrix((np.ones(m * width, np.float32), (rows, graph.index.ravel())), shape=(m, m))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "the graph has several components: completing it"
        return np.asarray(AgglomerativeClustering(k, linkage="ward", connectivity=connectivity).fit_predict(x))


def _by_size(labels: Ints, proba: Floats | None) -> tuple[Ints, Floats | None]:
    """Number the groups from the largest to the smallest; ties by their first image. -1 stays."""
    ids, first, counts = np.unique(labels, return_index=True, return_counts=True)
    real = ids >= 0
    ids, first, counts = ids[real], first[real], counts[real]
    order = np.lexsort((first, -counts))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    renamed = np.where(labels >= 0, rank[np.searchsorted(ids, np.maximum(labels, ids[0]))], -1) if len(ids) else labels
    return renamed, None if proba is None else np.ascontiguousarray(proba[:, ids[order]])


def _neighbour_shares(x: Floats, labels: Ints, votes: int, graph: Graph | None) -> Floats:
    """Share of each group among the nearest neighbours of every row, itself included: (m, k) float32.

    The label of a row is kept as its best group, so that labels and probabilities never disagree. Rows that belong to a
    group sum to 1, rows of noise are 0.
    """
    k = int(labels.max()) + 1
    index = (graph or neighbor_graph(torch.from_numpy(x), votes)).index
    near = labels[index]
    proba = np.zeros((len(x), k), np.float32)
    rows = np.broadcast_to(np.arange(len(x))[:, None], near.shape)
    np.add.at(proba, (rows[near >= 0], near[near >= 0]), 1.0 / index.shape[1])
    own = labels >= 0
    rows_own = np.flatnonzero(own)
    proba[rows_own, labels[own]] = np.maximum(proba[rows_own, labels[own]], proba[own].max(1, initial=0.0) + 1e-3)
    proba[~own] = 0.0
    return np.asarray(proba / np.where(own, proba.sum(1), 1.0)[:, None], np.float32)


def reach(space: Floats, labels: Ints, k: int, votes: int) -> tuple[Floats, Floats]:
    """How far the images of each group stand from their neighbours: radius (k,) and spread (k,) float32.

    The radius is the 99th percentile of the mean distance to the `votes` nearest other training images, the spread its
    distance from the median. A new image beyond the radius loses confidence by a factor e per spread.
    """
    count = min(votes, len(space) - 1)
    x = torch.from_numpy(space)
    away = neighbors(x, x, count, exclude_self=True)[1].numpy().mean(1) if count else np.zeros(len(space), np.float32)
    radius, spread = np.empty(k, np.float32), np.empty(k, np.float32)
    overall = float(np.quantile(away, 0.99)), float(np.median(away))
    for g in range(k):
        mine = away[labels == g]
        far, middle = (np.quantile(mine, 0.99), np.median(mine)) if len(mine) >= 10 else overall
        radius[g], spread[g] = far, max(far - middle, 1e-3 * max(far, 1e-6))
    return radius, spread


def vote(queries: Floats, space: Floats, proba: npt.NDArray[Any], radius: Floats, spread: Floats, votes: int) -> Floats:
    """Group probabilities (b, k) of new images from the distance-weighted vote of their nearest training images.

    A query that coincides with training images takes their mean probabilities. The vote is scaled down where the
    query stands farther from its neighbours than the training images of its group do (see `reach`), so a row may sum to
    less than 1: the rest is the share of "none of these".
    """
    index, distance = neighbors(torch.from_numpy(queries), torch.from_numpy(space), min(votes, len(space)))
    near, away = index.numpy(), distance.numpy().astype(np.float64)
    scale = max(float(np.median(radius)), 1e-12)
    twin = away <= 1e-4 * scale
    weights = np.where(twin.any(1, keepdims=True), twin, 1.0 / np.maximum(away, 1e-12))
    weights /= weights.sum(1, keepdims=True)
    result = np.zeros((len(queries), proba.shape[1]), np.float32)
    for column in range(near.shape[1]):  # one neighbour at a time: (b, k), never (b, votes, k)
        result += weights[:, column, None].astype(np.float32) * proba[near[:, column]].astype(np.float32)
    best = result.argmax(1)
    beyond = (away.mean(1) - radius[best]) / spread[best]
    typical = np.where(twin.any(1), 1.0, np.exp(-np.clip(beyond, 0.0, 50.0)))
    return result * typical[:, None].astype(np.float32)


def centers(features: npt.NDArray[Any], labels: Ints, k: int) -> Floats:
    """Mean feature of each group, (k, d) float32, in chunks that never hold more than 64 MiB of float32."""
    sums = torch.zeros((k, features.shape[1]), dtype=torch.float64)
    step = max(1, (64 << 20) // (4 * features.shape[1]))
    for start in range(0, len(features), step):
        mine = labels[start : start + step]
        keep = np.flatnonzero(mine >= 0)
        rows = torch.from_numpy(np.asarray(features[start : start + step][keep], np.float64))
        sums.index_add_(0, torch.from_numpy(mine[keep]), rows)
    counts = np.bincount(labels[labels >= 0], minlength=k)
    return (sums.numpy() / np.maximum(counts, 1)[:, None]).astype(np.float32)
