"""A place within an epoch that a training can be left at, and gone on from to the bit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ilk import compute, train

__all__ = ["Midway", "Tell"]

Tell = Callable[[Mapping[str, Any]], object]

_TOLD = 1.0  # seconds between two records of how far an epoch is
_LEFT = 10.0  # seconds between two of them that the training may be left at: a state costs a wait for the device
Pairs = Iterable[tuple[Tensor, Tensor]]


class Midway:
    """How far an epoch is: its steps, the sum of its losses, and where its order of images began.

    The order is drawn anew where a training goes on, from the same state of `draws`, and what was done of it is passed
    over. All else that steps change, such as networks and noise, is the training's own to keep.

    Parameters
    ----------
    draws : torch.Generator
        Draws the order of images at the start of an epoch, and whatever else batches are made by; nothing else uses it.
    sums : Tensor
        What the training adds up through an epoch.
    """

    def __init__(self, draws: torch.Generator, sums: Tensor) -> None:
        self.draws = draws
        self.sums = sums
        self.step = 0  # steps done
        self.loss: Tensor | None = None
        self._begun = draws.get_state()

    def train(
        self,
        step: train.Step,
        batches: Pairs,
        steps: int,
        optimizer: torch.optim.Optimizer,
        epoch: int,
        tell: Tell,
        after: Callable[[], object] | None = None,
    ) -> float:
        """Train on what is left of an epoch's `batches`; return the mean loss of all, those before a stop included."""

        def counted(index: Tensor, other: Tensor) -> Tensor:
            loss = step(index, other)
            one = loss.detach().double()
            self.loss = one if self.loss is None else self.loss + one
            return loss

        train.train_epoch(counted, self._rest(batches, steps, tell), optimizer, epoch=epoch, after=after)
        assert self.loss is not None
        mean = float(compute.all_sum(self.loss)) / (self.step * compute.world_size())
        self.step, self.loss = 0, None
        return mean

    def _rest(self, batches: Pairs, steps: int, tell: Tell) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield what is left of an epoch's `batches`, and tell how far it is.

        Records with "left" are places where the training may be left; `tell` raises what leaves it.
        """
        if self.step:
            self.draws.set_state(self._begun)
        else:
            self._begun, self.loss = self.draws.get_state(), None
        told = left = time.perf_counter()
        for pair in islice(batches, self.step, None):
            yield pair
            self.step += 1
            now = time.perf_counter()
            if self.step < steps and now - left >= _LEFT:
                told = left = now
                tell({"step": self.step, "steps": steps, "left": True})
            elif now - told >= _TOLD:
                told = now
                tell({"step": self.step, "steps": steps})

    def state(self) -> dict[str, Any]:
        """Return what goes on within the epoch: nothing between two. It replaces the present state of "draws"."""
        if not self.step or self.loss is None:
            return {}
        loss, sums = self.loss.cpu(), self.sums.cpu().clone()
        return {"draws": self._begun, "midway.step": self.step, "midway.loss": loss, "midway.sums": sums}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned; `draws` is restored already."""
        self.step = int(state.get("midway.step", 0))
        if self.step:
            self._begun = self.draws.get_state()
            self.loss = torch.from_numpy(np.array(state["midway.loss"], np.float64)).to(self.sums.device)
            self.sums.copy_(torch.from_numpy(np.array(state["midway.sums"])))
