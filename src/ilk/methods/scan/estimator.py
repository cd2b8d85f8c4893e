"""SCAN: a representation first, then groups that an image shares with its nearest neighbours, then its own labels."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast, final

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from ilk import compute, encoders, train
from ilk.data import Encoded, ImageSource, NoThumbs, Packed, channel_moments, pack
from ilk.methods import checks
from ilk.methods.assign.rules import Groups, placed
from ilk.methods.clusterer import Clusterer
from ilk.methods.inputs.dataset import Dataset, FeatureDataset, PixelDataset, to_float16
from ilk.methods.reporter import Reporter
from ilk.methods.scan import config, figures
from ilk.methods.scan.pretext import Pretext, build_network
from ilk.methods.scan.settings import PRESETS, SCANSettings
from ilk.methods.scan.stage import features_of
from ilk.methods.scan.training_step import Clustering, SelfLabelling, build_scan
from ilk.methods.settings import estimator
from ilk.methods.training import Plan, bf16_or_not, run
from ilk.networks.scan import Contrast, Heads, SCANNet, build_heads
from ilk.vectors import Best

__all__ = ["SCAN"]

_BLOCK = 1024


@final
@estimator
class SCAN(Clusterer):
    """Semantic clustering by adopting nearest neighbours.

    Four stages: a network learns a representation without labels (SimCLR), or that of a frozen encoder is taken; the
    nearest neighbours of every image are mined there; heads learn to put an image and its neighbours into the same
    group while all groups stay in use, and the best head is kept by its own loss; then images that are of one group
    with confidence teach the network what their augmented copies are.

    Parameters
    ----------
    n_clusters : int
        At least 2.
    preset : str
        "auto", "frozen", "scratch", "small", "paper_cifar10", "paper_cifar20", "paper_stl10", "keras_literal",
        "keras_fixed", "tiny": see `ilk.methods.scan.settings`. "auto" is "scratch" for small images where there is a
        GPU, and "frozen" everywhere else; where `network` is named it is "scratch" or "small", which train it.
    settings : dict, optional
        Single settings laid over the preset's; where features are frozen also ``encoder``, ``weights``, ``pool``,
        ``pad_type``. Where a network is trained, ``weights`` is what `SimCLR.save` wrote, to begin with.
    network : str, optional
        "resnet18", "resnet50", "resnet50v2", "small", "tiny", or "features" (a frozen encoder). None: by the preset.
    image_size : int, optional
        Side in pixels. None: what the preset says.
    n_neighbors, n_heads : int, optional
        Neighbours of an image, and heads that are trained side by side. None: what the preset says.
    random_state : int
        From 0 to 2**32 - 1.
    device, precision : str
        "auto", "cpu", "cuda"; "auto", "fp32", "bf16" (of the network; losses are float32).
    cache : path, optional
        Where decoded images and features are kept for the next time.
    verbose : bool, optional
        Whether `fit` shows how far it is. None: in notebooks and on terminals, unless it has an `on_epoch`.

    Attributes
    ----------
    labels_ : (n,) int64
        -1 = not readable.
    probabilities_ : (n, k) float32
        Of the head that was kept.
    cluster_centers_ : (k, d) float32
        Mean features of each group.
    n_clusters_ : int
    network_ : SCANNet
    nearest_ : (n_distinct, m) int64
        Neighbours of every distinct image, nearest first, in the order of ``encoded_.rows``.
    head_losses_ : list of float
        Of every head at the end of the clustering.
    history_ : list of dict
        One record per epoch, counted through all stages: loss and its parts, groups in use, how even they are, share of
        neighbours in the same group, share of confident images, agreement (ARI) with the epoch before.
    notes_ : list of str
        What the user should know: collapse, and what to do about it.
    encoded_ : Encoded
        Features of the representation and the state of every file.
    space_, embedding_ : (m, d), (m, k) float32
        Features as the head takes them, and probabilities of the distinct images.

    Notes
    -----
    Time: the pretext; then one pass and 2 n² d FLOPs for the neighbours; heads alone take seconds to minutes on a CPU.
    Memory: one batch; features, neighbours and probabilities of all images; never n².

    Fidelity: docs/methods/scan-fidelity.md says preset by preset what is as published, and what is not.

    References
    ----------
    W. Van Gansbeke, S. Vandenhende, S. Georgoulis, M. Proesmans, L. Van Gool, "SCAN: Learning to Classify Images
    without Labels", ECCV 2020.
    T. Chen, S. Kornblith, M. Norouzi, G. Hinton, "A Simple Framework for Contrastive Learning of Visual
    Representations", ICML 2020.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> images = np.concatenate([rng.integers(0, 99, (20, 8, 8)), rng.integers(150, 255, (20, 8, 8))]).astype("u1")
    >>> SCAN(2, preset="tiny").fit(images).labels_.shape
    (40,)
    """

    preset: str = "auto"
    network: str | None = None
    image_size: int | None = None
    n_neighbors: int | None = None
    n_heads: int | None = None

    presets: ClassVar = PRESETS
    other_settings: ClassVar = frozenset({"encoder", "weights", *encoders.SETTINGS} - {"image_size"})
    arguments: ClassVar = {key: key for key in ("network", "image_size", "n_neighbors", "n_heads")}

    # -- fit ---------------------------------------------------------------------------------------------------------

    def _decide(self, settings: SCANSettings, source: ImageSource, device: torch.device) -> SCANSettings:
        """Choose the preset where that is "auto", and the size of images."""
        if self.preset == "auto":
            named = self.network or (self.settings or {}).get("network")
            chosen, why = config.automatic(source, device, named)
            self.notes_.append(why)
            settings = self.laid_over(PRESETS[chosen])
        if settings.network != "features":
            settings = settings.replace(image_size=config.image_size(settings, source))
        self.notes_ += config.untrained(settings)
        return settings

    def _learn(self, source: ImageSource, report: Reporter, resume: Mapping[str, Any] | None) -> Groups:
        settings: SCANSettings = self.settings_
        dataset = self._dataset(source, report)
        self.bf16_ = bf16_or_not(self.precision, dataset.device, None, resume, 0)
        contrast, begins = self._contrast(dataset)
        net = build_scan(contrast, dataset, settings, int(self.n_clusters), self._seed())
        how = settings, self._seed(), self.bf16_
        clustering = functools.cache(lambda: Clustering(net, contrast, dataset, *how, report))
        plans = [
            Plan("cluster", settings.cluster_epochs, clustering),
            Plan("selflabel", settings.selflabel_epochs, lambda: SelfLabelling(clustering())),
        ]
        if contrast is not None and isinstance(dataset, PixelDataset):
            plans.insert(0, Plan("pretext", settings.pretext_epochs, lambda: Pretext(contrast, dataset, *how)))
        known = {"n_clusters": int(self.n_clusters), "random_state": self._seed(), "bf16": self.bf16_, **begins}
        done = run(
            plans,
            report,
            identity={**settings.replace(extra={}).as_dict(), **known},
            n_images=len(dataset),
            resume=resume,
        )
        self.history_[:0] = done.history
        self.notes_ += done.notes
        self.network_, self.nearest_ = net, clustering().nearest.numpy()
        self.head_losses_ = [round(float(loss), 4) for loss in clustering().memory["head_losses"]]
        self.dataset_ = dataset
        if isinstance(dataset, PixelDataset):
            last = cast(Clustering | SelfLabelling, done.stages[-1])
            self.encoded_ = self.packed_.encoded(to_float16(last.features(torch.arange(len(dataset))).cpu()))
        return self._grouped(done.history[-1])

    def _dataset(self, source: ImageSource, report: Reporter) -> Dataset:
        """Decode or encode all images, and return what is trained on."""
        settings, device = self.settings_, compute.device(self.device)
        if settings.network == "features":
            name, weights = settings.extra.get("encoder") or "auto", settings.extra.get("weights")
            self.encoded_ = self._encoded(source, report, name, weights)
            checks.distinct_images(self.encoded_, len(self.encoded_.rows), int(self.n_clusters))
            return FeatureDataset(self.encoded_.features, device)
        self.packed_: Packed = self._packed(source, report, settings.image_size)
        self.mean_, self.std_ = channel_moments(self.packed_.images)
        return PixelDataset(self.packed_.images, device, self.mean_, self.std_)

    def _contrast(self, dataset: Dataset) -> tuple[Contrast | None, dict[str, Any]]:
        """Return encoder and projector where one is trained, and the name of what the encoder begins with."""
        if isinstance(dataset, FeatureDataset):
            return None, {"encoder": self.encoder_.key}
        net = build_network(self.settings_, dataset.channels, self._seed())
        weights = config.starting_weights(self.settings_, dataset.channels)
        if weights is not None:
            net.encoder.load_state_dict(weights[0])
        net = net.to(dataset.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return net, {} if weights is None else {"weights": weights[1]}

    def _grouped(self, last: Mapping[str, Any]) -> Groups:
        """Return what the head says of all images; notes of what the `last` record shows."""
        notes = [last["alarm"]] if "alarm" in last else []
        if last.get("skipped"):
            notes.append(
                f"{last['skipped']} step(s) of the last epoch of self-labelling had no image above the threshold and "
                "left the weights as they were: lower confidence_threshold=, or train the clustering longer "
                "(cluster_epochs=)"
            )
        assigner = ByHead(self.network_.heads)
        found = placed(assigner, self.encoded_.features)
        return replace(
            found,
            embedding=Best.of(found.proba).dense(),
            reduced="the network's group probabilities",
            space=assigner.prepared(self.encoded_.features),
            notes=notes,
        )

    @property
    def network_name_(self) -> str:
        """What a run says where other methods name their encoder."""
        return f"SCAN network {self.settings_.network}, {self.settings_.image_size} px"

    # -- use ---------------------------------------------------------------------------------------------------------

    def _encode(self, source: ImageSource, on_progress: Any) -> Encoded:
        encoder, cache = self.network_.encoder, self._cache(source)
        if encoder is None:
            return encoders.encode(source, self.encoder_, cache=cache, on_progress=on_progress)
        packed = pack(cast(Any, source), self.settings_.image_size, cache=cache, on_progress=on_progress)
        if not len(packed):
            return packed.encoded(np.zeros((0, encoder.width), np.float16))
        dataset = PixelDataset(packed.images, compute.device(self.device), self.mean_, self.std_)
        rows = torch.arange(len(dataset))
        return packed.encoded(to_float16(features_of(encoder, dataset.read, rows, dataset.device, self.bf16_)))

    def figures(self) -> list[dict[str, Any]]:
        """Return the pictures of the method as plain data: augmented images, neighbours, prototypes."""
        facts = self.encoded_
        if isinstance(facts.thumbs, NoThumbs):
            return []

        def thumbs(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
            found: npt.NDArray[np.uint8] = facts.thumbs.read(facts.rows[rows])
            return found

        labels, confidence = self.labels_[facts.rows], self.confidence_[facts.rows]
        pixels = [self.dataset_] if isinstance(self.dataset_, PixelDataset) else []
        return [
            *(figures.augmented_samples(dataset, self.settings_, self._seed()) for dataset in pixels),
            figures.neighbor_samples(thumbs, self.nearest_, labels, self._seed()),
            figures.prototypes(thumbs, labels, confidence, self.n_clusters_),
        ]

    # -- keep --------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return what `predict` needs: arrays and plain values."""
        frozen = self.network_.encoder is None
        about = {"encoder": self.encoder_.spec()} if frozen else {"mean": self.mean_.numpy(), "std": self.std_.numpy()}
        return {
            "n_clusters": self.n_clusters_,
            "table": self.settings_.replace(extra={}).as_dict(),
            "half": self.bf16_,
            "centers": self.cluster_centers_,
            **about,
            **train.state_of(network=self.network_),
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.bf16_ = bool(state["half"])
        encoder = None
        if "encoder" in state:
            width = self.encoder_.n_features
        else:
            self.mean_, self.std_ = (torch.from_numpy(np.array(state[key], np.float32)) for key in ("mean", "std"))
            encoder = build_network(self.settings_, len(self.mean_), 0).encoder
            width = encoder.width
        anything, centered = compute.generator(0), self.settings_.centered
        net = SCANNet(encoder, build_heads(width, self.n_clusters_, 1, generator=anything, centered=centered))
        train.restore(state, network=net)
        self.network_ = net.to(compute.device(self.device), memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.assigner_ = ByHead(self.network_.heads)


@dataclass(frozen=True)
class ByHead:
    """Sorts features into groups by the one head that is left."""

    heads: Heads

    @torch.no_grad()
    def __call__(self, features: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return group probabilities (m, k) of features (m, d), in blocks of one size."""
        found = np.zeros((len(features), self.heads.n_clusters), np.float32)
        for start in range(0, len(features), _BLOCK):
            part = torch.from_numpy(np.asarray(features[start : start + _BLOCK], np.float32))
            full = functional.pad(part, (0, 0, 0, _BLOCK - len(part))).to(self.heads.linear.weight.device)
            found[start : start + _BLOCK] = self.heads(full)[: len(part), 0].softmax(1).cpu().numpy()
        return found

    @torch.no_grad()
    def prepared(self, features: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return features (m, d) as the head takes them."""
        rows = torch.from_numpy(np.asarray(features, np.float32)).to(self.heads.linear.weight.device)
        found: npt.NDArray[np.float32] = self.heads.prepared(rows).cpu().numpy()
        return found

    def state(self) -> dict[str, Any]:
        """Return the weights."""
        return train.state_of(heads=self.heads)
