"""Linear classifiers on several layers at once: each sees its own layer, all see the same images."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ilk import compute
from ilk.networks.layers import linear

__all__ = ["Schedule", "Trace", "train_linear"]

Pass = Iterator[tuple[list[Tensor], Tensor]]
"""Batches: what every layer says of some images, and their classes."""


@dataclass(frozen=True)
class Schedule:
    """How linear classifiers are trained; the defaults are those of the published evaluation.

    Attributes
    ----------
    epochs, batch_size : int
    lr, momentum, weight_decay : float
        The rate of step t is ``lr / √(1 + lr · weight_decay · t)``.
    """

    epochs: int = 90
    batch_size: int = 256
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 1e-7

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, from 0.

        Examples
        --------
        >>> round(Schedule(weight_decay=1e-1).rate(3000), 6)
        0.005
        """
        return self.lr / math.sqrt(1 + self.lr * self.weight_decay * step)


@dataclass
class Trace:
    """Accuracy of one classifier on the test images after every epoch.

    Attributes
    ----------
    values : int
        Inputs of the classifier.
    accuracy : list of float
    """

    values: int
    accuracy: list[float] = field(default_factory=list)

    def as_record(self) -> dict[str, Any]:
        """Return the last and the best epoch. Which one is best, the test labels say: it flatters."""
        best = max(range(len(self.accuracy)), key=lambda epoch: self.accuracy[epoch])
        return {
            "values": self.values,
            "last": round(self.accuracy[-1], 4),
            "best": round(self.accuracy[best], 4),
            "best_epoch": best + 1,
        }


def train_linear(
    train: Callable[[int, torch.Generator], Pass],
    test: Callable[[], Iterator[tuple[Sequence[list[Tensor]], Tensor]]],
    n_classes: int,
    schedule: Schedule,
    seed: int,
    device: torch.device,
    on_epoch: Callable[[int, int], object] = lambda done, total: None,
) -> list[Trace]:
    """Train one linear classifier for each layer, and test it after every epoch.

    Parameters
    ----------
    train : callable (epoch, generator) -> batches of (layers, classes)
        Layers is a list of (b, d) tensors.
    test : callable () -> batches of (views, classes)
        Views is a list of such lists, one for each view of the images: their probabilities are averaged.
    n_classes, seed : int
    device : torch.device
    on_epoch : callable (done, total)

    Returns
    -------
    list of Trace, one for each layer
    """
    draws = compute.generator(seed)
    classifiers: list[torch.nn.Linear] = []
    optimizer: torch.optim.SGD | None = None
    traces: list[Trace] = []
    step = 0
    for epoch in range(schedule.epochs):
        for layers, classes in train(epoch, draws):
            if optimizer is None:
                classifiers = [linear(rows.shape[1], n_classes, draws).to(device) for rows in layers]
                parameters = [p for classifier in classifiers for p in classifier.parameters()]
                optimizer = torch.optim.SGD(
                    parameters, schedule.lr, schedule.momentum, weight_decay=schedule.weight_decay
                )
                traces = [Trace(rows.shape[1]) for rows in layers]
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate(step)
            optimizer.zero_grad(set_to_none=True)
            wanted = classes.to(device)
            # the sum: classifiers share nothing, so each gets the gradient of its own loss
            losses = [
                functional.cross_entropy(classifier(rows.to(device).float()), wanted)
                for classifier, rows in zip(classifiers, layers, strict=True)
            ]
            torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            step += 1
        right, n = torch.zeros(len(classifiers), dtype=torch.int64, device=device), 0
        with torch.no_grad():
            for views, classes in test():
                for number, classifier in enumerate(classifiers):
                    shares = [classifier(view[number].to(device).float()).softmax(1) for view in views]
                    found = torch.stack(shares).mean(0).argmax(1)
                    right[number] += (found == classes.to(device)).sum()
                n += len(classes)
        for trace, count in zip(traces, right.tolist(), strict=True):
            trace.accuracy.append(count / max(n, 1))
        on_epoch(epoch + 1, schedule.epochs)
    return traces
