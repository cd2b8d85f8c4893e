"""One epoch of DeepCluster: features of all images, their clusters, a fresh head, a pass of classification."""

from __future__ import annotations

import functools
import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from ilk import compute, train
from ilk.data.encoded import room
from ilk.methods.deepcluster.diagnostics import seen
from ilk.methods.deepcluster.settings import DeepClusterSettings
from ilk.methods.deepcluster.space import Fine, cluster, fit_space, on_device
from ilk.methods.deepcluster.views import Views
from ilk.methods.inputs.dataset import encode_all, to_float16
from ilk.methods.training import GradientStage, seeds_of
from ilk.networks.convnets import ConvNet, build_convnet
from ilk.networks.layers import linear
from ilk.networks.still import still
from ilk.train.state import Part

__all__ = ["Classification", "PseudoLabels", "Supervised", "build", "features_of"]

_EVAL = 256  # images of a pass without training, fewer where they are large
_BLOCK = 16  # such batches, before features go where they are kept
_ADAPTIVE = 1024  # images in a batch from which on "auto" takes LARC


def build(settings: DeepClusterSettings, channels: int, seed: int, device: torch.device) -> ConvNet:
    """Return the network of `settings` for images of so many channels, its weights drawn from `seed`."""
    assert settings.image_size is not None
    width = settings.projection_dim if settings.algorithm == "v2" else None
    net = build_convnet(
        settings.network,
        channels,
        settings.image_size,
        sobel=settings.sobel,
        generator=compute.generator(seed),
        width=width,
    )
    return net.to(device).to(memory_format=torch.channels_last)


def features_of(network: ConvNet, views: Views, bf16: bool) -> npt.NDArray[np.float16]:
    """Return the features (n, d) float16 of all images as they are, on the statistics of `network`.

    Every batch has the same size, so that the features of an image do not depend on its company. In a file if large.
    """
    size = _EVAL if views.side <= 32 else max(8, _EVAL * 32 * 32 // views.side**2)
    found = room(len(views), network.n_features)
    with still(network):
        for rows in torch.split(torch.arange(len(views)), _BLOCK * size):
            part = encode_all(network, views.read, rows, size, device=views.device, bf16=bf16)
            found[int(rows[0]) : int(rows[-1]) + 1] = to_float16(part)
    return found


def make_optimizer(settings: DeepClusterSettings, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Return the optimizer that `settings` ask for."""
    adaptive = settings.optimizer == "larc" or (settings.optimizer == "auto" and settings.batch_size >= _ADAPTIVE)
    kind: type[torch.optim.SGD] = train.LARC if adaptive else torch.optim.SGD
    return kind(groups, lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay)


class PseudoLabels(GradientStage):
    """Abstract: what both versions share. In every epoch the images are clustered, then the clusters are learnt.

    Parameters
    ----------
    views : Views
    settings : DeepClusterSettings
        All decided.
    k : int
        Fine clusters.
    seed : int
    bf16 : bool
        Whether convolutions and the head run in bfloat16.

    Notes
    -----
    Memory: pseudo-labels of every head (labels), of the first head in the epoch before and in the first epoch (before,
    first), the objective of K-means, and the steps done (step).
    """

    network: ConvNet
    cure = "lower lr=, or choose another preset="
    quicker = ("quick",)

    def __init__(self, views: Views, settings: DeepClusterSettings, k: int, seed: int, bf16: bool) -> None:
        weights, draws, noise = seeds_of(seed, 3)
        self.views = views
        self.settings = settings
        self.k = k
        self.bf16 = bf16
        self.device = views.device
        self.draws, self.noise = compute.generator(draws), compute.generator(noise, views.device)
        self.network = build(settings, views.channels, weights, views.device)
        self.network.seed(self.noise)
        self.epochs = settings.epochs
        self.n_images = len(views)
        self.batch_size = min(settings.batch_size, len(views))
        self.memory = {"step": np.zeros((), np.int64)}
        self.optimizer = make_optimizer(settings, self.make_head())
        self._seconds = 0.0  # of the clustering

    @abstractmethod
    def make_head(self) -> list[dict[str, Any]]:
        """Make what stands on the network; return what the optimizer trains."""

    @abstractmethod
    def assign(self, epoch: int) -> Sequence[Fine]:
        """Cluster all images, once for each head."""

    def begin(self, epoch: int) -> None:
        """Cluster the images, and make of it what the epoch trains on."""
        start = time.perf_counter()
        if epoch:
            self.memory["before"] = self.memory["labels"][0]
        if self.settings.recluster or not epoch:
            found = self.assign(epoch)
            self.memory["labels"] = np.stack([fine.labels.cpu().numpy().astype(np.int32) for fine in found])
            self.memory["objective"] = np.asarray(found[0].objective)
        else:
            self.memory.pop("objective", None)
        self.memory.setdefault("first", self.memory["labels"][0])
        self._seconds = time.perf_counter() - start
        self.prepare()
        self.take_up()
        self.network.train()
        self._set_lr()

    def prepare(self) -> None:
        """Draw what is drawn anew after each clustering: the order of images."""
        super().begin(0)

    def restored(self) -> None:
        """Go on as `begin` left it."""
        self.take_up()

    def take_up(self) -> None:
        """Take the pseudo-labels from memory."""
        self.targets = torch.from_numpy(self.memory["labels"]).long().to(self.device)

    def after_step(self) -> None:
        """Set the learning rate of the next step."""
        self.memory["step"] = self.memory["step"] + 1
        self._set_lr()

    @functools.cached_property
    def _steps(self) -> int:
        return self.n_steps()

    def _set_lr(self) -> None:
        """Constant; or a straight rise, then half a cosine."""
        asked, lr = self.settings, self.settings.lr
        if asked.lr_schedule == "cosine":
            at = int(self.memory["step"]) / self._steps
            if at < asked.warmup:
                lr = lr / 16 + (lr - lr / 16) * at / asked.warmup
            else:
                lr = train.cosine(at - asked.warmup, asked.epochs - asked.warmup, lr, lr / 1000)
        train.set_lr(self.optimizer, lr)

    def end(self, epoch: int) -> dict[str, Any]:
        """Compare the clustering with the one before; stop where they agree."""
        found: dict[str, Any] = {}
        if "objective" in self.memory:
            found["objective"] = round(float(self.memory["objective"]), 5)
        found |= seen(self.memory["labels"][0], self.memory.get("before"))
        limit = self.settings.stop_agreement
        if limit is not None and found.get("agreement", -1.0) >= limit:
            self.epochs = epoch + 1
        return found

    def timings(self) -> dict[str, Any]:
        """Return how long the clustering took; 0 where the training was left after it."""
        return {"clustering_seconds": round(self._seconds, 2)}


class Classification(PseudoLabels):
    """The first version: a last layer, fresh after every clustering, learns to classify the clusters."""

    def make_head(self) -> list[dict[str, Any]]:
        """Make the last layer; it has no momentum that could remember the one before."""
        self.head = linear(self.network.n_features, self.k, self.draws).to(self.device)
        self.targets = torch.zeros(1, len(self.views), dtype=torch.int64, device=self.device)
        self.weights: Tensor | None = None
        return [{"params": list(self.network.parameters())}, {"params": list(self.head.parameters()), "momentum": 0.0}]

    def parts(self) -> dict[str, Part]:
        """Return network, last layer, optimizer and generators."""
        return {**super().parts(), "head": self.head}

    def assign(self, epoch: int) -> list[Fine]:
        """Cluster all images by the features that the network gives them now."""
        features = on_device(features_of(self.network, self.views, self.bf16), self.device)
        rows = fit_space(features, self.settings.pca_dim).rows(features)
        return [cluster(rows.to(self.device), self.k, self.settings.kmeans_iter, self.draws)]

    def prepare(self) -> None:
        """Draw the last layer anew, and the images of the epoch: as many of each pseudo-label, or all in random order.

        Clusters have no fixed numbers, so the last layer of before means nothing.
        """
        if self.settings.reset_head:
            with torch.no_grad():
                fresh = torch.empty(self.head.weight.shape).normal_(0.0, 0.01, generator=self.draws)
                self.head.weight.copy_(fresh)
                self.head.bias.zero_()
            for parameter in self.head.parameters():
                self.optimizer.state.pop(parameter, None)
        if self.settings.sampler == "uniform":
            drawn = train.uniform_draw(self._labels(), self.draws)
            self.memory["order"] = drawn.to(torch.int32).numpy()
        else:
            super().prepare()

    def take_up(self) -> None:
        """Take the pseudo-labels from memory, and weigh them."""
        super().take_up()
        if self.settings.sampler == "inverse_size":
            self.weights = train.inverse_sizes(self._labels(), self.k).to(self.device)

    def loss(self, index: Tensor, unit: Any) -> Tensor:
        """Return the cross-entropy of augmented images."""
        images = self.views.augmented(self.views.unit(index), self.noise)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            logits = self.head(functional.relu(self.network(images)))
        targets = self.targets[0, index.to(self.device)]
        if self.weights is None:
            return functional.cross_entropy(logits.float(), targets)
        each = functional.cross_entropy(logits.float(), targets, reduction="none")
        return (each * self.weights[targets]).mean()

    def _labels(self) -> Tensor:
        return torch.from_numpy(self.memory["labels"][0]).long()


class Supervised(Classification):
    """For comparison only: the same training on classes that are given, each image once in an epoch, one last layer.

    Parameters
    ----------
    views, settings, seed
        As `PseudoLabels` has them.
    rows, classes : (b,) int64
        Which images, and the class of each.
    n_classes : int
    """

    def __init__(
        self,
        views: Views,
        settings: DeepClusterSettings,
        rows: npt.NDArray[np.int64],
        classes: npt.NDArray[np.int64],
        n_classes: int,
        seed: int,
    ) -> None:
        plain = settings.replace(algorithm="deepcluster", reset_head=False, sampler="none")
        super().__init__(views, plain, n_classes, seed, False)
        self.rows = torch.from_numpy(rows)
        self.n_images = len(rows)
        self.batch_size = min(settings.batch_size, len(rows))
        self.targets[0, self.rows.to(self.device)] = torch.from_numpy(classes).to(self.device)

    def begin(self, epoch: int) -> None:
        """Draw the order of the images that are given."""
        drawn = torch.randperm(self.n_images, generator=self.draws)
        self.memory["order"] = self.rows[drawn].to(torch.int32).numpy()
        self._set_lr()

    def end(self, epoch: int) -> dict[str, Any]:
        """There is no clustering to speak of."""
        return {}
