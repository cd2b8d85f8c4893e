"""How fast images are encoded, and how long the rest takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ilk.cli.training import clock

__all__ = ["Pace", "speed"]


@dataclass
class Pace:
    """The speed of one stage. What is there when it begins, from the cache or an earlier call, is nobody's work.

    Attributes
    ----------
    begin, now : float, seconds of one clock
    before, done, total : int, images: done at the beginning, done by now, in all
    """

    begin: float
    now: float
    before: int
    done: int
    total: int

    @classmethod
    def from_here(cls, now: float, done: int, total: int) -> Pace:
        """Begin to measure, with `done` images there already."""
        return cls(now, now, done, done, total)

    def at(self, now: float, done: int) -> None:
        """Take in that `done` images are done. Fewer than before: some got lost, and it begins anew."""
        if done < self.done:
            self.begin, self.before = now, done
        self.now, self.done = now, done

    @property
    def rate(self) -> float:
        """Images a second; 0 as long as none was done."""
        return (self.done - self.before) / max(self.now - self.begin, 1e-9)

    @property
    def from_cache(self) -> bool:
        """Whether all images were there at the beginning."""
        return self.before >= self.total

    def as_text(self) -> str:
        """Return the speed and the time left, empty as long as there is nothing to go by.

        >>> pace = Pace.from_here(100.0, 400, 500)
        >>> pace.at(110.0, 420)
        >>> pace.as_text()
        '2 images/s, 0:40 left'
        """
        if self.done <= self.before or self.now <= self.begin:
            return ""
        left = f", {clock((self.total - self.done) / self.rate)} left" if self.done < self.total else ""
        return f"{self.rate:,.0f} images/s{left}"


def speed(header: Mapping[str, Any]) -> str:
    """Return how fast images were encoded, and how many did not have to be."""
    rate = header["summary"]["images_per_second"]
    counts = header.get("encoded") or {"now": rate, "cached": 0}
    if not counts["now"]:
        return "; images from the cache" if counts["cached"] else ""
    cached = (
        f", {counts['cached']:,} of {counts['now'] + counts['cached']:,} from the cache" if counts["cached"] else ""
    )
    return f"; {rate:,.0f} images/s{cached}"
