"""Names that only count: they say where an image stands among others, and not which image it is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ilk.files.decode import content_hash
from ilk.files.listing import Listing

__all__ = ["misplaced", "numbered"]

_ROWS = ("parquet", "images")  # kinds whose images may have no names of their own
_DIGITS = 6  # of such a number, at least


def numbered(images: Listing) -> npt.NDArray[np.bool_]:
    """Return (n,) bool: which images are named by their position: the number of a row, or one of several of one name.

    A table that is sorted anew has the same names for other images. It has, too, where all its rows state one path:
    ``image.png``, ``image.png#2`` ….
    """
    found = _repeated(images)
    if images.parts:
        found |= np.concatenate([numbered(part.listing)[np.asarray(part.rows, np.int64)] for part in images.parts])
    elif images.kind in _ROWS:
        digits = (len(name) >= _DIGITS and name.isascii() and name.isdecimal() for name in images.names)
        found |= np.fromiter(digits, bool, len(images))
    return found


def _repeated(images: Listing) -> npt.NDArray[np.bool_]:
    """Return (n,) bool: which images were called alike, and differ by a number behind (`unique`)."""
    if images.kind == "list":  # one path twice is one file
        return np.zeros(len(images), bool)
    ends = {name: name.rpartition("#") for name in images.names if "#" in name}
    counted = {name: base for name, (base, _, number) in ends.items() if base and number.isdecimal()}
    if counted:
        there = set(images.names)
        alike = {base for base in counted.values() if base in there}
        found = (name in alike or counted.get(name) in alike for name in images.names)
        return np.fromiter(found, bool, len(images))
    return np.zeros(len(images), bool)


def misplaced(images: Listing, contents: Mapping[str, str | None]) -> list[str]:
    """Return the numbered images that are not those of a run any more, by name.

    Parameters
    ----------
    images
        The source, opened again.
    contents
        Name -> what the image was when the run was made, as `content_hash` in hex; None where the run does not know it,
        and cannot vouch for it. Those that are not in the source any more are not looked at.

    Notes
    -----
    Every numbered image is read whole.
    """
    found = []
    for i in np.flatnonzero(numbered(images)).tolist():
        if (name := images.names[i]) not in contents:
            continue
        try:
            same = content_hash(images.read(i)).hex() == contents[name]
        except OSError:
            same = False
        if not same:
            found.append(name)
    return found
