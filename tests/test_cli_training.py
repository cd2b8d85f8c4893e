"""What a person sees of a training."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from ilk.cli.training import Training


class Seen:
    """A screen that a test can read, with a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, terminal: bool = False) -> None:
        self.now = 50.0
        monkeypatch.setattr("ilk.cli.training.time.monotonic", lambda: self.now)
        self.lines: list[str] = []
        self.file = io.StringIO()
        self.console = Console(file=self.file, force_terminal=terminal, width=140)
        self.stopped = 0
        self.training = Training(self.console, self.lines.append, self.stop)

    def stop(self) -> None:
        self.stopped += 1

    def takes(self, seconds: float, **event: Any) -> bool:
        self.now += seconds
        return self.training.takes({"event": "stage", "stage": "train", **event})


def test_a_line_per_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen(monkeypatch)
    estimate = {"seconds": 3725, "bytes": 2.5e9, "images_per_second": 897.4}
    assert seen.takes(0, begin=True, estimate=estimate)
    seen.takes(0, epoch=0, epochs=10, active=3)
    for epoch in range(1, 11):
        assert seen.takes(10, epoch=epoch, epochs=10, loss=1 / epoch, images_per_second=1234.5, active=10, positive=0.1)
    assert seen.lines[0] == "training takes about 1:02:05, 2.50 GB of memory (897 images/s)"
    assert seen.lines[1].split() == ["epoch", "0/10", "active", "3"]
    assert seen.lines[4] == ("epoch 3/10           loss 0.3333   1,234 images/s   1:10 left   active 10   positive 0.1")
    assert "left" not in seen.lines[-1]
    assert len(seen.lines) == 12


def test_quick_epochs_do_not_flood_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen(monkeypatch)
    for epoch in range(1, 101):
        seen.takes(0.1, epoch=epoch, epochs=100, loss=0.5)
    assert 4 <= len(seen.lines) <= 7
    assert "100/100" in seen.lines[-1]


def test_long_epochs_say_that_they_live(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen(monkeypatch)
    seen.takes(0, epoch=0, epochs=2)
    for done in range(1, 20):
        assert seen.takes(20, done=done, total=40)
    assert 6 <= len(seen.lines) <= 11
    assert "47.5% done" in seen.lines[-1] or "45.0% done" in seen.lines[-1]
    seen = Seen(monkeypatch)
    seen.takes(0, epoch=1, epochs=2, loss=0.5)
    seen.takes(60, step=50, steps=100)
    assert seen.lines[-1].startswith("epoch 1/2            75.0% done   loss 0.5")


def test_time_left_counts_only_what_this_process_did(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen(monkeypatch)
    seen.takes(100, epoch=51, epochs=100, loss=0.5)  # 50 were done before
    assert "left" not in seen.lines[-1]
    seen.takes(10, epoch=52, epochs=100, loss=0.5)
    assert "8:00 left" in seen.lines[-1]
    seen = Seen(monkeypatch)
    seen.takes(100, begin=True)
    seen.takes(10, epoch=51, epochs=100, loss=0.5)
    assert "8:10 left" in seen.lines[-1]


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen(monkeypatch, terminal=True)
    for epoch in range(1, 4):
        seen.takes(10, epoch=epoch, epochs=3, loss=0.25)
    assert seen.stopped == 1
    assert seen.lines == ["epoch 3/3            loss 0.25"]
    assert "epoch 3/3" in seen.file.getvalue()
    assert "loss 0.25" in seen.file.getvalue()
    assert seen.training._bar is None


def test_what_is_not_of_a_training_is_left_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen(monkeypatch)
    assert not seen.training.takes({"stage": "encode", "done": 3, "total": 9})
    assert not seen.training.takes({"stage": "train", "begin": True})
    assert not seen.training.takes({"stage": "train", "seconds": 3.0})
    assert seen.training.takes({"stage": "resume", "notes": ["a note"]})
    assert seen.lines == ["note     a note"]
