"""Words for the groups of a run: who is asked, about which images, and what there is to say about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.data import Encoded, ImageSource
from ilk.data.sources import SMALL
from ilk.naming.classifier import classified
from ilk.naming.guessing import Guess, guess
from ilk.naming.vocabulary import imagenet, own

__all__ = ["Named", "name_groups"]


@dataclass(frozen=True)
class Named:
    """Words for groups.

    Attributes
    ----------
    words : dict of int to list of Guess
        By group; an empty list where nothing can be said, no entry where nobody was asked.
    notes : list of str
        What the user should know.
    """

    words: dict[int, list[Guess]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def name_groups(
    encoder: Any,
    source: ImageSource,
    encoded: Encoded,
    labels: npt.NDArray[np.int64],
    distance: npt.NDArray[np.float32],
    *,
    words: Sequence[str] | None = None,
    device: str = "auto",
    cache: str | Path | None = None,
    before: Callable[[], object] | None = None,
) -> Named:
    """Say in up to three words what the images of each group look like.

    Parameters
    ----------
    encoder : FrozenEncoder or None
        Of the run.
    source : ImageSource
    encoded : Encoded
    labels, distance : (m,)
        Group, and distance to its centre, of each row of ``encoded.features``.
    words : sequence of str, optional
        The only ones to choose from.
    device, cache
        As in `ilk.encoders.build`.
    before
        Called before images are looked at; not where there is nothing to look for.

    Notes
    -----
    Small images (half of them no longer than 64 pixels) get none: a network that has learned photos sees a blown-up
    blur in them.
    """
    asked = words is not None
    side = _side(encoded)
    if side <= SMALL:
        why = f"no words for groups: the network has learned photos, and these images are small ({side} pixels)"
        return Named(notes=[why] if asked else [])
    vocabulary, unknown = (imagenet(), []) if words is None else own(words)
    notes = [f"words that the network does not know, and never uses: {_listed(unknown)}"] if unknown else []
    if before is not None:
        before()
    seen = classified(encoder, source, encoded, labels, distance, device=device, cache=cache)
    if seen is None:
        return Named(notes=[*notes, "no words for groups: there are too many groups to look at some images of each"])
    found = guess(seen.probabilities, seen.labels, vocabulary)
    if asked and not any(found.values()):
        notes.append("none of the words fits any group well enough to be shown")
    return Named(found, notes)


def _side(encoded: Encoded) -> int:
    """Return the median longer side of the readable images in pixels."""
    sides = np.maximum(encoded.widths, encoded.heights)[encoded.position >= 0]
    return int(np.median(sides)) if len(sides) else 0


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words[:10]) + (f" and {len(words) - 10:,} more" if len(words) > 10 else "")
