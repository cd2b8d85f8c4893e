"""DeepCluster: a network that learns to classify the clusters of its own features."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt
import torch

from ilk import compute, encoders, train
from ilk.data import Encoded, ImageSource, Packed, open_images, pack
from ilk.errors import ArgumentError
from ilk.methods import checks
from ilk.methods.assign.rules import Groups
from ilk.methods.clusterer import Clusterer
from ilk.methods.deepcluster import figures
from ilk.methods.deepcluster.diagnostics import advice
from ilk.methods.deepcluster.memory_bank import MemoryBank
from ilk.methods.deepcluster.settings import PRESETS, WHY, DeepClusterSettings, fill, frozen_by_default
from ilk.methods.deepcluster.space import FineToCoarse, fit_groups, n_fine_of, on_device
from ilk.methods.deepcluster.training_step import Classification, Supervised, build, features_of
from ilk.methods.deepcluster.views import Views, scale_of
from ilk.methods.inputs.encoder import brings_features, check_read
from ilk.methods.reporter import Reporter
from ilk.methods.settings import estimator
from ilk.methods.training import Plan, bf16_or_not, run
from ilk.networks.convnets import ConvNet

__all__ = ["DeepCluster"]

Ints = npt.NDArray[np.int64]


@estimator
class DeepCluster(Clusterer):
    """DeepCluster and DeepCluster-v2: cluster the features, learn the clusters, and again.

    In every epoch the images are clustered finely by what the network makes of them, and the network learns to
    predict these pseudo-labels from augmented images. At the end the fine clusters are merged into the groups asked
    for.

    Parameters
    ----------
    n_clusters : int
        Groups, at least 2.
    preset : str
        "auto", "small", "quick", "paper_alexnet", "paper_vgg16", "v2", "v2_small", "tiny": see
        `ilk.methods.deepcluster.settings`. "auto" is "quick" for photos on a CPU where no `network` is named, else
        "small".
    settings : dict, optional
        Single settings laid over the preset's; for "quick" also ``encoder``, ``weights``, ``pool``, ``pad_type``.
    network : str, optional
        "alexnet", "vgg16", "resnet18", "resnet50", "small", "tiny", or "features" (a frozen encoder, no training).
    image_size : int, optional
        Side in pixels. None: by the preset or the network; else 28, 32 or 96, for images up to 28, up to 48 and above.
    epochs, batch_size : int, optional
        None: what the preset says.
    n_fine : int, optional
        Fine clusters. None: what the preset says; in ours ten for each group and at least 100, as far as there are ten
        images for each.
    random_state : int
        From 0 to 2**32 - 1.
    device, precision : str
        "auto", "cpu", "cuda"; "auto", "fp32", "bf16" (network and head; components, K-means and loss are float32).
    cache : path, optional
        Where decoded images are kept for the next time.
    verbose : bool, optional
        Whether `fit` shows how far it is. None: in notebooks and on terminals, unless it has an `on_epoch`.

    Attributes
    ----------
    labels_ : (n,) int64
        Group of every image; -1 = not readable.
    fine_labels_ : (n,) int64
        Fine cluster of every image, -1 = not readable; ``fine_to_group_`` (k,) says which group each is part of.
    probabilities_ : (n, k) float32
        Softmax of minus the squared distance to the nearest fine cluster of each group, in units of its mean.
    cluster_centers_ : (k, d) float32
        Mean features of each group.
    n_clusters_ : int
    network_ : ConvNet
        None where nothing was trained.
    history_ : list of dict
        One record per epoch: loss, objective of K-means, clusters in use, share of the largest, agreement (NMI) with
        the clustering before, share of images reassigned.
    notes_ : list of str
    encoded_ : Encoded
        Features (before the last ReLU; means of the last maps, behind it, with a ResNet; embeddings in version 2; those
        of the frozen encoder), and what became of every file.
    space_, embedding_ : (m, d) float32
        What K-means sees of the distinct images.

    Notes
    -----
    An epoch is one pass without gradients, principal components of all features (2·n·d² FLOPs), K-means (2·n·K·d′ FLOPs
    an iteration) and one pass with gradients. Features are kept in float16; no image is left out of components or
    K-means.

    Fidelity: docs/methods/deepcluster-fidelity.md says preset by preset what is as published, and what is not.

    References
    ----------
    M. Caron, P. Bojanowski, A. Joulin, M. Douze, "Deep Clustering for Unsupervised Learning of Visual Features",
    ECCV 2018. M. Caron, I. Misra, J. Mairal, P. Goyal, P. Bojanowski, A. Joulin, "Unsupervised Learning of Visual
    Features by Contrasting Cluster Assignments", NeurIPS 2020 (version 2, as its baseline).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> images = np.concatenate([rng.integers(0, 99, (20, 8, 8)), rng.integers(150, 255, (20, 8, 8))]).astype("u1")
    >>> DeepCluster(2, preset="tiny").fit(images).labels_.shape
    (40,)
    """

    preset: str = "auto"
    network: str | None = None
    image_size: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    n_fine: int | None = None

    presets: ClassVar = PRESETS
    other_settings: ClassVar[frozenset[str]] = frozenset({"encoder", "weights", *encoders.SETTINGS} - {"image_size"})
    arguments: ClassVar[Mapping[str, str]] = {
        key: key for key in ("network", "image_size", "epochs", "batch_size", "n_fine")
    }

    # -- fit ---------------------------------------------------------------------------------------------------------

    def resolved(self) -> DeepClusterSettings:
        """Return the settings in force, every one checked; "auto" and None where the images decide.

        Raises
        ------
        ArgumentError
            An option outside of what is allowed.
        """
        found: DeepClusterSettings = super().resolved()
        if found.n_fine is not None and found.n_fine < int(self.n_clusters):
            raise ArgumentError(
                f"n_fine={found.n_fine}: at least as many as groups (n_clusters={self.n_clusters}) are needed."
            )
        check_read(self, found)
        return found

    def _decide(self, settings: DeepClusterSettings, source: ImageSource, device: torch.device) -> DeepClusterSettings:
        """Freeze the network where that is the better choice, and fill in the network and the sizes."""
        if self.preset == "auto" and frozen_by_default(settings, source, device):
            self.notes_ += [] if brings_features(source) else [WHY]
            asked = self.epochs is not None or "epochs" in (self.settings or {})
            settings = settings.replace(network="features", epochs=settings.epochs if asked else 0)
            settings.check()
        found = fill(settings, source)
        check_read(self, found)
        return found

    def _learn(self, source: ImageSource, report: Reporter, resume: Mapping[str, Any] | None) -> Groups:
        self._figures: list[dict[str, Any]] = []
        if self.settings_.network == "features":
            return self._frozen(source, report)
        return self._trained(source, report, resume)

    def _frozen(self, source: ImageSource, report: Reporter) -> Groups:
        """Cluster the features of a frozen encoder."""
        self.network_: ConvNet | None = None
        self.bf16_ = False
        extra = self.settings_.extra
        self.encoded_ = self._encoded(source, report, extra.get("encoder") or "auto", extra.get("weights"))
        n = len(self.encoded_.rows)
        checks.distinct_images(self.encoded_, n, int(self.n_clusters))
        return self._groups(report, n_fine_of(self.settings_.n_fine, int(self.n_clusters), n))

    def _trained(self, source: ImageSource, report: Reporter, resume: Mapping[str, Any] | None) -> Groups:
        """Cluster and learn in turns, then cluster what the network has come to see."""
        asked: DeepClusterSettings = self.settings_
        packed = self._packed(source, report, asked.image_size, margin=asked.crop_margin)
        self.mean_, self.std_ = scale_of(packed.images, asked.normalise)
        views = self._views(packed)
        k = n_fine_of(asked.n_fine, int(self.n_clusters), len(packed))
        if asked.n_fine is not None and k < asked.n_fine:
            self.notes_.append(f"{k} instead of {asked.n_fine} fine clusters: there are no more images")
        version = MemoryBank if asked.algorithm == "v2" else Classification
        make = functools.partial(version, views, asked, k, self._seed())
        self.bf16_ = bf16_or_not(self.precision, views.device, make, resume, len(views) * asked.epochs)
        stage = make(self.bf16_)
        known = {"n_clusters": int(self.n_clusters), "random_state": self._seed(), "bf16": self.bf16_}
        done = run(
            [Plan("train", asked.epochs, lambda: stage)],
            report,
            identity={**asked.as_dict(), **known},
            n_images=len(views),
            resume=resume,
        )
        self.history_[:0] = done.history
        self.notes_ += [*done.notes, *advice(done.history, asked, k)]
        self.network_ = stage.network
        self.encoded_ = packed.encoded(features_of(stage.network, views, self.bf16_))
        found = self._groups(report, k)
        fine = self.fine_labels_[self.encoded_.rows]
        self._figures = figures.training_figures(
            stage, done.history, fine, self.fine_to_group_, packed.images, self._seed()
        )
        return found

    def _views(self, packed: Packed) -> Views:
        return Views(packed.images, self.settings_, self.mean_, self.std_, compute.device(self.device))

    def _groups(self, report: Reporter, k: int) -> Groups:
        """Cluster all features finely, and merge the clusters."""
        features = self.encoded_.features
        with report.stage("cluster"):
            there = on_device(features, compute.device(self.device))
            draws = compute.generator(self._seed())
            assigner = fit_groups(there, self.settings_, k, int(self.n_clusters), draws).on_cpu()
        self.fine_labels_ = assigner.fine_of(features, self.encoded_.position)
        self.fine_to_group_ = assigner.group.numpy()
        proba, space = assigner(features), assigner.space.rows(features).cpu().numpy()
        return Groups(assigner, proba.argmax(1).astype(np.int64), proba, proba.max(1), space=space)

    @property
    def network_name_(self) -> str:
        """What a run says where other methods name their encoder."""
        version = "DeepCluster-v2" if self.settings_.algorithm == "v2" else "DeepCluster"
        edges = ", edges" if self.settings_.sobel else ""
        return f"{version} network {self.settings_.network}, {self.settings_.image_size} px{edges}"

    # -- use ---------------------------------------------------------------------------------------------------------

    def _encode(self, source: ImageSource, on_progress: Any) -> Encoded:
        if self.network_ is None:
            return encoders.encode(source, self.encoder_, cache=self._cache(source), on_progress=on_progress)
        views, packed = self.views(source, on_progress)
        if not len(packed):
            return packed.encoded(np.zeros((0, self.network_.n_features), np.float16))
        return packed.encoded(features_of(self.network_, views, self.bf16_))

    def fine_of(self, encoded: Encoded) -> Ints:
        """Return (n,) int64: the fine cluster of every image of what `encode` returned; -1 = not readable."""
        return self._fine.fine_of(encoded.features, encoded.position)

    @property
    def _fine(self) -> FineToCoarse:
        return cast(FineToCoarse, self.assigner_)

    def figures(self) -> list[dict[str, Any]]:
        """Return the figures of the method as plain data: both levels, pseudo-labels, agreement, filters, edges.

        A model that was loaded has only those that need no images.
        """
        found = [*getattr(self, "_figures", []), figures.merge_figure(self._fine.sizes.numpy(), self.fine_to_group_)]
        if hasattr(self, "encoded_"):
            found += figures.fine_figure(self.fine_labels_, self.fine_to_group_, self.encoded_, self._seed())
        return found

    # -- probes ------------------------------------------------------------------------------------------------------

    def views(self, X: Any, on_progress: Any = None) -> tuple[Views, Packed]:
        """Return the images of `X` as the network sees them, and what became of every file."""
        source, asked = open_images(X), self.settings_
        packed = pack(
            source, asked.image_size, cache=self._cache(source), margin=asked.crop_margin, on_progress=on_progress
        )
        return self._views(packed), packed

    def fresh_network(self, seed: int) -> ConvNet:
        """Return a network such as the trained one, with weights drawn from `seed`."""
        return build(self.settings_, len(self.mean_), seed, compute.device(self.device))

    def supervised_network(
        self, views: Views, rows: Ints, classes: Ints, n_classes: int, epochs: int, seed: int
    ) -> ConvNet:
        """Return such a network trained to classify the images `rows` (b,) by `classes` (b,), as it trains itself.

        For comparison only, with labels of the caller: nothing of it reaches the model.
        """
        stage = Supervised(views, self.settings_.replace(epochs=epochs), rows, classes, n_classes, seed)
        run([Plan("supervised", epochs, lambda: stage)], Reporter([], None), identity={}, n_images=len(rows))
        return stage.network

    # -- keep --------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return what `predict` needs: arrays and plain values."""
        kept: dict[str, Any] = {
            "n_clusters": self.n_clusters_,
            "table": self.settings_.replace(extra={}).as_dict(),
            "half": self.bf16_,
            "centers": self.cluster_centers_,
            "fine.labels": self.fine_labels_.astype(np.int32),
            **self._fine.state(),
        }
        if self.network_ is None:
            return {**kept, "encoder": self.encoder_.spec()}
        scale = {"mean": self.mean_.numpy(), "std": self.std_.numpy()}
        return {**kept, **scale, **train.state_of(network=self.network_)}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.bf16_ = bool(state["half"])
        self.assigner_ = FineToCoarse.of(state)
        self.fine_to_group_ = self.assigner_.group.numpy()
        self.fine_labels_ = np.asarray(state.get("fine.labels", ()), np.int64)  # runs of before kept none
        self.network_ = None
        if "encoder" not in state:
            self.mean_, self.std_ = (torch.from_numpy(np.array(state[key], np.float32)) for key in ("mean", "std"))
            self.network_ = self.fresh_network(0)
            train.restore(state, network=self.network_)
