"""The classical baselines: K-means, spectral, agglomerative, non-negative factors, UMAP and a mixture, and chance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from ilk.methods import figures
from ilk.methods.assign.nearest_center import group_centers
from ilk.methods.assign.placer import Space
from ilk.methods.assign.rules import ByCenters, ByCodes, ByHash, Groups, placed, umap_mixture, unit_rows, voted
from ilk.methods.baselines import classical_steps as steps
from ilk.methods.baselines.classical_settings import (
    AGGLOMERATIVE,
    KMEANS,
    NMF_,
    RANDOM,
    SPECTRAL,
    UMAP_MIXTURE,
    AgglomerativeSettings,
    KMeansSettings,
    MixtureSettings,
    NMFSettings,
    RandomSettings,
    SpectralSettings,
)
from ilk.methods.baselines.on_features import OnFeatures
from ilk.vectors import self_tuning, spectral_embedding

__all__ = ["NMF", "Agglomerative", "KMeans", "RandomGroups", "Spectral", "UMAPMixture"]


@final
class KMeans(OnFeatures):
    """K-means on pixels or on the features of a frozen encoder.

    Options and attributes: as all methods on features, see `ilk.methods.baselines.on_features.OnFeatures`.

    Attributes
    ----------
    probabilities_ : (n, k) float32
        Memberships of fuzzy C-means: by the squared distances to the centres.

    Notes
    -----
    Lloyd's iterations from ``n_init`` greedy k-means++ starts, the one of least inertia kept. Cost of a start: some ten
    to a hundred times 2·n·k·d FLOPs. New images go to the nearest centre.

    Fidelity: docs/methods/classical-fidelity.md.

    References
    ----------
    D. Arthur, S. Vassilvitskii, "k-means++: The Advantages of Careful Seeding", SODA 2007.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> images = np.concatenate([rng.integers(0, 99, (20, 8, 8)), rng.integers(150, 255, (20, 8, 8))]).astype("u1")
    >>> KMeans(2).fit(images).labels_.shape
    (40,)
    """

    presets: ClassVar = KMEANS

    def _group(self, features: npt.NDArray[Any], space: Space, settings: KMeansSettings) -> Groups:
        rows = unit_rows(features) if self._unit() else features
        points = group_centers(rows, int(self.n_clusters), settings.n_init, self.random_state)
        assigner = ByCenters(points, self._unit())
        shown = {"centers": points} if steps.drawable(self.encoder_) else {}
        return placed(assigner, features, pictures=shown)

    def figures(self) -> list[dict[str, Any]]:
        """Return the centres as pictures, where the features are pixels."""
        return figures.pixels(self.pictures_, "centers", self.encoder_, "Centres", "The mean image of every group.")


@final
class Spectral(OnFeatures):
    """Spectral clustering with self-tuning affinities on a sparse neighbour graph.

    Every image is tied to its nearest neighbours; an edge weighs exp(−d² / (σᵢ σⱼ)), where σ is the distance to the
    image's seventh neighbour. The k leading eigenvectors of the normalised matrix, each row brought to length 1, are
    grouped by K-means.

    Options and attributes: as all methods on features, see `ilk.methods.baselines.on_features.OnFeatures`.

    Notes
    -----
    Cost: 2 n² p FLOPs for the exact neighbours, O(n) memory. New images take the vote of their nearest neighbours.

    Fidelity: docs/methods/classical-fidelity.md.

    References
    ----------
    L. Zelnik-Manor, P. Perona, "Self-Tuning Spectral Clustering", NIPS 2004.
    A. Ng, M. Jordan, Y. Weiss, "On Spectral Clustering: Analysis and an Algorithm", NIPS 2001.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> images = np.concatenate([rng.integers(0, 99, (20, 8, 8)), rng.integers(150, 255, (20, 8, 8))]).astype("u1")
    >>> sorted(set(Spectral(2, preset="tiny").fit(images).labels_.tolist()))
    [0, 1]
    """

    presets: ClassVar = SPECTRAL

    def _group(self, features: npt.NDArray[Any], space: Space, settings: SpectralSettings) -> Groups:
        k, width = int(self.n_clusters), max(settings.n_neighbors, settings.scale_neighbor)
        near = steps.near(features, space, settings, width, self._unit())
        scale = near.distance[:, min(settings.scale_neighbor, near.distance.shape[1] - 1)]
        rows = steps.chosen_rows(features, space, settings, self._unit())
        affinity = self_tuning(steps.edges(rows, near.nearest(settings.n_neighbors + 1)), scale)
        vectors, values = spectral_embedding(affinity, k)
        embedding = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        embedding = embedding.astype(np.float32)
        labels = steps.kmeans_labels(embedding, k, settings.n_init, self.random_state)
        return voted(labels, k, space, settings.n_neighbors_vote, embedding=embedding, pictures={"values": values})

    def figures(self) -> list[dict[str, Any]]:
        """Return the smallest eigenvalues of the Laplacian: a gap behind the k-th says that there are k groups."""
        return figures.spectrum(self.pictures_["values"], self.n_clusters_)


@final
class Agglomerative(OnFeatures):
    """Agglomerative clustering on a sparse neighbour graph: only groups that touch are merged.

    Options and attributes: as all methods on features, see `ilk.methods.baselines.on_features.OnFeatures`.

    Notes
    -----
    ``linkage`` is Ward's by default. Cost: the neighbours, then n − 1 merges over the edges of the graph; O(n) memory.
    New images take the vote of their nearest neighbours. The result has nothing random in it.

    Fidelity: docs/methods/classical-fidelity.md.

    References
    ----------
    J. H. Ward, "Hierarchical Grouping to Optimize an Objective Function", JASA 58, 1963.
    K. C. Gowda, G. Krishna, "Agglomerative Clustering Using the Concept of Mutual Nearest Neighbourhood", Pattern
    Recognition 10, 1978 (towards ``preset="mutual"``).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> images = np.concatenate([rng.integers(0, 99, (20, 8, 8)), rng.integers(150, 255, (20, 8, 8))]).astype("u1")
    >>> np.bincount(Agglomerative(2, preset="tiny").fit(images).labels_).tolist()
    [20, 20]
    """

    presets: ClassVar = AGGLOMERATIVE

    def _group(self, features: npt.NDArray[Any], space: Space, settings: AgglomerativeSettings) -> Groups:
        near = steps.near(features, space, settings, settings.n_neighbors, self._unit())
        rows = steps.chosen_rows(features, space, settings, self._unit())
        graph = steps.edges(rows, near, mutual=settings.mutual)
        labels, tree = steps.merged(rows, graph, int(self.n_clusters), settings.linkage)
        pictures = figures.kept_tree(tree)
        return voted(labels, int(self.n_clusters), space, settings.n_neighbors_vote, pictures=pictures)

    def figures(self) -> list[dict[str, Any]]:
        """Return the last merges as a tree."""
        return figures.tree(self.pictures_)


@final
class NMF(OnFeatures):
    """Non-negative matrix factorisation, and K-means on its coefficients.

    Every image becomes a sum of non-negative components; groups are sought among the coefficients, or an image joins
    the component with its largest (``assign="largest"``).

    Options and attributes: as all methods on features, see `ilk.methods.baselines.on_features.OnFeatures`.

    Raises
    ------
    DataError
        In `fit`, where features are negative: those of some networks are.

    Notes
    -----
    Plain factors come from scikit-learn (coordinate descent); coefficients of training and new images alike from a
    fixed number of sweeps of coordinate descent for the components found. ``preset="local"`` keeps neighbours together.
    Cost: 4·n·d·k FLOPs a step.

    Fidelity: docs/methods/classical-fidelity.md.

    References
    ----------
    D. D. Lee, H. S. Seung, "Learning the Parts of Objects by Non-negative Matrix Factorization", Nature 401, 1999.
    D. Cai, X. He, X. Wang, H. Bao, J. Han, "Locality Preserving Nonnegative Matrix Factorization", IJCAI 2009.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> images = np.concatenate([rng.integers(0, 99, (20, 8, 8)), rng.integers(150, 255, (20, 8, 8))]).astype("u1")
    >>> NMF(2, preset="tiny").fit(images).labels_.shape
    (40,)
    """

    presets: ClassVar = NMF_

    def _group(self, features: npt.NDArray[Any], space: Space, settings: NMFSettings) -> Groups:
        k, rows = int(self.n_clusters), unit_rows(features) if self._unit() else features
        count = k if settings.assign == "largest" else settings.nmf_components or k
        codes, components = steps.factors(rows, space, count, settings, self.random_state)
        shown = {"components": components} if steps.drawable(self.encoder_) else {}
        if codes is not None:  # what neighbours add to the coefficients is not known of a new image: it takes a vote
            found = codes / np.maximum(np.linalg.norm(codes, axis=1, keepdims=True), 1e-12)
            labels = steps.kmeans_labels(found, k, settings.n_init, self.random_state)
            return voted(labels, k, space, settings.n_neighbors_vote, embedding=found, pictures=shown)
        assigner = ByCodes(components, np.zeros((0, count), np.float32), self._unit())
        found = assigner.codes(features)
        if settings.assign == "kmeans":
            assigner = replace(assigner, centers=group_centers(found, k, settings.n_init, self.random_state))
        return placed(assigner, features, proba=assigner.of_codes(found), embedding=found, pictures=shown)

    def figures(self) -> list[dict[str, Any]]:
        """Return the components as pictures, where the features are pixels."""
        caption = "Every image is a sum of these, with weights of at least 0."
        return figures.pixels(self.pictures_, "components", self.encoder_, "Components", caption)


@final
class UMAPMixture(OnFeatures):
    """Principal components, UMAP, and a Gaussian mixture: the strong plain baseline.

    Options and attributes: as all methods on features, see `ilk.methods.baselines.on_features.OnFeatures`.

    Notes
    -----
    The steps of `ilk.methods.TransferClustering`, on pixels by default and without anything around them; with an
    autoencoder in front it is N2D, which is ``Autoencoder(preset="n2d")``. Cost: 2 n² p FLOPs for the neighbours, then
    UMAP, O(n) memory. New images take the vote of their nearest neighbours.

    Fidelity: docs/methods/classical-fidelity.md.

    References
    ----------
    L. McInnes, J. Healy, J. Melville, "UMAP: Uniform Manifold Approximation and Projection", 2018, arXiv:1802.03426.
    R. McConville, R. Santos-Rodriguez, R. J. Piechocki, I. Craddock, "N2D: (Not Too) Deep Clustering via Clustering the
    Local Manifold of an Autoencoded Embedding", ICPR 2020.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> images = np.concatenate([rng.integers(0, 99, (20, 8, 8)), rng.integers(150, 255, (20, 8, 8))]).astype("u1")
    >>> UMAPMixture(2, preset="tiny").fit(images).labels_.shape
    (40,)
    """

    presets: ClassVar = UMAP_MIXTURE

    def _group(self, features: npt.NDArray[Any], space: Space, settings: MixtureSettings) -> Groups:
        return umap_mixture(features, space, int(self.n_clusters), settings, settings.n_init, self.random_state)

    def figures(self) -> list[dict[str, Any]]:
        """Return nothing: the map of the report is what there is to see."""
        return []


@final
class RandomGroups(OnFeatures):
    """Groups at random: what every method has to rise above.

    Options and attributes: as all methods on features, see `ilk.methods.baselines.on_features.OnFeatures`.

    Notes
    -----
    The group of an image is drawn from a hash of its features and of ``random_state``: equal images share a group, new
    images have one, and nothing about the content is used. Confidence is 1 / k.

    Examples
    --------
    >>> images = np.random.default_rng(0).integers(0, 255, (300, 8, 8), "u1")
    >>> bool((np.bincount(RandomGroups(3).fit(images).labels_) > 70).all())
    True
    """

    presets: ClassVar = RANDOM

    def _group(self, features: npt.NDArray[Any], space: Space, settings: RandomSettings) -> Groups:
        return placed(ByHash(int(self.n_clusters), int(self.random_state)), features)

    def figures(self) -> list[dict[str, Any]]:
        """Return nothing."""
        return []
