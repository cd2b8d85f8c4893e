"""Telling the caller what a fit does, stage by stage."""

from __future__ import annotations

import time
from typing import Any

from ilk.methods.base import OnEpoch

__all__ = ["Stages"]


class Stages:
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
        self._stage = ""
        self._begin = 0.0

    def __call__(self, record: dict[str, Any]) -> bool:
        """Pass `record` on; true means stop."""
        return bool(self.on_epoch(record, dict)) if self.on_epoch else False

    def progress(self, done: int, total: int) -> bool:
        """Pass on how far the stage is; true means stop."""
        return self({"stage": self._stage, "done": done, "total": total})

    def stage(self, name: str) -> Stages:
        """Name the stage that the following ``with`` block is."""
        self._stage = name
        return self

    def __enter__(self) -> None:
        self._begin = time.perf_counter()
        self({"stage": self._stage, "begin": True})

    def __exit__(self, kind: Any, *_: object) -> None:
        if kind is None:
            record = {"stage": self._stage, "seconds": round(time.perf_counter() - self._begin, 3)}
            self.history.append(record)
            self(record)
