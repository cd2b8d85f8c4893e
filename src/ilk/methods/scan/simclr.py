"""SimCLR: a representation learnt from the images alone, for any method that takes an encoder."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ilk import compute, encoders, train
from ilk.data import channel_moments, open_images, pack
from ilk.errors import ArgumentError, Interrupted, RunError
from ilk.methods import checks
from ilk.methods.base import OnEpoch
from ilk.methods.inputs.views import Views
from ilk.methods.scan.config import fill
from ilk.methods.scan.presets import PRETEXT_PRESETS
from ilk.methods.scan.pretext import Pretext, build_net, check_pretext, encoded, halves, seeds
from ilk.methods.settings import Configured
from ilk.methods.stages import Stages

__all__ = ["SimCLR"]


class SimCLR(TransformerMixin, Configured):  # type: ignore[misc]
    """Contrastive representation learning: two altered copies of an image belong together, all others do not.

    No clusterer: it gives features. `save` writes an encoder that every method takes as ``encoder="learned"`` with
    ``weights=`` that file.

    Parameters
    ----------
    preset : str
        "small" (minutes on a CPU), "scratch" (a GPU), "paper", "paper_stl10" (SCAN's), "keras_literal", "keras_fixed",
        "tiny": the part of `ilk.methods.scan.presets` that concerns the representation.
    settings : dict, optional
        Single keys of the preset's table.
    network : str, optional
        "resnet18", "resnet50", "resnet50v2", "small", "tiny". None: by the preset.
    image_size : int, optional
        Side in pixels. None: what the preset says.
    epochs, batch_size : int, optional
        None: what the preset says.
    random_state : int
        From 0 to 2**32 - 1.
    device, precision : str
        "auto", "cpu", "cuda"; "auto", "fp32", "bf16".
    cache : path, optional
        Where decoded images are kept for the next time.

    Attributes
    ----------
    network_ : Contrast
        Encoder and projector.
    n_features_ : int
        d, length of a feature vector.
    history_ : list of dict
        One record per epoch: loss, and ``alike``, the mean cosine of the projections of two copies of an image.

    References
    ----------
    T. Chen, S. Kornblith, M. Norouzi, G. Hinton, "A Simple Framework for Contrastive Learning of Visual
    Representations", ICML 2020.

    Examples
    --------
    >>> images = np.random.default_rng(0).integers(0, 255, (40, 8, 8), np.uint8)
    >>> SimCLR(preset="tiny").fit(images).transform(images).shape
    (40, 32)
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRETEXT_PRESETS

    def __init__(
        self,
        *,
        preset: str = "small",
        settings: Mapping[str, Any] | None = None,
        network: str | None = None,
        image_size: int | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        random_state: int = 0,
        device: str = "auto",
        precision: str = "auto",
        cache: str | Path | None = None,
    ) -> None:
        self.preset = preset
        self.settings = settings
        self.network = network
        self.image_size = image_size
        self.epochs = epochs
        self.batch_size = batch_size
        self.random_state = random_state
        self.device = device
        self.precision = precision
        self.cache = cache

    def resolved(self) -> dict[str, Any]:
        """Return the settings in force, every one checked.

        Raises
        ------
        ArgumentError
            An option outside of what is allowed.
        """
        table: dict[str, Any] = super().resolved()
        given = {
            "network": self.network,
            "image_size": self.image_size,
            "pretext_epochs": self.epochs,
            "pretext_batch": self.batch_size,
        }
        table.update({key: value for key, value in given.items() if value is not None})
        checks.random_state(self.random_state)
        checks.choice("precision", self.precision, ("auto", "fp32", "bf16"))
        if table["network"] == "features":
            raise ArgumentError("network='features': SimCLR trains a network; choose resnet18 or small.")
        check_pretext(table)
        return table

    def fit(self, X: Any, y: Any = None, *, on_epoch: OnEpoch | None = None, resume: Any = None) -> Self:
        """Learn from the images of `X`.

        Parameters
        ----------
        X
            Folder, archive, list of paths, uint8 array (n, h, w[, c]), or an open source.
        y
            Ignored.
        on_epoch
            Called with a record per epoch, and with a function that gives a state to go on from. A true answer stops
            with `Interrupted`.
        resume
            A state from `on_epoch`: training goes on there, to the bit on a CPU. More epochs than before may be asked.

        Raises
        ------
        RunError
            The state is of other settings, other images or another seed.
        NotEnoughImages
            Fewer than two distinct images.
        """
        table = self.resolved()
        source = open_images(X)
        place = compute.device(self.device)
        self.history_: list[dict[str, Any]] = []
        tell = Stages([], on_epoch)
        self.settings_ = fill(table, source)
        with tell.stage("encode"):
            packed = pack(source, self.settings_["image_size"], cache=self.cache, on_progress=tell.progress)
        checks.distinct_images(packed.facts, len(packed), 2)
        self.notes_ = list(packed.notes)
        self.mean_, self.std_ = channel_moments(packed.images)
        # no probe on a CPU: strided convolutions in bfloat16 come to a standstill where other processes want its cores
        self.half_ = train.half_precision(self.precision, place)
        views = Views(packed.images, self.mean_, self.std_, place)
        weights, _, _ = seeds(int(self.random_state), 1)
        self.network_ = build_net(self.settings_, len(self.mean_), compute.generator(weights))
        self.network_ = self.network_.to(place, memory_format=torch.channels_last)  # type: ignore[call-overload]
        pretext = Pretext(self.network_, views, self.settings_, int(self.random_state), self.half_)
        start = 0
        if resume:
            start = self._restored(resume, pretext, len(packed))
        if start < pretext.epochs:
            pretext.check_memory("batch_size")
        for epoch in range(start, pretext.epochs):
            loss = pretext.run(epoch, functools.partial(self._progress, pretext, len(packed), on_epoch))
            at = {"stage": "pretext", "epoch": epoch + 1, "epochs": pretext.epochs}
            self.history_.append({**at, "loss": round(loss, 6), **pretext.told()})
            if on_epoch is not None and on_epoch(self.history_[-1], lambda: self._state_of(pretext, len(packed))):
                raise Interrupted(f"stopped after epoch {epoch + 1} of {pretext.epochs}; fit(..., resume=) goes on")
        self.n_features_ = self.network_.encoder.width
        return self

    def _progress(self, pretext: Pretext, n: int, on_epoch: OnEpoch | None, step: Mapping[str, Any]) -> None:
        """Pass on how far an epoch is: for the screen alone, or as a place where the fit may be left."""
        told = {"stage": "pretext", "step": step["step"], "steps": step["steps"]}
        if on_epoch is None:
            return
        if "left" not in step:
            on_epoch(told, dict)
            return
        done, total = len(self.history_) * pretext.steps + step["step"], pretext.epochs * pretext.steps
        if on_epoch({**told, "done": done, "total": total}, lambda: self._state_of(pretext, n)):
            at = len(self.history_) + 1
            raise Interrupted(f"stopped within epoch {at} of {pretext.epochs}; fit(..., resume=) goes on")

    def _state_of(self, pretext: Pretext, n: int) -> dict[str, Any]:
        told = {"settings": self._identity(), "images": n, "random_state": int(self.random_state)}
        parts = train.state_of(**pretext.parts())
        return {**told, "history": self.history_, **parts, **pretext.midway.state()}

    def _identity(self) -> str:
        """Return the settings that a state must agree with: all but the number of epochs, which may grow."""
        told = {key: value for key, value in self.settings_.items() if key != "pretext_epochs"}
        return json.dumps({**told, "half": self.half_}, sort_keys=True)

    def _restored(self, state: Mapping[str, Any], pretext: Pretext, n: int) -> int:
        """Put `pretext` where `state` is, and return how many epochs are done. More epochs than before may be asked."""
        if (state.get("images"), state.get("random_state")) != (n, int(self.random_state)):
            raise RunError("the state is of other images or another seed; start anew")
        theirs, mine = json.loads(state.get("settings", "{}")), json.loads(self._identity())
        if other := sorted(key for key in {*theirs, *mine} if theirs.get(key) != mine.get(key)):
            raise RunError(f"the state is of other settings ({', '.join(other[:3])}); start anew")
        train.restore(state, **pretext.parts())
        pretext.midway.restore(state)
        self.history_ = list(state["history"])
        return len(self.history_)

    def transform(self, X: Any) -> npt.NDArray[np.float32]:
        """Return (n, d) float32 features of the images of `X`; NaN where an image is unreadable."""
        check_is_fitted(self, "network_")
        packed = pack(open_images(X), self.settings_["image_size"], cache=self.cache)
        position = packed.facts.position
        found = np.full((len(position), self.network_.encoder.width), np.nan, np.float32)
        if not len(packed):
            return found
        views = Views(packed.images, self.mean_, self.std_, compute.device(self.device))
        features = encoded(self.network_.encoder, views.read, torch.arange(len(views)), self.half_)
        seen = position >= 0
        found[seen] = halves(features)[position[seen]]
        return found

    def save(self, path: str | Path) -> Path:
        """Write the encoder as one file, and return it: ``encoder="learned", weights=path`` of any method.

        Parameters
        ----------
        path
            Should end in ``.safetensors``.
        """
        check_is_fitted(self, "network_")
        table = self.settings_
        about = {key: table[key] for key in ("network", "stem", "representation", "image_size")}
        return encoders.save_learned(
            Path(path),
            self.network_.encoder,
            {**about, "mean": self.mean_.tolist(), "std": self.std_.tolist()},
        )
