"""Transfer clustering: a frozen encoder, a reduced space, and groups in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from ilk import encoders, layout
from ilk.choose import choose_k
from ilk.data import Encoded, ImageSource
from ilk.errors import DataError
from ilk.methods import checks, pipeline
from ilk.methods.assign import rules
from ilk.methods.assign.placer import Placer, Space, coordinates, graph_of
from ilk.methods.assign.rejection import lost_when_new
from ilk.methods.assign.rules import Groups
from ilk.methods.assign.voting import Voter
from ilk.methods.clusterer import Clusterer
from ilk.methods.grid import check_grid
from ilk.methods.inputs.encoder import brings_features
from ilk.methods.preview import Preview
from ilk.methods.reporter import Reporter
from ilk.methods.settings import estimator
from ilk.methods.transfer import raw_features as raw
from ilk.methods.transfer.settings import PRESETS, TransferSettings
from ilk.vectors import fit_pca

__all__ = ["TransferClustering"]

_NEAR = 16  # columns of the neighbour graph that the number of groups is sought in: the image and 15 others


@estimator
class TransferClustering(Clusterer):
    """Group images by the features of a frozen encoder.

    encode → L2 → PCA → reducer → clusterer, with the number of groups given or chosen by silhouette.

    Parameters
    ----------
    n_clusters : int or "auto"
        At least 2. Ignored by ``clusterer="hdbscan"`` and by objects, which bring their own number.
    encoder : str
        "auto", "pixels", "classic" or any timm model name.
    weights : path, optional
        Weights of the encoder: safetensors or a state dict.
    reducer : {"umap", "pca", "none", "raw"} or object with ``fit_transform``, optional
        None: what the preset says.
    clusterer : {"gmm", "kmeans", "hdbscan", "agglomerative"} or object with ``fit_predict``, optional
        None: what the preset says.
    preset : str
        A table of settings: see `ilk.methods.transfer.settings`.
    settings : dict, optional
        Single keys of the preset's table, and encoder settings (image_size, pool, pad_type, resize).
    threshold : float
        In [0, 1]: `predict` answers -1, "none of these", where the probabilities of all groups sum to less. By default
        about one in a hundred new images of the same kind is refused; a higher threshold refuses more.
    random_state : int
        From 0 to 2**32 - 1.
    device, precision : str
        "auto", "cpu", "cuda"; "auto", "fp32", "bf16".
    cache : path, optional
        Where features and converted encoders are kept for the next run; None keeps nothing.
    verbose : bool, optional
        Whether `fit` shows how far it is. None: in notebooks and on terminals, unless it has an `on_epoch`.

    Attributes
    ----------
    labels_ : (n,) int64
        -1 = not assigned (noise, or not readable). Groups are numbered from the largest (0) to the smallest; above 300
        images they keep the numbers of the first groups, those of a sample of 300, which were numbered so.
    probabilities_ : (n, k) float32
    confidence_ : (n,) float32
        What `predict` would give an image's own group if the image were new; 0 where it is not assigned.
    cluster_centers_ : (k, d) float32
        Means of the groups' features.
    n_clusters_ : int
    k_choice_ : KChoice or None
    history_ : list of dict
        One record per stage, with its seconds.
    notes_ : list of str
        What the user should know: degraded paths, images that were skipped.
    encoded_ : Encoded
        Features and the state of every file.
    rows_ : (m,) int64
        Row of the source of every image that votes.
    space_, embedding_ : (m, p), (m, e) float32
        PCA space, and the space the groups were sought in; one row per distinct readable image.
    reduced_ : str or None
        What the latter is called where it is a reduction of the features ("UMAP, 10 dimensions").

    Notes
    -----
    Cost for n images: one pass of the encoder, 2 n² p FLOPs for the neighbour graph, which is exact up to
    100,000 images and takes some 60 µs an image above; O(n) memory.

    Fidelity: ``preset="raw_features"`` is an older project's experiment (raw flattened features, K-means, the K of
    the highest raw silhouette), which the other presets improve on: there it picks far too few or far too many groups.

    References
    ----------
    L. McInnes, J. Healy, J. Melville, "UMAP: Uniform Manifold Approximation and Projection", 2018, arXiv:1802.03426.
    S. Lowe et al., "An empirical study into clustering of unseen datasets with self-supervised encoders", 2024,
    arXiv:2406.02465.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> images = np.concatenate([rng.integers(0, 99, (20, 8, 8)), rng.integers(150, 255, (20, 8, 8))]).astype("u1")
    >>> TransferClustering(2, encoder="pixels", preset="tiny", settings={"pca_dim": 2}).fit(images).labels_.shape
    (40,)
    """

    n_clusters: Any = "auto"
    encoder: Any = "auto"
    weights: str | Path | None = None
    reducer: Any = None
    clusterer: Any = None
    threshold: float = 0.2

    presets: ClassVar = PRESETS
    renamed_presets: ClassVar = {"seed": "raw_features"}
    other_settings: ClassVar[frozenset[str]] = frozenset(encoders.SETTINGS)
    arguments: ClassVar[Mapping[str, str]] = {"reducer": "reducer", "clusterer": "clusterer"}
    chooses_k: ClassVar[bool] = True

    # -- fit ---------------------------------------------------------------------------------------------------------

    def resolved(self) -> TransferSettings:
        """Return the settings in force, every one checked.

        Raises
        ------
        ArgumentError
            An option outside of what is allowed.
        """
        found: TransferSettings = super().resolved()
        checks.threshold(self.threshold)
        return found

    def _learn(self, source: ImageSource, report: Reporter, resume: Mapping[str, Any] | None) -> Groups:
        settings: TransferSettings = self.settings_
        check_grid(settings.k_grid, self.settings, len(source))
        umap = settings.reducer == "umap" and len(source) >= pipeline.FEWEST_FOR_UMAP
        with layout.warming_up(umap) as warm_up:
            preview = Preview(len(source), self.n_clusters, self._seed(), report, source.names, warm_up)
            self.encoded_ = self._features(source, report, preview)
        features = self.encoded_.features
        self._check_count(features)
        with report.stage("reduce"):
            rows = pipeline.rows_for_pca(features, self._seed())
            pca = fit_pca(rows, min(settings.pca_dim, *rows.shape), normalize=True)
            space = Space(pca, coordinates(pca, features))
            self._check_count(space.rows)
            self.graph_ = graph_of(space, max(settings.n_neighbors, settings.n_neighbors_vote + 1))
            embedding, notes = pipeline.reduce_space(space.rows, features, self.graph_, settings, self._seed())
            self.notes_ += self.graph_.notes() + notes
            reduced = pipeline.reduction(settings.reducer, space.rows, embedding)
        with report.stage("cluster"):
            k, clusterer = self._number(embedding, reduced, report)
            found = self._group(space, embedding, k, clusterer, preview)
        return replace(found, reduced=reduced)

    def _features(self, source: ImageSource, report: Reporter, preview: Preview) -> Encoded:
        """Encode all images, a sample first."""
        preset = "default" if brings_features(source) else self.preset_called(self.preset)
        name, inner = raw.encoder_of(preset, self.encoder, self.settings_.extra)
        progress = preview.watching(report.progress)
        return self._encoded(source, report, name, self.weights, settings=inner, on_progress=progress, first=preview)

    def _check_count(self, features: npt.NDArray[Any]) -> None:
        wanted = 2 if self.n_clusters == "auto" else int(self.n_clusters)
        checks.distinct_images(self.encoded_, pipeline.distinct_up_to(features, wanted), wanted, alike=True)

    def _number(self, embedding: npt.NDArray[Any], reduced: str | None, report: Reporter) -> tuple[int | None, Any]:
        """Return the number of groups, given or argued for (None: the clusterer finds it), and the clusterer."""
        settings: TransferSettings = self.settings_
        self.k_choice_: Any = None
        self.raw_: Any = None
        k = None if self.n_clusters == "auto" else int(self.n_clusters)
        clusterer = settings.clusterer
        if not isinstance(clusterer, str) or clusterer == "hdbscan":
            if k is not None:
                self.notes_.append(f"n_clusters={self.n_clusters} was ignored: this clusterer finds its own number")
            return k, clusterer
        if settings.reducer == "raw":
            self.raw_ = raw.group_raw(embedding, settings, k, self._seed())
            self.k_choice_ = self.raw_.choice()
            clusterer = self.raw_ if clusterer == "kmeans" else clusterer
        elif k is None:
            near = self.graph_.nearest(_NEAR)[:2]
            choice = choose_k(
                embedding, k_grid=settings.k_grid, k_max=settings.k_max, random_state=self._seed(), graph=near
            )
            weak = self.encoder_.weak
            self.k_choice_ = choice.unjudged(pipeline.too_weak(self.encoder_.name)) if weak else choice
            self.notes_ += [] if self.k_choice_.clear else [self.k_choice_.why]
        if choice := self.k_choice_:
            found = {"k_table": choice.table, "suggested": choice.suggested(), "clear": choice.clear}
            report({"stage": "choose", **found, "space": reduced, "why": choice.why})
            k = choice.natural
        return k, clusterer

    def _group(self, space: Space, embedding: npt.NDArray[Any], k: int | None, clusterer: Any, preview: Any) -> Groups:
        settings: TransferSettings = self.settings_
        votes, features = settings.n_neighbors_vote, self.encoded_.features
        graph = self.graph_.nearest(votes)
        x = space.rows if clusterer is self.raw_ else embedding  # raw groups are there already
        found = pipeline.group(x, k, clusterer, settings.n_init, self._seed(), graph, votes)
        found = preview.keep(found, self.encoded_.rows)
        self.notes_ += found.notes + (self.raw_.notes if self.raw_ else [])
        if found.proba.shape[1] == 0:
            raise DataError("no group was found: every image is noise. Use another clusterer: gmm or kmeans.")
        new = lost_when_new(features, len(space.pca.components))
        voter = Voter.fit(space.rows, self.graph_, found.labels, found.proba, votes, new)
        confidence = voter.confidence(self.graph_, found.labels, _numpy(space.pca.lost(features)))
        placer = Placer(space.pca, voter)
        return Groups(placer, found.labels, found.proba, confidence, embedding, space=space.rows)

    # -- use ---------------------------------------------------------------------------------------------------------

    def _encode(self, source: ImageSource, on_progress: Any) -> Encoded:
        return encoders.encode(source, self.encoder_, cache=self._cache(source), on_progress=on_progress)

    def figures(self) -> list[dict[str, Any]]:
        """Return the figures of ``preset="raw_features"`` as plain data; none for the other presets."""
        if getattr(self, "raw_", None) is None:
            return []
        return raw.figures(self.encoded_.features, self.labels_[self.encoded_.rows], self.raw_)

    # -- keep --------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return what `predict` needs: arrays and plain values.

        The weights of the encoder are a file of their own: ``encoder_.weights_file``.
        """
        return {"encoder": self.encoder_.spec(), "threshold": float(self.threshold), **rules.kept(self)}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.threshold = float(state["threshold"])
        before = {"place": "Placer", "pca_normalize": True, "shown": [], "n_clusters": self.n_clusters_}
        rules.take(self, {**before, **state})  # models of before 0.2 say nothing of these
        self.space_ = Voter.from_state(state).space


def _numpy(tensor: torch.Tensor) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(tensor.cpu().numpy(), np.float32)
