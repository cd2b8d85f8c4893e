"""From the records of a fit to one line that says how far it is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ilk.showing.pace import Pace, clock

__all__ = ["Stages"]

_DOING = {
    "encode": "encoding",
    "reduce": "reducing",
    "cluster": "grouping",
    "train": "training",
    "name": "naming",
    "choose": "choosing the number of groups",
}
_PARTS = 10_000  # in which a stage is counted, where it has no natural ones


class Stages:
    """Takes records (docs/architecture.md, "What a fit reports") and knows what there is to say of them.

    Attributes
    ----------
    share : float or None
        How much of the stage is done, 0 to 1; None where that is not known.
    """

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self.share: float | None = None
        self._stage = ""
        self._detail = ""
        self._pace: Pace | None = None
        self._epoch: Mapping[str, Any] = {}
        self._done: list[str] = []

    def take(self, record: Mapping[str, Any]) -> bool:
        """Take a record in; return whether there is something new to say."""
        kind, stage = record.get("event", "stage"), str(record.get("stage", ""))
        if kind == "write":
            self._enter("writing tables, pictures and report")
        elif kind != "stage":
            return False
        elif "begin" in record:
            self._enter(stage)
        elif "seconds" in record and "epoch" not in record:
            self._done.append(f"{_DOING.get(stage, stage)} {record['seconds']:.1f} s")
            self.share, self._detail = None, ""
        elif "epoch" in record and "epochs" in record:
            self._at(stage, float(record["epoch"]), record["epochs"])
            loss = f", loss {record['loss']:.4g}" if isinstance(record.get("loss"), int | float) else ""
            self._epoch, self._detail = record, f" epoch {record['epoch']:,} of {record['epochs']:,}{loss}"
        elif "step" in record and self._epoch:
            within = record["step"] / max(1, record["steps"])
            self._at(stage, self._epoch["epoch"] + within, self._epoch["epochs"])
        elif "done" in record and "total" in record:
            self._at(stage, float(record["done"]), record["total"])
            self._detail = f" {record['done']:,} of {record['total']:,}"
        else:
            return False
        return True

    def _enter(self, stage: str) -> None:
        self._stage, self._detail, self.share, self._pace, self._epoch = stage, "", None, None, {}

    def _at(self, stage: str, done: float, total: float) -> None:
        if stage != self._stage:
            self._enter(stage)
        now, self.share = time.monotonic(), min(1.0, done / max(total, 1e-9))
        parts = round(_PARTS * self.share)
        if self._pace is None:  # what is there already was nobody's work
            self._pace = Pace.from_here(now, parts, _PARTS)
        else:
            self._pace.at(now, parts)

    def line(self) -> str:
        """Return what is being done, how far it is, and how long the rest of it takes."""
        text = _DOING.get(self._stage, self._stage) + self._detail
        pace = self._pace
        if pace is None or pace.done <= pace.before or pace.now <= pace.begin or pace.done >= pace.total:
            return text
        return f"{text}, {clock((pace.total - pace.done) / pace.rate)} left"

    def summary(self) -> str:
        """Return what was done, and how long that took."""
        parts = f" ({', '.join(self._done[-8:])})" if self._done else ""
        return f"done in {time.monotonic() - self.begun:.1f} s{parts}"
