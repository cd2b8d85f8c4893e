"""How fast work goes, and how long the rest takes."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Pace", "clock"]


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


def clock(seconds: float) -> str:
    """Return seconds as minutes and seconds, or hours, minutes and seconds.

    >>> clock(75), clock(3725)
    ('1:15', '1:02:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
