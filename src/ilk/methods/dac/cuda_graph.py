"""DAC's step as one CUDA graph: small steps otherwise wait to be launched, kernel by kernel."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from ilk.methods.dac.settings import DACSettings
from ilk.methods.inputs.dataset import Dataset, PixelDataset
from ilk.networks.dac import DACNet

__all__ = ["Graphs", "recorded"]

_WARM = 3
_BLOCK, _BYTES = 8192, 2**27  # images, and bytes of them, that are read and augmented together, ahead of their steps

Body = Callable[[], object]


def recorded(body: Body) -> Body:
    """Return what repeats `body` as one CUDA graph, on the same addresses in memory."""
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
    """What graphs need of who takes the steps: `ilk.methods.dac.training_step.Training`."""

    network: DACNet
    dataset: Dataset
    settings: DACSettings
    optimizer: torch.optim.Optimizer
    sums: Tensor
    frozen: Tensor | None
    upper: float | Tensor
    lower: float | Tensor

    def drawn(self, portion: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the rows and the images of each batch."""
        ...

    def augmented(self, images: Tensor) -> Tensor:
        """Return the images, augmented."""
        ...

    def loss(self, index: Tensor, images: Tensor) -> Tensor:
        """Return the loss of one batch."""
        ...

    def made_targets(self, index: Tensor) -> Tensor:
        """Return the targets of these rows."""
        ...


class Graphs:
    """Replays the steps of a training and its passes for targets, each recorded once per size.

    Images are read and augmented for many steps at once; a graph has the rest of the step: network, loss, backward pass
    and optimizer. The order of images is that of training without graphs, the augmentations are other draws.

    Parameters
    ----------
    stage : Steps
        On pixels. Its thresholds become tensors while a portion is trained, so that a graph of one epoch serves the
        next.
    record : callable (body) -> callable
        Runs `body` a few times and returns what repeats it.
    """

    def __init__(self, stage: Steps, record: Callable[[Body], Body] = recorded) -> None:
        self.stage = stage
        self.record = record
        dataset = stage.dataset
        assert isinstance(dataset, PixelDataset)
        self.dataset = dataset
        self.upper = torch.zeros((), device=dataset.device)
        self.lower = torch.zeros((), device=dataset.device)
        self.total = torch.zeros((), dtype=torch.float64, device=dataset.device)
        self.block = min(_BLOCK, _BYTES // (4 * math.prod(dataset.images.shape)))
        self.steps: dict[int, tuple[Body, Tensor, Tensor]] = {}
        self.passes: dict[int, tuple[Body, Tensor, Tensor]] = {}

    def train(self, portion: Tensor) -> Tensor:
        """Train on every batch of `portion` once, and return the mean loss ()."""
        stage, n = self.stage, 0
        upper, lower = stage.upper, stage.lower
        self.upper.fill_(float(upper))
        self.lower.fill_(float(lower))
        self.total.zero_()
        try:
            stage.upper, stage.lower = self.upper, self.lower
            if stage.settings.targets == "chunk":
                stage.frozen = self._targets(portion)
            for index, images in self._augmented(portion):
                self._step(index, images)
                n += 1
        finally:
            stage.upper, stage.lower = upper, lower
        return self.total / n

    def forget(self) -> None:
        """Empty the optimizer's averages where they are: the graphs know their addresses."""
        for slots in self.stage.optimizer.state.values():
            for value in slots.values():
                if isinstance(value, Tensor):
                    value.zero_()

    def _augmented(self, portion: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (index, augmented images) of every step."""
        waiting: list[tuple[Tensor, Tensor]] = []
        held = 0
        for index, rows in self.stage.drawn(portion):
            if waiting and held + len(rows) > self.block:
                yield from self._block(waiting)
                waiting, held = [], 0
            waiting.append((index, rows))
            held += len(rows)
        yield from self._block(waiting)

    def _block(self, waiting: list[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
        sizes = [len(rows) for _, rows in waiting]
        numbers = torch.stack([torch.cat([index for index, _ in waiting]), torch.cat([rows for _, rows in waiting])])
        index, rows = numbers.to(self.dataset.device)
        images = self.stage.augmented(self.dataset.read(rows))
        yield from zip(torch.split(index, sizes), torch.split(images, sizes), strict=True)

    def _step(self, index: Tensor, images: Tensor) -> None:
        if len(index) not in self.steps:
            self.steps[len(index)] = self._recorded_step(index, images)
        replay, rows, pixels = self.steps[len(index)]
        rows.copy_(index)
        pixels.copy_(images)
        replay()

    def _recorded_step(self, index: Tensor, images: Tensor) -> tuple[Body, Tensor, Tensor]:
        stage = self.stage
        rows, pixels = index.clone(), images.clone()

        def body() -> None:
            stage.optimizer.zero_grad(set_to_none=True)
            loss = stage.loss(rows, pixels)
            loss.backward()  # type: ignore[no-untyped-call]
            stage.optimizer.step()
            self.total += loss.detach()

        weights = {name: value.clone() for name, value in stage.network.state_dict().items()}
        slots = copy.deepcopy(stage.optimizer.state_dict())
        sums, total = stage.sums.clone(), self.total.clone()
        replay = self.record(body)
        stage.network.load_state_dict(weights)
        self._put_back(slots)
        stage.sums.copy_(sums)
        self.total.copy_(total)
        return replay, rows, pixels

    def _targets(self, portion: Tensor) -> Tensor:
        """Return the label features of a chunk, always at the same address."""
        rows = portion.to(self.dataset.device)
        if len(rows) not in self.passes:
            kept = rows.clone()
            frozen = self.stage.made_targets(kept)
            replay = self.record(lambda: frozen.copy_(self.stage.made_targets(kept)))
            self.passes[len(rows)] = replay, kept, frozen
            self.steps.clear()  # they read their targets elsewhere
        replay, kept, frozen = self.passes[len(rows)]
        kept.copy_(rows)
        replay()
        return frozen

    def _put_back(self, slots: dict[str, Any]) -> None:
        """Undo the warm-up in the optimizer's own tensors, which the graph has captured."""
        before = slots["state"]
        parameters = [p for group in self.stage.optimizer.param_groups for p in group["params"]]
        for number, parameter in enumerate(parameters):
            for name, value in self.stage.optimizer.state[parameter].items():
                if isinstance(value, Tensor):
                    kept = before.get(number, {}).get(name)
                    value.zero_() if kept is None else value.copy_(kept)
