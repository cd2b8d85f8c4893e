"""Deep adaptive clustering: a network that learns which images belong together from its own most confident guesses."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt
import torch

from ilk import compute, encoders, train
from ilk.data import ArrayImages, Encoded, ImageSource, channel_mean, pack
from ilk.errors import ArgumentError, DataError
from ilk.methods import checks
from ilk.methods.assign.rules import Groups
from ilk.methods.clusterer import Clusterer
from ilk.methods.dac import diagnostics, order
from ilk.methods.dac.network import label_features
from ilk.methods.dac.settings import (
    PRESETS,
    DACSettings,
    advice,
    check_given,
    for_images,
    records_graphs,
    thresholds,
)
from ilk.methods.dac.training_step import Training
from ilk.methods.inputs.dataset import Dataset, FeatureDataset, PixelDataset, to_float16
from ilk.methods.inputs.encoder import brings_features, check_read
from ilk.methods.outcome import centers
from ilk.methods.reporter import Reporter
from ilk.methods.settings import AUTO, estimator
from ilk.methods.start import default_groups
from ilk.methods.training import Plan, bf16_or_not, run
from ilk.networks.dac import SIZES, DACNet, build_dac_head, build_dac_net

__all__ = ["DAC"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_FROZEN = (
    "photos: a head learns on the features of a frozen encoder. Training a network from scratch takes hours on a CPU: "
    "ask for it with --set preset=released_star"
)
_WORTH = 28  # side of the images from which on a network may be faster in bfloat16


@final
@estimator
class DAC(Clusterer):
    """Deep adaptive clustering (DAC) and its variant with one threshold (DAC*).

    A network gives every image a label feature: a non-negative vector of length 1 with one entry per group. The cosine
    of two label features says how alike two images are. Pairs above a threshold are pulled together, pairs below
    another are pushed apart, and the thresholds move towards each other until every pair counts.

    Parameters
    ----------
    n_clusters : int
        At least 2.
    preset : str
        "auto", "paper", "keras_port", "released_star" (DAC*), "released_dac", "steady", "quick", "robust", "small",
        "tiny": see `ilk.methods.dac.settings`. "auto" is "robust": it begins with the groups of the default pipeline,
        and trains a network for images up to 28 pixels a side, for others a head on the features of a frozen encoder.
    settings : dict, optional
        Single keys laid over the preset's; for "quick" also ``encoder``, ``weights``, ``pool``, ``pad_type``.
    network : str, optional
        "mnist", "cifar_star", "cifar", "stl", "imagenet10", "dog", "small", "tiny", or "features" (a frozen encoder).
        None: by the preset and the size of the images.
    image_size : int, optional
        Side in pixels. None: by the preset or the network; else 28, 32 or 96, for images up to 28, up to 48 and above.
    epochs : int, optional
        How many epochs of the thresholds' way to go; None: the whole way.
    batch_size, n_trials : int, optional
        None: what the preset says. Of several trainings, the best by a score without labels is kept.
    random_state : int
        From 0 to 2**32 - 1.
    device, precision : str
        "auto", "cpu", "cuda"; "auto", "fp32", "bf16" (of the convolutions; all that follows is float32).
    cache : path, optional
        Where decoded images are kept for the next time.
    verbose : bool, optional
        Whether `fit` shows how far it is. None: in notebooks and on terminals, unless it has an `on_epoch`.

    Attributes
    ----------
    labels_ : (n,) int64
        Entry of the label feature that is largest; -1 = not readable.
    probabilities_ : (n, k) float32
        Label features scaled to a sum of 1.
    cluster_centers_ : (k, d) float32
        Mean features of each group.
    n_clusters_, epochs_ : int
    network_ : DACNet
    history_ : list of dict
        One record per epoch, epoch 0 being the untrained network: loss, thresholds (upper, lower), shares of positive
        and of selected pairs, active groups, share of the largest, agreement (ARI) with the epoch before, confidence.
    assignments_ : (epochs + 1, n_distinct) uint8
        Groups of the distinct images after every epoch, in the order of ``encoded_.rows``; no rows above 64 MiB.
    notes_ : list of str
        What the user should know: collapse, and what to do about it.
    encoded_ : Encoded
        Features (label features; those of the frozen encoder with "quick") and the state of every file.
    space_, embedding_ : (m, k) float32
        Label features of the distinct images.

    Notes
    -----
    Batch norms use the statistics of the batch at hand, in training and in the passes that make targets. After the
    training, means and variances are recalibrated once on 1,024 training images drawn at random; predictions use these.
    So the group of an image does not depend on the images beside it, sorted images get the groups of shuffled ones, and
    a single new image can be assigned.

    Fidelity: docs/methods/dac-fidelity.md says preset by preset what is as published, and what is not.

    References
    ----------
    J. Chang, L. Wang, G. Meng, S. Xiang, C. Pan, "Deep Adaptive Image Clustering", ICCV 2017.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> images = np.concatenate([rng.integers(0, 99, (20, 8, 8)), rng.integers(150, 255, (20, 8, 8))]).astype("u1")
    >>> DAC(2, preset="tiny").fit(images).labels_.shape
    (40,)
    """

    _: KW_ONLY
    preset: str = "auto"
    network: str | None = None
    image_size: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    n_trials: int | None = None

    presets: ClassVar = PRESETS
    renamed_presets: ClassVar = {"seed": "keras_port"}
    arguments: ClassVar = {name: name for name in ("network", "image_size", "epochs", "batch_size", "n_trials")}
    renamed_arguments: ClassVar = {"n_init": "n_trials"}
    other_settings: ClassVar[frozenset[str]] = frozenset({"encoder", "weights", *encoders.SETTINGS} - {"image_size"})

    # -- settings ----------------------------------------------------------------------------------------------------

    def resolved(self) -> DACSettings:
        """Return the settings in force, every one checked; "auto" where the images decide.

        Raises
        ------
        ArgumentError
            An option outside of what is allowed, or one that nothing reads.
        """
        found: DACSettings = super().resolved()
        if found.start != "groups" or found.network != AUTO:  # else the images decide whether a network is trained
            check_read(self, found)
        check_given(self.settings or {}, found)
        return found

    def _decide(self, settings: DACSettings, source: ImageSource, device: torch.device) -> DACSettings:
        asked, settings = settings, for_images(settings, source, int(self.n_clusters))
        check_read(self, settings)
        check_given(self.settings or {}, settings)
        if asked.network == AUTO and settings.network == "features" and not brings_features(source):
            self.notes_.append(_FROZEN)
        thresholds(settings)  # raises where they take fewer epochs than are asked for
        if settings.order == "given" and not isinstance(source, ArrayImages):  # whose names are of parts, not classes
            settings = self._in_order(settings, asked.order, order.alike_by_name(source.names(), settings.chunk))
        return settings.replace(cuda_graphs=records_graphs(settings, device))

    def _in_order(self, settings: DACSettings, asked: str, alike: str | None) -> DACSettings:
        """Return the settings with the images shuffled, where they are `alike` as they come and nobody asked for that.

        Raises
        ------
        ArgumentError
            Their order was asked for.
        """
        if alike is None:
            return settings
        if asked == "given":
            raise ArgumentError(
                f"order='given': {alike}, and a chunk of one class teaches nothing. Use order=shuffled."
            )
        self.notes_.append(f"chunks are of shuffled images: {alike}")
        return settings.replace(order="shuffled")

    # -- fit ---------------------------------------------------------------------------------------------------------

    def _learn(self, source: ImageSource, report: Reporter, resume: Mapping[str, Any] | None) -> Groups:
        settings: DACSettings = self.settings_
        k, seed = int(self.n_clusters), self._seed()
        dataset, facts, encoded = self._dataset(source, report)
        if settings.order == "given":
            alike = order.alike_by_sight(dataset, settings.chunk)
            settings = self.settings_ = self._in_order(settings, self.resolved().order, alike)
        self.notes_ += advice(settings, k, len(dataset))
        groups = self._groups_to_start(source, facts, report) if settings.start == "groups" else None
        make = functools.partial(Training, dataset, settings, k, seed, groups=groups)
        self.bf16_ = self._in_bf16(dataset, make, resume)
        plan = functools.partial(Plan, "train", len(thresholds(settings)))
        # what a checkpoint must agree with; where it is trained on may differ
        same = {key: value for key, value in settings.as_dict().items() if key != "cuda_graphs"}
        done = run(
            [plan(functools.partial(make, bf16=self.bf16_, trial=trial)) for trial in range(settings.n_trials)],
            report,
            identity={**same, "n_clusters": k, "random_state": seed, "bf16": self.bf16_},
            n_images=len(dataset),
            resume=resume,
        )
        trials: list[Training] = done.stages  # type: ignore[assignment]
        best = Training.best(trials)
        history = [record for record in done.history if record.get("restart", 0) == best.trial]
        self.history_[:0] = history
        self.history_ += [{"stage": "restart", **trial.score()} for trial in trials]
        self.notes_ += done.notes + ([history[-1]["alarm"]] if "alarm" in history[-1] else [])
        found = self._groups(best, dataset, encoded)
        self.notes_ += [] if groups is None else diagnostics.joined(groups, found.labels)
        return found

    def _dataset(self, source: ImageSource, report: Reporter) -> tuple[Dataset, Encoded, Callable[..., Encoded]]:
        """Decode or encode all images; return what is trained on, the state of every file, and what adds features."""
        device, settings = compute.device(self.device), self.settings_
        dataset: Dataset
        if settings.network == "features":
            name = settings.extra.get("encoder") or "auto"
            found = self._encoded(source, report, name, settings.extra.get("weights"))
            checks.distinct_images(found, len(found.rows), int(self.n_clusters))
            dataset = FeatureDataset.centered(found.features, device)
            encoded: Callable[..., Encoded] = lambda features: found  # noqa: E731
            facts = found
        else:
            packed = self._packed(source, report, settings.image_size)
            dataset = PixelDataset(packed.images, device, channel_mean(packed.images))
            encoded, facts = packed.encoded, packed.facts
        assert dataset.mean is not None
        self.mean_ = dataset.mean.flatten().cpu()
        return dataset, facts, encoded

    def _groups_to_start(self, source: ImageSource, facts: Encoded, report: Reporter) -> Ints:
        """Return the groups (n,) of the distinct images as the default pipeline has them."""
        with report.stage("start"):
            found = facts
            if self.settings_.network != "features":
                how: dict[str, Any] = {"device": self.device, "precision": self.precision, "cache": self._cache()}
                encoder = encoders.build("auto", source=source, **how)
                found = encoders.encode(source, encoder, cache=self._cache(), on_progress=report.progress)
                self.notes_.append(f"the training starts from the groups that {encoder.name} and UMAP find")
            groups = default_groups(found.features, int(self.n_clusters), self._seed())
        self.notes_ += groups.notes
        at = found.position[facts.rows]
        if (at < 0).any():
            raise DataError("images changed while they were read: start again.")
        return groups.labels[at]

    def _in_bf16(self, dataset: Dataset, make: Callable[..., Training], resume: Mapping[str, Any] | None) -> bool:
        """Return whether the trunk runs in bfloat16.

        Never on ready-made features: one linear layer gains nothing, and its groups would hang on the last bits.
        """
        if not isinstance(dataset, PixelDataset):
            return False
        settings: DACSettings = self.settings_
        passes = len(thresholds(settings)) * settings.inner_epochs * settings.repeats
        worth = make if SIZES[settings.network] >= _WORTH else None
        return bf16_or_not(self.precision, dataset.device, worth, resume, len(dataset) * passes)

    def _groups(self, best: Training, dataset: Dataset, encoded: Callable[..., Encoded]) -> Groups:
        """Read the groups off the label features of all images, as `predict` will."""
        self.network_, self.epochs_ = best.network, len(best.schedule)
        features = to_float16(label_features(best.network, dataset, self.bf16_))
        self.encoded_ = encoded(features)
        labels, proba = features.argmax(1).astype(np.int64), diagnostics.shares(features)
        self.assignments_, self.stages_ = best.memory["assignments"], best.memory["stages"]
        self.stages_[2], self.stage_labels_ = features[best.shown], labels[best.shown]
        self.label_means_ = centers(features, labels, best.k)
        self.device_, self.learned_ = str(dataset.device), True
        return Groups(self._assigner(), labels, proba, proba.max(1), space=features.astype(np.float32))

    @property
    def network_name_(self) -> str:
        """What a run says where other methods name their encoder."""
        return f"DAC network {self.settings_.network}, {self.settings_.image_size} px"

    # -- use ---------------------------------------------------------------------------------------------------------

    def _encode(self, source: Any, on_progress: Any) -> Encoded:
        cache = self._cache(source)
        if self.settings_.network == "features":
            return encoders.encode(source, self.encoder_, cache=cache, on_progress=on_progress)
        packed = pack(source, self.settings_.image_size, cache=cache, on_progress=on_progress)
        if not len(packed):
            return packed.encoded(np.zeros((0, self.n_clusters_), np.float16))
        dataset = PixelDataset(packed.images, compute.device(self.device), self.mean_)
        return packed.encoded(to_float16(label_features(self.network_, dataset, self.bf16_)))

    def _assigner(self) -> _Assigner:
        head = self.network_ if self.settings_.network == "features" else None
        return _Assigner(head, self.mean_, compute.device(self.device))

    def figures(self) -> list[dict[str, Any]]:
        """Return the pictures of the method as plain data: label features while it learns, and their means by group."""
        names = [
            "Initial stage (untrained)",
            f"Intermediate stage (epoch {(self.epochs_ + 1) // 2})",
            f"Final stage (epoch {self.epochs_})",
        ]
        return diagnostics.figures(self.stages_, names, self.stage_labels_, self.label_means_)

    # -- keep --------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return what `predict` and `figures` need: arrays and plain values."""
        frozen = self.settings_.network == "features"
        return {
            "n_clusters": self.n_clusters_,
            "table": self.settings_.as_dict(),
            "half": self.bf16_,
            "epochs": self.epochs_,
            "centers": self.cluster_centers_,
            "label_means": self.label_means_,
            "assignments": self.assignments_,
            "stages": self.stages_,
            "stage_labels": self.stage_labels_,
            **({"encoder": self.encoder_.spec()} if frozen else {}),
            "mean": self.mean_.numpy(),
            **train.state_of(network=self.network_),
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        settings: DACSettings = self.settings_
        self.bf16_, self.epochs_ = bool(state["half"]), int(state["epochs"])
        self.assignments_, self.stages_ = np.asarray(state["assignments"]), np.asarray(state["stages"])
        self.stage_labels_, self.label_means_ = np.asarray(state["stage_labels"]), np.asarray(state["label_means"])
        self.mean_ = torch.from_numpy(np.array(state["mean"], np.float32))
        anything, affine = compute.generator(0), settings.bn_affine
        if "encoder" in state:
            net = build_dac_head(torch.zeros(self.n_clusters_, self.encoder_.n_features), affine=affine)
        else:
            name, side = settings.network, int(settings.image_size or 0)
            how: Any = {"affine": affine, "ties": settings.max_pool_ties}
            net = build_dac_net(name, len(self.mean_), side, self.n_clusters_, **how, generator=anything)
        train.restore(state, network=net)
        self.network_ = net.to(compute.device(self.device), memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.assigner_ = self._assigner()


@dataclass(frozen=True)
class _Assigner:
    """Assigns images by label features, scaled to a sum of 1.

    Attributes
    ----------
    head : DACNet, optional
        Makes them of the features of a frozen encoder, less their `mean`.
    mean : Tensor (d,)
    device : torch.device
    """

    head: DACNet | None
    mean: torch.Tensor
    device: torch.device

    def __call__(self, features: npt.NDArray[Any]) -> Floats:
        """Return group probabilities (m, k)."""
        if self.head is not None:
            dataset = FeatureDataset.centered(features, self.device, self.mean)
            features = to_float16(label_features(self.head, dataset, False))
        return diagnostics.shares(features)

    def state(self) -> dict[str, Any]:
        """Return nothing: the model keeps all of it."""
        return {}
