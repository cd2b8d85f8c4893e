"""TEMI: heads on frozen features, taught by their own average over nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ilk import compute, losses, metrics, train
from ilk.data.sources import evenly
from ilk.methods.heads import HeadsOnFeatures
from ilk.methods.inputs.dataset import FeatureDataset
from ilk.methods.reporter import Reporter
from ilk.methods.settings import Settings, choice, estimator, flag, number, whole
from ilk.methods.training import GradientStage, Plan, Run, seeds_of
from ilk.networks.temi import TEMIHeads, TEMINet
from ilk.vectors import adaptive_counts, consensus, neighbors

__all__ = ["TEMI"]

_MOST_NEIGHBORS, _TRAVEL, _HORIZON, _ANCHORS = 50, 4.0, 80, 5_000


@dataclass(frozen=True, kw_only=True)
class TEMISettings(Settings):
    """Ours, for minutes on a CPU: linear heads, and a fixed number of steps that the rates follow from."""

    epochs: int = whole(30, "epochs, each of steps_per_epoch steps")
    steps_per_epoch: int | None = whole(20, "steps of an epoch", none="one pass over the images")
    batch_size: int = whole(256, "images of a step, each with one neighbour", 2)
    n_heads: int = whole(8, "heads that are trained side by side")
    hidden_dim: int = whole(0, "units of the hidden layer; 0: none", 0)
    bottleneck_dim: int = whole(256, "numbers before the last layer, where there is a hidden one")
    centered: bool = flag(True, "whether features are brought to length 1 and their mean is taken off")
    n_neighbors: int | None = whole(None, "neighbours a partner is drawn from", none="50, at most half a mean group")
    adaptive: bool = flag(False, "whether images in dense regions keep more neighbours, and lone ones fewer")
    weighted: bool = flag(True, "whether a pair counts as much as the teachers agree that it is one")
    beta: float = number(0.6, "below 1 a pair gains less by confidence, and groups stay even", 0.5, 1)
    temperature: float = number(0.1, "temperature of student and teacher", 1e-3, 10)
    lr: float | None = number(None, "learning rate of AdamW", 0, 1, none="4 / all steps")
    lr_batch: int | None = whole(None, "images that lr is for: it grows with the batch", none="any")
    warmup: float = number(0.2, "share of the steps in which the rate rises", 0, 1)
    weight_decay: float = number(1e-4, "weight decay, of all but biases", 0, 1)
    momentum: float | None = number(
        None, "what a teacher keeps at a step", 0, 1, none="1 - 80 / all steps, at most .996"
    )
    marginal_momentum: float = number(0.9, "the same of how often it uses each group", 0, 0.999)
    freeze: float = number(0.01, "share of the steps in which the last layer stands still", 0, 1)
    keep: str = choice("least_loss", "the head that counts, or what the better half say", ("least_loss", "consensus"))


DEFAULT = TEMISettings()
PRESETS = {
    "default": DEFAULT,
    "consensus": DEFAULT.replace(adaptive=True, keep="consensus", n_heads=16),
    # the authors' code with the values of their README; their paper's own are not known
    "paper": DEFAULT.replace(
        centered=False, epochs=100, steps_per_epoch=None, batch_size=1024, n_heads=16, hidden_dim=512, n_neighbors=50,
        lr=1e-4, lr_batch=256, momentum=0.996,
    ),
    "tiny": DEFAULT.replace(epochs=4, steps_per_epoch=15, batch_size=32, n_heads=4),
}  # fmt: skip


class Teaching(GradientStage):
    """Student heads learn what their teachers say of a neighbour."""

    network: TEMINet

    def __init__(self, network: TEMINet, dataset: FeatureDataset, settings: TEMISettings, k: int, seed: int) -> None:
        self.network, self.dataset, self.settings, self.k = network, dataset, settings, k
        self.epochs, self.n_images, self.device = settings.epochs, len(dataset), dataset.device
        self.batch_size = min(settings.batch_size, len(dataset))
        self.steps = settings.steps_per_epoch or max(len(dataset) // self.batch_size, 1)
        self.total = self.steps * self.epochs
        lr = settings.lr if settings.lr is not None else _TRAVEL / self.total
        self.lr = lr * (self.batch_size / settings.lr_batch if settings.lr_batch else 1)
        slow = min(0.996, max(0.0, 1 - _HORIZON / self.total))
        self.momentum = slow if settings.momentum is None else settings.momentum
        self.memory = {"step": np.zeros((), np.int64)}
        draws, noise = seeds_of(seed, 2, 1)
        self.draws, self.noise = compute.generator(draws), compute.generator(noise, dataset.device)
        named = dict(network.student.named_parameters())
        decayed = [p for name, p in named.items() if not name.endswith("bias")]
        plain = [p for name, p in named.items() if name.endswith("bias")]
        groups: list[dict[str, Any]] = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, self.lr, weight_decay=settings.weight_decay)
        self.sums = torch.zeros(settings.n_heads + 1, device=dataset.device)  # losses of the heads, weight of a pair
        self.seen = self.sums
        self.anchors = torch.from_numpy(evenly(self.n_images, _ANCHORS))  # what is looked at after each epoch

    def start(self) -> None:
        """Find the neighbours of every image."""
        rows, most = self.dataset.read(torch.arange(self.n_images)), self.n_images - 1
        mean = self.settings.n_neighbors or min(_MOST_NEIGHBORS, self.n_images // (2 * self.k))
        mean = max(1, min(mean, most))
        wide = min(3 * mean, most) if self.settings.adaptive else mean
        index, distance = neighbors(rows, rows, wide, metric="cosine", exclude_self=True)
        counts = adaptive_counts(distance, mean) if self.settings.adaptive else torch.full((self.n_images,), mean)
        self.memory["nearest"], self.memory["counts"] = index.to(torch.int32).cpu().numpy(), counts.cpu().numpy()

    def begin(self, epoch: int) -> None:
        """Draw the images of an epoch, and a neighbour of each."""
        wanted = self.steps * self.batch_size
        orders = [torch.randperm(self.n_images, generator=self.draws) for _ in range(-(-wanted // self.n_images))]
        order = torch.cat(orders)[:wanted].numpy()
        column = (torch.rand(wanted, generator=self.draws).numpy() * self.memory["counts"][order]).astype(np.int64)
        self.memory["order"] = np.stack([order, self.memory["nearest"][order, column]])
        self.sums.zero_()
        self._pace()

    def units(self, epoch: int) -> Sequence[Any]:
        """Return pairs of images and neighbours."""
        image, partner = torch.from_numpy(self.memory["order"]).long()
        return list(zip(image.split(self.batch_size), partner.split(self.batch_size), strict=True))

    def n_steps(self) -> int:
        """Return the steps of an epoch."""
        return self.steps

    def trial_unit(self, size: int) -> Any:
        """Return images, each with itself."""
        return torch.arange(size), torch.arange(size)

    def loss(self, index: Tensor, unit: Any) -> Tensor:
        """Return the mean loss of the heads."""
        rows, b = self.dataset.read(torch.cat(unit)), len(index)
        p, q = self.network.student(rows) / self.settings.temperature, self.network.taught(rows)
        marginal = losses.update_marginal(self.network.marginal, q, self.settings.marginal_momentum)
        self.network.marginal.copy_(marginal)
        beta, weighted = self.settings.beta, self.settings.weighted
        found = losses.pointwise_loss(p[:b], p[b:], q[:b], q[b:], marginal, beta=beta, weighted=weighted)
        self.seen = torch.cat([found.loss.detach(), found.weight.detach()[None]])
        return found.loss.mean()

    def after_step(self) -> None:
        """Let the teachers follow, and set the rate of the next step."""
        self.sums += self.seen
        self.network.follow(self.momentum)
        self.memory["step"] = self.memory["step"] + 1
        self._pace()

    def _pace(self) -> None:
        step = int(self.memory["step"])
        train.set_lr(self.optimizer, self.lr * min(1.0, (step + 1) / max(1.0, self.settings.warmup * self.total)))
        for parameter in self.network.student.last_layer():
            parameter.requires_grad_(step >= self.settings.freeze * self.total)

    def keep(self) -> None:
        """Keep the sums of the epoch."""
        self.memory["sums"] = self.sums.cpu().numpy()

    def restored(self) -> None:
        """Take them up."""
        self.sums.copy_(torch.from_numpy(self.memory["sums"]))
        self._pace()

    def end(self, epoch: int) -> dict[str, Any]:
        """Return what the heads are like: losses, and the groups of up to 5,000 images by the one with the least."""
        *each, weight = (self.sums / self.steps).tolist()
        self.memory["losses"] = np.array(each)
        groups = self._memberships(self.anchors)[:, int(np.argmin(each))].argmax(1).numpy()
        share = np.bincount(groups, minlength=self.k) / len(groups)
        found = {"head_loss": min(each), "pair_weight": weight, "largest": float(share.max())}
        if "groups" in self.memory:
            found["agreement"] = float(metrics.agreement(self.memory["groups"], groups)["ari"])
        self.memory["groups"] = groups
        return {key: round(value, 4) for key, value in found.items()} | {"active": int((share > 0).sum())}

    def finish(self) -> None:
        """Choose the heads that count, by their own losses."""
        order = np.argsort(self.memory["losses"], kind="stable")
        half = order[: max(1, len(order) // 2)] if self.settings.keep == "consensus" else order[:1]
        self.network.chosen.copy_(torch.from_numpy(np.isin(np.arange(len(order)), half)))
        if len(half) > 1:
            chosen = self.network.chosen.cpu()
            found = consensus(self._memberships(torch.arange(self.n_images))[:, chosen])
            self.network.order[self.network.chosen] = found.order.to(self.network.order)

    @torch.no_grad()
    def _memberships(self, rows: Tensor) -> Tensor:
        parts = torch.split(rows, 2048)
        return torch.cat([self.network.taught(self.dataset.read(part)).cpu() for part in parts])


@estimator
class TEMI(HeadsOnFeatures):
    """TEMI: heads on frozen features, taught by their own average over nearest neighbours.

    Each head has a teacher, its own moving average. What the teacher says of an image is what the student is to say of
    its neighbour: the pointwise mutual information of the two is maximised, each pair weighted by how far all teachers
    agree that it is one. The head of the least loss gives the groups, or what the better half of the heads agree on
    (``preset="consensus"``).

    Options: as all methods on frozen features, see `ilk.methods.heads.HeadsOnFeatures`.

    Attributes
    ----------
    network_ : TEMINet
    head_losses_ : list of float
        Mean loss of each head in the last epoch.
    history_ : list of dict
        Per epoch: loss (mean of the heads), head_loss (the least), pair_weight, active groups, share of the largest,
        agreement (ARI) with the groups of the epoch before.

    Notes
    -----
    Cost: 2 n² d FLOPs for the neighbours, then 8 · heads · k · d a pair and step without a hidden layer. Memory: the
    neighbours of all images and one batch. Fidelity: docs/methods/temi-fidelity.md.

    References
    ----------
    N. Adaloglou, F. Michels, H. Kalisch, M. Kollmann, "Exploring the Limits of Deep Image Clustering using Pretrained
    Models", BMVC 2023, arXiv:2303.17896. M. Baydar, E. Akbas, arXiv:2511.16213, 2025 (towards ``consensus``).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> images = np.concatenate([rng.integers(0, 99, (20, 8, 8)), rng.integers(150, 255, (20, 8, 8))]).astype("u1")
    >>> TEMI(2, encoder="pixels", preset="tiny").fit(images).labels_.shape
    (40,)
    """

    presets: ClassVar = PRESETS

    def _network(self, width: int, k: int, settings: TEMISettings, draws: torch.Generator) -> TEMINet:
        size = {"hidden": settings.hidden_dim, "bottleneck": settings.bottleneck_dim}
        return TEMINet(TEMIHeads(width, k, settings.n_heads, **size, generator=draws), settings.temperature)

    def _plans(self, network: Any, dataset: FeatureDataset, settings: Any, report: Reporter) -> Sequence[Plan]:
        k, seed = int(self.n_clusters), self._seed()
        return [Plan("train", settings.epochs, lambda: Teaching(network, dataset, settings, k, seed))]

    def _finished(self, done: Run, dataset: FeatureDataset) -> None:
        self.head_losses_ = [round(float(loss), 4) for loss in done.stages[-1].memory["losses"]]

    def _dataset(self, features: Any, mean: Tensor | None = None) -> FeatureDataset:
        if self.settings_.centered:
            return super()._dataset(features, mean)
        return FeatureDataset(features, compute.device(self.device))

    def figures(self) -> list[dict[str, Any]]:
        """Return nothing: the curves of the report show the training."""
        return []
