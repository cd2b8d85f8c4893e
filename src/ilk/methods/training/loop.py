"""The one training loop: stages epoch by epoch, reported and estimated, left anywhere and gone on with to the bit."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ilk import compute, train
from ilk.errors import Diverged, RunError
from ilk.methods.reporter import Reporter
from ilk.methods.training.stage import Stage

__all__ = ["LEAVE_EVERY", "SHOW_EVERY", "Plan", "Run", "run"]

FORMAT = 2
_MANY_STEPS = 2000  # updates from which on it is worth knowing in advance how long they take
SHOW_EVERY = 1.0
"""Seconds between two records of how far an epoch is."""

LEAVE_EVERY = 10.0
"""Seconds between two of them that the training may be left at: a state costs a wait for the device."""

_PREFIX = "memory."


@dataclass(frozen=True)
class Plan:
    """A stage to come: its name, its epochs at most, and what makes it.

    `make` is called when the stages before are over. Where a training goes on, it is called for all stages up to the
    one that was left, and must not do what `Stage.start` is for.
    """

    name: str
    epochs: int
    make: Callable[[], Stage]


class Run:
    """What `run` has done.

    Attributes
    ----------
    stages : list of Stage
        Those that were begun, in order.
    history : list of dict
        One record per epoch; epochs are counted through all stages.
    notes : list of str
    """

    def __init__(self, plans: Sequence[Plan], report: Reporter, identity: Mapping[str, Any], n_images: int) -> None:
        self.plans = [plan for plan in plans if plan.epochs]
        self.report = report
        self.identity = json.dumps({**identity, "n_images": n_images}, sort_keys=True, default=list)
        self.stages: list[Stage] = []
        self.history: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self._lengths = [plan.epochs for plan in self.plans]
        self._epoch = self._unit = 0  # of the stage that is on
        self._loss: Tensor | None = None  # sum over the units of this epoch
        self._finished = 0  # stages

    # -- the loop ----------------------------------------------------------------------------------------------------

    def go(self) -> None:
        """Train what is left to train."""
        at = 0
        while at < len(self.plans):  # stages of one name in a row are one for the reader
            until = at + 1
            while until < len(self.plans) and self.plans[until].name == self.plans[at].name:
                until += 1
            if until > self._finished:
                with self.report.stage(self.plans[at].name):
                    for number in range(max(at, self._finished), until):
                        self._stage(number)
            at = until

    def _stage(self, number: int) -> None:
        fresh = len(self.stages) <= number
        if fresh:
            self.stages.append(self.plans[number].make())
        stage = self.stages[number]
        if fresh:
            self._epoch = self._unit = 0
            first = stage.start()
            if first is not None:
                self._record(stage, 0, first)
        self._lengths[number] = stage.epochs
        self._estimate(stage)
        while self._epoch < stage.epochs:
            self._one(stage)
            self._lengths[number] = stage.epochs
        stage.finish()
        self._finished = number + 1

    def _estimate(self, stage: Stage) -> None:
        """Refuse what does not fit into memory; say what takes more than a matter of seconds."""
        if self._epoch >= stage.epochs:
            return
        stage.check_memory()
        if self._epoch or self._unit or stage.n_steps() * stage.epochs < _MANY_STEPS:
            return
        cost = stage.probe()
        if cost is None:
            return
        cost = train.Cost(cost.seconds * stage.epochs, cost.memory, cost.images_per_second, cost.device)
        self.report({"stage": stage.name, "begin": True, "estimate": cost.as_record()})
        note = cost.note(stage.quicker)
        self.notes += [note] if note else []

    def _one(self, stage: Stage) -> None:
        """Train for one epoch, or what is left of it."""
        compute.keep_freed()
        epoch, first = self._epoch, self._unit
        if not first:
            stage.begin(epoch)
            self._loss = None
        began = time.perf_counter()
        units = stage.units(epoch)
        if not units:
            raise ValueError("no batch to train on: fewer images than a batch holds; make batch_size smaller")
        steps = max(stage.n_steps(), 1)
        shown = left = time.perf_counter()
        for unit in units[first:]:
            loss = stage.update(unit).double()
            self._loss = loss if self._loss is None else self._loss + loss
            self._unit += 1
            now = time.perf_counter()
            if now - shown >= SHOW_EVERY and self._unit < len(units):
                shown = now
                leave = now - left >= LEAVE_EVERY or stage.leaves_anywhere
                left = now if leave else left
                self._progress(stage, len(units), steps, leave)
        loss_mean = self._mean(stage, len(units))
        seconds = time.perf_counter() - began
        self._epoch, self._unit, self._loss = epoch + 1, 0, None
        speed = stage.n_trained() * (len(units) - first) / len(units) / max(seconds, 1e-9)
        self._record(stage, epoch + 1, {"loss": round(loss_mean, 6)}, speed)

    def _mean(self, stage: Stage, n: int) -> float:
        """Return the mean loss of `n` units.

        Raises
        ------
        Diverged
            It is not finite.
        """
        assert self._loss is not None
        found = float(compute.all_sum(self._loss)) / (n * compute.world_size())
        if not np.isfinite(found):
            raise Diverged(f"the loss is no longer finite in epoch {self._count(stage)} ({stage.name}): {stage.cure}")
        return found

    def _count(self, stage: Stage) -> int:
        """Return the number of the epoch that is on, counted through all stages."""
        return sum(self._lengths[: self.stages.index(stage)]) + self._epoch + 1

    def _record(self, stage: Stage, epoch: int, found: Mapping[str, Any], speed: float | None = None) -> None:
        """Record an epoch that is over, and pass it on with a state to go on from."""
        ended = stage.end(epoch - 1) if epoch else {}
        self._lengths[self.stages.index(stage)] = stage.epochs
        before = sum(self._lengths[: self.stages.index(stage)])
        total = sum(self._lengths)
        record = {"stage": stage.name, "epoch": before + epoch, "epochs": total, **found, **ended}
        self.history.append(record)
        rate = {} if speed is None else {"images_per_second": round(speed, 1), **stage.timings()}
        self.report.checkpoint({**record, **rate}, self.state, f"after epoch {before + epoch} of {total}")

    def _progress(self, stage: Stage, units: int, steps: int, leave: bool) -> None:
        """Pass on how far an epoch is: for the screen alone, or as a point where the training may be left."""
        if not np.isfinite(float(self._loss if self._loss is not None else 0.0)):
            self._mean(stage, self._unit)
        record: dict[str, Any] = {"stage": stage.name, "step": self._unit * steps // units, "steps": steps}
        if not leave:
            self.report(record)
            return
        total, at = sum(self._lengths), self._count(stage)
        whole = {"done": (at - 1) * units + self._unit, "total": total * units}
        self.report.checkpoint({**record, **whole}, self.state, f"within epoch {at} of {total}")

    # -- state -------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return everything that goes on from here to the bit: flat, arrays and plain values."""
        found: dict[str, Any] = {
            "format": FORMAT,
            "settings": self.identity,
            "stage": len(self.stages) - 1,
            "epoch": self._epoch,
            "unit": self._unit,
            "lengths": list(self._lengths),
            "history": list(self.history),
            "notes": list(self.notes),
        }
        if self._unit and self._loss is not None:
            found["loss"] = np.asarray(self._loss.cpu())
        self.stages[-1].keep()
        for number, stage in enumerate(self.stages):
            found |= {f"{_PREFIX}{number}.{name}": np.array(value) for name, value in stage.memory.items()}
        found["memory"] = sorted(name for name in found if name.startswith(_PREFIX))
        return found | train.state_of(**self.stages[-1].parts())

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned.

        Raises
        ------
        RunError
            It is of other settings, other images, or an older ilk.
        """
        self._same(state)
        try:
            last = int(state["stage"])
            self._epoch, self._unit = int(state["epoch"]), int(state["unit"])
            self._lengths, self.history = [int(n) for n in state["lengths"]], list(state["history"])
            self.notes = [str(note) for note in state["notes"]]
            memory = {name: np.array(state[name]) for name in map(str, state["memory"])}
            loss = torch.from_numpy(np.array(state["loss"], np.float64)) if self._unit else None
        except KeyError as error:
            raise RunError(f"the checkpoint lacks {error}; start anew with --overwrite") from None
        if not 0 <= last < len(self.plans):
            raise RunError("the checkpoint is of other settings; start anew with --overwrite")
        for number in range(last + 1):
            stage = self.plans[number].make()
            mine = f"{_PREFIX}{number}."
            stage.memory = {n.removeprefix(mine): value for n, value in memory.items() if n.startswith(mine)}
            self.stages.append(stage)
        stage.epochs = self._lengths[last]
        train.restore(state, **stage.parts())
        stage.restored()
        self._finished = last
        self._loss = None if loss is None else loss.to(stage.device)

    def _same(self, state: Mapping[str, Any]) -> None:
        """Raise unless `state` is of these settings and images, and of this ilk."""
        again = "start anew with --overwrite"
        if state.get("format") != FORMAT:
            raise RunError(f"the checkpoint was written by another version of ilk; {again}")
        theirs, mine = json.loads(str(state.get("settings", "{}"))), json.loads(self.identity)
        other = sorted(key for key in {*theirs, *mine} if theirs.get(key) != mine.get(key))
        if other == ["n_images"]:
            raise RunError(f"the checkpoint is of other images; {again}")
        if other:
            raise RunError(f"the checkpoint is of other settings ({', '.join(other[:3])}); {again}")


def run(
    plans: Sequence[Plan],
    report: Reporter,
    *,
    identity: Mapping[str, Any],
    n_images: int,
    resume: Mapping[str, Any] | None = None,
) -> Run:
    """Train all stages, one after another.

    Parameters
    ----------
    plans
        Those without epochs are left out.
    report : Reporter
        Gets a record per epoch, progress within epochs, an estimate where the training is long.
    identity : mapping
        Settings that a state must agree with.
    n_images : int
        How many a state must be of.
    resume : mapping, optional
        A state that `report` was given.

    Raises
    ------
    Interrupted
        The caller of the fit asked for it.
    RunError
        `resume` is of other settings or images, or of another version of ilk.
    Diverged
        The loss is no longer finite.
    NotEnoughMemory

    Notes
    -----
    The loss is summed on the device; the host waits for it when progress is shown (once a second) and after an epoch.
    """
    made = Run(plans, report, identity, n_images)
    if resume:
        made.restore(resume)
    made.go()
    return made
