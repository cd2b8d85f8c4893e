"""The one way in which every method of ours is fitted: settings, images, training, groups."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, cast, final

import numpy as np
import numpy.typing as npt
import torch

from ilk import compute, encoders, showing
from ilk.data import Encoded, ImageSource, Packed, open_images, pack
from ilk.errors import ArgumentError
from ilk.methods import checks
from ilk.methods.assign.placer import Placer
from ilk.methods.assign.rules import Groups
from ilk.methods.base import ImageClusterer
from ilk.methods.inputs import stacking
from ilk.methods.inputs.encoder import load_encoder, reload_encoder, take_kept
from ilk.methods.outcome import centers, spread
from ilk.methods.reporter import OnEpoch, Reporter
from ilk.methods.settings import AUTO, estimator
from ilk.vectors import Best

__all__ = ["Clusterer", "Engine"]

Ints = npt.NDArray[np.int64]


class Engine(Protocol):
    """Who encodes images in the place of this process, such as `ilk.scale.Ray`."""

    def fill(
        self,
        source: ImageSource,
        encoder: Any,
        cache: Path | None,
        device: str,
        on_progress: Callable[[int, int], bool | None],
        say: Callable[[str], object],
    ) -> Mapping[str, Any]:
        """Encode what `cache` lacks; return how much that was ("n_encoded"), and who did it ("by"), in words."""


@estimator
class Clusterer(ImageClusterer):
    """Abstract: a method says what its settings follow from (`_decide`) and how images become groups (`_learn`).

    Parameters
    ----------
    n_clusters : int
        At least 2.
    preset : str
        Settings by name: ``ilk methods NAME`` lists them.
    settings : dict, optional
        Single settings laid over the preset's.
    random_state : int
        From 0 to 2**32 - 1.
    device : {"auto", "cpu", "cuda"}
    precision : {"auto", "fp32", "bf16"}
        Of networks; losses are float32. On a GPU "fp32" is without TF32 while it trains.
    cache : path, optional
        Where decoded images and features are kept for the next time; None keeps nothing.
    verbose : bool, optional
        Whether `fit` shows how far it is. None: in notebooks and on terminals, unless it has an `on_epoch`.

    Attributes
    ----------
    settings_ : Settings
        Those in force.
    notes_ : list of str
        What the user should know.
    encoded_ : Encoded
        Features, and the state of every file.
    space_, embedding_ : (m, p), (m, e) float32
        Of the distinct readable images: the space that the map is of, and the one that groups were sought in.
    near_ : NearDuplicates or None
        Which of the distinct images are nearly the same; None where no frozen encoder was used.
    confidence_ : (n,) float32
        How confident the group of each image is; 0 where it is not assigned.
    """

    n_clusters: Any = 10
    _: KW_ONLY
    preset: str = "default"
    settings: Mapping[str, Any] | None = None
    random_state: int = 0
    device: str = "auto"
    precision: str = "auto"
    cache: str | Path | None = None
    verbose: bool | None = None

    chooses_k: ClassVar[bool] = False
    """Whether ``n_clusters="auto"`` is allowed."""

    # -- what a method says ------------------------------------------------------------------------------------------

    def _decide(self, settings: Any, source: ImageSource, device: torch.device) -> Any:
        """Return the settings with all filled in that the images decide; may add notes."""
        return settings

    @abstractmethod
    def _learn(self, source: ImageSource, report: Reporter, resume: Mapping[str, Any] | None) -> Groups:
        """Read the images, train what is to be trained, set ``encoded_``, and return the groups."""

    # -- fit ---------------------------------------------------------------------------------------------------------

    def resolved(self) -> Any:
        """Return the settings in force, every one checked; "auto" and None where the images decide.

        Raises
        ------
        ArgumentError
            An option outside of what is allowed.
        """
        found = super().resolved()
        k: Any = self.n_clusters
        auto = isinstance(k, str) and k == AUTO
        if not (auto and self.chooses_k) and (isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 2):
            hint = " `ilk cluster SOURCE` without -m suggests one." if auto else ""
            also = ", or 'auto'" if self.chooses_k else ""
            raise ArgumentError(f"n_clusters={k!r}: give a whole number of at least 2{also} (-k).{hint}")
        checks.common(self.random_state, self.precision)
        return found

    @final
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
            Called with a record per stage and epoch, with progress, and with a function that gives a state to go on
            from (an empty one where the fit cannot be left). A true answer stops with `Interrupted`.
        resume
            A state from `on_epoch`: a training goes on there, to the bit on a CPU. What is read and encoded is taken
            from `cache`.

        Raises
        ------
        NotEnoughImages
            Fewer distinct images than groups.
        """
        settings = self.resolved()
        device = compute.device(self.device)  # a wrong name is said before any image is read
        source = open_images(X)
        self.history_: list[dict[str, Any]] = []
        self.notes_: list[str] = []
        self.near_: stacking.NearDuplicates | None = None
        self.settings_: Any = self._decide(settings, source, device)
        real = compute.real_float32(self.precision == "fp32")
        with showing.watching(self.verbose, on_epoch) as hook, real:
            self._publish(self._learn(source, Reporter(self.history_, hook), resume))
        return self

    def use(self, engine: Engine) -> Self:
        """Have `engine` encode the images of the next `fit` into the cache, before anything else reads them there."""
        self._engine = engine
        return self

    def _seed(self) -> int:
        return int(self.random_state)

    def _encoded(
        self, source: ImageSource, report: Reporter, name: Any, weights: Any, *, settings: Any = None, **how: Any
    ) -> Encoded:
        """Build the frozen encoder `name` as ``encoder_``, and return the features of all images as it has them.

        Near duplicates are found here, and count as one image each where the settings say so.
        """
        load_encoder(self, source, report, name, weights, self.settings_.extra if settings is None else settings)
        how = {"on_progress": report.progress, **how}
        engine: Engine | None = getattr(self, "_engine", None)
        with report.stage("encode"):
            answer = None if engine is None else self._filled(source, report, engine, how["on_progress"])
            found = encoders.encode(source, self.encoder_, cache=self._cache(), **how)
        found = found if answer is None else answer(found)
        self.notes_ += found.notes
        with report.stage("near"):
            self.near_ = stacking.find(source, self.encoder_, found, self._cache())
        if not self._stacks() or not self.near_.count:
            return found
        self.notes_.append(self.near_.said())
        return stacking.as_one(found, self.near_.heads)

    def _filled(
        self, source: ImageSource, report: Reporter, engine: Engine, progress: Any
    ) -> Callable[[Encoded], Encoded]:
        """Let `engine` fill the cache; return what says of images found there that they were encoded just now."""

        def say(text: str) -> None:
            if text not in self.notes_:
                self.notes_.append(text)
                report({"stage": "engine", "notes": [text]})

        began = time.perf_counter()
        answer = engine.fill(source, self.encoder_, self._cache(), str(self.device), progress, say)
        took, n = time.perf_counter() - began, int(answer["n_encoded"])
        if answer["by"]:
            self.encoder_.why += f"; {answer['by']}"
            report({"stage": "engine", "by": answer["by"], "notes": []})
        return lambda found: replace(
            found,
            n_encoded=n + found.n_encoded,
            n_cached=max(0, found.n_cached - n),
            images_per_second=found.images_per_second or n / max(took, 1e-9),
            seconds=found.seconds + took,
        )

    def _stacks(self) -> bool:
        return bool(getattr(self.settings_, "near_duplicates", stacking.KEEP) == stacking.STACK)

    def _packed(self, source: ImageSource, report: Reporter, size: Any, **how: Any) -> Packed:
        """Return all images as pixels of one size.

        Raises
        ------
        ArgumentError
            Near duplicates are to count as one, and nobody knows which they are before a network is trained.
        """
        if self._stacks():
            raise ArgumentError(
                "near_duplicates=stack: a network is trained on all images here. Methods on a frozen encoder can stack "
                "them: -m transfer, for one."
            )
        if getattr(self, "_engine", None) is not None:
            raise ArgumentError(
                "engine: a network is trained on all images here, in one process. Methods on a frozen encoder can have "
                "them encoded elsewhere: -m transfer, for one."
            )
        with report.stage("encode"):
            found = pack(cast(Any, source), size, cache=self._cache(), on_progress=report.progress, **how)
        checks.distinct_images(found.facts, len(found), int(self.n_clusters))
        self.notes_ += found.facts.notes
        return found

    def _publish(self, found: Groups) -> None:
        """Say what every image's group is."""
        features, at = self.encoded_.features, self.encoded_.position
        self.notes_ += found.notes
        self.n_clusters_ = found.proba.shape[1]
        self.assigner_ = found.assigner
        self.rows_: Ints | None = self.encoded_.rows
        self.pictures_ = dict(found.pictures)
        self.space_ = np.asarray(features, np.float32) if found.space is None else found.space
        self.embedding_ = self.space_ if found.embedding is None else found.embedding
        self.reduced_ = found.reduced
        if found.reduced is None and found.embedding is not None:
            self.reduced_ = f"{self.embedding_.shape[1]} dimensions"
        self.cluster_centers_ = centers(features, found.labels, self.n_clusters_)
        self.labels_, self.best_ = spread(self.encoded_, found.labels, Best.of(found.proba))
        self.confidence_ = np.where(at >= 0, found.confidence[at], np.float32(0))

    # -- use ---------------------------------------------------------------------------------------------------------

    @property
    def probabilities_(self) -> npt.NDArray[np.float32]:
        """How much each image belongs to each group, (n, k) float32.

        Made when it is asked for above 16 million numbers, of which the three best groups of each image are kept.
        """
        if "best_" not in vars(self):
            raise AttributeError(f"{type(self).__name__} is not fitted: it has no probabilities_")
        return self.best_.dense()

    def _proba(self, features: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        assert self.assigner_ is not None, "a method without an assigner has a `_proba` of its own"
        return self.assigner_(features)

    def _placer(self) -> Placer | None:
        return self.assigner_ if isinstance(self.assigner_, Placer) else None

    # -- keep --------------------------------------------------------------------------------------------------------

    @abstractmethod
    def _restore(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` returned, besides settings, encoder, number of groups and their centres."""

    @final
    @classmethod
    def from_state(cls, state: Mapping[str, Any], **options: Any) -> Self:
        """Rebuild a fitted model.

        Parameters
        ----------
        state
            What `state` returned; by names of before, where it is of before.
        **options
            ``weights_file`` of the frozen encoder, ``own_encoder``, ``device``, ``precision``, ``cache``.
        """
        kept = take_kept(options)
        centers_of_groups = np.asarray(state["centers"])
        model = cls(int(state.get("n_clusters", len(centers_of_groups))), **options)
        model.n_clusters_ = int(model.n_clusters)
        model.cluster_centers_ = centers_of_groups
        model.history_ = []
        model.assigner_ = None
        if "table" in state:
            model.settings_ = cls.settings_of(state["table"])
        if "encoder" in state:
            model.encoder_ = reload_encoder(model, state["encoder"], kept)
        model._restore(state)
        return model
