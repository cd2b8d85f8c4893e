"""DAC's step as one CUDA graph: for very many small steps, which otherwise wait to be launched."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable

import torch
from torch import Tensor

from ilk.errors import Diverged
from ilk.methods._dac_steps import Learner

__all__ = ["Graphs"]

_WARM = 3


class Graphs:
    """Replays a learner's whole step (altering, forward, loss, backward, optimizer), captured once per batch size.

    Not exercised by the tests, which have no GPU: `DAC` uses it only where ``graph=true`` asks for it.

    Parameters
    ----------
    learner : Learner
        On a CUDA device. Its optimizer has to be capturable; its thresholds become tensors, so that a graph captured in
        one epoch serves the next.
    """

    def __init__(self, learner: Learner) -> None:
        self.learner = learner
        place = learner.pool.device
        self.upper = torch.zeros((), device=place)
        self.lower = torch.zeros((), device=place)
        self.frozen: Tensor | None = None
        self.captured: dict[tuple[int, int], tuple[torch.cuda.CUDAGraph, Tensor, Tensor, Tensor]] = {}

    def train(self, batches: Iterable[tuple[Tensor, Tensor]], epoch: int) -> float:
        """Train on every batch once, and return the mean loss: as `ilk.train.train_epoch` does.

        Raises
        ------
        Diverged
            The mean is not finite.
        """
        learner, n = self.learner, 0
        upper, lower = learner.upper, learner.lower
        self.upper.fill_(float(upper))
        self.lower.fill_(float(lower))
        total = torch.zeros((), dtype=torch.float64, device=learner.pool.device)
        try:
            learner.upper, learner.lower = self.upper, self.lower
            for index, images in batches:
                total += self._replayed(index, images)
                n += 1
        finally:
            learner.upper, learner.lower = upper, lower
        mean = float(total) / max(n, 1)
        if not math.isfinite(mean):
            raise Diverged(f"the loss is {mean} in epoch {epoch + 1}: training diverged. Make lr smaller.")
        return mean

    def _replayed(self, index: Tensor, images: Tensor) -> Tensor:
        """Run one step on copies of `index` and `images` that stay where they are."""
        self._pin()
        # a new optimizer (after every epoch of released_dac) has averages elsewhere: its steps are captured anew
        key = (len(images), id(self.learner.optimizer))
        if key not in self.captured:
            self.captured = {known: kept for known, kept in self.captured.items() if known[1] == key[1]}
            self.captured[key] = self._capture(index, images)
        graph, rows, pixels, loss = self.captured[key]
        rows.copy_(index, non_blocking=True)
        pixels.copy_(images)
        graph.replay()
        return loss

    def _pin(self) -> None:
        """Keep the frozen targets of every chunk in the same place."""
        fresh = self.learner.frozen
        if fresh is None or fresh is self.frozen:
            return
        if self.frozen is None or self.frozen.shape != fresh.shape:
            self.frozen = fresh.clone()
            self.captured.clear()
        else:
            self.frozen.copy_(fresh)
        self.learner.frozen = self.frozen

    def _capture(self, index: Tensor, images: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor, Tensor, Tensor]:
        learner = self.learner
        rows, pixels = index.to(images.device).clone(), images.clone()
        weights = {name: value.clone() for name, value in learner.net.state_dict().items()}
        slots = copy.deepcopy(learner.optimizer.state_dict())
        sums, noise = learner.sums.clone(), learner.noise.get_state()
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM):
                self._step(rows, pixels)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(learner.noise)
        with torch.cuda.graph(graph):
            loss = self._step(rows, pixels)
        learner.net.load_state_dict(weights)
        self._put_back(slots)
        learner.sums.copy_(sums)
        learner.noise.set_state(noise)
        return graph, rows, pixels, loss

    def _step(self, rows: Tensor, pixels: Tensor) -> Tensor:
        learner = self.learner
        learner.optimizer.zero_grad(set_to_none=True)
        loss = learner._step(rows, pixels)
        loss.backward()  # type: ignore[no-untyped-call]
        learner.optimizer.step()
        return loss.detach()

    def _put_back(self, slots: dict[str, object]) -> None:
        """Undo the warm-up in the optimizer's own tensors, which the graph has captured."""
        before = slots["state"]
        assert isinstance(before, dict)
        parameters = [p for group in self.learner.optimizer.param_groups for p in group["params"]]
        for number, parameter in enumerate(parameters):
            for name, value in self.learner.optimizer.state[parameter].items():
                if isinstance(value, Tensor):
                    kept = before.get(number, {}).get(name)
                    value.zero_() if kept is None else value.copy_(kept)
