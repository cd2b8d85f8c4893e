"""Deep adaptive clustering: a network that learns which images belong together from its own surest guesses."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch

from ilk import compute, encoders, train
from ilk.data import Encoded, ImageSource, Packed, channel_mean, open_images, pack
from ilk.methods import checks
from ilk.methods.base import ImageClusterer, OnEpoch
from ilk.methods.dac import config as setup
from ilk.methods.dac import diagnostics as watch
from ilk.methods.dac.presets import PRESETS
from ilk.methods.dac.training import Training
from ilk.methods.dac.training_step import Learner, make_learner, predicted, thresholds
from ilk.methods.inputs.dataset import Features, Pixels, Pool
from ilk.methods.inputs.encoder import brings_features, check_read, load_encoder, reload_encoder, take_kept
from ilk.methods.outcome import centers, spread
from ilk.methods.stages import Stages
from ilk.networks.dac import build_dac_head, build_dac_net

__all__ = ["DAC"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
OnProgress = Callable[[int, int], bool | None]


class DAC(ImageClusterer):
    """Deep adaptive clustering (DAC) and its variant with one threshold (DAC*).

    A network gives every image a label feature: a non-negative vector of length 1 with one entry per group. The cosine
    of two label features says how alike two images are. Pairs above a threshold are pulled together, pairs below
    another are pushed apart, and the thresholds move towards each other until every pair counts.

    Parameters
    ----------
    n_clusters : int
        At least 2.
    preset : str
        "auto", "paper", "seed", "released_star" (DAC*), "released_dac", "quick", "small", "tiny": see
        `ilk.methods.dac.presets`. "auto" is "quick" for photos on a CPU, "small" for images below 24 pixels a side,
        "seed" up to 28 (on a GPU, or from 60,000 images on) and "released_star" for all others.
    settings : dict, optional
        Single keys of the preset's table; for "quick" also ``encoder``, ``weights``, ``pool``, ``pad_type``.
    network : str, optional
        "mnist", "cifar_star", "cifar", "stl", "imagenet10", "dog", "small", "tiny", or "features" (a frozen encoder).
        None: by the preset and the size of the images.
    image_size : int, optional
        Side in pixels. None: by the preset or the network; else 28, 32 or 96, for images up to 28, up to 48 and above.
    epochs : int, optional
        How many epochs of the thresholds' way to go; None: the whole way.
    batch_size, n_init : int, optional
        None: what the preset says. Of several trainings, the best by a score without labels is kept.
    random_state : int
        From 0 to 2**32 - 1.
    device, precision : str
        "auto", "cpu", "cuda"; "auto", "fp32", "bf16" (of the convolutions; all that follows is float32).
    cache : path, optional
        Where decoded images are kept for the next time.

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
    training, means and variances are measured once on 1,024 training images drawn at random; predictions use these. So
    the group of an image does not depend on the images beside it, sorted images get the groups of shuffled ones, and a
    single new image can be placed.

    Fidelity: docs/methods/dac.md says preset by preset what is as published, and what is not.

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
        n_init: int | None = None,
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
        self.n_init = n_init
        self.random_state = random_state
        self.device = device
        self.precision = precision
        self.cache = cache

    # -- fit ---------------------------------------------------------------------------------------------------------

    def resolved(self) -> dict[str, Any]:
        """Return the settings in force, every one checked; "auto" where the images decide.

        Raises
        ------
        ArgumentError
            An option outside of what is allowed.
        """
        table: dict[str, Any] = super().resolved()
        for key in ("network", "image_size", "epochs", "batch_size", "n_init"):
            given = getattr(self, key)
            table[key] = table[key] if given is None else given
        setup.check(table, self.n_clusters, self.random_state, self.precision)
        check_read(self, table)
        if self.preset != "auto":
            setup.check_given(self.settings or {}, table)
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
            Called with a record per epoch, with progress inside of epochs, and with a function that gives a state to go
            on from. A true answer stops with `Interrupted`.
        resume
            A state from `on_epoch`: training goes on there, to the bit on a CPU.

        Raises
        ------
        NotEnoughImages
            Fewer distinct images than groups.
        """
        table = self.resolved()
        source = open_images(X)
        place = compute.device(self.device)
        self.history_: list[dict[str, Any]] = []
        self.notes_: list[str] = []
        tell = Stages(self.history_, on_epoch)
        if self.preset == "auto":
            chosen = setup.automatic(source, place, table["network"], table["image_size"])
            asked = table["network"] == "features" or brings_features(source)
            if chosen in setup.WHY and not asked:
                self.notes_.append(setup.WHY[chosen])
            table = type(self)(**{**self.get_params(deep=False), "preset": chosen}).resolved()
        table = setup.fill(table, source)
        table["graph"] = setup.graphed(table, place)
        pool = self._pool(source, table, place, tell)
        self.settings_ = {key: table[key] for key in next(iter(PRESETS.values()))}
        self.notes_ += setup.advice(self.settings_, self.n_clusters, len(pool))
        schedule = thresholds(self.settings_)
        k, seed = int(self.n_clusters), int(self.random_state)
        self.half_ = half = setup.half_precision(self.precision, pool, self.settings_, k, seed, resume)
        known = {"n_clusters": k, "random_state": seed, "half": half}
        # what a checkpoint must agree with; where it is trained on may differ
        identity = {key: value for key, value in {**self.settings_, **known}.items() if key != "graph"}
        make = functools.partial(make_learner, pool, self.settings_, k, seed, half)
        training = Training(make, schedule, identity, k, seed, on_epoch)
        if resume:
            training.restore(resume)
        with tell.stage("train"):
            learner = training.run()
        self._finish(training, learner, pool)
        return self

    def _pool(self, source: Any, table: dict[str, Any], place: torch.device, tell: Stages) -> Pool:
        """Decode or encode all images, and return what the network is trained on."""
        frozen = table["network"] == "features"
        if frozen:
            inner = {key: value for key, value in table.items() if key != "image_size"}
            load_encoder(self, source, tell, table.get("encoder") or "auto", table.get("weights"), inner)
            with tell.stage("encode"):
                self.encoded_ = encoders.encode(source, self.encoder_, cache=self._cache(), on_progress=tell.progress)
            facts, n = self.encoded_, len(self.encoded_.rows)
        else:
            with tell.stage("encode"):
                self.packed_ = self._pack(source, table["image_size"], tell.progress)
            facts, n = self.packed_.facts, len(self.packed_)
        checks.distinct_images(facts, n, self.n_clusters)
        self.notes_ += facts.notes
        if frozen:
            pool = Features(self.encoded_.features, place)
            self.mean_ = pool.mean.cpu()
            return pool
        images = self.packed_.images
        self.mean_ = channel_mean(images)
        return Pixels(images, self.mean_, place)

    def _pack(self, source: Any, size: int, on_progress: OnProgress | None = None) -> Packed:
        return pack(source, size, cache=self._cache(source), on_progress=on_progress)

    def _finish(self, training: Training, learner: Learner, pool: Pool) -> None:
        self.network_ = learner.net
        self.history_[:0] = training.history
        self.history_ += [
            {"stage": "restart", **{k: v for k, v in told.items() if k != "history"}} for told in training.scores
        ]
        self.notes_ += training.notes
        self.epochs_, self.assignments_, self.stages_ = len(training.schedule), training.assignments, training.stages
        features = watch.halves(predicted(learner.net, pool, self.half_))
        self.stages_[2] = features[training.shown]
        if isinstance(pool, Pixels):
            self.encoded_ = self.packed_.encoded(features)
        labels = features.argmax(1).astype(np.int64)
        self.stage_labels_ = labels[training.shown]
        self.n_clusters_ = int(self.n_clusters)
        self.device_ = str(pool.device)
        self.space_ = self.embedding_ = features.astype(np.float32)
        self.learned_ = True
        self.label_means_ = centers(features, labels, self.n_clusters_)
        self.labels_, self.probabilities_ = spread(self.encoded_, labels, watch.shares(features))
        self.cluster_centers_ = centers(self.encoded_.features, labels, self.n_clusters_)

    @property
    def network_name_(self) -> str:
        """What a run says where other methods name their encoder."""
        return f"DAC network {self.settings_['network']}, {self.settings_['image_size']} px"

    # -- use ---------------------------------------------------------------------------------------------------------

    def _encode(self, source: ImageSource, on_progress: Any) -> Encoded:
        if self.settings_["network"] == "features":
            return encoders.encode(source, self.encoder_, cache=self._cache(source), on_progress=on_progress)
        packed = self._pack(source, self.settings_["image_size"], on_progress)
        if not len(packed):
            return packed.encoded(np.zeros((0, self.n_clusters_), np.float16))
        pool = Pixels(packed.images, self.mean_, compute.device(self.device))
        return packed.encoded(watch.halves(predicted(self.network_, pool, self.half_)))

    def _proba(self, features: npt.NDArray[Any]) -> Floats:
        if self.settings_["network"] == "features":
            pool = Features(features, compute.device(self.device), self.mean_)
            features = watch.halves(predicted(self.network_, pool, False))
        return watch.shares(features)

    def figures(self) -> list[dict[str, Any]]:
        """Return the pictures of the method as plain data: label features while it learns, and their means by group."""
        names = [
            "Initial stage (untrained)",
            f"Intermediate stage (epoch {(self.epochs_ + 1) // 2})",
            f"Final stage (epoch {self.epochs_})",
        ]
        return watch.figures(self.stages_, names, self.stage_labels_, self.label_means_)

    # -- keep --------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return what `predict` and `figures` need: arrays and plain values."""
        frozen = self.settings_["network"] == "features"
        return {
            "n_clusters": self.n_clusters_,
            "table": self.settings_,
            "half": self.half_,
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
        model.epochs_ = int(state["epochs"])
        model.assignments_, model.stages_ = np.asarray(state["assignments"]), np.asarray(state["stages"])
        model.stage_labels_, model.label_means_ = np.asarray(state["stage_labels"]), np.asarray(state["label_means"])
        model.cluster_centers_ = np.asarray(state["centers"])
        model.history_ = []
        model.mean_ = torch.from_numpy(np.array(state["mean"], np.float32))
        anything = compute.generator(0)
        affine = bool(model.settings_["affine"])
        if "encoder" in state:
            model.encoder_ = reload_encoder(model, state["encoder"], kept)
            net = build_dac_head(torch.zeros(model.n_clusters_, model.encoder_.n_features), affine=affine)
        else:
            name, side = model.settings_["network"], int(model.settings_["image_size"])
            net = build_dac_net(name, len(model.mean_), side, model.n_clusters_, affine=affine, generator=anything)
        train.restore(state, network=net)
        model.network_ = net.to(compute.device(model.device), memory_format=torch.channels_last)  # type: ignore[call-overload]
        return model
