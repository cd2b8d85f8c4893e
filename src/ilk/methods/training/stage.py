"""What a method trains: a stage says how one step is taken, the loop (`ilk.methods.training.run`) does all the rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from ilk import compute, train
from ilk.train.state import Part

__all__ = ["GradientStage", "Stage", "cut"]


class Stage(ABC):
    """Abstract: one training with one objective.

    The loop asks for the `units` of each epoch and calls `update` with one after another. A unit is mostly a batch of
    indices, and always what the training may be left after. To go on to the bit, everything random about an epoch's
    units is drawn in `begin` and put into `memory`; `units` then follows from `memory` alone.

    Attributes
    ----------
    name : str
        As records have it: "train", "pretext", "cluster".
    epochs : int
        How many there are to be; a stage that has had enough makes it smaller.
    n_images : int
        Images that an epoch trains on.
    memory : dict of arrays
        What a state keeps beside `parts`: the order of images, targets, groups.
    device : torch.device
    cure : str
        What to do where the loss is no longer finite.
    quicker : sequence of str
        Presets that a note names where the training takes hours.
    leaves_anywhere : bool
        Whether every report of progress is a point to leave at: units are long, and a state is cheap.
    """

    name = "train"
    epochs: int
    n_images: int
    memory: dict[str, npt.NDArray[Any]]
    cure = "lower lr="
    device: torch.device
    quicker: Sequence[str] = ()
    leaves_anywhere = False

    @abstractmethod
    def parts(self) -> dict[str, Part]:
        """Return networks, optimizers and generators by name: all that steps change, but for `memory`."""

    @abstractmethod
    def units(self, epoch: int) -> Sequence[Any]:
        """Return what `update` is called with in this epoch, the first being 0."""

    @abstractmethod
    def update(self, unit: Any) -> Tensor:
        """Train on one unit, and return its loss () on the device, detached."""

    def n_steps(self) -> int:
        """Return how many updates of weights an epoch takes."""
        return len(self.units(0))

    def n_trained(self) -> int:
        """Return how many images an epoch trains on: those that fill no batch may be left out."""
        return self.n_images

    def start(self) -> dict[str, Any] | None:
        """Do what comes before the first epoch, once; return what is to be recorded of epoch 0, if anything."""

    def begin(self, epoch: int) -> None:
        """Do what comes before the first unit of an epoch: draw its order, make its targets."""

    def end(self, epoch: int) -> dict[str, Any]:
        """Return what is recorded of the epoch that is over, besides its loss."""
        return {}

    def timings(self) -> dict[str, Any]:
        """Return what is reported of that epoch besides and not recorded: seconds, which differ from run to run."""
        return {}

    def keep(self) -> None:
        """Put into `memory` what else changes within an epoch; called before a state is taken."""

    def restored(self) -> None:
        """Take up what follows from `parts` and `memory`, which are as they were when the training was left."""

    def finish(self) -> None:
        """Do what comes after the last epoch, once."""

    def check_memory(self) -> None:
        """Raise `NotEnoughMemory` where a step does not fit; everything is put back as it was."""

    def probe(self) -> train.Cost | None:
        """Return what a step costs, found out with a few; everything is put back as it was. None: not worth it."""
        return None


class GradientStage(Stage):
    """Abstract: a stage whose steps follow the gradient of one loss with one optimizer.

    A subclass sets these in its constructor, and writes `loss`.

    Attributes
    ----------
    network : nn.Module
        What is trained, and what it stands on.
    optimizer : torch.optim.Optimizer
    draws : torch.Generator
        On the CPU: the order of images.
    noise : torch.Generator
        On the device: augmentation, dropout.
    batch_size : int
    device : torch.device
    setting : str
        What the user calls the size of a batch.
    drop_last : bool
        Whether images that do not fill a batch wait for another epoch; else they are a smaller one (a single image
        joins the batch before it: it has no statistics).
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    draws: torch.Generator
    noise: torch.Generator
    batch_size: int
    device: torch.device
    setting = "batch_size"
    drop_last = False

    @abstractmethod
    def loss(self, index: Tensor, unit: Any) -> Tensor:
        """Return the loss () of the images `index` (b,); `unit` is all of what `units` has of them.

        Steps that are taken back call it too: what it changes must be among `parts`. What adds up goes to `after_step`.
        """

    def parts(self) -> dict[str, Part]:
        """Return network, optimizer and both generators."""
        return {"network": self.network, "optimizer": self.optimizer, "draws": self.draws, "noise": self.noise}

    def begin(self, epoch: int) -> None:
        """Draw the order of images."""
        self.memory["order"] = torch.randperm(self.n_images, generator=self.draws).to(torch.int32).numpy()

    def order(self) -> Tensor:
        """Return the images in the order of this epoch; before the first, as they lie."""
        drawn = self.memory.get("order")
        return torch.arange(self.n_images) if drawn is None else torch.from_numpy(drawn).long()

    def units(self, epoch: int) -> Sequence[Any]:
        """Return batches of the order."""
        return cut(self.order(), self.batch_size, least=2, drop_last=self.drop_last)

    def n_trained(self) -> int:
        """Return how many images an epoch trains on."""
        rest = self.n_images % self.batch_size if self.drop_last and self.n_images > self.batch_size else 0
        return self.n_images - rest

    def update(self, unit: Any) -> Tensor:
        """Take one step."""
        index = unit if isinstance(unit, Tensor) else unit[0]
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(index, unit)
        loss.backward()  # type: ignore[no-untyped-call]
        compute.average_gradients(p for group in self.optimizer.param_groups for p in group["params"])
        self.optimizer.step()
        self.after_step()
        return loss.detach()

    def after_step(self) -> None:
        """Do what follows each step of the optimizer: a schedule, an average of the weights."""

    def trial_unit(self, size: int) -> Any:
        """Return a unit of `size` images for a step that is taken back."""
        return torch.arange(size)

    def check_memory(self) -> None:
        """Raise `NotEnoughMemory` where a step does not fit; everything is put back as it was."""
        train.check_memory(self._trial, self._batch, setting=self.setting, **self._measured())

    def probe(self) -> train.Cost | None:
        """Return what an epoch costs; everything is put back as it was."""
        return train.probe(self._trial, self._batch, n_steps=self.n_steps(), **self._measured())

    def _trial(self, index: Tensor, unit: Any) -> Tensor:
        return self.loss(index, unit)

    def _batch(self, size: int) -> tuple[Tensor, Any]:
        unit = self.trial_unit(size)
        return (unit if isinstance(unit, Tensor) else unit[0]), unit

    def _measured(self) -> dict[str, Any]:
        """Return what steps that are taken back change."""
        generators = [part for part in self.parts().values() if isinstance(part, torch.Generator)]
        networks = [part for part in self.parts().values() if isinstance(part, nn.Module)]
        return {
            "batch_size": min(self.batch_size, self.n_images),
            "network": networks[0] if len(networks) == 1 else nn.ModuleList(networks),
            "optimizer": self.optimizer,
            "generators": generators,
            "device": self.device,
        }


def cut(order: Tensor, size: int, *, least: int = 1, drop_last: bool = False) -> list[Tensor]:
    """Return `order` in pieces of `size`; a rest of less than `least` joins the piece before it.

    Examples
    --------
    >>> [len(b) for b in cut(torch.arange(65), 32, least=2)]
    [32, 33]
    >>> [len(b) for b in cut(torch.arange(70), 32, drop_last=True)]
    [32, 32]
    """
    pieces: list[Tensor] = list(torch.split(order, size))
    if len(pieces) > 1 and len(pieces[-1]) < size:
        if drop_last:
            pieces.pop()
        elif len(pieces[-1]) < least:
            pieces[-2:] = [torch.cat(pieces[-2:])]
    return pieces
