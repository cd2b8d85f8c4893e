"""Words for the groups of a job: asked once the groups stand, and never a reason to lose them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Namer", "identity", "words_of"]

Looks = dict[int, list[dict[str, Any]]]


def words_of(words: str | Path | Sequence[str] | None) -> list[str] | None:
    """Return the words to choose from, of a file or as they are; None = all that the network knows.

    Raises
    ------
    DataError
        The file cannot be read or holds no words.
    ArgumentError
        The network knows none of them.
    """
    if words is None:
        return None
    from ilk import naming  # torch, which the usual words do not need yet

    chosen = naming.read_words(words) if isinstance(words, str | Path) else [str(word) for word in words]
    naming.own(chosen)
    return chosen


def identity(names: bool, words: Sequence[str] | None) -> dict[str, Any]:
    """Return what makes a job with these names another job than the usual one; nothing for the usual one.

    >>> identity(True, None), identity(False, None), identity(True, ["cat", "dog"])
    ({}, {'names': False}, {'words': '2 words (8c979c66)'})
    """
    if not names:
        return {"names": False}
    if words is None:
        return {}
    digest = hashlib.blake2b("\n".join(words).encode(), digest_size=4).hexdigest()
    return {"words": f"{len(words)} words ({digest})"}


class Namer:
    """Names the groups of one fitted model.

    Parameters
    ----------
    model, images
        As after the fit.
    words
        The only ones to choose from; None = all.
    cache
        As in `ilk.encoders.build`.
    report : callable (event)
    run
        Where the run will stand, for its events.
    """

    def __init__(
        self,
        model: Any,
        images: Any,
        words: Sequence[str] | None,
        cache: str | Path | None,
        report: Callable[[dict[str, Any]], object],
        run: str,
    ) -> None:
        self._model, self._images, self._words, self._cache = model, images, words, cache
        self._report, self._run = report, run
        self._reported = False

    def __call__(
        self, labels: npt.NDArray[np.int64], distance: npt.NDArray[np.float32]
    ) -> tuple[Looks, list[str], float]:
        """Return words by group, notes, and the seconds it took; without words where anything goes wrong."""
        started = time.perf_counter()
        from ilk import naming

        try:
            found = naming.name_groups(
                getattr(self._model, "encoder_", None),
                self._images,
                self._model.encoded_,
                labels,
                distance,
                words=self._words,
                device=str(getattr(self._model, "device", "auto")),
                cache=self._cache,
                before=self._begin,
            )
        except Exception as error:  # whatever it is, the groups stand: they keep their numbers
            found = naming.Named(notes=[f"no words for groups: {' '.join(str(error).split())[:200]}"])
        seconds = time.perf_counter() - started
        if self._reported:
            self._report({"event": "stage", "stage": "name", "seconds": seconds})
            self._report({"event": "write", "run": self._run})
        return {group: [one.plain() for one in words] for group, words in found.words.items()}, found.notes, seconds

    def _begin(self) -> None:
        self._reported = True
        self._report({"event": "stage", "stage": "name", "begin": True})
