"""What a person sees of a training: a bar that moves on a terminal, a line per epoch elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from ilk.showing.pace import clock

__all__ = ["Training"]

_EVERY = 2.0  # seconds between two lines of epochs
_WITHIN = 30.0  # … within an epoch
_SHOWN_ELSEWHERE = ("stage", "event", "epoch", "epochs", "loss", "images_per_second", "seconds")


class Training:
    """Shows the records of a training: its beginning, its steps and its epochs.

    Parameters
    ----------
    console : Console
    line : callable (text)
        Prints one plain line.
    stop : callable ()
        Stops whatever else moves on the screen.
    """

    def __init__(self, console: Console, line: Callable[[str], object], stop: Callable[[], object]) -> None:
        self._console = console
        self._line = line
        self._stop_others = stop
        self._bar: Progress | None = None
        self._begun: dict[str, float] = {}  # when stages began
        self._fresh("")

    def _fresh(self, stage: str) -> None:
        self._stage = stage
        self._begin = self._begun.get(stage, time.monotonic())
        self._first = self._share = 0.0  # of all epochs: done before this process, done now
        self._shown_at = 0.0
        self._epoch: Mapping[str, Any] = {}  # the newest

    def takes(self, event: Mapping[str, Any]) -> bool:
        """Show `event` if it is of a training; return whether it was."""
        stage = event["stage"]
        if stage == "resume":
            for note in event["notes"]:
                self._line(f"note     {note}")
        elif "begin" in event:
            self._begun[stage] = time.monotonic()
            if "estimate" in event:
                self._estimate(event["estimate"])
            return "estimate" in event
        elif "epoch" in event and "epochs" in event:
            self._enter(stage, event["epoch"], event["epochs"])
            self._epoch = event
            self._advance(event["epoch"] / max(1, event["epochs"]), ended=True)
        elif "step" in event and self._epoch:
            within = event["step"] / max(1, event["steps"])
            self._advance((self._epoch["epoch"] + within) / max(1, self._epoch["epochs"]), ended=False)
        elif "done" in event and stage != "encode":
            self._enter(stage, event["done"], event["total"])
            self._advance(event["done"] / max(1, event["total"]), ended=False)
        else:
            return "step" in event
        return True

    def _enter(self, stage: str, done: int, total: int) -> None:
        """Begin with a stage, unless this is the one. The first piece of it took the time since it began."""
        if stage != self._stage:
            self.stop()
            self._fresh(stage)
            before = done - 1 if stage in self._begun else done
            self._first = max(0, before) / max(1, total)

    def stop(self) -> None:
        """Let nothing move any more."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _estimate(self, record: Mapping[str, Any]) -> None:
        speed = f"{record['images_per_second']:,.0f} images/s"
        self._line(
            f"training takes about {clock(record['seconds'])}, {record['bytes'] / 1e9:.2f} GB of memory ({speed})"
        )

    def _advance(self, share: float, *, ended: bool) -> None:
        """Show that `share` of the stage is done; at the end of an epoch, or within one."""
        self._share = share
        now = time.monotonic()
        if self._console.is_terminal:
            self._move()
        elif now - self._shown_at >= (_EVERY if ended else _WITHIN) or (ended and share >= 1):
            self._shown_at = now
            self._line(f"{self._name():<20} {'   '.join(self._parts(ended))}".rstrip())
        if ended and share >= 1:
            if self._bar is not None:
                self.stop()
                self._line(f"{self._name():<20} {'   '.join(self._parts(ended))}".rstrip())
            self._begun[self._stage] = now  # another training of the same stage begins anew
            self._stage = ""

    def _move(self) -> None:
        if self._bar is None:
            self._stop_others()
            columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[values]}"))
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._bar.add_task("", total=1.0, values="")
            self._bar.start()
        values = "  ".join(self._parts(True))
        self._bar.update(self._bar.task_ids[0], description=self._name(), completed=self._share, values=values)

    def _name(self) -> str:
        name = "epoch" if self._stage == "train" else self._stage
        if not self._epoch:
            return f"{name} {self._share:.0%}"
        return f"{name} {self._epoch['epoch']}/{self._epoch['epochs']}"

    def _parts(self, ended: bool) -> list[str]:
        """Return what is worth saying: loss, speed, time left, and whatever else the method reports of its epochs."""
        event = self._epoch
        parts = [] if ended else [f"{self._share:.1%} done"]
        if "loss" in event:
            parts.append(f"loss {event['loss']:.4g}")
        if "images_per_second" in event:
            parts.append(f"{event['images_per_second']:,.0f} images/s")
        here = self._share - self._first
        if here > 0 and self._share < 1:
            parts.append(f"{clock((time.monotonic() - self._begin) / here * (1 - self._share))} left")
        for name, value in event.items() if ended else ():
            if name not in _SHOWN_ELSEWHERE and isinstance(value, int | float) and not isinstance(value, bool):
                text = f"{value:,}" if isinstance(value, int) else f"{value:.3g}"
                parts.append(f"{name.replace('_', ' ')} {text}")
        return parts
