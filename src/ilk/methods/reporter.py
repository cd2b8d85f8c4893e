"""Reporting what a fit does, stage by stage, and where it may be left."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ilk.errors import Interrupted

__all__ = ["OnEpoch", "Reporter"]

OnEpoch = Callable[[dict[str, Any], Callable[[], dict[str, Any]]], bool | None]
"""Called with a record (a stage's beginning or end, progress, the figures of an epoch) and a function that gives the
state to go on from; true means stop. See docs/architecture.md, "What a fit reports"."""


class Reporter:
    """Passes records to the caller's hook, and keeps those of finished stages with their seconds.

    Parameters
    ----------
    history
        Gets one record per finished stage.
    on_epoch
        The caller's hook.
    """

    def __init__(self, history: list[dict[str, Any]], on_epoch: OnEpoch | None) -> None:
        self.history = history
        self.on_epoch = on_epoch
        self._next = ""
        self._open: list[tuple[str, float]] = []  # stages that are on, and when they began

    def __call__(self, record: dict[str, Any]) -> bool:
        """Pass `record` on; true means stop."""
        return bool(self.on_epoch(record, dict)) if self.on_epoch else False

    def progress(self, done: int, total: int) -> bool:
        """Pass on how far the stage is; true means stop."""
        return self({"stage": self._open[-1][0], "done": done, "total": total})

    def checkpoint(self, record: dict[str, Any], state: Callable[[], dict[str, Any]], where: str) -> None:
        """Pass on `record` at a point where the fit may be left, with the `state` to go on from.

        Raises
        ------
        Interrupted
            The caller asked to stop; the message says `where`.
        """
        if self.on_epoch is not None and self.on_epoch(record, state):
            raise Interrupted(f"stopped {where}; the same command goes on")

    def stage(self, name: str) -> Reporter:
        """Name the stage that the following ``with`` block is. One within another has its seconds for itself."""
        self._next = name
        return self

    def __enter__(self) -> None:
        self._begin(self._next, time.perf_counter())

    def _begin(self, name: str, began: float) -> None:
        self._open.append((name, began))
        self({"stage": name, "begin": True})

    def __exit__(self, kind: Any, *_: object) -> None:
        name, began = self._open.pop()
        if kind is None:
            seconds = time.perf_counter() - began
            record = {"stage": name, "seconds": round(seconds, 3)}
            self.history.append(record)
            self(record)
            if self._open:  # what this stage was within begins to count again
                name, began = self._open.pop()
                self._begin(name, began + seconds)
