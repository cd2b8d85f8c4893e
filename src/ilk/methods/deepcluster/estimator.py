"""DeepCluster: a network that learns to tell apart the clusters of its own features."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ilk import compute, encoders, train
from ilk.data import Encoded, ImageSource, NoThumbs, Packed, channel_moments, open_images, pack
from ilk.methods import checks
from ilk.methods.base import ImageClusterer, OnEpoch
from ilk.methods.deepcluster import config as setup
from ilk.methods.deepcluster import diagnostics as watch
from ilk.methods.deepcluster.presets import PRESETS
from ilk.methods.deepcluster.space import Groups, fit_groups, n_fine_of, placed
from ilk.methods.deepcluster.training import Training
from ilk.methods.deepcluster.training_step import features_of
from ilk.methods.deepcluster.views import IMAGENET, Views
from ilk.methods.inputs.encoder import brings_features, check_read, load_encoder, reload_encoder, take_kept
from ilk.methods.outcome import centers, spread
from ilk.methods.stages import Stages
from ilk.networks.convnets import ConvNet

__all__ = ["DeepCluster"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


class DeepCluster(ImageClusterer):
    """DeepCluster and DeepCluster-v2: cluster the features, learn the clusters, and again.

    In every epoch the images are clustered finely by what the network makes of them, and the network learns to tell
    these pseudo-labels apart on altered images. At the end the fine clusters are united to the groups asked for.

    Parameters
    ----------
    n_clusters : int
        Groups, at least 2.
    preset : str
        "auto", "small", "quick", "paper_alexnet", "paper_vgg16", "v2", "v2_small", "tiny": see
        `ilk.methods.deepcluster.presets`. "auto" is "quick" for photos on a CPU where no `network` is named, else
        "small".
    settings : dict, optional
        Single keys of the preset's table; for "quick" also ``encoder``, ``weights``, ``pool``, ``pad_type``.
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

    Fidelity: docs/methods/deepcluster.md says preset by preset what is as published, and what is not.

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

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS
    other_settings: ClassVar[frozenset[str]] = frozenset({"encoder", "weights", *encoders.SETTINGS} - {"image_size"})

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        preset: str = "auto",
        settings: Mapping[str, Any] | None = None,
        network: str | None = None,
        image_size: int | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        n_fine: int | None = None,
        random_state: int = 0,
        device: str = "auto",
        precision: str = "auto",
        cache: str | Path | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.preset = preset
        self.settings = settings
        self.network = network
        self.image_size = image_size
        self.epochs = epochs
        self.batch_size = batch_size
        self.n_fine = n_fine
        self.random_state = random_state
        self.device = device
        self.precision = precision
        self.cache = cache

    # -- fit ---------------------------------------------------------------------------------------------------------

    def resolved(self) -> dict[str, Any]:
        """Return the settings in force, every one checked; "auto" and None where the images decide.

        Raises
        ------
        ArgumentError
            An option outside of what is allowed.
        """
        table: dict[str, Any] = super().resolved()
        for key in ("network", "image_size", "epochs", "batch_size", "n_fine"):
            given = getattr(self, key)
            table[key] = table[key] if given is None else given
        setup.check(table, self.n_clusters, self.random_state, self.precision)
        check_read(self, table)
        return table

    def fit(self, X: Any, y: Any = None, *, on_epoch: OnEpoch | None = None, resume: Any = None) -> Self:
        """Group the images of `X`.

        Parameters
        ----------
        X
            Folder, archive, list of paths, uint8 array (n, h, w[, c]), or an open source.
        y
            Ignored.
        on_epoch
            Called with a record per epoch, and a function that gives a state to go on from; a true answer stops with
            `Interrupted`. Within epochs it is told how far they are: no state then, and no stop.
        resume
            A state from `on_epoch`: training goes on there, to the bit on a CPU.

        Raises
        ------
        NotEnoughImages
            Fewer distinct images, or kinds of features, than groups.
        """
        table = self.resolved()
        source = open_images(X)
        place = compute.device(self.device)
        self.history_: list[dict[str, Any]] = []
        self.notes_: list[str] = []
        tell = Stages(self.history_, on_epoch)
        if self.preset == "auto":
            chosen = setup.automatic(source, place, table["network"])
            self.notes_ += [setup.WHY[chosen]] if chosen == "quick" and not brings_features(source) else []
            table = type(self)(**{**self.get_params(deep=False), "preset": chosen}).resolved()
        table = setup.fill(table, source)
        self.settings_ = {key: table[key] for key in next(iter(PRESETS.values()))}
        self.device_ = str(place)
        if table["network"] == "features":
            self._frozen(source, table, tell)
        else:
            self._trained(source, place, tell, on_epoch, resume)
        return self

    def _frozen(self, source: Any, table: Mapping[str, Any], tell: Stages) -> None:
        inner = {key: value for key, value in table.items() if key != "image_size"}
        load_encoder(self, source, tell, table.get("encoder") or "auto", table.get("weights"), inner)
        with tell.stage("encode"):
            self.encoded_ = encoders.encode(source, self.encoder_, cache=self._cache(), on_progress=tell.progress)
        self._checked(self.encoded_, len(self.encoded_.rows))
        self.network_: ConvNet | None = None
        self.half_ = False
        self._group(tell, self.encoded_.features)

    def _trained(self, source: Any, place: torch.device, tell: Stages, on_epoch: OnEpoch | None, resume: Any) -> None:
        with tell.stage("encode"):
            packed = self._pack(source, tell.progress)
        self._checked(packed.facts, len(packed))
        self.mean_, self.std_ = self._scale(packed)
        views = self._views(packed, place)
        k, seed = n_fine_of(self.settings_["n_fine"], int(self.n_clusters), len(packed)), int(self.random_state)
        asked = self.settings_["n_fine"]
        if asked is not None and k < int(asked):
            self.notes_.append(f"{k} instead of {asked} fine clusters: there are no more images")
        self.half_ = setup.half_precision(self.precision, views, self.settings_, k, seed, resume)
        learner = setup.make_learner(views, self.settings_, k, seed, self.half_)
        identity = {**self.settings_, "n_clusters": int(self.n_clusters), "random_state": seed, "half": self.half_}
        training = Training(learner, identity, on_epoch)
        if resume:
            training.restore(resume)
        with tell.stage("train"):
            training.run()
        self.history_[:0] = training.history
        self.notes_ += [*training.notes, *watch.advice(training.history, k)]
        self.network_ = learner.net
        features = features_of(learner.net, views, self.half_)
        self.encoded_ = packed.encoded(features)
        self._group(tell, features, k)
        self._pictures = self._pictured(training, views, packed)

    def _checked(self, facts: Encoded, n: int) -> None:
        checks.distinct_images(facts, n, self.n_clusters)
        self.notes_ += facts.notes

    def _pack(self, source: Any, on_progress: Any = None) -> Packed:
        size, margin = int(self.settings_["image_size"]), float(self.settings_["margin"])
        return pack(source, size, cache=self._cache(source), margin=margin, on_progress=on_progress)

    def _scale(self, packed: Packed) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of every channel that images are normalised by."""
        channels = packed.images.shape[0]
        if self.settings_["normalise"] == "imagenet":
            mean, std = (torch.tensor(values) for values in IMAGENET)
            return (mean, std) if channels == 3 else (mean.mean(0, keepdim=True), std.mean(0, keepdim=True))
        return channel_moments(packed.images)

    def _views(self, packed: Packed, place: torch.device) -> Views:
        return Views(packed.images, int(self.settings_["image_size"]), self.settings_, self.mean_, self.std_, place)

    def _group(self, tell: Stages, features: npt.NDArray[Any], k: int | None = None) -> None:
        """Cluster all features finely, unite the clusters, and say which image is where."""
        n_groups = int(self.n_clusters)
        k = n_fine_of(self.settings_["n_fine"], n_groups, len(features)) if k is None else k
        with tell.stage("cluster"):
            draws = compute.generator(int(self.random_state))
            there = placed(features, compute.device(self.device))
            self.groups_ = fit_groups(there, self.settings_, k, n_groups, draws).on_cpu()
        self.n_clusters_ = n_groups
        self.space_ = self.embedding_ = self.groups_.space.rows(features).cpu().numpy()
        proba = self._proba(features)
        labels = proba.argmax(1).astype(np.int64)
        self.fine_labels_ = self.fine_of(self.encoded_)
        self.fine_to_group_ = self.groups_.group.cpu().numpy()
        self.labels_, self.probabilities_ = spread(self.encoded_, labels, proba)
        self.cluster_centers_ = centers(self.encoded_.features, labels, self.n_clusters_)

    @property
    def network_name_(self) -> str:
        """What a run says where other methods name their encoder."""
        version = "DeepCluster-v2" if self.settings_["algorithm"] == "v2" else "DeepCluster"
        edges = ", edges" if self.settings_["sobel"] else ""
        return f"{version} network {self.settings_['network']}, {self.settings_['image_size']} px{edges}"

    # -- use ---------------------------------------------------------------------------------------------------------

    def _encode(self, source: ImageSource, on_progress: Any) -> Encoded:
        if self.network_ is None:
            return encoders.encode(source, self.encoder_, cache=self._cache(source), on_progress=on_progress)
        packed = self._pack(source, on_progress)
        if not len(packed):
            return packed.encoded(np.zeros((0, self.network_.n_features), np.float16))
        return packed.encoded(features_of(self.network_, self._views(packed, compute.device(self.device)), self.half_))

    def _proba(self, features: npt.NDArray[Any]) -> Floats:
        return self.groups_.proba(features)

    def fine_of(self, encoded: Encoded) -> Ints:
        """Return (n,) int64: the fine cluster of every image of what `encode` returned; -1 = not readable."""
        return self.groups_.fine_of(encoded.features, encoded.position)

    # -- probes ------------------------------------------------------------------------------------------------------

    def views(self, X: Any, on_progress: Any = None) -> tuple[Views, Packed]:
        """Return the images of `X` as the network sees them, and what became of every file."""
        packed = self._pack(open_images(X), on_progress)
        return self._views(packed, compute.device(self.device)), packed

    def fresh_network(self, seed: int) -> ConvNet:
        """Return a network such as the trained one, with weights drawn from `seed`."""
        net = setup.build(self.settings_, len(self.mean_), compute.generator(seed)).to(compute.device(self.device))
        return net.to(memory_format=torch.channels_last)

    def supervised_network(
        self, views: Views, rows: Ints, classes: Ints, n_classes: int, epochs: int, seed: int
    ) -> ConvNet:
        """Return such a network trained to tell `classes` (b,) of the images `rows` (b,) apart, as it trains itself.

        For comparison only, with labels of the caller: nothing of it reaches the model.
        """
        return setup.supervised(self.settings_, views, rows, classes, n_classes, epochs, seed)

    # -- pictures ----------------------------------------------------------------------------------------------------

    def _pictured(self, training: Training, views: Views, packed: Packed) -> list[dict[str, Any]]:
        def read(rows: Ints) -> npt.NDArray[np.uint8]:
            return watch.shown(packed.images.read(rows))

        seed = int(self.random_state)
        found: list[dict[str, Any] | None] = []
        epochs = len(training.history)
        for name, when, labels in (("first", 1, training.first), ("last", epochs, training.last)):
            if labels is not None:
                title = f"Pseudo-labels of the {name} epoch ({when})"
                found.append(watch.group_figure(f"groups-{name}", title, labels, read, seed))
        fine = self.fine_labels_[self.encoded_.rows]
        found.append(watch.size_figure(training.first, training.last, fine, self.fine_to_group_))
        found.append(watch.agreement_figure(training.history))
        weights = None if self.network_ is None else self.network_.filters()
        found.append(None if weights is None else watch.filter_figure(weights))
        if self.settings_["sobel"]:
            rows = torch.arange(min(12, len(packed)))
            found.append(watch.sobel_figure(views.plain(rows), packed.images.read(rows)))
        return [figure for figure in found if figure is not None]

    def figures(self) -> list[dict[str, Any]]:
        """Return the pictures of the method as plain data: both levels, pseudo-labels, agreement, filters, edges.

        A model that was loaded has only those that need no images.
        """
        found = [*getattr(self, "_pictures", []), watch.merge_figure(self.groups_.sizes.numpy(), self.fine_to_group_)]
        if hasattr(self, "encoded_") and not isinstance(self.encoded_.thumbs, NoThumbs):
            found.append(watch.fine_figure(self.fine_labels_, self.fine_to_group_, self.encoded_, self.random_state))
        return found

    # -- keep --------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return what `predict` needs: arrays and plain values."""
        kept: dict[str, Any] = {
            "n_clusters": self.n_clusters_,
            "table": self.settings_,
            "half": self.half_,
            "centers": self.cluster_centers_,
            "fine.labels": self.fine_labels_.astype(np.int32),
            **self.groups_.state(),
        }
        if self.network_ is None:
            return {**kept, "encoder": self.encoder_.spec()}
        scale = {"mean": self.mean_.numpy(), "std": self.std_.numpy()}
        return {**kept, **scale, **train.state_of(network=self.network_)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], **options: Any) -> Self:
        """Rebuild a fitted model.

        Parameters
        ----------
        state
            What `state` returned.
        **options
            ``weights_file`` of the frozen encoder, ``own_encoder``, ``device``, ``precision``, ``cache``.
        """
        kept = take_kept(options)
        model = cls(int(state["n_clusters"]), **options)
        model.settings_ = dict(state["table"])
        model.n_clusters_, model.half_ = int(state["n_clusters"]), bool(state["half"])
        model.cluster_centers_ = np.asarray(state["centers"])
        model.groups_ = Groups.of(state)
        model.fine_to_group_ = model.groups_.group.numpy()
        model.fine_labels_ = np.asarray(state.get("fine.labels", ()), np.int64)  # runs of before kept none
        model.history_ = []
        if "encoder" in state:
            model.network_ = None
            model.encoder_ = reload_encoder(model, state["encoder"], kept)
            return model
        model.mean_, model.std_ = (torch.from_numpy(np.array(state[key], np.float32)) for key in ("mean", "std"))
        net = setup.build(model.settings_, len(model.mean_), compute.generator(0))
        train.restore(state, network=net)
        model.network_ = net.to(compute.device(model.device), memory_format=torch.channels_last)  # type: ignore[call-overload]
        return model
