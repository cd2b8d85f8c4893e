"""DAC's step as one CUDA graph: small steps otherwise wait to be launched, kernel by kernel."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from ilk.errors import Diverged
from ilk.methods.inputs.dataset import Pixels

__all__ = ["Graphs", "recorded"]

_WARM = 3
_BLOCK, _BYTES = 8192, 2**27  # images, and bytes of them, that are read and altered together, ahead of their steps

Body = Callable[[], object]


def recorded(body: Body) -> Body:
    """Return what repeats `body` as one CUDA graph, on the same places in memory."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(_WARM):
            body()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        body()
    return graph.replay


class Steps(Protocol):
    """What graphs need of who takes the steps: `ilk.methods.dac.training_step.Learner`."""

    net: Any
    pool: Any
    table: Any
    optimizer: Any
    sums: Any
    frozen: Any
    upper: Any
    lower: Any

    def drawn(self, portion: Tensor) -> Any: ...
    def altered(self, images: Tensor) -> Tensor: ...
    def loss(self, rows: Tensor, pixels: Tensor) -> Tensor: ...
    def targets(self, images: Tensor) -> Tensor: ...


class Graphs:
    """Replays a learner's steps and its passes for targets, each recorded once per size.

    Images are read and altered for many steps at once; a graph has the rest of the step: network, loss, backward pass
    and optimizer. The order of images is that of training without graphs, the alterations are other draws.

    Parameters
    ----------
    learner : Steps
        On pixels. Its thresholds become tensors, so that a graph recorded in one epoch serves the next.
    record : callable (body) -> callable
        Runs `body` a few times and returns what repeats it.
    """

    def __init__(self, learner: Steps, record: Callable[[Body], Body] = recorded) -> None:
        self.learner = learner
        self.record = record
        assert isinstance(learner.pool, Pixels)
        place = learner.pool.device
        self.upper = torch.zeros((), device=place)
        self.lower = torch.zeros((), device=place)
        self.total = torch.zeros((), dtype=torch.float64, device=place)
        self.block = min(_BLOCK, _BYTES // (4 * math.prod(learner.pool.images.shape)))
        self.steps: dict[int, tuple[Body, Tensor, Tensor]] = {}
        self.passes: dict[int, tuple[Body, Tensor, Tensor]] = {}

    def train(self, portion: Tensor, epoch: int) -> float:
        """Train on every batch of `portion` once, and return the mean loss: as `ilk.train.train_epoch` does.

        Raises
        ------
        Diverged
            The mean is not finite.
        """
        learner, n = self.learner, 0
        upper, lower = learner.upper, learner.lower
        self.upper.fill_(float(upper))
        self.lower.fill_(float(lower))
        self.total.zero_()
        try:
            learner.upper, learner.lower = self.upper, self.lower
            if learner.table["targets"] == "chunk":
                learner.frozen = self._targets(portion)
            for index, images in self._altered(portion):
                self._step(index, images)
                n += 1
        finally:
            learner.upper, learner.lower = upper, lower
        mean = float(self.total) / max(n, 1)
        if not math.isfinite(mean):
            raise Diverged(f"the loss is {mean} in epoch {epoch + 1}: training diverged. Make lr smaller.")
        return mean

    def forget(self) -> None:
        """Empty the optimizer's averages where they are: the graphs know their places."""
        for slots in self.learner.optimizer.state.values():
            for value in slots.values():
                if isinstance(value, Tensor):
                    value.zero_()

    def _altered(self, portion: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (index, altered images) of every step."""
        waiting: list[tuple[Tensor, Tensor]] = []
        held = 0
        for index, rows in self.learner.drawn(portion):
            if waiting and held + len(rows) > self.block:
                yield from self._block(waiting)
                waiting, held = [], 0
            waiting.append((index, rows))
            held += len(rows)
        yield from self._block(waiting)

    def _block(self, waiting: list[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
        learner = self.learner
        sizes = [len(rows) for _, rows in waiting]
        numbers = torch.stack([torch.cat([index for index, _ in waiting]), torch.cat([rows for _, rows in waiting])])
        index, rows = numbers.to(learner.pool.device)
        images = learner.altered(learner.pool.read(rows))
        yield from zip(torch.split(index, sizes), torch.split(images, sizes), strict=True)

    def _step(self, index: Tensor, images: Tensor) -> None:
        if len(index) not in self.steps:
            self.steps[len(index)] = self._recorded_step(index, images)
        replay, rows, pixels = self.steps[len(index)]
        rows.copy_(index)
        pixels.copy_(images)
        replay()

    def _recorded_step(self, index: Tensor, images: Tensor) -> tuple[Body, Tensor, Tensor]:
        learner = self.learner
        rows, pixels = index.clone(), images.clone()

        def body() -> None:
            learner.optimizer.zero_grad(set_to_none=True)
            loss = learner.loss(rows, pixels)
            loss.backward()  # type: ignore[no-untyped-call]
            learner.optimizer.step()
            self.total += loss.detach()

        weights = {name: value.clone() for name, value in learner.net.state_dict().items()}
        slots = copy.deepcopy(learner.optimizer.state_dict())
        sums, total = learner.sums.clone(), self.total.clone()
        replay = self.record(body)
        learner.net.load_state_dict(weights)
        self._put_back(slots)
        learner.sums.copy_(sums)
        self.total.copy_(total)
        return replay, rows, pixels

    def _targets(self, portion: Tensor) -> Tensor:
        """Return the label features of a chunk, always in the same place."""
        rows = portion.to(self.learner.pool.device)
        if len(rows) not in self.passes:
            kept = rows.clone()
            frozen = self.learner.targets(kept)
            replay = self.record(lambda: frozen.copy_(self.learner.targets(kept)))
            self.passes[len(rows)] = replay, kept, frozen
            self.steps.clear()  # they read their targets elsewhere
        replay, kept, frozen = self.passes[len(rows)]
        kept.copy_(rows)
        replay()
        return frozen

    def _put_back(self, slots: dict[str, Any]) -> None:
        """Undo the warm-up in the optimizer's own tensors, which the graph has captured."""
        before = slots["state"]
        parameters = [p for group in self.learner.optimizer.param_groups for p in group["params"]]
        for number, parameter in enumerate(parameters):
            for name, value in self.learner.optimizer.state[parameter].items():
                if isinstance(value, Tensor):
                    kept = before.get(number, {}).get(name)
                    value.zero_() if kept is None else value.copy_(kept)
