"""Epochs that are told, can be stopped after any of them, and go on to the bit."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from ilk import train
from ilk.errors import Interrupted, RunError
from ilk.methods.base import OnEpoch
from ilk.train.state import Part

__all__ = ["Learner", "Timed", "run_epochs"]


class Learner(Protocol):
    """What a method trains.

    Attributes
    ----------
    epochs : int
        How many there are to be; a learner that has finished early makes it smaller.
    seen : int
        Images that the last epoch trained on.
    memory : dict of arrays
        What it has to remember beside its parts: groups, targets.
    """

    epochs: int
    seen: int
    memory: dict[str, npt.NDArray[Any]]

    def parts(self) -> Mapping[str, Part]:
        """Return networks, optimizers and generators by name."""

    def epoch(self, number: int, tell: Any) -> dict[str, Any]:
        """Train for one epoch, the first being 0; return what is to be told of it, "loss" at least."""


@runtime_checkable
class Timed(Protocol):
    """A learner that can say how fast it is."""

    def speed(self) -> float:
        """Return the images a second of a few steps; everything is put back as it was."""


def run_epochs(
    learner: Learner,
    identity: Mapping[str, Any],
    n_images: int,
    history: list[dict[str, Any]],
    on_epoch: OnEpoch | None,
    resume: Mapping[str, Any] | None,
) -> None:
    """Run all epochs of `learner`, and append a record of each to `history`.

    Parameters
    ----------
    identity
        Settings that a state must agree with.
    n_images
        How many a state must be of.
    on_epoch
        Gets a state after every epoch. Within one it is told how far that is, with an empty state, and cannot stop.
    resume
        What this function passed to `on_epoch`.

    Raises
    ------
    Interrupted
        `on_epoch` asked for it.
    RunError
        `resume` is of other settings or images.
    """
    told = json.dumps({**identity, "n_images": n_images}, sort_keys=True)
    start, records = 0, list[dict[str, Any]]()

    def state() -> dict[str, Any]:
        kept = {f"memory.{name}": value for name, value in learner.memory.items()}
        plain = {"settings": told, "epoch": len(records), "epochs": learner.epochs, "history": list(records)}
        return {**plain, **kept, **train.state_of(**learner.parts())}

    def tell(record: dict[str, Any]) -> None:
        if on_epoch is not None and on_epoch(record, state):
            where = f"in epoch {len(records) + 1}" if len(records) < learner.epochs else "after the last epoch"
            raise Interrupted(f"stopped {where} of {learner.epochs}; the same command goes on")

    def progress(steps: Mapping[str, Any]) -> None:
        if on_epoch is not None:  # for the screen alone: no state within an epoch can be gone on from
            on_epoch({"stage": "train", **steps}, dict)

    if resume:
        start = _restored(learner, resume, told, records)
    for number in range(start, learner.epochs):
        if number >= learner.epochs:  # it had enough
            break
        begin = time.perf_counter()
        done = learner.epoch(number, progress)
        seconds = time.perf_counter() - begin
        record = {"stage": "train", "epoch": number + 1, "epochs": learner.epochs, **done}
        records.append(record)
        tell({**record, "images_per_second": round(learner.seen / max(seconds, 1e-9), 1)})
    history[:0] = records


def _restored(learner: Learner, state: Mapping[str, Any], told: str, records: list[dict[str, Any]]) -> int:
    """Put `learner` back; return the epoch to go on with."""
    try:
        if state["settings"] != told:
            raise RunError("the checkpoint is of other settings or images; start anew with --overwrite")
        records += state["history"]
        learner.epochs = int(state["epochs"])
    except KeyError as error:
        raise RunError(f"the checkpoint lacks {error}; start anew with --overwrite") from None
    prefix = "memory."
    learner.memory = {name.removeprefix(prefix): np.array(v) for name, v in state.items() if name.startswith(prefix)}
    train.restore(state, **learner.parts())
    return len(records)
