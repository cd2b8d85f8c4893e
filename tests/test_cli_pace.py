"""What a person is told of speed and time left, by a clock of the test's own."""

from __future__ import annotations

import io
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from trial import SMALL, Ilk, write_images

from ilk.cli.pace import speed
from ilk.cli.show import Screen
from ilk.data import ArrayImages
from ilk.data.collect import Work, collect
from ilk.showing.pace import Pace


class Seen:
    """A screen in a pipe or on a terminal, whose clock moves when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, terminal: bool = False) -> None:
        self.now = 1000.0
        monkeypatch.setattr("ilk.cli.show.time", SimpleNamespace(monotonic=lambda: self.now))
        self.screen = Screen(False)
        self.file = io.StringIO()
        self.screen.console = Console(file=self.file, force_terminal=terminal, width=120, highlight=False)

    def event(self, after: float, **record: Any) -> None:
        self.now += after
        self.screen.event({"event": "stage", "stage": "encode", **record})

    @property
    def lines(self) -> list[str]:
        return self.file.getvalue().splitlines()


@pytest.mark.parametrize("before", [0, 900])
def test_time_left_is_that_of_the_images_still_to_encode(monkeypatch: pytest.MonkeyPatch, before: int) -> None:
    """2 images a second, however many were there before: 100 images take 50 s."""
    seen = Seen(monkeypatch)
    seen.event(0, begin=True)
    seen.event(7, done=before, total=before + 100)  # loading a network is no encoding either
    for done in range(20, 100, 20):
        seen.event(10, done=before + done, total=before + 100)
    told = [
        re.findall(r"(\d+) images/s, (\d:\d\d) left", line) for line in seen.lines if "left" in line and "/s" in line
    ]
    assert told == [[("2", "0:40")], [("2", "0:30")], [("2", "0:20")], [("2", "0:10")]]
    cached = [line for line in seen.lines if line.startswith("cached")]
    assert cached == ([f"cached   900 of {before + 100:,} images: the others are left to encode"] if before else [])
    seen.event(10, done=before + 100, total=before + 100)
    seen.event(0, seconds=50.0)
    assert seen.lines[-1] == "encoded  in 50.0 s"


def test_the_bar_tells_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen(monkeypatch, terminal=True)
    seen.event(0, done=400, total=500)
    seen.event(10, done=420, total=500)
    assert seen.screen._moving is not None
    (bar,) = seen.screen._moving.tasks
    assert (bar.completed, bar.total, bar.fields["speed"]) == (420, 500, "2 images/s, 0:40 left")
    seen.event(0, seconds=10.0)


def test_what_is_all_there_has_no_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen(monkeypatch)
    seen.event(0, begin=True)
    seen.event(1, done=500, total=500)
    seen.event(1, seconds=0.4)
    assert seen.lines == ["encoded  before: all images are in the cache, 0.4 s"]


def test_images_that_got_lost_begin_anew() -> None:
    pace = Pace.from_here(0.0, 0, 100)
    pace.at(50.0, 100)
    pace.at(51.0, 80)  # a damaged part of the cache is made again
    pace.at(53.0, 84)
    assert pace.as_text() == "2 images/s, 0:08 left"
    assert not pace.from_cache


def test_nothing_is_said_before_something_is_done() -> None:
    pace = Pace.from_here(5.0, 30, 100)
    assert pace.as_text() == ""
    pace.at(9.0, 30)
    assert pace.as_text() == ""


@pytest.mark.parametrize(
    ("rate", "told", "said"),
    [
        (52.4, {"now": 500, "cached": 0}, "; 52 images/s"),
        (0.0, {"now": 0, "cached": 500}, "; images from the cache"),
        (52.4, {"now": 100, "cached": 1400}, "; 52 images/s, 1,400 of 1,500 from the cache"),
        (52.4, None, "; 52 images/s"),  # an older run
        (0.0, {"now": 0, "cached": 0}, ""),
    ],
)
def test_the_summary_says_what_came_from_the_cache(rate: float, told: Any, said: str) -> None:
    header = {"summary": {"images_per_second": rate}} | ({} if told is None else {"encoded": told})
    assert speed(header) == said


# -- where the numbers come from ---------------------------------------------------------------------------------------


class Slow:
    """Encodes 4 images a second of a clock of its own; reading takes half a second an image."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(
            "ilk.data.collect.time", SimpleNamespace(perf_counter=lambda: self.now, monotonic=lambda: self.now)
        )

    def work(self) -> Work:
        return Work("slow", 1, np.float16, self.apply, batch_size=10, workers=1)

    def apply(self, pixels: torch.Tensor) -> np.ndarray:
        self.now += len(pixels) / 4
        return pixels.float().mean((1, 2, 3))[:, None].numpy().astype(np.float16)


def test_images_a_second_are_those_that_were_encoded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (120, 4, 4), np.uint8)
    slow = Slow(monkeypatch)
    scan = ArrayImages.scan

    def slowly(source: ArrayImages, index: Any, known: Any = None) -> Any:
        slow.now += len(index) / 2
        return scan(source, index, known)

    monkeypatch.setattr(ArrayImages, "scan", slowly)
    first = collect(ArrayImages(pixels[:100]), slow.work(), cache=tmp_path)
    assert (first.n_encoded, first.n_cached) == (100, 0)
    assert first.images_per_second == pytest.approx(100 / (100 / 2 + 100 / 4))
    more = collect(ArrayImages(pixels), slow.work(), cache=tmp_path)  # 100 known, which are looked at again, and 20
    assert (more.n_encoded, more.n_cached) == (20, 100)
    assert more.images_per_second == pytest.approx(20 / (20 / 2 + 20 / 4))
    again = collect(ArrayImages(pixels), slow.work(), cache=tmp_path)
    assert (again.n_encoded, again.n_cached, again.images_per_second) == (0, 120, 0.0)


def test_first_groups_are_not_shown_where_nobody_waits_for_them(ilk: Ilk, home: Path, no_report: None) -> None:
    write_images(home / "many", 360)
    once = ilk("cluster", "many", "-o", "one", "-k", "3", *SMALL)
    again = ilk("cluster", "many", "-o", "two", "-k", "3", *SMALL, "--json")
    assert "\nfirst    groups of 300 images" in once.out
    assert "first " not in again.err
    assert "images from the cache" in again.err
    assert again.json["images_per_second"] == 0
    assert not (home / "two" / "first-groups.png").exists()
    assert (home / "one" / "assignments.parquet").read_bytes() == (home / "two" / "assignments.parquet").read_bytes()
