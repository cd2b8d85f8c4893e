"""A small method that trains a network: what the base promises to training methods is tried on it.

An autoencoder with K-means on its code, a class of its own on `ImageClusterer`: pack, epochs, a flat state after each.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ilk import compute, train
from ilk.augment import affine
from ilk.data import Encoded, open_images, pack
from ilk.errors import NotEnoughImages
from ilk.methods import ImageClusterer
from ilk.vectors import kmeans

EPOCHS = 6


class Toy(ImageClusterer):
    """K-means on the code of a small autoencoder."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {"epochs": EPOCHS, "batch_size": 8, "lr": 1e-2},
        "tiny": {"epochs": 2, "batch_size": 8, "lr": 1e-2},
    }

    pause: ClassVar[float] = 0.0
    """Seconds that every epoch takes longer."""

    def __init__(
        self,
        n_clusters: int = 3,
        *,
        preset: str = "default",
        settings: Mapping[str, Any] | None = None,
        random_state: int = 0,
        cache: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.preset = preset
        self.settings = settings
        self.random_state = random_state
        self.cache = cache

    def fit(self, X: Any, y: Any = None, *, on_epoch: Any = None, resume: Any = None) -> Self:
        table = self.resolved()
        tell = on_epoch or (lambda record, state: None)
        self.history_: list[dict[str, Any]] = []
        self.notes_: list[str] = []
        self.stopped_ = False

        def progress(done: int, total: int) -> bool | None:
            return tell({"stage": "encode", "done": done, "total": total}, dict)

        packed = pack(open_images(X), cache=self.cache, on_progress=progress)
        if len(packed) < self.n_clusters:
            raise NotEnoughImages("too few")
        self.shape_ = list(packed.images.shape)
        draws = compute.generator(self.random_state)
        self._build()
        optimizer = torch.optim.RMSprop(self.network_.parameters(), lr=table["lr"], alpha=0.9)
        parts = {"network": self.network_, "optimizer": optimizer, "draws": draws}
        start = 0
        if resume is not None:
            train.restore(resume, **parts)
            start, self.history_ = resume["epoch"], resume["history"]
        for epoch in range(start, table["epochs"]):
            order = torch.randperm(len(packed), generator=draws).split(table["batch_size"])
            batches = ((rows, affine(packed.images.read(rows).float() / 255, draws, shift=0.1)) for rows in order)
            losses = []
            for rows, pixels in batches:
                optimizer.zero_grad()
                loss = self._loss(rows, pixels)
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            time.sleep(self.pause)
            record = {"stage": "train", "epoch": epoch + 1, "epochs": table["epochs"], "loss": float(np.mean(losses))}
            self.history_.append(record)
            done = {"epoch": epoch + 1, "history": self.history_}
            if tell(record, lambda done=done: {**train.state_of(**parts), **done}):
                self.stopped_ = True
                return self
        self.embedding_ = self.space_ = self._codes(packed.images)
        found = kmeans(torch.from_numpy(self.space_), self.n_clusters, generator=compute.generator(0), n_init=3)
        self.cluster_centers_ = found.centers.numpy()
        self.encoded_ = packed.encoded(self.space_)
        proba = self.proba_of(self.encoded_)
        self.labels_, self.probabilities_ = self.decide(proba), proba
        return self

    @property
    def n_clusters_(self) -> int:
        return len(self.cluster_centers_)

    @property
    def network_name_(self) -> str:
        return "toy net"

    def _build(self) -> None:
        d = int(np.prod(self.shape_))
        with compute.seeded(self.random_state):
            self.network_ = nn.Sequential(
                nn.Flatten(), nn.Linear(d, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 4), nn.Linear(4, d)
            )

    def _loss(self, index: Tensor, images: Tensor) -> Tensor:
        return (self.network_(images) - images.flatten(1)).square().mean()

    @torch.inference_mode()
    def _codes(self, images: Any) -> npt.NDArray[np.float32]:
        self.network_.eval()
        codes = self.network_[:-1](images.read(range(len(images))).float() / 255)
        self.network_.train()
        return np.ascontiguousarray(codes.numpy())

    def _encode(self, source: Any, on_progress: Any) -> Encoded:
        packed = pack(source, self.shape_[1:], cache=self.cache, on_progress=on_progress)
        return packed.encoded(self._codes(packed.images))

    def _proba(self, features: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        far = np.linalg.norm(np.asarray(features, np.float32)[:, None] - self.cluster_centers_, axis=2)
        near = np.exp(-far / 0.1) + 1e-9
        return (near / near.sum(1, keepdims=True)).astype(np.float32)

    def state(self) -> dict[str, Any]:
        return {**train.state_of(network=self.network_), "centers": self.cluster_centers_, "shape": self.shape_}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], **options: Any) -> Self:
        model = cls(cache=options.get("cache"))
        model.shape_, model.cluster_centers_ = state["shape"], state["centers"]
        model._build()
        train.restore(state, network=model.network_)
        return model
