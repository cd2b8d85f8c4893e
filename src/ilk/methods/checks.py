"""What every method checks alike, and says in the same words: single options, and whether the images suffice."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ilk.data import Encoded
from ilk.errors import ArgumentError, DataError, Diverged, NotEnoughImages, nearest

__all__ = [
    "AUTO",
    "choice",
    "distinct_images",
    "distinguished",
    "flag",
    "number",
    "pair",
    "random_state",
    "whole",
    "whole_list",
    "wholes",
]

AUTO = "auto"
"""Stands in a preset's table for "follows from the network or the images"; a check lets it pass where ``auto``."""


def choice(key: str, value: Any, allowed: Iterable[Any], *, auto: bool = False) -> None:
    """Raise unless `value` is one of `allowed`; the message names the nearest."""
    known = [*allowed, *[AUTO] * auto]
    if value not in known:
        words = [str(word) for word in known]
        raise ArgumentError(f"{key}={value!r}: choose {', '.join(words)}.{nearest(str(value), words)}")


def whole(key: str, value: Any, *, least: int = 1, optional: bool = False, auto: bool = False) -> None:
    """Raise unless `value` is a whole number of at least `least`, or None where `optional`."""
    if (auto and value == AUTO) or (value is None and optional):
        return
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ArgumentError(f"{key}={value!r}: give a whole number of at least {least}.")


def wholes(table: Mapping[str, Any], *keys: str) -> None:
    """Raise unless every one of `keys` is a whole number of at least 1 in `table`."""
    for key in keys:
        whole(key, table[key])


def whole_list(key: str, values: Any) -> None:
    """Raise unless `values` is a list of whole numbers of at least 1."""
    if not isinstance(values, list | tuple) or not values:
        raise ArgumentError(f"{key}={values!r}: give a list of whole numbers, such as {key}=500,500,2000.")
    for value in values:
        whole(key, value)


def number(key: str, value: Any, most: float, *, least: float = 0.0, auto: bool = False) -> None:
    """Raise unless `value` is a number from `least` to `most`."""
    if auto and value == AUTO:
        return
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not least <= value <= most:
        raise ArgumentError(f"{key}={value!r}: give a number from {least:g} to {most:g}.")


def pair(key: str, value: Any, most: float, *, auto: bool = False) -> None:
    """Raise unless `value` is two numbers from 0 to `most`, or None."""
    if value is None or (auto and value == AUTO):
        return
    numbers = isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(v, int | float) for v in value)
    if not numbers or not all(0 <= v <= most for v in value):
        raise ArgumentError(f"{key}={value!r}: give two numbers from 0 to {most:g}, such as {key}=.9,.5.")


def flag(key: str, value: Any, *, auto: bool = False) -> None:
    """Raise unless `value` is true or false."""
    if not isinstance(value, bool) and not (auto and value == AUTO):
        raise ArgumentError(f"{key}={value!r}: give true or false.")


def random_state(seed: Any) -> None:
    """Raise unless `seed` is one that every generator takes."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise ArgumentError(f"random_state={seed!r}: give a whole number from 0 to 2**32 - 1.")


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
