"""Where a training in an unfinished run goes on from: the last two states, each whole."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ilk.errors import RunError
from ilk.runs.state import load_state, save_state

__all__ = ["Checkpoint"]

_SECONDS = "checkpoint.seconds"


class Checkpoint:
    """Keeps ``checkpoint/{state.safetensors,state.json}`` of an unfinished run, and the one before it.

    Parameters
    ----------
    folder : Path
        The unfinished run.
    begin : float
        `time.perf_counter` at the start of the job.
    max_seconds : float, optional
        The training is to stop at the end of the last epoch that fits into this time; one epoch is always trained.
        Other work that is kept piece by piece stops after it.
    share : float
        Of the time that saving may take. A stop and the last epoch are always saved.

    Attributes
    ----------
    seconds : float
        What the job took in earlier processes.
    notes : list of str
        What the user should know.

    Notes
    -----
    A kill loses the epoch in work. Where epochs are shorter than 1 / `share` times what saving takes, it loses the
    epochs of that time.
    """

    def __init__(self, folder: Path, begin: float, max_seconds: float | None = None, share: float = 0.02) -> None:
        self.seconds = 0.0
        self.notes: list[str] = []
        self._folder = folder / "checkpoint"
        self._begin = begin
        self._most = max_seconds
        self._share = share
        self._saved = self._last = time.perf_counter()
        self._cost = self._longest = 0.0
        self._found = 2**62  # what was done already when the job began
        self._told: tuple[int, int] | None = None

    def load(self) -> dict[str, Any] | None:
        """Return the newest whole state, or None where there is none."""
        for folder in (self._folder, self._old):
            if not folder.exists():
                continue
            try:
                state = load_state(folder)
                self.seconds = float(state.pop(_SECONDS))
            except (RunError, KeyError, TypeError, ValueError):
                self.notes.append("a damaged checkpoint was passed over; epochs since the one before it are done again")
                continue
            return state
        return None

    def take(self, record: Mapping[str, Any], state: Callable[[], dict[str, Any]], stop: bool) -> bool:
        """Take note of what a fit tells; return whether it is to stop now.

        Parameters
        ----------
        record
            With "epoch", the number of epochs done, and "epochs", at the end of an epoch. With "done" and "total",
            between pieces of work that are kept. Others are passed over.
        state
            Gives what ``fit(..., resume=…)`` goes on from; called only when it is saved.
        stop
            Somebody else wants to stop.
        """
        now = time.perf_counter()
        if "epoch" not in record or "epochs" not in record:
            if "step" not in record:
                self._last = now  # what is no step of an epoch is not part of its time
            return stop or ("done" in record and self._late(record, now))
        self._longest, self._last = max(self._longest, now - self._last), now
        self._told = int(record["epoch"]), int(record["epochs"])
        ends = self._told[0] >= self._told[1]
        if self._most is not None and not ends and now - self._begin + self._longest + self._cost > self._most:
            stop = True
        if stop or ends or (now - self._saved) * self._share >= self._cost:
            self._save(state())
            self._last = self._saved = time.perf_counter()
            self._cost = max(self._saved - now, 1e-9)
        return stop

    def _late(self, record: Mapping[str, Any], now: float) -> bool:
        """Whether work that is kept piece by piece is to stop now: the time is over, and something was done in it."""
        done, total = int(record["done"]), int(record["total"])
        self._found = min(self._found, done)
        return self._most is not None and now - self._begin > self._most and self._found < done < total

    def where(self) -> str:
        """Say how far the training is."""
        if self._told is None:
            return "stopped"
        return f"stopped after {self._told[0]:,} of {self._told[1]:,} epochs"

    @property
    def _old(self) -> Path:
        return self._folder.with_name("checkpoint.old")

    def _save(self, state: Mapping[str, Any]) -> None:
        new = self._folder.with_name("checkpoint.new")
        shutil.rmtree(new, ignore_errors=True)
        spent = self.seconds + time.perf_counter() - self._begin
        save_state(new, {**state, _SECONDS: spent})
        if self._folder.exists():  # between any two of these lines one whole state has its name
            shutil.rmtree(self._old, ignore_errors=True)
            self._folder.rename(self._old)
        new.rename(self._folder)
