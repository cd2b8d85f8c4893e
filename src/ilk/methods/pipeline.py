"""The steps of transfer clustering on plain arrays: reduce, group, and vote for new images."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from ilk import compute
from ilk.errors import ArgumentError, DataError, NotEnoughImages, nearest
from ilk.layout import Graph, neighbor_graph, umap_embedding
from ilk.methods.settings import Renamed, Settings, choice, number, whole
from ilk.vectors import Best, Rows, fit_mixture, kmeans

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

REDUCERS = ("umap", "pca", "none", "raw")
CLUSTERERS = ("gmm", "kmeans", "hdbscan", "agglomerative")
FEWEST_FOR_UMAP = 30
# A full covariance has e (e + 1) / 2 free numbers. With fewer than ten images per group and dimension, the mixture's
# groups change with the seed more than those of K-means (mean ARI between seeds on 500 photos, K = 10: .70, .83;
# benchmarks/seeds.py).
PER_DIMENSION = 10
FEWEST_FOR_HDBSCAN = 5
WIDE = 16_384  # columns from which on features count as flattened maps
MOST_FOR_PCA = 1024  # rows that a PCA of such features is fitted on
MOST_IN_MEMORY = 8 * 2**30
MOST_FOR_A_FULL_TREE = 5000


@dataclass(frozen=True, kw_only=True)
class LayoutSettings(Settings):
    """How a space for groups is laid out, and how new images find theirs."""

    renamed: ClassVar[Mapping[str, str | Renamed]] = {
        "components": "umap_dim",
        "epochs": "umap_epochs",
        "votes": "n_neighbors_vote",
    }

    reducer: Any = choice("umap", "the space that groups are sought in", ("umap", "pca"))
    umap_dim: int = whole(10, "dimensions of the UMAP space")
    n_neighbors: int = whole(15, "neighbours of the UMAP graph, the image itself included", 2)
    min_dist: float = number(0.0, "UMAP: least distance between images in the layout", 0, 1)
    umap_epochs: int | None = whole(None, "epochs of UMAP", none="500 up to 10,000 images, 200 up to 20,000, else 120")
    n_neighbors_vote: int = whole(15, "training images that vote for a new one")


class Grouping(NamedTuple):
    """Groups by size: labels (m,) int64, probabilities (m, k), what was done, and what to know about it."""

    labels: Ints
    proba: Best
    clusterer: str
    notes: list[str]


def check_choice(name: str, value: Any, allowed: tuple[str, ...], verb: str) -> None:
    """Raise unless `value` is one of `allowed` or an object with the method `verb`."""
    if isinstance(value, str):
        if value not in allowed:
            raise ArgumentError(f"{name}={value!r}: choose {', '.join(allowed)}." + nearest(value, allowed))
    elif not callable(getattr(value, verb, None)):
        raise ArgumentError(f"{name} must be one of {', '.join(allowed)} or an object with {verb}(), got {value!r}.")


def too_weak(encoder: str) -> str:
    """Say why features of `encoder` cannot show how many kinds of images there are."""
    return (
        f"features of {encoder} do not distinguish the contents of photos. Take a stronger encoder, "
        "or compare the suggested numbers by their pictures"
    )


def reduce_space(
    space: Floats,
    features: npt.NDArray[Any],
    graph: Graph,
    settings: LayoutSettings,
    seed: int,
    weights: Floats | None = None,
) -> tuple[Floats, list[str]]:
    """Return the space that groups are sought in, and notes.

    Parameters
    ----------
    space
        (m, p) principal components of the L2-normalised features.
    features
        (m, d) as encoded; used by ``reducer="none"``, and given back as they are by ``"raw"``.
    graph
        Neighbour graph of `space`; UMAP takes its first `n_neighbors` columns.
    settings
        ``reducer`` may be an object with ``fit_transform``.
    seed
    weights : (m,), optional
        How many images each row stands for; UMAP alone heeds it.
    """
    reducer = settings.reducer
    if not isinstance(reducer, str):
        return np.require(reducer.fit_transform(space), np.float32, ["C", "W"]), []
    if reducer == "raw":
        return features, []
    if reducer == "none":
        x = np.asarray(features, np.float32)
        return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12), []
    if reducer == "pca":
        return space, []
    if len(space) < FEWEST_FOR_UMAP:
        return space, [f"only {len(space)} distinct images: grouped in PCA space, too few for UMAP"]
    embedding = umap_embedding(
        space,
        graph.nearest(settings.n_neighbors),
        n_components=min(settings.umap_dim, len(space) - 2),
        min_dist=settings.min_dist,
        epochs=settings.umap_epochs,
        seed=seed,
        weights=weights,
    )
    return embedding, []


def reduction(reducer: Any, space: Floats, embedding: npt.NDArray[Any]) -> str | None:
    """Return what `embedding`, made by `reduce_space`, is called; None where it is the features or their `space`."""
    if embedding is space or (isinstance(reducer, str) and reducer != "umap"):
        return None
    name = "UMAP" if isinstance(reducer, str) else type(reducer).__name__
    return f"{name}, {embedding.shape[1]} dimensions"


def group(
    x: Floats,
    k: int | None,
    clusterer: Any,
    n_init: int,
    seed: int,
    graph: Graph | None = None,
    votes: int = 15,
    *,
    weights: Floats | None = None,
) -> Grouping:
    """Group the rows of `x` (m, e) with `clusterer` into `k` groups (None where the clusterer finds the number).

    With `weights` (m,) a mixture and K-means count each row so many times.
    """
    notes: list[str] = []
    proba: Best | None = None
    name = clusterer if isinstance(clusterer, str) else type(clusterer).__name__
    if name == "gmm" and k is not None:
        fitted = _mixture(x, k, n_init, seed, notes, weights)
        if fitted is None:
            name = "kmeans"
        else:
            labels, proba = fitted
    if name == "kmeans" and k is not None:
        mass = None if weights is None else torch.from_numpy(weights)
        start = compute.generator(seed)
        fit = kmeans(torch.from_numpy(x), k, n_init=max(n_init, 3), generator=start, sample_weight=mass)
        labels = fit.labels.numpy()
    elif name == "hdbscan":
        labels = _hdbscan(x)
    elif name == "agglomerative":
        labels = _agglomerative(x, k, graph)
    elif not isinstance(clusterer, str):
        labels = np.asarray(clusterer.fit_predict(_single(x)))
        if labels.shape != (len(x),):
            raise ArgumentError(f"{name}.fit_predict gave shape {labels.shape}, expected ({len(x)},).")
    labels, proba = by_size(labels.astype(np.int64), proba)
    if proba is None:
        proba = _neighbour_shares(x, labels, votes, graph)
    return Grouping(labels, proba, name, notes)


def _single(x: npt.NDArray[Any]) -> Floats:
    """Return raw features in single precision and in memory, which all clusterers but K-means need."""
    if x.dtype != np.float32 and x.size * 4 > MOST_IN_MEMORY:
        raise DataError(
            f"{x.size * 4 / 2**30:.1f} GiB of features do not go into this clusterer: "
            "use clusterer=kmeans, reducer=pca, or pool=gap."
        )
    return np.asarray(x, np.float32)


def _mixture(
    x: Floats, k: int, n_init: int, seed: int, notes: list[str], weights: Floats | None = None
) -> tuple[Ints, Best] | None:
    """Gaussian mixture with full covariances, or None (and a note) where there is too little data for it."""
    m, e = x.shape
    if m < PER_DIMENSION * k * e:
        notes.append(
            f"K-means instead of a Gaussian mixture, which takes {PER_DIMENSION * k * e:,} distinct images for {k} "
            f"groups (here {m:,}): nothing to do"
        )
        return None
    found = fit_mixture(_single(x), k, n_init=n_init, seed=seed, sample_weight=weights)
    if found is None:
        notes.append("K-means instead of a Gaussian mixture: a component collapsed")
        return None
    if not found.converged:
        notes.append("the Gaussian mixture did not converge; its best start is used")
    return found.labels, found.proba


def _hdbscan(x: Floats) -> npt.NDArray[Any]:
    from sklearn.cluster import HDBSCAN

    if len(x) < FEWEST_FOR_HDBSCAN:
        raise NotEnoughImages(f"{len(x)} distinct images: HDBSCAN needs at least {FEWEST_FOR_HDBSCAN}. Use kmeans.")
    return np.asarray(
        HDBSCAN(min_cluster_size=max(FEWEST_FOR_HDBSCAN, len(x) // 200), copy=True).fit_predict(_single(x))
    )


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
        return np.asarray(AgglomerativeClustering(k, linkage="ward", connectivity=connectivity).fit_predict(_single(x)))


def by_size(labels: Ints, proba: Best | None) -> tuple[Ints, Best | None]:
    """Number the groups from the largest to the smallest; ties by their first image. -1 stays."""
    ids, first, counts = np.unique(labels, return_index=True, return_counts=True)
    real = ids >= 0
    ids, first, counts = ids[real], first[real], counts[real]
    order = np.lexsort((first, -counts))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    renamed = np.where(labels >= 0, rank[np.searchsorted(ids, np.maximum(labels, ids[0]))], -1) if len(ids) else labels
    if proba is None:
        return renamed, None
    numbers = np.full(proba.k, -1, np.int64)
    numbers[ids] = rank
    return renamed, proba.renumbered(numbers, len(ids))


def _neighbour_shares(x: Floats, labels: Ints, votes: int, graph: Graph | None) -> Best:
    """Share of each group among the nearest neighbours of every row, itself included: (m, k).

    The label of a row is kept as its best group, so that labels and probabilities never disagree. Rows that belong to a
    group sum to 1, rows of noise are 0.
    """
    k = int(labels.max()) + 1
    index = (graph or neighbor_graph(torch.from_numpy(x), votes)).index

    def block(start: int, stop: int) -> Floats:
        near, mine = labels[index[start:stop]], labels[start:stop]
        proba = np.zeros((stop - start, k), np.float32)
        rows = np.broadcast_to(np.arange(stop - start)[:, None], near.shape)
        np.add.at(proba, (rows[near >= 0], near[near >= 0]), 1.0 / index.shape[1])
        own = mine >= 0
        rows_own = np.flatnonzero(own)
        proba[rows_own, mine[own]] = np.maximum(proba[rows_own, mine[own]], proba[own].max(1, initial=0.0) + 1e-3)
        proba[~own] = 0.0
        return np.asarray(proba / np.where(own, proba.sum(1), 1.0)[:, None], np.float32)

    return Best.by_blocks(len(x), k, block)


def distinct_up_to(features: npt.NDArray[Any], enough: int) -> int:
    """Return how many different rows there are, or `enough` where there are at least so many; no more are looked at."""
    found = Rows.of(features).fewer_distinct_than(enough) if len(features) else 0
    return enough if found is None else found


def rows_for_pca(features: npt.NDArray[Any], seed: int) -> npt.NDArray[Any]:
    """Return the rows to fit a PCA on: all, or 1,024 drawn at random of flattened maps.

    Their PCA goes through the inner products of the rows; 50 directions do not need those of all.
    """
    m, d = features.shape
    if m <= MOST_FOR_PCA or d <= max(m, WIDE):
        return features
    chosen = np.sort(np.random.default_rng(seed).choice(m, MOST_FOR_PCA, replace=False))
    return np.ascontiguousarray(features[chosen])
