"""Transfer clustering: a frozen encoder, a reduced space, and groups in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch

from ilk import encoders, layout
from ilk.choose import choose_k
from ilk.data import Encoded, ImageSource, open_images
from ilk.errors import DataError
from ilk.methods import checks
from ilk.methods import pipeline as steps
from ilk.methods.assign.placer import Placer, lost, pca_from, place
from ilk.methods.assign.rejection import lost_when_new
from ilk.methods.assign.voting import Voter
from ilk.methods.base import ImageClusterer, OnEpoch
from ilk.methods.inputs.encoder import brings_features, load_encoder, reload_encoder, take_kept
from ilk.methods.outcome import centers, spread
from ilk.methods.preview import FirstGroups
from ilk.methods.stages import Stages
from ilk.methods.transfer import raw_features as raw
from ilk.methods.transfer.presets import PRESETS
from ilk.vectors import fit_pca

__all__ = ["TransferClustering"]

_NEAR = 16  # columns of the neighbour graph that the number of groups is sought in: the image and 15 others

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


class TransferClustering(ImageClusterer):
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
        A table of settings: see `ilk.methods.transfer.presets`.
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
    Cost for n images: one pass of the encoder, 2 n² p FLOPs for the exact neighbour graph, O(n) memory.

    Fidelity: ``preset="seed"`` is the fourth seed's experiment (raw flattened features, K-means, the K of the highest
    raw silhouette), which the other presets improve on: there it picks far too few or far too many groups.

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
    >>> TransferClustering(2, encoder="pixels", preset="tiny", settings={"pca": 2}).fit(images).labels_.shape
    (40,)
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS
    other_settings: ClassVar[frozenset[str]] = frozenset(encoders.SETTINGS)

    def __init__(
        self,
        n_clusters: int | str = "auto",
        *,
        encoder: str = "auto",
        weights: str | Path | None = None,
        reducer: Any = None,
        clusterer: Any = None,
        preset: str = "default",
        settings: Mapping[str, Any] | None = None,
        threshold: float = 0.2,
        random_state: int = 0,
        device: str = "auto",
        precision: str = "auto",
        cache: str | Path | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.encoder = encoder
        self.weights = weights
        self.reducer = reducer
        self.clusterer = clusterer
        self.preset = preset
        self.settings = settings
        self.threshold = threshold
        self.random_state = random_state
        self.device = device
        self.precision = precision
        self.cache = cache

    # -- fit ---------------------------------------------------------------------------------------------------------

    def resolved(self) -> dict[str, Any]:
        """Return the settings in force, every one checked.

        Raises
        ------
        ArgumentError
            An option outside of what is allowed.
        """
        table = super().resolved()
        table["reducer"] = table["reducer"] if self.reducer is None else self.reducer
        table["clusterer"] = table["clusterer"] if self.clusterer is None else self.clusterer
        steps.check_choice("reducer", table["reducer"], steps.REDUCERS, "fit_transform")
        steps.check_choice("clusterer", table["clusterer"], steps.CLUSTERERS, "fit_predict")
        steps.check_numbers(self.n_clusters, self.threshold, self.random_state, table)
        table["k_grid"] = raw.number_list(table["k_grid"])
        return table

    def fit(self, X: Any, y: Any = None, *, on_epoch: OnEpoch | None = None, resume: Any = None) -> Self:
        """Group the images of `X`.

        Parameters
        ----------
        X
            Folder, archive, list of paths, uint8 array (n, h, w[, c]), or an open source. Features (n, d) of your own,
            as a float array; beside images: ``ilk.open_images(images, features=…)``.
        y
            Ignored.
        on_epoch
            Called with a record per stage and while encoding; a true answer stops the encoding.
        resume
            Ignored: encoded shards in `cache` are what a second fit goes on from.

        Raises
        ------
        NotEnoughImages
            Fewer distinct images than groups.
        """
        table = self.resolved()
        source = open_images(X)
        raw.check_grid(table, self.settings, len(source))
        self.history_: list[dict[str, Any]] = []
        self.notes_: list[str] = []
        tell = Stages(self.history_, on_epoch)
        umap = table["reducer"] == "umap" and len(source) >= steps.FEWEST_FOR_UMAP
        with layout.warming_up(umap) as warm_up:
            first = FirstGroups(len(source), self.n_clusters, self.random_state, tell, source.names, warm_up)
            inner = {key: value for key, value in table.items() if key in self.other_settings}
            own = "default" if brings_features(source) else self.preset
            name, inner = raw.encoder_of(own, self.encoder, inner)
            load_encoder(self, source, tell, name, self.weights, inner)
            with tell.stage("encode"):
                progress = first.watching(tell.progress)
                self.encoded_ = encoders.encode(
                    source, self.encoder_, cache=self._cache(), on_progress=progress, first=first
                )
        self.notes_ += self.encoded_.notes
        features = self.encoded_.features
        self._check_count(features)
        with tell.stage("reduce"):
            rows = steps.rows_for_pca(features, self.random_state)
            self.pca_ = fit_pca(rows, min(int(table["pca"]), *rows.shape), normalize=True)
            self.space_ = place(self.pca_, features)
            self._check_count(self.space_)
            width = max(int(table["n_neighbors"]), int(table["votes"]) + 1)
            self.graph_ = layout.neighbor_graph(torch.from_numpy(self.space_), width)
            self.embedding_, notes = steps.reduce_space(
                self.space_, features, self.graph_, table["reducer"], table, self.random_state
            )
            self.notes_ += notes
            self.reduced_ = steps.reduction(table["reducer"], self.space_, self.embedding_)
        with tell.stage("cluster"):
            self._group(table, tell, first)
        return self

    def _check_count(self, features: npt.NDArray[Any]) -> None:
        wanted = 2 if self.n_clusters == "auto" else int(self.n_clusters)
        checks.distinct_images(self.encoded_, steps.n_distinct(features), wanted, alike=True)

    def _group(self, table: Mapping[str, Any], tell: Stages, first: FirstGroups) -> None:
        self.k_choice_: Any = None
        self.raw_: Any = None
        k = None if self.n_clusters == "auto" else int(self.n_clusters)
        clusterer = table["clusterer"]
        if isinstance(clusterer, str) and clusterer != "hdbscan":
            if table["reducer"] == "raw":
                self.raw_ = raw.group_raw(self.embedding_, table, k, self.random_state)
                self.k_choice_ = self.raw_.choice()
                clusterer = self.raw_ if clusterer == "kmeans" else clusterer
            elif k is None:
                grid, k_max = table["k_grid"], int(table["k_max"])
                near = self.graph_.nearest(_NEAR)
                choice = choose_k(self.embedding_, k_grid=grid, k_max=k_max, random_state=self.random_state, graph=near)
                self.k_choice_ = choice.unjudged(steps.too_weak(self.encoder_.name)) if self.encoder_.weak else choice
                self.notes_ += [] if self.k_choice_.clear else [self.k_choice_.why]
            if choice := self.k_choice_:
                told = {"k_table": choice.table, "suggested": choice.suggested(), "clear": choice.clear}
                told["space"] = self.reduced_
                tell({"stage": "choose", **told, "why": choice.why})
                k = choice.natural
        elif k is not None:
            self.notes_.append(f"n_clusters={self.n_clusters} was ignored: this clusterer finds its own number")
        votes = int(table["votes"])
        graph = self.graph_.nearest(votes)
        x = self.space_ if clusterer is self.raw_ else self.embedding_  # raw groups are there already
        found = steps.group(x, k, clusterer, int(table["n_init"]), self.random_state, graph, votes)
        found = first.keep(found, self.encoded_.rows)
        self.notes_ += found.notes + (self.raw_.notes if self.raw_ else [])
        self.n_clusters_ = found.proba.shape[1]
        if self.n_clusters_ == 0:
            raise DataError("no group was found: every image is noise. Use another clusterer: gmm or kmeans.")
        features = self.encoded_.features
        new = lost_when_new(features, len(self.pca_.components))
        self.voter_ = Voter.fit(self.space_, self.graph_, found.labels, found.proba, votes, new)
        confidence = self.voter_.confidence(self.graph_, found.labels, _numpy(self.pca_.lost(features)))
        self.rows_: Ints | None = self.encoded_.rows
        self.cluster_centers_ = centers(features, found.labels, self.n_clusters_)
        self.labels_, self.probabilities_ = spread(self.encoded_, found.labels, found.proba)
        at = self.encoded_.position
        self.confidence_ = np.where(at >= 0, confidence[at], np.float32(0))

    # -- use ---------------------------------------------------------------------------------------------------------

    def _encode(self, source: ImageSource, on_progress: Any) -> Encoded:
        return encoders.encode(source, self.encoder_, cache=self._cache(source), on_progress=on_progress)

    def _proba(self, features: npt.NDArray[Any]) -> Floats:
        return self.voter_(place(self.pca_, features), lost(self.pca_, features))

    def _placer(self) -> Placer:
        return Placer(self.pca_, self.voter_)

    def figures(self) -> list[dict[str, Any]]:
        """Return the figures of ``preset="seed"`` as plain data; none for the other presets."""
        if getattr(self, "raw_", None) is None:
            return []
        return raw.figures(self.encoded_.features, self.labels_[self.encoded_.rows], self.raw_)

    # -- keep --------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return what `predict` needs: arrays and plain values.

        The weights of the encoder are a file of their own: ``encoder_.weights_file``.
        """
        return {
            "encoder": self.encoder_.spec(),
            "threshold": float(self.threshold),
            "pca_mean": _numpy(self.pca_.mean),
            "pca_components": _numpy(self.pca_.components),
            "pca_variance": _numpy(self.pca_.explained_variance),
            "pca_ratio": _numpy(self.pca_.explained_variance_ratio),
            "centers": self.cluster_centers_,
            **({} if self.rows_ is None else {"rows": self.rows_}),
            **self.voter_.state(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], **options: Any) -> Self:
        """Rebuild a fitted model.

        Parameters
        ----------
        state
            What `state` returned.
        **options
            ``weights_file`` of the encoder, ``own_encoder``, ``device``, ``precision``, ``cache``.
        """
        kept = take_kept(options)
        model = cls(threshold=float(state["threshold"]), **options)
        model.encoder_ = reload_encoder(model, state["encoder"], kept)
        model.pca_ = pca_from(state, normalize=True)
        model.voter_ = Voter.from_state(state)
        model.rows_ = np.asarray(state["rows"], np.int64) if "rows" in state else None  # runs of before kept none
        model.space_ = model.voter_.space
        model.cluster_centers_ = np.asarray(state["centers"])
        model.n_clusters_ = model.voter_.proba.shape[1]
        return model


def _numpy(tensor: torch.Tensor) -> Floats:
    return np.ascontiguousarray(tensor.cpu().numpy(), np.float32)
