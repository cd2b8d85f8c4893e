"""UMAP: many dimensions for grouping, two for looking. The neighbour graph is built once, and passed in."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from ilk import compute, kernels
from ilk.errors import MissingDependency
from ilk.vectors import fit_pca, is_exact, neighbors, recall

__all__ = ["Graph", "map_2d", "neighbor_graph", "principal_2d", "umap_embedding", "warming_up"]

Floats = npt.NDArray[np.float32]

DENSE = 512
"""Up to this many rows the spectral start comes from a dense eigenvalue decomposition."""

_LOOK = 200  # UMAP epochs of the map, which is to be looked at; more only move points within their groups

VERY_LARGE = 20_000
SHORT = 120
"""UMAP epochs above VERY_LARGE rows, where umap-learn takes 200. On MNIST the groups after 100 and after 200 epochs
agree as well as those of two seeds of 200 do (ARI .996 and .997), after 50 they do not (.86); 120 leaves a margin. An
ad-hoc measurement on one set, with ACC printed beside it; it has no recipe yet."""


class Graph(NamedTuple):
    """Nearest neighbours of every row, the row itself first.

    Attributes
    ----------
    index : (n, k) int64
    distance : (n, k) float32
    recall : float, optional
        The share of true neighbours that were found, measured on 1,000 rows; None: the graph is exact.
    """

    index: npt.NDArray[np.int64]  # type: ignore[assignment]  # hides tuple.index, which nobody wants here
    distance: Floats
    recall: float | None = None

    def nearest(self, n_neighbors: int) -> Graph:
        """Return the graph of the first `n_neighbors` columns, the row itself included."""
        return Graph(self.index[:, :n_neighbors], self.distance[:, :n_neighbors], self.recall)

    def notes(self) -> list[str]:
        """Say that it is approximate, and how much was found, where it is."""
        if self.recall is None:
            return []
        return [
            f"neighbours of {len(self.index):,} images: approximate (nearest-neighbour descent); {self.recall:.1%} of "
            f"the true ones were found, measured on {min(len(self.index), 1000):,} images"
        ]


def neighbor_graph(x: torch.Tensor, n_neighbors: int) -> Graph:
    """Euclidean neighbour graph of the rows of `x` (n, d); every row is its own first neighbour.

    Exact up to 100,000 rows, approximate above: see `ilk.vectors.neighbors`. The number of neighbours is cut to n.
    Cost: 2 n² d FLOPs, O(n k) memory.
    """
    n = len(x)
    own = np.arange(n, dtype=np.int64)[:, None]
    if min(n_neighbors, n) < 2:
        return Graph(own, np.zeros((n, 1), np.float32))
    index, distance = neighbors(x, x, min(n_neighbors, n) - 1, exclude_self=True)
    return Graph(
        np.hstack([own, index.cpu().numpy()]),
        np.hstack([np.zeros((n, 1), np.float32), distance.cpu().numpy()]),
        None if is_exact(n, n, x.device) else recall(x, distance),
    )


@compute.keep_threads()  # numba, at its first parallel loop, would have torch use every core
def umap_embedding(
    x: Floats,
    graph: Graph,
    *,
    n_components: int,
    min_dist: float = 0.0,
    epochs: int | None = None,
    seed: int = 0,
    weights: Floats | None = None,
) -> Floats:
    """Lay `x` (n, d) out in `n_components` dimensions with umap-learn on the given graph.

    One thread and a fixed seed: the same input gives the same output on the same machine. `epochs` None: umap-learn's
    own number (500 up to 10,000 rows, 200 above), and 120 above 20,000 rows.

    With `weights` (n,), how many images each row stands for, an edge counts by the geometric mean of its ends' weights:
    for the start, and for how often it pulls. The heaviest edges pull in each epoch, as ever.

    Raises
    ------
    MissingDependency
        umap-learn is missing or does not load.
    """
    umap = _umap()
    mass = None if weights is None or np.ptp(weights) == 0 else weights

    base: Any = umap.UMAP

    class Layout(base):  # type: ignore[misc]
        """UMAP that starts where `_start` says, from the one graph that it has made itself."""

        graph_: Any

        def _fit_embed_data(self, x: Floats, n_epochs: Any, init: Any, random_state: Any) -> Any:
            if mass is not None:
                self.graph_ = _weighted(self.graph_, mass)
            begin = _start(x, self.graph_, n_components, seed, mass)
            return super()._fit_embed_data(x, n_epochs, begin, random_state)

    model = Layout(
        n_components=n_components,
        n_neighbors=graph.index.shape[1],
        min_dist=min_dist,
        n_epochs=epochs or (SHORT if len(x) > VERY_LARGE else None),
        random_state=seed,
        n_jobs=1,
        init="random",
        precomputed_knn=(graph.index.astype(np.int32), graph.distance, None),
        low_memory=True,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # notes on parameters we chose on purpose
        embedding: Floats = np.asarray(model.fit_transform(x), np.float32)
    # a spectral start of a graph in many pieces can leave rows without a position
    return np.nan_to_num(embedding, copy=False)


def _weighted(graph: Any, weights: Floats) -> Any:
    """Return the edges of `graph` (n, n), each times the geometric mean of the weights of its ends, at most 1."""
    edges = graph.tocoo()
    mass = np.sqrt(weights / weights.max())
    edges.data = (edges.data * mass[edges.row] * mass[edges.col]).astype(np.float32)
    edges.data /= max(float(edges.data.max(initial=0.0)), 1e-12)
    return edges.tocsr()


def _start(x: Floats, graph: Any, n_components: int, seed: int, weights: Floats | None) -> Any:
    """Return where UMAP is to start: "random" (seeded) for a handful of rows, else (n, n_components) float32.

    A connected graph starts from the eigenvectors that umap-learn would take too, but found at the large end of the
    normalised adjacency matrix instead of the small end of the Laplacian (1 s instead of 12 s for 70,000 rows), and
    with seeded restarts: umap-learn's own start can differ from call to call where images coincide. A graph in several
    pieces starts from principal components, which keep the pieces where they belong.
    """
    n = len(x)
    if n <= n_components + 2:  # too few for a spectral start
        return "random"
    from scipy.sparse.csgraph import connected_components

    random = np.random.RandomState(seed)
    start = None
    if connected_components(graph, directed=False, return_labels=False) == 1:
        start = _spectral(graph, n_components)
    if start is None:
        start = _principal(x, n_components, weights)
    start *= 10 / max(float(np.abs(start).max()), 1e-12)
    return (start + random.normal(scale=1e-4, size=start.shape)).astype(np.float32)


def _spectral(weights: Any, n_components: int) -> npt.NDArray[np.float64] | None:
    """Leading eigenvectors of the normalised adjacency matrix but the first, signs fixed; None if not converged."""
    from scipy.sparse import csr_array
    from scipy.sparse.linalg import ArpackError, eigsh

    n, weights = weights.shape[0], weights.tocsr()
    scale = 1 / np.sqrt(np.asarray(weights.sum(0)).ravel())
    scaled = weights.data * np.repeat(scale, np.diff(weights.indptr))  # a product of matrices would copy indices too
    scaled *= scale[weights.indices]
    adjacency = csr_array((scaled.astype(np.float64), weights.indices, weights.indptr), weights.shape)
    try:
        if n <= DENSE:
            values, vectors = np.linalg.eigh(adjacency.toarray())
        else:
            ncv = max(32, 3 * n_components)
            values, vectors = eigsh(adjacency, n_components + 1, which="LA", ncv=ncv, tol=1e-3, v0=np.ones(n), rng=0)
    except (ArpackError, np.linalg.LinAlgError):
        return None
    found: npt.NDArray[np.float64] = vectors[:, np.argsort(-values)[1 : n_components + 1]]
    found *= np.sign(found[np.abs(found).argmax(0), np.arange(n_components)])
    return found


def map_2d(
    x: Floats, *, n_neighbors: int = 15, seed: int = 0, limit: int = 10_000, graph: Graph | None = None
) -> Floats:
    """Return a two-dimensional layout (n, 2) float32 of the rows of `x` (n, d).

    At most `limit` rows are laid out by UMAP; every other row stands at the distance-weighted mean of its nearest
    neighbours among them. Fewer than 12 rows are laid out by their two first principal components.

    Parameters
    ----------
    graph
        Neighbour graph of `x`, used where all rows are laid out.
    """
    n, x = len(x), np.require(x, np.float32, ["C", "W"])
    if n < 12:
        return principal_2d(x)
    if n <= limit:
        graph = graph.nearest(n_neighbors) if graph else neighbor_graph(torch.from_numpy(x), n_neighbors)
        return umap_embedding(x, graph, n_components=2, min_dist=0.1, epochs=_LOOK, seed=seed)
    chosen = np.sort(np.random.default_rng(seed).choice(n, limit, replace=False))
    anchors = torch.from_numpy(x[chosen])
    placed = umap_embedding(
        anchors.numpy(), neighbor_graph(anchors, n_neighbors), n_components=2, min_dist=0.1, epochs=_LOOK, seed=seed
    )
    layout = np.empty((n, 2), np.float32)
    layout[chosen] = placed
    others = np.setdiff1d(np.arange(n), chosen, assume_unique=True)
    index, distance = neighbors(torch.from_numpy(x[others]), anchors, 5)
    weights = 1.0 / (distance.numpy() + 1e-6)
    weights /= weights.sum(1, keepdims=True)
    layout[others] = np.einsum("nk,nkd->nd", weights, placed[index.numpy()])
    return layout


def principal_2d(x: Floats) -> Floats:
    """Return the first two principal components (n, 2) float32 of the rows of `x` (n, d)."""
    return _principal(x, 2).astype(np.float32)


def _principal(x: Floats, n_components: int, weights: Floats | None = None) -> npt.NDArray[np.float64]:
    """Principal components (n, n_components), zeros where there are fewer; with `weights` (n,), of weighted rows."""
    found = np.zeros((len(x), n_components))
    if len(x) < 2:
        return found
    if weights is not None:
        mass = (weights / weights.sum()).astype(np.float64)[:, None]
        offset = x - (x * mass).sum(0)
        vectors = np.linalg.eigh(offset.T @ (offset * mass))[1][:, ::-1][:, :n_components]
        vectors *= np.sign(vectors[np.abs(vectors).argmax(0), np.arange(vectors.shape[1])])
        found[:, : vectors.shape[1]] = offset @ vectors
        return found
    pca = fit_pca(x, min(n_components, *x.shape))
    found[:, : pca.components.shape[0]] = pca.transform(x).numpy()
    return found


@contextmanager
def warming_up(wanted: bool = True) -> Iterator[Callable[[], None]]:
    """Import umap-learn and compile its kernels in a background thread, while the block reads images.

    The block gets a function that starts the thread, where `wanted`, and does nothing more when called again.

    Numba and umap change the warning filters of the whole process for a while, from that thread: the block ends when
    the thread does, and puts the filters back. The thread never raises: what is wrong shows, by name, where UMAP is
    needed.
    """
    thread = threading.Thread(target=_compile, name="ilk-umap", daemon=True)

    def start() -> None:
        if wanted and thread.ident is None:
            thread.start()

    with warnings.catch_warnings():
        try:
            yield start
        finally:
            if thread.ident is not None:
                thread.join()  # always: an interpreter that ends under a compiling thread aborts the process


def _compile() -> None:
    try:
        x = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
        umap_embedding(x, neighbor_graph(torch.from_numpy(x), 15), n_components=2, epochs=2)
    except Exception:  # noqa: S110 - see the docstring
        pass


_import_lock = threading.Lock()


def _umap() -> Any:
    try:
        with _import_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kernels.prepare_numba_cache()
            import umap

            kernels.attach(umap)
    except (ImportError, RuntimeError, AttributeError) as error:
        raise MissingDependency(
            f"the UMAP reducer needs umap-learn, which does not load here ({error}). Install it, or use reducer=pca."
        ) from None
    return umap
