"""Reading ahead for those who decode and encode: `ilk.files.reading_ahead`, of any source."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from ilk.data.sources import ImageSource, Index, as_index
from ilk.files import reading_ahead

__all__ = ["ahead"]


def ahead(source: ImageSource, rows: Index | range, in_work: int = 0) -> AbstractContextManager[None]:
    """Within it, images of `source` that lie at an address are asked for before they are needed, many at a time.

    Parameters
    ----------
    source
    rows
        That will be read, each once, about in this order.
    in_work : int
        Images that may be decoded at a time: as many more are read ahead.

    Notes
    -----
    Nothing is done for what lies on the disk. Memory: at most 256 MiB, and one image for each request.
    """
    listing = getattr(getattr(source, "images", None) or source, "listing", None)
    order: Sequence[int] = rows if isinstance(rows, range) else as_index(rows).tolist()
    return reading_ahead(listing, order, in_work)
