"""What every method checks alike besides its settings: seed, precision, and whether the images suffice."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from ilk.data import Encoded
from ilk.errors import ArgumentError, DataError, Diverged, NotEnoughImages
from ilk.methods.settings import Option

__all__ = ["common", "distinct_images", "distinguished", "threshold"]

_PRECISION = Option("of networks", "choice", choices=("auto", "fp32", "bf16"))


def common(seed: Any, precision: Any) -> None:
    """Raise `ArgumentError` unless `seed` is one that every generator takes, and `precision` one that there is."""
    _PRECISION.check("precision", precision)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise ArgumentError(f"random_state={seed!r}: give a whole number from 0 to 2**32 - 1.")


def threshold(value: Any) -> None:
    """Raise `ArgumentError` unless `value` can say from which on an image is none of the groups."""
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ArgumentError(f"threshold={value!r}: give a number from 0 to 1.")


def distinct_images(facts: Encoded, distinct: int, k: int, *, alike: bool = False) -> None:
    """Raise where there are fewer distinct images than groups, or none at all.

    Parameters
    ----------
    facts
        State of every file of the source.
    distinct
        How many different images there are.
    k
        Groups that are wanted.
    alike
        Whether a single distinct image means that all look the same, rather than that they are the same file.
    """
    n = len(facts.status)
    if n == 0:
        raise NotEnoughImages("there are no images.")
    if len(facts.rows) == 0:
        first = next((reason for reason in facts.reasons if reason), "no reason given")
        raise DataError(f"none of the {n} files could be read as an image (the first: {first}).")
    if distinct < k:
        advice = "Ask for fewer groups (-k) or give more images." if k > 2 else "Give more images."
        raise NotEnoughImages(f"{_seen(facts, distinct, alike)}: too few for {k} groups. {advice}")


def _seen(facts: Encoded, distinct: int, alike: bool) -> str:
    """Return what there is instead of enough images, in words."""
    n, readable = len(facts.status), sum(status != "unreadable" for status in facts.status)
    if readable < n:
        first = next((reason for reason in facts.reasons if reason), "no reason given")
        lost = f"only {readable} of {n} files could be read as an image (the first that could not: {first})"
        return lost if distinct == readable else f"{lost}, and {distinct} of them differ"
    if distinct == 1 and n > 1:
        return f"all {n} images look the same" if alike and len(facts.rows) > 1 else f"all {n} images are the same one"
    return "only 1 image" if n == 1 else f"only {distinct} of {n} images differ"


@contextlib.contextmanager
def distinguished(k: int) -> Iterator[None]:
    """Turn "too few distinct rows", or "no numbers", into what it means of features that a training has made.

    Raises
    ------
    Diverged
        The images themselves were enough for `k` groups before the training.
    """
    try:
        yield
    except (NotEnoughImages, DataError):
        raise Diverged(
            f"the trained network does not distinguish the images: it gives too few different answers for {k} groups. "
            "Try a lower learning rate, other settings (ilk methods NAME shows them) or another seed (--seed)."
        ) from None
