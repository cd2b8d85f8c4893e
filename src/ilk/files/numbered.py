"""Names that are only numbers of rows: they say where an image stands in a table, and not which image it is."""

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
    """Return (n,) bool: which images are named by the number of their row.

    A table that is sorted anew has the same names for other images.
    """
    if images.parts:
        return np.concatenate([numbered(part.listing)[np.asarray(part.rows, np.int64)] for part in images.parts])
    if images.kind not in _ROWS:
        return np.zeros(len(images), bool)
    found = (len(name) >= _DIGITS and name.isascii() and name.isdecimal() for name in images.names)
    return np.fromiter(found, bool, len(images))


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
