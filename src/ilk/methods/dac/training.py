"""The outer loop of DAC: epochs, restarts, what is kept of them, and a state to go on from."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ilk import train
from ilk.errors import Interrupted, RunError
from ilk.methods.base import OnEpoch
from ilk.methods.dac import diagnostics as watch
from ilk.methods.dac.training_step import Learner, predicted

__all__ = ["Training"]

_MANY_STEPS = 2000  # updates from which on it is worth knowing in advance how long they take
_KEPT = 64 * 2**20  # bytes of assignments by epoch that are worth keeping


class Training:
    """All trainings of a fit, one after another, and the best of them.

    Parameters
    ----------
    make : callable (restart) -> Learner
        A fresh learner.
    schedule : list of (upper, lower)
        One pair per epoch.
    table : mapping
        Settings; a state of other settings is refused.
    k : int
    seed : int
    on_epoch : callable, optional

    Attributes
    ----------
    history : list of dict
        One record per epoch of the training that is kept, the first before any training (epoch 0).
    assignments : (epochs + 1, n)
        Groups after every epoch, uint8 where k allows; without rows where they would take more than 64 MiB.
    stages : (3, m, k) float16
        Label features of up to 2,000 images before, halfway and at the end.
    scores : list of dict
        What each restart is judged by.
    """

    def __init__(
        self,
        make: Callable[[int], Learner],
        schedule: list[tuple[float, float]],
        table: Mapping[str, Any],
        k: int,
        seed: int,
        on_epoch: OnEpoch | None,
    ) -> None:
        self.make = make
        self.schedule = schedule
        self.table = dict(table)
        self.k = k
        self.seed = seed
        self.on_epoch = on_epoch
        self.restart = 0
        self.scores: list[dict[str, Any]] = []
        self.finished: dict[str, npt.NDArray[Any]] = {}  # "0.labels", "0.network.…": finished trainings
        self.notes: list[str] = []
        self._fresh()

    def _fresh(self) -> None:
        """Begin a training."""
        self.learner = self.make(self.restart)
        n = len(self.learner.pool)
        kind = np.uint8 if self.k <= 256 else np.uint16
        rows = len(self.schedule) + 1
        self.assignments = np.zeros((rows if rows * n * np.dtype(kind).itemsize <= _KEPT else 0, n), kind)
        self.shown = watch.shown(n, self.seed)
        self.stages = np.zeros((3, len(self.shown), self.k), np.float16)
        self.history: list[dict[str, Any]] = []
        self.before: npt.NDArray[np.int64] | None = None
        self.epoch = self.portion = 0
        self.loss_sum, self.loss_count = 0.0, 0

    # -- the loop ----------------------------------------------------------------------------------------------------

    def run(self) -> Learner:
        """Train what is left to train, and return the best learner."""
        self._estimate()
        for restart in range(self.restart, int(self.table["n_init"])):
            if restart != self.restart:
                self.restart = restart
                self._fresh()
            self._one()
        return self._best()

    def _estimate(self) -> None:
        """Make sure of the memory; find out the time, and say it, where it is more than a matter of seconds."""
        learner = self.learner
        learner.check_memory()
        total = learner.steps() * len(self.schedule) * int(self.table["n_init"])
        if total < _MANY_STEPS or self.restart or self.epoch or self.portion:
            return
        cost = learner.probe(total)
        self._tell({"stage": "train", "estimate": cost.told()})
        note = cost.note(("quick",))
        self.notes += [note] if note else []

    def _one(self) -> None:
        learner = self.learner
        if not self.history:
            self._watch(0, {})
        for epoch in range(self.epoch, len(self.schedule)):
            upper, lower = self.schedule[epoch]
            if self.portion == 0:
                learner.begin(upper, lower)
            learner.upper, learner.lower = upper, lower
            self._epoch(epoch)
        several = int(self.table["n_init"]) > 1
        # what decides between trainings is float32 throughout; the groups themselves are made as they are predicted
        features = predicted(learner.net, learner.pool, learner.half and not several)
        upper, lower = self.schedule[-1]
        self.scores.append({"restart": self.restart, **watch.score(features, (upper + lower) / 2, self.seed)})
        if several:
            self._keep(features.argmax(1).cpu().numpy())

    def _epoch(self, epoch: int) -> None:
        learner = self.learner
        portions = learner.portions()
        begin, first = time.perf_counter(), self.portion
        for number in range(self.portion, len(portions)):
            self.loss_sum += learner.train(portions[number], epoch)
            self.loss_count += 1
            self.portion = number + 1
            if self.portion < len(portions):
                whole = {"done": epoch * len(portions) + self.portion, "total": len(self.schedule) * len(portions)}
                steps = {"step": self.portion * learner.steps() // len(portions), "steps": learner.steps()}
                self._tell({"stage": "train", **whole, **steps})
        positive, selected = learner.shares()
        told = {
            "loss": round(self.loss_sum / max(self.loss_count, 1), 6),
            "upper": round(self.schedule[epoch][0], 4),
            "lower": round(self.schedule[epoch][1], 4),
            "positive": round(positive, 4),
            "selected": round(selected, 4),
        }
        trained = (len(portions) - first) / len(portions)
        self.loss_sum, self.loss_count = 0.0, 0
        self.epoch, self.portion = epoch + 1, 0
        self._watch(epoch + 1, told, trained, begin)

    def _watch(self, epoch: int, told: dict[str, Any], trained: float = 0.0, begin: float = 0.0) -> None:
        """Look at all images after an epoch, and tell."""
        learner = self.learner
        seconds = time.perf_counter() - begin
        learner.settle()
        features = learner.predicted()
        self.before, seen = watch.measured(features, self.before)
        record = {"stage": "train", "epoch": epoch, "epochs": len(self.schedule), **told, **seen}
        if int(self.table["n_init"]) > 1:
            record["restart"] = self.restart
        problem = watch.alarm(record, self.k, learner.usual_batch, self.table) if epoch else None
        problem = problem or watch.united([*self.history, record], self.table)
        if problem:
            record["alarm"] = problem
        if len(self.assignments):
            self.assignments[epoch] = self.before
        stage = {0: 0, (len(self.schedule) + 1) // 2: 1, len(self.schedule): 2}.get(epoch)
        if stage is not None:
            part = features[torch.from_numpy(self.shown).to(features.device)].cpu().numpy().astype(np.float16)
            self.stages[stage:] = part  # short trainings may have no middle
        self.history.append(record)
        speed = learner.steps() * learner.batch_size * trained / max(seconds, 1e-9)
        self._tell({**record, "images_per_second": round(speed, 1)} if epoch else record)

    def _tell(self, record: dict[str, Any]) -> None:
        if self.on_epoch is not None and self.on_epoch(record, self.state):
            raise Interrupted(f"stopped in epoch {self.epoch + 1} of {len(self.schedule)}; the same command goes on")

    # -- restarts ----------------------------------------------------------------------------------------------------

    def _keep(self, labels: npt.NDArray[np.int64]) -> None:
        """Keep what the choice between trainings needs."""
        mine = {
            "labels": labels,
            "assignments": self.assignments,
            "stages": self.stages,
            **{f"network.{name}": value.cpu().numpy() for name, value in self.learner.net.state_dict().items()},
        }
        self.finished |= {f"{self.restart}.{name}": np.array(value) for name, value in mine.items()}
        self.scores[-1]["history"] = self.history

    def _best(self) -> Learner:
        """Put the best finished training in place."""
        if len(self.scores) == 1:
            self._note(self.history)
            return self.learner
        labels = [self.finished[f"{i}.labels"] for i in range(len(self.scores))]
        chosen = watch.best(self.scores, labels, self.k)
        self.history = self.scores[chosen]["history"]
        self.assignments, self.stages = self.finished[f"{chosen}.assignments"], self.finished[f"{chosen}.stages"]
        prefix = f"{chosen}.network."
        weights = {name: torch.from_numpy(v) for name, v in self.finished.items() if name.startswith(prefix)}
        self.learner.net.load_state_dict({name.removeprefix(prefix): value for name, value in weights.items()})
        self._note(self.history)
        return self.learner

    def _note(self, history: list[dict[str, Any]]) -> None:
        if "alarm" in history[-1]:
            self.notes.append(history[-1]["alarm"])

    # -- state -------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return everything that goes on from here to the bit: flat, arrays and plain values."""
        learner = self.learner
        return {
            "settings": json.dumps(self.table, sort_keys=True),
            "restart": self.restart,
            "epoch": self.epoch,
            "portion": self.portion,
            "loss_sum": self.loss_sum,
            "loss_count": self.loss_count,
            "history": self.history,
            "scores": self.scores,
            "order": learner.order.to(torch.int32).numpy(),
            "sums": learner.sums.cpu().numpy(),
            "assignments": self.assignments,
            "stages": self.stages,
            "before": np.zeros(0, np.int64) if self.before is None else self.before,
            **{f"finished.{name}": value for name, value in self.finished.items()},
            **train.state_of(
                network=learner.net, optimizer=learner.optimizer, draws=learner.draws, noise=learner.noise
            ),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned.

        Raises
        ------
        RunError
            It is of other settings or other images.
        """
        try:
            if state["settings"] != json.dumps(self.table, sort_keys=True):
                raise RunError("the checkpoint is of other settings; start anew with --overwrite")
            order = torch.from_numpy(np.array(state["order"])).long()
            if len(order) != len(self.learner.pool):
                raise RunError("the checkpoint is of other images; start anew with --overwrite")
            self.restart = int(state["restart"])
            self._fresh()
            self.epoch, self.portion = int(state["epoch"]), int(state["portion"])
            self.loss_sum, self.loss_count = float(state["loss_sum"]), int(state["loss_count"])
            self.history, self.scores = list(state["history"]), list(state["scores"])
            self.assignments, self.stages = np.array(state["assignments"]), np.array(state["stages"])
            before = np.array(state["before"], np.int64)
            self.before = before if len(before) else None
            sums = torch.from_numpy(np.array(state["sums"]))
        except KeyError as error:
            raise RunError(f"the checkpoint lacks {error}; start anew with --overwrite") from None
        self.finished = {
            name.removeprefix("finished."): np.array(value)
            for name, value in state.items()
            if name.startswith("finished.")
        }
        learner = self.learner
        learner.order = order
        learner.sums = sums.to(learner.sums.device)
        train.restore(state, network=learner.net, optimizer=learner.optimizer, draws=learner.draws, noise=learner.noise)
