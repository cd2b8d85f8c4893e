"""The limit below which two images count as nearly the same, taken from copies of the run's own images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.near.rows import Floats, blocks, distances, unit

__all__ = ["NO_FEATURES", "Limit", "find"]

NO_FEATURES = "these are not the features of a frozen encoder, which alone show what is nearly the same"

_BEYOND = 1.25  # what lies between the limit and this many times the limit is to be nearly empty
_WINDOW = 4  # steps of the grid from a limit to what is beyond it
_STEP = _BEYOND ** (1 / _WINDOW)
_ABOVE = 1.3  # a gap above the copies' distances is used up to this many times these
_LOWEST = 0.1  # of the copies' distances: below this nothing is looked for
_CROWDED = 0.05  # the share of stacks that may have others just beyond the limit …
_DOUBTFUL = 0.5  # … and how many they may be beside the images that are stacked …
_TAIL = 3.0  # … also as far out again: a pair or two may be no more than the closest of many that are much alike
_SHORTEST = 2e-3  # distances of rows of length 1 that float32 distinguishes from none
_APART = 0.5  # of what lies between most images: no limit is larger
_WORK = 2e11  # products for counting neighbours
_FEWEST, _MOST = 256, 2048  # images whose neighbours are counted
_COPIES = 0.9  # the share of jittered copies that lies within what "nearly the same" may mean


@dataclass(frozen=True)
class Limit:
    """How far apart two images may be to count as nearly the same.

    Attributes
    ----------
    value : float, optional
        Distance of features of length 1, from 0 to 2; None where nothing shows one.
    why : str
        How it was found, or why there is none: a sentence without a full stop.
    copies : float, optional
        How far nine of ten jittered copies at most lie from their image; None where there were none.
    n_copies : int
    """

    value: float | None
    why: str
    copies: float | None = None
    n_copies: int = 0

    def as_record(self) -> dict[str, Any]:
        """Return what run.json keeps."""
        return {"limit": self.value, "why": self.why, "copies": self.copies, "n_copies": self.n_copies}


def find(features: npt.NDArray[np.floating], copies: npt.NDArray[np.floating] | None = None) -> Limit:
    """Find the limit for images with `features`.

    Parameters
    ----------
    features
        (n, d) of the distinct images, in an order that says nothing of them.
    copies
        (c,) distances between images and jittered copies of them, features of length 1; None where none could be made.

    Notes
    -----
    What copies reach is where the search begins. From there the limit goes down until it stands in a gap: hardly any
    stack has another image between the limit and 1.25 times the limit, and these are few beside what is stacked, as are
    those up to 1.25² times the limit. In a
    set of images that are all much alike (digits) there is no such gap before nothing is stacked any more. Counted for
    up to 2,048 images, each stack once: an image with N others within the limit counts 1 / (N + 1). 2 n d m products
    for m counted images, at most 4e11 or those for 256 images.
    """
    n, d = features.shape
    if n < 3:
        return Limit(None, "there are too few images")
    reach = None if copies is None or not len(copies) else float(np.quantile(copies, _COPIES))
    m = int(min(n, _MOST, max(_FEWEST, _WORK / (n * d))))
    chosen = np.unique(np.linspace(0, n - 1, m).astype(np.int64))
    nearest, most = _usual(features, chosen)
    top = min(_APART * most, 0.6 * nearest if reach is None else _ABOVE * reach)
    if not top > _SHORTEST:
        return Limit(
            None, "hardly any two of the images differ" if reach is None else "copies are the same as their image"
        )
    lowest = max(_SHORTEST, _LOWEST * (top if reach is None else reach))
    n_steps = int(np.log(top / lowest) / np.log(_STEP)) + 1 if top > lowest else 1
    best = _highest(_counts(features, chosen, lowest, n_steps + 2 * _WINDOW))
    n_copies = 0 if copies is None else len(copies)
    if best is None:
        return Limit(None, "images follow each other closely at every distance: nothing stands apart", reach, n_copies)
    value = round(lowest * _STEP**best, 4)
    gap = f"hardly any image has another one between {value:.2f} and {_BEYOND * value:.2f}"
    if reach is None:
        return Limit(value, f"no copies could be made: {gap}, by which it was found")
    return Limit(value, f"nine of ten jittered copies lie within {reach:.2f} of their image; {gap}", reach, n_copies)


def _highest(within: npt.NDArray[np.int64]) -> int | None:
    """Return the highest column of the grid that stands in a gap; the last ones are beyond the grid."""
    for at in range(within.shape[1] - 2 * _WINDOW - 1, -1, -1):
        share = 1 / within[:, at]
        # of two stacks that are near each other one would go: half of them
        crowded, tail = (
            float(share[within[:, at + beyond] > 1.1 * within[:, at]].sum()) / 2 for beyond in (_WINDOW, 2 * _WINDOW)
        )
        stacked, stacks = float((1 - share).sum()), float(share.sum())
        if 0 < _TAIL * stacked < tail:
            continue
        if 2 * crowded <= _CROWDED * stacks and crowded <= _DOUBTFUL * stacked:
            return at
    return None


def _counts(
    features: npt.NDArray[np.floating], chosen: npt.NDArray[np.int64], lowest: float, n_steps: int
) -> npt.NDArray[np.int64]:
    """Return (m, g) how many images lie within each distance of the grid of each chosen one, itself included."""
    asked = unit(features[chosen])
    found = np.zeros((len(chosen), n_steps), np.int64)
    highest = lowest * _STEP ** (n_steps - 1)
    for start, block in blocks(features):
        for first in range(0, len(asked), 256):
            apart = distances(asked[first : first + 256], block)
            own = chosen[first : first + 256] - start
            here = (own >= 0) & (own < len(block))
            apart[np.flatnonzero(here), own[here]] = 0
            i, j = np.nonzero(apart <= highest)
            steps = np.ceil(np.log(np.maximum(apart[i, j] / lowest, 1e-9)) / np.log(_STEP) - 1e-6)
            at = i * n_steps + np.clip(steps.astype(np.int64), 0, n_steps - 1)
            rows = slice(first, first + len(apart))
            found[rows] += np.bincount(at, minlength=len(apart) * n_steps).reshape(len(apart), n_steps)
    return found.cumsum(1)


def _usual(features: npt.NDArray[np.floating], chosen: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Return how far the nearest image is from three of four, and nine of ten pairs at most: from 256 images."""
    some = chosen[np.unique(np.linspace(0, len(chosen) - 1, 256).astype(np.int64))]
    asked: Floats = unit(features[some])
    least = np.full(len(some), np.inf)
    for start, block in blocks(features):
        apart = distances(asked, block)
        own = some - start
        here = (own >= 0) & (own < len(block))
        apart[np.flatnonzero(here), own[here]] = np.inf
        least = np.minimum(least, apart.min(1))
    pairs = distances(asked, asked)[np.triu_indices(len(some), 1)]
    return float(np.quantile(least, 0.75)), float(np.quantile(pairs, 0.9))
