"""How DEC learns: an autoencoder first, then rounds in which soft assignments are drawn to their own target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ilk import losses
from ilk.methods.assign.nearest_center import group_centers
from ilk.methods.assign.rules import SoftCenters
from ilk.methods.baselines.autoencoder_steps import Reconstructing
from ilk.methods.baselines.dec_settings import DECSettings
from ilk.methods.baselines.trained import codes_of
from ilk.methods.training import GradientStage, cut
from ilk.networks.autoencoders import DenseAutoencoder, Shape
from ilk.train.state import Part

__all__ = ["EDGES", "CenteredAutoencoder", "Embedding", "Pretraining"]

EDGES = np.linspace(0, 1, 26)
"""Bins of the largest soft assignment of an image, for the picture."""


class CenteredAutoencoder(DenseAutoencoder):
    """A dense autoencoder with k centres among its codes.

    Parameters
    ----------
    shape, hidden_dims, latent_dim
        As `DenseAutoencoder`.
    k : int
    """

    def __init__(self, shape: Shape, hidden_dims: Sequence[int], latent_dim: int, k: int) -> None:
        super().__init__(shape, hidden_dims, latent_dim)
        self.centers = nn.Parameter(torch.zeros(k, latent_dim))


class Pretraining(Reconstructing):
    """Trains the autoencoder."""

    def end(self, epoch: int) -> dict[str, Any]:
        """Return which of the two trainings this is."""
        return {"phase": "autoencoder"}


class Embedding(GradientStage):
    """Draws the codes of a `CenteredAutoencoder` to its centres; a round is an epoch here.

    Parameters
    ----------
    first : Pretraining
        The training of the autoencoder; its generators go on here.
    k, seed : int

    Notes
    -----
    A round: soft assignments of all images, their target, `interval` steps. The assignments after a round are those
    before the next, and made once. Training ends where a round changed the group of fewer than `tolerance` of the
    images. Memory: groups of all images (labels), confidence of the soft assignments before the first round (start).
    """

    network: CenteredAutoencoder
    cure = "lower cluster_lr="

    def __init__(self, first: Pretraining, k: int, seed: int) -> None:
        assert isinstance(first.network, CenteredAutoencoder)
        self.network = first.network
        self.dataset = first.dataset
        assert isinstance(first.settings, DECSettings)
        self.settings = first.settings
        self.bf16 = first.bf16
        self.device = first.device
        self.draws, self.noise = first.draws, first.noise
        self.batch_size = first.batch_size
        self.k = k
        self.seed = seed
        keeps = self.settings.reconstruction > 0
        trained = [p for name, p in self.network.named_parameters() if keeps or not name.startswith("decoder.")]
        self.optimizer = torch.optim.SGD(trained, lr=self.settings.cluster_lr, momentum=0.9)
        self.epochs = self.settings.rounds
        self.n_images = self.settings.interval * self.batch_size
        self.memory = {}
        self.target = torch.full((len(self.dataset), k), 1 / k, device=self.device)
        self._soft: Tensor | None = None  # soft assignments at the end of the last round: the next one begins with them

    def parts(self) -> dict[str, Part]:
        """Return network, optimizer and generators."""
        return {"network": self.network, "clustering": self.optimizer, "draws": self.draws, "noise": self.noise}

    def start(self) -> None:
        """Put the centres where K-means finds groups among the codes."""
        codes = codes_of(self.network, self.dataset, self.bf16)
        points = torch.from_numpy(group_centers(codes, self.k, self.settings.n_init, self.seed))
        with torch.no_grad():
            self.network.centers.copy_(points)
        q = SoftCenters(points.numpy(), self.settings.t_dof)(codes)
        self.memory["labels"] = q.argmax(1).astype(np.int64)
        self.memory["start"] = np.histogram(q.max(1), EDGES)[0] / len(q)

    def begin(self, epoch: int) -> None:
        """Make the target of a round, and draw the order of images."""
        self.target = losses.target_distribution(self._assignments() if self._soft is None else self._soft)
        self.memory["target"] = self.target.cpu().numpy()
        self.memory["order"] = torch.randperm(len(self.dataset), generator=self.draws).to(torch.int32).numpy()

    def restored(self) -> None:
        """Take up the target of the round."""
        if "target" in self.memory:
            self.target = torch.from_numpy(self.memory["target"]).to(self.device)

    def units(self, epoch: int) -> Sequence[Tensor]:
        """Return as many batches as a round has steps, going through the images again and again."""
        drawn = self.memory.get("order", np.arange(len(self.dataset)))
        order = torch.from_numpy(drawn).long()
        whole = cut(order, self.batch_size, drop_last=len(order) > self.batch_size)
        return [whole[step % len(whole)] for step in range(self.settings.interval)]

    def loss(self, index: Tensor, unit: Any) -> Tensor:
        """Return the divergence of the soft assignments from their target, with the decoder's error where it stays."""
        images = self.dataset.read(index)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16):
            codes = self.network.code(images)
        q = losses.student_t(codes.float(), self.network.centers, self.settings.t_dof)
        loss = self.settings.gamma * losses.kl_divergence(self.target[index.to(self.device)], q)
        if self.settings.reconstruction:
            with torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16):
                again = self.network.decode(codes)
            loss = loss + self.settings.reconstruction * functional.mse_loss(again.float(), images)
        return loss

    def end(self, epoch: int) -> dict[str, Any]:
        """Look at the assignments of all images after a round."""
        self._soft = after = self._assignments()
        labels = after.argmax(1).cpu().numpy().astype(np.int64)
        changed = float((labels != self.memory["labels"]).mean())
        self.memory["labels"] = labels
        if changed < self.settings.tolerance:
            self.epochs = epoch + 1
        confidence, active = float(after.max(1).values.mean()), len(np.unique(labels))
        found = {"changed": round(changed, 5), "confidence": round(confidence, 4), "active": active}
        return {**found, "phase": "clustering"}

    def _assignments(self) -> Tensor:
        """Return the soft assignments (n, k) of all images."""
        codes = torch.from_numpy(codes_of(self.network, self.dataset, self.bf16)).float().to(self.device)
        return losses.student_t(codes, self.network.centers.detach(), self.settings.t_dof)
