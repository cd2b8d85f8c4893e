"""The outer loop of DeepCluster: cluster, train, look, tell; and a state to go on from after every epoch."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ilk import train
from ilk.errors import Interrupted, RunError
from ilk.methods.base import OnEpoch
from ilk.methods.deepcluster import diagnostics as watch
from ilk.methods.deepcluster.space import Fine
from ilk.methods.deepcluster.training_step import Part, Tell
from ilk.methods.deepcluster.views import Views
from ilk.networks.convnets import ConvNet
from ilk.train import Cost

__all__ = ["Training"]

_MANY_STEPS = 2000  # updates from which on it is worth knowing in advance how long they take


class Pupil(Protocol):
    """What both versions of DeepCluster train."""

    net: ConvNet
    views: Views
    k: int

    def parts(self) -> dict[str, Part]: ...
    def more(self) -> dict[str, Any]: ...
    def take(self, state: Mapping[str, Any]) -> None: ...
    def steps(self) -> int: ...
    def assign(self) -> list[Fine]: ...
    def train(self, labels: list[Tensor], epoch: int, tell: Tell) -> float: ...
    def probe(self, n_steps: int) -> Cost: ...
    def check_memory(self) -> int: ...


class Training:
    """All epochs of a fit.

    Parameters
    ----------
    learner : Pupil
    table : mapping
        Settings; a state of other settings is refused.
    on_epoch : callable, optional

    Attributes
    ----------
    history : list of dict
        One record per epoch.
    first, last : (n,) int32 or None
        Pseudo-labels of the first and of the last epoch.
    notes : list of str
    """

    def __init__(self, learner: Pupil, table: Mapping[str, Any], on_epoch: OnEpoch | None) -> None:
        self.learner = learner
        self.table = dict(table)
        self.on_epoch = on_epoch
        self.epochs = int(table["epochs"])
        self.epoch = 0
        self.history: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self.first: npt.NDArray[np.int32] | None = None
        self.labels: list[npt.NDArray[np.int32]] = []  # of every head, in the epoch before

    @property
    def last(self) -> npt.NDArray[np.int32] | None:
        """Pseudo-labels of the last epoch (of the first head)."""
        return self.labels[0] if self.labels else None

    def run(self) -> None:
        """Train what is left to train."""
        self._estimate()
        while self.epoch < self.epochs and not self._settled():
            self._one(self.epoch)
        if self._settled() and self.epoch < self.epochs:
            self.notes.append(
                f"stopped after {self.epoch} of {self.epochs} epochs: successive clusterings agree by an NMI of "
                f"{self.history[-1]['agreement']:.3f}, and stop_agreement is {self.table['stop_agreement']:g}"
            )

    def _settled(self) -> bool:
        limit = self.table["stop_agreement"]
        return limit is not None and bool(self.history) and self.history[-1].get("agreement", -1.0) >= float(limit)

    def _estimate(self) -> None:
        """Make sure of the memory; find out the time, and say it, where it is more than a matter of seconds."""
        if self.epoch < self.epochs:
            self.learner.check_memory()
        total = self.learner.steps() * self.epochs
        if total < _MANY_STEPS or self.epoch:
            return
        cost = self.learner.probe(total)
        self._tell({"stage": "train", "estimate": cost.told()})
        note = cost.note(("quick",))
        self.notes += [note] if note else []

    def _one(self, epoch: int) -> None:
        begin = time.perf_counter()
        before = self.last
        told: dict[str, Any] = {}
        if self.table["recluster"] or not self.labels:
            found = self.learner.assign()
            self.labels = [fine.labels.cpu().numpy().astype(np.int32) for fine in found]
            told["objective"] = round(found[0].objective, 5)
        if self.first is None:
            self.first = self.labels[0].copy()
        told |= watch.seen(self.labels[0], before)
        clustered = time.perf_counter()
        targets = [torch.from_numpy(labels).long() for labels in self.labels]
        loss = self.learner.train(targets, epoch, self._progress)
        speed = len(self.learner.views) / max(time.perf_counter() - clustered, 1e-9)
        self.epoch = epoch + 1
        record = {"stage": "train", "epoch": self.epoch, "epochs": self.epochs, "loss": round(loss, 6), **told}
        self.history.append(record)
        self._tell({**record, "images_per_second": round(speed, 1), "clustering_seconds": round(clustered - begin, 2)})

    def _progress(self, steps: Mapping[str, Any]) -> None:
        """Pass on how far an epoch is: for the screen alone, since no state within an epoch can be gone on from."""
        if self.on_epoch is not None:
            self.on_epoch({"stage": "train", **steps}, dict)

    def _tell(self, record: dict[str, Any]) -> None:
        if self.on_epoch is not None and self.on_epoch(record, self.state):
            raise Interrupted(f"stopped after epoch {self.epoch} of {self.epochs}; the same command goes on")

    # -- state -------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return everything that goes on from here to the bit: flat, arrays and plain values.

        To be called between two epochs only: within one, network, optimizer and generators have already moved.
        """
        return {
            "settings": json.dumps(self.table, sort_keys=True),
            "n": len(self.learner.views),
            "epoch": self.epoch,
            "history": self.history,
            "heads": len(self.labels),
            "first": np.zeros(0, np.int32) if self.first is None else self.first,
            **{f"labels.{i}": labels for i, labels in enumerate(self.labels)},
            **self.learner.more(),
            **train.state_of(**self.learner.parts()),
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
            if int(state["n"]) != len(self.learner.views):
                raise RunError("the checkpoint is of other images; start anew with --overwrite")
            self.epoch, self.history = int(state["epoch"]), list(state["history"])
            first = np.array(state["first"], np.int32)
            self.labels = [np.array(state[f"labels.{i}"], np.int32) for i in range(int(state["heads"]))]
            self.learner.take(state)
        except KeyError as error:
            raise RunError(f"the checkpoint lacks {error}; start anew with --overwrite") from None
        self.first = first if len(first) else None
        train.restore(state, **self.learner.parts())
