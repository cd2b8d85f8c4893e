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
_STAGES = "checkpoint.stages"


class Checkpoint:
    """Keeps ``checkpoint/{state.safetensors,state.json}`` of an unfinished run, and the one before it.

    Parameters
    ----------
    folder : Path
        The unfinished run.
    begin : float
        `time.perf_counter` at the start of the job.
    max_seconds : float, optional
        The job is to stop at the last point that it reaches within this time; one piece of work is always done.
    share : float
        Of the time that saving may take. A stop and the last epoch are always saved.
    start : Path, optional
        A checkpoint of the same job from elsewhere: where the run goes on from that has none of its own yet.

    Attributes
    ----------
    seconds : float
        What the job took in earlier processes.
    stages : dict
        Seconds of every stage that has epochs, earlier processes included.
    notes : list of str
        What the user should know.

    Notes
    -----
    A kill loses the work since the last point. Where these are nearer to each other than 1 / `share` times what saving
    takes, it loses the work of that time.
    """

    def __init__(
        self,
        folder: Path,
        begin: float,
        max_seconds: float | None = None,
        share: float = 0.02,
        *,
        start: Path | None = None,
    ) -> None:
        self.seconds = 0.0
        self.stages: dict[str, float] = {}
        self.notes: list[str] = []
        self._folder = folder / "checkpoint"
        self._begin = begin
        self._most = max_seconds
        self._share = share
        self._start = start
        self._saved = self._last = time.perf_counter()
        self._cost = self._longest = 0.0
        self._stage = ""
        self._epochs: tuple[int, int] | None = None

    def load(self) -> dict[str, Any] | None:
        """Return the newest whole state, or None where there is none."""
        for folder in (self._folder, self._old, self._start):
            if folder is None or not folder.exists():
                continue
            try:
                state = load_state(folder)
                self.seconds = float(state.pop(_SECONDS))
                self.stages = dict(state.pop(_STAGES))
            except (RunError, KeyError, TypeError, ValueError):
                self.notes.append(
                    "a damaged checkpoint was passed over; the work since the one before it is done again"
                )
                continue
            return state
        return None

    def take(self, record: Mapping[str, Any], state: Callable[[], dict[str, Any]], stop: bool) -> bool:
        """Take note of what a fit reports; return whether it is to stop now.

        Parameters
        ----------
        record
            A point where the fit may be left has "epoch" (number of epochs done) and "epochs", or "done" and "total";
            with "step" too it is one within an epoch. Others are passed over.
        state
            Gives what ``fit(..., resume=…)`` goes on from, empty where all is kept elsewhere. Called only to be saved.
        stop
            Somebody else wants to stop.
        """
        now, stage = time.perf_counter(), str(record.get("stage", ""))
        in_epochs = "epoch" in record and "epochs" in record
        if not in_epochs and "done" not in record:
            if "step" not in record:  # a beginning or an end: what is between two stages belongs to none
                self._last = now
            return stop
        done, total = (int(record[key]) for key in (("epoch", "epochs") if in_epochs else ("done", "total")))
        if in_epochs:
            self._epochs = done, total
        fresh = stage != self._stage  # the first point of a stage may say what was done before
        self._longest = max(0.0 if fresh else self._longest, now - self._last)
        if in_epochs or "step" in record or stage in self.stages:
            self.stages[stage] = self.stages.get(stage, 0.0) + now - self._last
        self._stage, self._last = stage, now
        one_done = in_epochs or not fresh
        if self._most is not None and one_done and done < total:
            stop = stop or now - self._begin + self._longest + self._cost > self._most
        if stop or (in_epochs and done >= total) or (now - self._saved) * self._share >= self._cost:
            self._save(state)
        return stop

    def where(self) -> str:
        """Say how far the training is."""
        if self._epochs is None:
            return "stopped"
        return f"stopped after {self._epochs[0]:,} of {self._epochs[1]:,} epochs"

    @property
    def _old(self) -> Path:
        return self._folder.with_name("checkpoint.old")

    def _save(self, state: Callable[[], Mapping[str, Any]]) -> None:
        start = time.perf_counter()
        kept = state()
        if not kept:
            return
        new = self._folder.with_name("checkpoint.new")
        shutil.rmtree(new, ignore_errors=True)
        save_state(new, {**kept, _SECONDS: self.seconds + start - self._begin, _STAGES: self.stages})
        if self._folder.exists():  # between any two of these lines one whole state has its name
            shutil.rmtree(self._old, ignore_errors=True)
            self._folder.rename(self._old)
        new.rename(self._folder)
        self._last = self._saved = time.perf_counter()
        self._cost = max(self._saved - start, 1e-9)
