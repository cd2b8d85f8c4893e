"""The training of DeepCluster: features of all images, pseudo-labels, a fresh head, one epoch of classification."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from ilk import train
from ilk.data.encoded import room
from ilk.methods.deepcluster.space import Fine, cluster, fit_space, placed
from ilk.methods.deepcluster.views import Views
from ilk.methods.inputs.dataset import batches
from ilk.networks.convnets import ConvNet
from ilk.networks.layers import linear
from ilk.networks.still import still
from ilk.train import Cost

__all__ = ["Learner", "Measure", "Part", "Tell", "features_of", "make_optimizer"]

Part = nn.Module | torch.optim.Optimizer | torch.Generator
Tell = Callable[[Mapping[str, Any]], object]
Measure = TypeVar("Measure")

_EVAL = 256  # images of a pass without training, fewer where they are large
_ADAPTIVE = 1024  # images in a batch from which on "auto" takes LARC


@torch.inference_mode()
def features_of(net: ConvNet, views: Views, half: bool) -> npt.NDArray[np.float16]:
    """Return the features (n, d) float16 of all images as they are, on the statistics of `net`.

    Every batch has the same size, so that the features of an image do not depend on its company.
    """
    size = _EVAL if views.side <= 32 else max(8, _EVAL * 32 * 32 // views.side**2)
    found = room(len(views), net.n_features)
    largest = float(np.finfo(np.float16).max)
    with still(net):
        for part in batches(torch.arange(len(views)), size):
            full = part if len(part) == size else torch.cat([part, part.new_zeros(size - len(part))])
            images = views.plain(full)
            with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
                features = net(images).clamp(-largest, largest)
            found[int(part[0]) : int(part[-1]) + 1] = features[: len(part)].half().cpu().numpy()
    return found


def make_optimizer(table: Mapping[str, Any], groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Return the optimizer that `table` asks for."""
    lr, momentum, decay = (float(table[key]) for key in ("lr", "momentum", "weight_decay"))
    kind = table["optimizer"]
    if kind == "auto":
        kind = "larc" if int(table["batch_size"]) >= _ADAPTIVE else "sgd"
    if kind == "larc":
        return train.LARC(groups, lr, momentum, decay)
    return torch.optim.SGD(groups, lr, momentum, weight_decay=decay)


class Learner:
    """One network in training: it knows views and pseudo-labels, not epochs of a fit, files or true labels.

    Parameters
    ----------
    net : ConvNet
    views : Views
    table : mapping
        The settings, all resolved.
    k : int
        Fine clusters.
    draws, noise : torch.Generator
        For clustering and the order of images, on the CPU; for altering images and dropout, on the device.
    half : bool
        Whether convolutions and the head run in bfloat16.
    """

    def __init__(
        self,
        net: ConvNet,
        views: Views,
        table: Mapping[str, Any],
        k: int,
        draws: torch.Generator,
        noise: torch.Generator,
        half: bool,
    ) -> None:
        self.net = net
        self.views = views
        self.table = table
        self.k = k
        self.draws = draws
        self.noise = noise
        self.half = half
        self.device = views.device
        net.seed(noise)
        self.head = linear(net.n_features, k, draws).to(self.device)
        self.optimizer = make_optimizer(
            table, [{"params": list(net.parameters())}, {"params": list(self.head.parameters()), "momentum": 0.0}]
        )
        self.targets = torch.zeros(0, dtype=torch.int64, device=self.device)
        self.weights: Tensor | None = None

    def parts(self) -> dict[str, Part]:
        """Return what a state has to keep. A head that is drawn anew for every epoch is not part of it."""
        kept: dict[str, Part] = {
            "network": self.net,
            "optimizer": self.optimizer,
            "draws": self.draws,
            "noise": self.noise,
        }
        return kept if self.table["reset_head"] else {**kept, "head": self.head}

    def more(self) -> dict[str, Any]:
        """Return what else a state has to keep."""
        return {}

    def take(self, state: Mapping[str, Any]) -> None:
        """Take back what `more` returned."""

    @property
    def batch_size(self) -> int:
        """Images of a step."""
        return min(int(self.table["batch_size"]), len(self.views))

    def steps(self) -> int:
        """Return how many updates an epoch takes."""
        return len(list(batches(torch.arange(len(self.views)), self.batch_size, least=2)))

    # -- an epoch ----------------------------------------------------------------------------------------------------

    def assign(self) -> list[Fine]:
        """Cluster all images by the features that the network gives them now."""
        features = placed(features_of(self.net, self.views, self.half), self.device)
        rows = fit_space(features, int(self.table["components"])).rows(features)
        return [cluster(rows.to(self.device), self.k, int(self.table["iterations"]), self.draws)]

    def train(self, labels: list[Tensor], epoch: int, tell: Tell) -> float:
        """Train one epoch on these pseudo-labels (n,), on the CPU; return the mean loss."""
        found = labels[0]
        if self.table["reset_head"]:
            self._reset()
        self.targets = found.to(self.device)
        balance = self.table["balance"]
        self.weights = train.inverse_sizes(found, self.k).to(self.device) if balance == "inverse_size" else None
        order = (
            train.uniform_draw(found, self.draws)
            if balance == "uniform"
            else torch.randperm(len(found), generator=self.draws)
        )
        self.net.train()
        steps = train.watched(self._batches(order), self.steps(), tell)
        pace = Pace(self.table, self.optimizer, epoch, self.steps())
        return train.train_epoch(self._step, steps, self.optimizer, epoch=epoch, after=pace)

    def _reset(self) -> None:
        """Draw the head anew; it has no momentum that could remember the last one."""
        with torch.no_grad():
            fresh = torch.empty(self.head.weight.shape).normal_(0.0, 0.01, generator=self.draws)
            self.head.weight.copy_(fresh)
            self.head.bias.zero_()
        for parameter in self.head.parameters():
            self.optimizer.state.pop(parameter, None)

    def _batches(self, order: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        for index in batches(order, self.batch_size, least=2):
            yield index, self.views.read(index)

    def _step(self, index: Tensor, images: Tensor) -> Tensor:
        altered = self.views.altered(images, self.noise)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            logits = self.head(functional.relu(self.net(altered)))
        targets = self.targets[index.to(self.device)]
        if self.weights is None:
            return functional.cross_entropy(logits.float(), targets)
        each = functional.cross_entropy(logits.float(), targets, reduction="none")
        return (each * self.weights[targets]).mean()

    def probe(self, n_steps: int) -> Cost:
        """Measure a few steps; everything is put back as it was."""
        return self._measured(functools.partial(train.probe, n_steps=n_steps))

    def check_memory(self) -> int:
        """Return the bytes that training takes, seen on a few images; everything is put back as it was."""
        return self._measured(train.check_memory)

    def _measured(self, measure: Callable[..., Measure]) -> Measure:
        self.targets = torch.zeros(len(self.views), dtype=torch.int64, device=self.device)
        self.weights = None
        self.net.train()
        return measure(
            self._step,
            lambda b: (torch.arange(b), self.views.read(torch.arange(b))),
            batch_size=self.batch_size,
            network=nn.ModuleList([self.net, self.head]),
            optimizer=self.optimizer,
            generators=(self.draws, self.noise),
            device=self.device,
        )


class Pace:
    """Sets the learning rate of every step of an epoch: constant, or a cosine after a straight rise.

    Parameters
    ----------
    table : mapping
    optimizer : torch.optim.Optimizer
    epoch, steps : int
        Which epoch from 0, and how many steps it has.
    """

    def __init__(self, table: Mapping[str, Any], optimizer: torch.optim.Optimizer, epoch: int, steps: int) -> None:
        self.table = table
        self.optimizer = optimizer
        self.steps = max(steps, 1)
        self.step = epoch * self.steps
        self._set()

    def __call__(self) -> None:
        """Go on by one step."""
        self.step += 1
        self._set()

    def _set(self) -> None:
        lr = float(self.table["lr"])
        if self.table["schedule"] == "cosine":
            at, warm = self.step / self.steps, float(self.table["warmup"])
            floor = lr / 1000
            rise = lr / 16 + (lr - lr / 16) * at / max(warm, 1e-9)
            lr = rise if at < warm else train.cosine(at - warm, float(self.table["epochs"]) - warm, lr, floor)
        train.set_lr(self.optimizer, lr)
