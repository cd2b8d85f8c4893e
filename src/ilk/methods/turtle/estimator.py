"""TURTLE: settings, networks, the training and the estimator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from ilk import compute, metrics
from ilk.methods.heads import HeadsOnFeatures
from ilk.methods.inputs.dataset import FeatureDataset, encode_all
from ilk.methods.reporter import Reporter
from ilk.methods.settings import Settings, estimator, number, whole
from ilk.methods.settings import choice as one_of
from ilk.methods.training import GradientStage, Plan, seeds_of
from ilk.train.state import Part

__all__ = ["TURTLE"]

ROUND = 100
"""Outer steps that are recorded together: an "epoch" of the history."""

_BLOCK = 4096


@dataclass(frozen=True, kw_only=True)
class TURTLESettings(Settings):
    """Of `TURTLE`."""

    steps: int = whole(1000, "outer steps: changes of the labelling")
    batch_size: int = whole(1000, "images of a step, drawn without replacement; all where there are fewer", 2)
    lr: float = number(0.001, "learning rate of the labelling (Adam)", 0, 1)
    gamma: float = number(10.0, "weight of the entropy that keeps all groups in use", 0, 1000)
    inner_steps: int = whole(10, "steps of the classifiers within each outer step")
    inner_lr: float = number(0.001, "learning rate of the classifiers (Adam)", 0, 1)
    start: str = one_of("cold", "whether classifiers begin anew at each outer step, or go on", ("cold", "warm"))
    features: str = one_of(
        "scaled", "scaled: length 1, centred, mean square 1 in each space; raw: as the encoder gives", ("scaled", "raw")
    )


PRESETS = {
    "default": TURTLESettings(),
    "paper": TURTLESettings(steps=6000, batch_size=10_000, features="raw"),
    "tiny": TURTLESettings(steps=60, batch_size=64, lr=0.01),
}


class Spaces(nn.Module):
    """What the labelling and its classifiers share: the parts of a row, each with a scale of its own.

    Parameters
    ----------
    widths
        Numbers of a row that belong to each space, in order.
    """

    scales: Tensor

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.widths = list(widths)
        self.register_buffer("scales", torch.ones(len(self.widths)))

    def forward(self, rows: Tensor) -> list[Tensor]:
        """Return the rows (b, d) by spaces: (b, width) each."""
        return [part * scale for part, scale in zip(torch.split(rows, self.widths, 1), self.scales, strict=True)]


class Labelling(nn.Module):
    """One linear task encoder for each space, weight-normalised; the labelling is the mean of their softmax (Eq. 9)."""

    def __init__(self, widths: Sequence[int], k: int, draws: torch.Generator) -> None:
        super().__init__()
        self.spaces = Spaces(widths)
        drawn = [uniform(width, k, draws, torch.device("cpu")) for width in widths]
        self.directions = nn.ParameterList([weight for weight, _ in drawn])
        self.lengths = nn.ParameterList([weight.norm(dim=1) for weight, _ in drawn])
        self.biases = nn.ParameterList([bias for _, bias in drawn])

    def each(self, parts: Sequence[Tensor]) -> Tensor:
        """Return the group probabilities of every space (s, b, k)."""
        weights = zip(parts, self.directions, self.lengths, self.biases, strict=True)
        return torch.stack(
            [functional.linear(x, functional.normalize(v, dim=1) * g[:, None], b).softmax(1) for x, v, g, b in weights]
        )

    def probabilities(self, rows: Tensor) -> Tensor:
        """Return group probabilities (b, k)."""
        return self.each(self.spaces(rows)).mean(0)


def uniform(width: int, k: int, draws: torch.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return weights (k, width) and biases (k,) drawn as PyTorch draws those of a linear layer."""
    drawn = torch.rand(k, width + 1, generator=draws, device=device).mul_(2).sub_(1).div_(width**0.5)
    return drawn[:, :width].clone(), drawn[:, width].clone()


class Classifier(nn.Module):
    """A linear classifier of one space, with Adam's moments beside its weights: all of it is put back with a module.

    Its gradient is known in closed form, so nothing of the inner training is recorded (the first-order hypergradient
    of Eq. 13).
    """

    weight: Tensor  # (k, width + 1), the last column being the bias: in this layout the products below are 3 x faster
    first: Tensor
    second: Tensor
    taken: Tensor

    def __init__(self, width: int, k: int, draws: torch.Generator, device: torch.device) -> None:
        super().__init__()
        for name in ("weight", "first", "second"):
            self.register_buffer(name, torch.zeros(k, width + 1, device=device))
        self.register_buffer("taken", torch.zeros((), device=device))
        self.renew(draws)

    def renew(self, draws: torch.Generator) -> None:
        """Begin with new weights and a new optimizer."""
        k, width = self.weight.shape
        weight, bias = uniform(width - 1, k, draws, self.weight.device)
        self.weight.copy_(torch.cat([weight, bias[:, None]], 1))
        for moment in (self.first, self.second, self.taken):
            moment.zero_()

    def learn(self, x: Tensor, target: Tensor, steps: int, lr: float) -> None:
        """Take steps of Adam on the cross-entropy between `target` (b, k) and what it says of `x` (b, width)."""
        for _ in range(steps):
            off = (self(x).softmax(1) - target) / len(x)
            slope = torch.cat([off.T @ x, off.sum(0)[:, None]], 1)
            self.taken += 1
            self.first.lerp_(slope, 0.1)
            self.second.lerp_(slope.square(), 0.001)
            mean, spread = self.first / (1 - 0.9**self.taken), self.second / (1 - 0.999**self.taken)
            self.weight -= lr * mean / (spread.sqrt() + 1e-8)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (b, k)."""
        return functional.linear(x, self.weight[:, :-1], self.weight[:, -1])


class Labels(GradientStage):
    """Changes the labelling so that classifiers trained on it for a few steps agree with it (Eq. 12)."""

    network: Labelling

    def __init__(self, network: Labelling, dataset: FeatureDataset, settings: TURTLESettings, seed: int) -> None:
        self.network = network
        self.dataset = dataset
        self.settings = settings
        self.epochs = -(-settings.steps // ROUND)
        self.batch_size = min(settings.batch_size, len(dataset))
        self.n_images = self.batch_size * min(settings.steps, ROUND)
        self.device = dataset.device
        self.memory = {}
        draws, noise = seeds_of(seed, 2, 1)
        self.draws, self.noise = compute.generator(draws), compute.generator(noise, dataset.device)
        self.optimizer = torch.optim.Adam(network.parameters(), settings.lr)
        k = len(network.biases[0])
        widths = network.spaces.widths
        self.classifiers: Any = nn.ModuleList([Classifier(width, k, self.noise, self.device) for width in widths])

    def parts(self) -> dict[str, Part]:
        """Return the classifiers too: with a warm start they go on."""
        return {**super().parts(), "classifiers": self.classifiers}

    @torch.no_grad()
    def start(self) -> None:
        """Find the scale of each space."""
        if self.settings.features == "raw":
            return
        blocks = torch.split(torch.arange(len(self.dataset)), _BLOCK)
        parts = [self.network.spaces(self.dataset.read(rows)) for rows in blocks]
        squares = torch.stack([torch.cat(space).square().mean() for space in zip(*parts, strict=True)])
        self.network.spaces.scales.copy_(squares.clamp(min=1e-12).rsqrt())

    def begin(self, epoch: int) -> None:
        """Draw what the batches of this epoch are drawn from."""
        self.memory["seed"] = torch.randint(2**62, (1,), generator=self.draws).numpy()

    def units(self, epoch: int) -> Sequence[Tensor]:
        """Return a batch without replacement for each step."""
        drawn = compute.generator(int(self.memory["seed"][0]) if "seed" in self.memory else 0)
        steps = min(ROUND, self.settings.steps - ROUND * epoch)
        return [torch.randperm(len(self.dataset), generator=drawn)[: self.batch_size].clone() for _ in range(steps)]

    def n_steps(self) -> int:
        """Return the outer steps of a full epoch."""
        return min(ROUND, self.settings.steps)

    def loss(self, index: Tensor, unit: Any) -> Tensor:
        """Return the cross-entropy of classifiers and labelling, less the entropy of the mean labelling."""
        parts = self.network.spaces(self.dataset.read(index))
        each = self.network.each(parts)
        labelling = each.mean(0)
        mean = each.mean(1)
        entropy = -(mean * mean.clamp(min=1e-12).log()).sum()
        return self.disagreement(parts, labelling) - self.settings.gamma * entropy

    def disagreement(self, parts: Sequence[Tensor], labelling: Tensor) -> Tensor:
        """Train a classifier of each space on the labelling (b, k); return the cross-entropy () that is left."""
        target, settings, logits = labelling.detach(), self.settings, []
        with torch.no_grad():
            for classifier, x in zip(self.classifiers, parts, strict=True):
                if settings.start == "cold":
                    classifier.renew(self.noise)
                classifier.learn(x, target, settings.inner_steps, settings.inner_lr)
                logits.append(classifier(x).log_softmax(1))
        return -(labelling * torch.stack(logits)).sum((0, 2)).mean()

    @torch.no_grad()
    def end(self, epoch: int) -> dict[str, Any]:
        """Return how many groups are in use, and how far the groups are those of the record before."""
        rows = torch.arange(len(self.dataset))
        said = encode_all(self.network.probabilities, self.dataset.read, rows, _BLOCK, device=self.device, pad=False)
        groups = said.argmax(1).numpy()
        found: dict[str, Any] = {"active": len(np.unique(groups))}
        if "groups" in self.memory:
            found["agreement"] = round(float(metrics.agreement(self.memory["groups"], groups)["ari"]), 4)
        self.memory["groups"] = groups
        return found


@estimator
class TURTLE(HeadsOnFeatures):
    """The labelling that linear classifiers on frozen features learn best.

    A labelling is right where a simple classifier finds it easily: classifiers are trained for a few steps on the
    present labelling, and the labelling moves to what they say, while an entropy keeps all groups in use. Joined
    encoders ("a+b") are spaces of their own, as in the paper: a classifier for each, one labelling.

    Parameters
    ----------
    n_clusters : int
        Groups.
    preset : {"default", "paper", "tiny"}
        "default" for a CPU; "paper" has the published values.
    settings : mapping, optional
        Single settings over those of the preset; those of the encoder too.
    encoder : str
        "auto" or any of `ilk.encoders`; two joined by + are two spaces.
    weights : path, optional
        Weights of the encoder.
    random_state, device, precision, cache, verbose
        As `ilk.methods.clusterer.Clusterer` has them.

    Attributes
    ----------
    labels_, probabilities_ : ndarray (n,), (n, k)
        Of the labelling.
    network_ : nn.Module
        The task encoders.
    history_ : list of dict
        One record for each 100 outer steps: loss, groups in use, agreement with the record before.

    Notes
    -----
    Cost: steps · (inner_steps + 1) products of batch × width × groups, twice each; memory for one batch.

    References
    ----------
    A. Gadetsky, Y. Jiang, M. Brbić, "Let Go of Your Labels with Unsupervised Transfer", ICML 2024.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> images = np.concatenate([rng.integers(0, 99, (20, 8, 8)), rng.integers(150, 255, (20, 8, 8))]).astype("u1")
    >>> TURTLE(2, encoder="pixels", preset="tiny").fit(images).labels_.shape
    (40,)
    """

    presets: ClassVar = PRESETS

    def _network(self, width: int, k: int, settings: TURTLESettings, draws: torch.Generator) -> Labelling:
        widths = [part.n_features for part in self.encoder_.parts]
        return Labelling(widths if sum(widths) == width else [width], k, draws)

    def _plans(
        self, network: Labelling, dataset: FeatureDataset, settings: TURTLESettings, report: Reporter
    ) -> Sequence[Plan]:
        stage = Plan("train", -(-settings.steps // ROUND), lambda: Labels(network, dataset, settings, self._seed()))
        return [stage]

    def _dataset(self, features: npt.NDArray[Any], mean: Tensor | None = None) -> FeatureDataset:
        if self.settings_.features == "raw":
            return FeatureDataset(features, compute.device(self.device))
        return super()._dataset(features, mean)

    def figures(self) -> list[dict[str, Any]]:
        """Return nothing: the report's own pictures will do."""
        return []
