"""How DEC trains: an autoencoder first, then its codes and the centres among them towards a sharper target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from ilk import losses, train
from ilk.methods.assign.nearest_center import group_centers
from ilk.methods.assign.rules import SoftCenters
from ilk.methods.baselines.autoencoder_steps import Reconstructing
from ilk.methods.baselines.trained import codes_of
from ilk.methods.inputs.dataset import Pixels, batches
from ilk.networks.autoencoders import DenseAutoencoder, Shape
from ilk.train.state import Part

__all__ = ["EDGES", "CenteredAutoencoder", "Embedding"]

EDGES = np.linspace(0, 1, 26)
"""Bins of the largest soft assignment of an image, for the picture."""


class CenteredAutoencoder(DenseAutoencoder):
    """A dense autoencoder with k centres among its codes.

    Parameters
    ----------
    shape, widths, code
        As `DenseAutoencoder`.
    k : int
    """

    def __init__(self, shape: Shape, widths: list[int], code: int, k: int) -> None:
        super().__init__(shape, widths, code)
        self.centers = nn.Parameter(torch.zeros(k, code))


class Embedding:
    """Trains a `CenteredAutoencoder`: `epochs` of the autoencoder, then rounds of clustering.

    Parameters
    ----------
    network : CenteredAutoencoder
    pool : Pixels
    table : mapping
        Settings.
    k : int
    half : bool
    seed : int

    Attributes
    ----------
    epochs, seen, memory
        See `ilk.methods.training.epochs.Learner`; rounds count as epochs. Memory: the groups of all images (labels),
        and how sure the soft assignments were before the first round (start).

    Notes
    -----
    A round: soft assignments of all images, their target, `interval` steps. The assignments after a round are those
    before the next, and made once. Training ends where a round changed the
    group of fewer than `tolerance` of the images.
    """

    def __init__(
        self, network: CenteredAutoencoder, pool: Pixels, table: Mapping[str, Any], k: int, half: bool, seed: int
    ) -> None:
        self.network = network
        self.pool = pool
        self.table = table
        self.k = k
        self.seed = seed
        kind = "denoising" if table["corruption"] else "squared"
        self.first = Reconstructing(network, pool, table, kind, half, seed)
        keeps = table["reconstruction"] > 0
        self.trained = [p for name, p in network.named_parameters() if keeps or not name.startswith("decoder.")]
        self.optimizer = torch.optim.SGD(self.trained, lr=table["cluster_lr"], momentum=0.9)
        self.epochs = int(table["epochs"]) + int(table["rounds"])
        self.memory: dict[str, npt.NDArray[Any]] = {}
        self.target = torch.zeros(0)
        self._soft: Tensor | None = None  # soft assignments at the end of the last round: the next one begins with them
        self.seen = 0

    def parts(self) -> dict[str, Part]:
        """Return networks, optimizers and generators by name."""
        return {**self.first.parts(), "clustering": self.optimizer}

    def speed(self) -> float:
        """Return the images a second of a few steps of the autoencoder; everything is put back as it was."""
        return self.first.speed()

    def epoch(self, number: int, tell: Any) -> dict[str, Any]:
        """Train the autoencoder for an epoch, or cluster for a round."""
        if number < self.first.epochs:
            self.seen = self.first.seen
            return {**self.first.epoch(number, tell), "phase": "autoencoder"}
        if number == self.first.epochs:
            self._begin()
        self.target = losses.sharpened(self._assignments() if self._soft is None else self._soft)
        order = torch.randperm(len(self.pool), generator=self.first.draws)
        steps = int(self.table["interval"])
        loss = train.train_epoch(
            self._step, train.watched(self._batches(order), steps, tell), self.optimizer, epoch=number
        )
        self.seen = steps * self.first.batch_size
        self._soft = after = self._assignments()
        labels = after.argmax(1).cpu().numpy().astype(np.int64)
        changed = float((labels != self.memory["labels"]).mean())
        self.memory["labels"] = labels
        if changed < self.table["tolerance"]:
            self.epochs = number + 1
        sure = float(after.max(1).values.mean())
        active = len(np.unique(labels))
        told = {"loss": round(loss, 6), "changed": round(changed, 5), "confidence": round(sure, 4), "active": active}
        return {**told, "phase": "clustering"}

    def _begin(self) -> None:
        """Put the centres where K-means finds groups among the codes."""
        self._soft = None
        codes = codes_of(self.network, self.pool, self.first.half)
        points = torch.from_numpy(group_centers(codes, self.k, int(self.table["n_init"]), self.seed))
        with torch.no_grad():
            self.network.centers.copy_(points)
        q = SoftCenters(points.numpy(), float(self.table["alpha"]))(codes)
        self.memory["labels"] = q.argmax(1).astype(np.int64)
        self.memory["start"] = np.histogram(q.max(1), EDGES)[0] / len(q)

    def _codes(self) -> Tensor:
        return torch.from_numpy(codes_of(self.network, self.pool, self.first.half)).float().to(self.pool.device)

    def _assignments(self) -> Tensor:
        """Return the soft assignments (n, k) of all images."""
        return losses.student_t(self._codes(), self.network.centers.detach(), float(self.table["alpha"]))

    def _batches(self, order: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield as many batches as a round has steps, going through the images again and again."""
        size = self.first.batch_size
        whole = list(batches(order, size, drop_last=len(order) > size))
        for step in range(int(self.table["interval"])):
            index = whole[step % len(whole)]
            yield index, self.pool.read(index)

    def _step(self, index: Tensor, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.first.half):
            codes = self.network.code(images)
        q = losses.student_t(codes.float(), self.network.centers, float(self.table["alpha"]))
        loss = float(self.table["gamma"]) * losses.divergence(self.target[index.to(self.target.device)], q)
        if self.table["reconstruction"]:
            with torch.autocast(images.device.type, torch.bfloat16, enabled=self.first.half):
                again = self.network.decode(codes)
            loss = loss + float(self.table["reconstruction"]) * functional.mse_loss(again.float(), images)
        return loss
