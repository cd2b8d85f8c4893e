"""SCAN: a representation first, then groups that an image shares with its nearest neighbours, then its own labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch

from ilk import compute, encoders, train
from ilk.data import Encoded, ImageSource, NoThumbs, Packed, channel_moments, open_images, pack
from ilk.methods import checks
from ilk.methods.base import ImageClusterer, OnEpoch
from ilk.methods.inputs.encoder import load_encoder, reload_encoder, take_kept
from ilk.methods.inputs.views import Rows, Views
from ilk.methods.outcome import centers, spread
from ilk.methods.scan import config as setup
from ilk.methods.scan import diagnostics as watch
from ilk.methods.scan.presets import PRESETS
from ilk.methods.scan.pretext import build_net, encoded, halves
from ilk.methods.scan.training import Fit, Training
from ilk.methods.stages import Stages
from ilk.networks.scan import SCANNet, build_heads

__all__ = ["SCAN"]

Floats = npt.NDArray[np.float32]


class SCAN(ImageClusterer):
    """Semantic clustering by adopting nearest neighbours.

    Four stages: a network learns a representation without labels (SimCLR), or that of a frozen encoder is taken; the
    nearest neighbours of every image are mined there; heads learn to put an image and its neighbours into the same
    group while all groups stay in use, and the best head is kept by its own loss; then images that are surely of one
    group teach the network what their altered copies are.

    Parameters
    ----------
    n_clusters : int
        At least 2.
    preset : str
        "auto", "frozen", "scratch", "small", "paper_cifar10", "paper_cifar20", "paper_stl10", "keras_literal",
        "keras_fixed", "tiny": see `ilk.methods.scan.presets`. "auto" is "scratch" for small images where there is a
        GPU, and "frozen" everywhere else; where `network` is named it is "scratch" or "small", which train it.
    settings : dict, optional
        Single keys of the preset's table; where features are frozen also ``encoder``, ``weights``, ``pool``,
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
        neighbours in the same group, share of sure images, agreement (ARI) with the epoch before.
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

    Fidelity: docs/methods/scan.md says preset by preset what is as published, and what is not.

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
        n_neighbors: int | None = None,
        n_heads: int | None = None,
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
        self.n_neighbors = n_neighbors
        self.n_heads = n_heads
        self.random_state = random_state
        self.device = device
        self.precision = precision
        self.cache = cache

    # -- fit ---------------------------------------------------------------------------------------------------------

    def resolved(self) -> dict[str, Any]:
        """Return the settings in force, every one checked; None or "auto" where the images decide.

        Raises
        ------
        ArgumentError
            An option outside of what is allowed.
        """
        table: dict[str, Any] = super().resolved()
        for key in ("network", "image_size", "n_neighbors", "n_heads"):
            given = getattr(self, key)
            table[key] = table[key] if given is None else given
        setup.check(table, self.n_clusters, self.random_state, self.precision)
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
            named = self.network or dict(self.settings or {}).get("network")
            chosen, why = setup.automatic(source, place, named)
            self.notes_.append(why)
            table = type(self)(**{**self.get_params(deep=False), "preset": chosen}).resolved()
        table = setup.fill(table, source)
        self.notes_ += setup.untrained(table)
        pool = self._pool(source, table, place, tell)
        self.settings_ = {key: table[key] for key in next(iter(PRESETS.values()))}
        # no probe on a CPU: strided convolutions in bfloat16 come to a standstill where other processes want its cores
        self.half_ = train.half_precision(self.precision, place)
        start = setup.start_of(table, 0 if isinstance(pool, Rows) else len(self.mean_))
        fit = Fit(pool, self.settings_, int(self.n_clusters), int(self.random_state), self.half_, start)
        training = Training(fit, tell, on_epoch)
        if resume:
            training.restore(resume)
        training.run()
        self._finish(training, pool)
        return self

    def _pool(self, source: Any, table: dict[str, Any], place: torch.device, tell: Stages) -> Views | Rows:
        """Decode or encode all images, and return what is trained on."""
        frozen = table["network"] == "features"
        if frozen:
            inner = {key: value for key, value in table.items() if key != "image_size"}
            load_encoder(self, source, tell, table.get("encoder") or "auto", table.get("weights"), inner)
            with tell.stage("encode"):
                self.encoded_ = encoders.encode(source, self.encoder_, cache=self._cache(), on_progress=tell.progress)
            facts, n = self.encoded_, len(self.encoded_.rows)
        else:
            with tell.stage("encode"):
                self.packed_ = self._packed(source, table["image_size"], tell.progress)
            facts, n = self.packed_.facts, len(self.packed_)
        checks.distinct_images(facts, n, self.n_clusters)
        self.notes_ += facts.notes
        if frozen:
            return Rows(self.encoded_.features, place)
        self.mean_, self.std_ = channel_moments(self.packed_.images)
        return Views(self.packed_.images, self.mean_, self.std_, place)

    def _packed(self, source: Any, size: int, on_progress: Any) -> Packed:
        return pack(source, size, cache=self._cache(source), on_progress=on_progress)

    def _finish(self, training: Training, pool: Views | Rows) -> None:
        net = training.net
        assert net is not None
        self.network_ = net
        self.history_[:0] = training.history
        self.notes_ += training.notes
        told = training.history[-1] if training.history else {}
        self.notes_ += [told["alarm"]] if "alarm" in told else []
        if told.get("skipped"):
            self.notes_.append(
                f"{told['skipped']} step(s) of the last epoch of self-labelling had no image above the threshold "
                "and left the weights as they were: lower threshold=, or train the clustering longer (cluster_epochs=)"
            )
        self.head_losses_ = training.heads
        self.nearest_ = training.nearest.numpy()
        self.n_clusters_ = int(self.n_clusters)
        features = training.features
        if isinstance(pool, Views):
            self.encoded_ = self.packed_.encoded(features)
            self.views_ = pool
        proba = self._proba(features)
        labels = proba.argmax(1).astype(np.int64)
        self.labels_, self.probabilities_ = spread(self.encoded_, labels, proba)
        self.cluster_centers_ = centers(self.encoded_.features, labels, self.n_clusters_)
        self.embedding_ = proba
        self.reduced_ = "the network's group probabilities"
        with torch.no_grad():
            rows = torch.from_numpy(np.asarray(features, np.float32)).to(pool.device)
            self.space_ = net.heads.prepared(rows).cpu().numpy()

    @property
    def network_name_(self) -> str:
        """What a run says where other methods name their encoder."""
        return f"SCAN network {self.settings_['network']}, {self.settings_['image_size']} px"

    # -- use ---------------------------------------------------------------------------------------------------------

    def _encode(self, source: ImageSource, on_progress: Any) -> Encoded:
        encoder = self.network_.encoder
        if encoder is None:
            return encoders.encode(source, self.encoder_, cache=self._cache(source), on_progress=on_progress)
        packed = self._packed(source, self.settings_["image_size"], on_progress)
        if not len(packed):
            return packed.encoded(np.zeros((0, encoder.width), np.float16))
        views = Views(packed.images, self.mean_, self.std_, compute.device(self.device))
        return packed.encoded(halves(encoded(encoder, views.read, torch.arange(len(views)), self.half_)))

    def _proba(self, features: npt.NDArray[Any]) -> Floats:
        return watch.probabilities(self.network_.heads, features)

    def figures(self) -> list[dict[str, Any]]:
        """Return the pictures of the method as plain data: altered images, neighbours, prototypes."""
        facts = self.encoded_
        if isinstance(facts.thumbs, NoThumbs):
            return []
        labels = self.labels_[facts.rows]
        confidence = self.probabilities_[facts.rows].max(1)
        seed = int(self.random_state)
        views = getattr(self, "views_", None)
        return watch.figures(
            [] if views is None else watch.altered_samples(views, self.settings_, seed),
            lambda rows: facts.thumbs.read(facts.rows[rows]),
            self.nearest_,
            labels,
            confidence,
            self.n_clusters_,
            seed,
        )

    # -- keep --------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return what `predict` needs: arrays and plain values."""
        frozen = self.network_.encoder is None
        about = {"encoder": self.encoder_.spec()} if frozen else {"mean": self.mean_.numpy(), "std": self.std_.numpy()}
        return {
            "n_clusters": self.n_clusters_,
            "table": self.settings_,
            "half": self.half_,
            "centers": self.cluster_centers_,
            **about,
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
        model.cluster_centers_ = np.asarray(state["centers"])
        model.history_ = []
        anything = compute.generator(0)
        encoder = None
        if "encoder" in state:
            model.encoder_ = reload_encoder(model, state["encoder"], kept)
            width = model.encoder_.n_features
        else:
            model.mean_ = torch.from_numpy(np.array(state["mean"], np.float32))
            model.std_ = torch.from_numpy(np.array(state["std"], np.float32))
            encoder = build_net(model.settings_, len(model.mean_), anything).encoder
            width = encoder.width
        centered = bool(model.settings_["centered"])
        net = SCANNet(encoder, build_heads(width, model.n_clusters_, 1, generator=anything, centered=centered))
        train.restore(state, network=net)
        model.network_ = net.to(compute.device(model.device), memory_format=torch.channels_last)  # type: ignore[call-overload]
        return model
