"""One pass over batches, and what goes with it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from ilk import compute
from ilk.errors import Diverged

__all__ = ["EMA", "Batches", "Step", "cosine", "set_lr", "train_epoch"]

Step = Callable[[Tensor, Tensor], Tensor]
"""(index, images) of one batch -> its loss, a scalar tensor."""

Batches = Iterable[tuple[Tensor, Tensor]]
"""Pairs (index, images); the index says which rows of the source the images are."""


def train_epoch(
    step: Step,
    batches: Batches,
    optimizer: torch.optim.Optimizer,
    *,
    epoch: int | None = None,
    after: Callable[[], object] | None = None,
) -> float:
    """Train on every batch once, and return the mean loss of the batches.

    Parameters
    ----------
    step : callable (index, images) -> Tensor ()
        The method's loss of one batch.
    batches : iterable of (index, images)
    optimizer : torch.optim.Optimizer
        Its parameters are trained. Gradients are averaged over all processes where there are several.
    epoch : int, optional
        For the message of `Diverged`.
    after : callable, optional
        Called after each step of the optimizer, for example ``EMA.update``.

    Returns
    -------
    float

    Raises
    ------
    Diverged
        The mean is not finite.
    ValueError
        There was no batch.

    Notes
    -----
    The loss is summed on the device: the host waits for it once, at the end.

    Examples
    --------
    >>> net = nn.Linear(1, 1)
    >>> x = torch.ones(4, 1)
    >>> sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    >>> losses = [train_epoch(lambda i, x: (net(x) - 2).square().mean(), [(torch.arange(4), x)], sgd) for _ in range(9)]
    >>> losses[-1] < losses[0]
    True
    """
    compute.keep_freed()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    total, n = torch.zeros((), dtype=torch.float64), 0
    for index, images in batches:
        optimizer.zero_grad(set_to_none=True)
        loss = step(index, images)
        loss.backward()  # type: ignore[no-untyped-call]
        compute.average_gradients(parameters)
        optimizer.step()
        total = total.to(loss.device) + loss.detach()
        n += 1
        if after is not None:
            after()
    if not n:
        raise ValueError("no batch to train on: fewer images than a batch holds; make batch_size smaller")
    mean = float(compute.all_sum(total)) / (n * compute.world_size())
    if not math.isfinite(mean):
        when = "" if epoch is None else f" in epoch {epoch + 1}"
        raise Diverged(f"the loss is {mean}{when}: training diverged. Make lr smaller, or choose another preset.")
    return mean


def cosine(epoch: float, epochs: float, start: float, end: float = 0.0, *, warmup: float = 0.0) -> float:
    """Return the value at `epoch` of a half cosine from `start` to `end`, after a straight rise over `warmup` epochs.

    Examples
    --------
    >>> [round(cosine(e, 4, 1.0), 3) for e in range(5)]
    [1.0, 0.854, 0.5, 0.146, 0.0]
    >>> [cosine(e, 4, 1.0, warmup=2) for e in range(3)]
    [0.5, 1.0, 1.0]
    """
    if epoch < warmup:
        return start * min(1.0, (epoch + 1) / warmup)
    done = min(1.0, (epoch - warmup) / max(epochs - warmup, 1e-12))
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every group of `optimizer` the learning rate `lr`."""
    for group in optimizer.param_groups:
        group["lr"] = lr


class EMA:
    """A copy of a network whose weights are an exponential moving average of the original's.

    Parameters
    ----------
    network : nn.Module
    decay : float
        In [0, 1): what is kept of the average at each `update`.

    Attributes
    ----------
    network : nn.Module
        The average, without gradients. Buffers (counts, statistics) are taken over as they are.
    """

    def __init__(self, network: nn.Module, decay: float = 0.99) -> None:
        self.decay = decay
        self.network = copy.deepcopy(network).requires_grad_(False)
        self._pairs = list(zip(self.network.parameters(), network.parameters(), strict=True))
        self._buffers = list(zip(self.network.buffers(), network.buffers(), strict=True))

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the network as it is now."""
        for mean, now in self._pairs:
            mean.lerp_(now, 1 - self.decay)
        for kept, buffer in self._buffers:
            kept.copy_(buffer)
