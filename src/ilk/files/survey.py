"""What the files of a set have in common, asked of a few of them before any is used: black, white, bands, pages.

One rule for all: two pictures of a set that hold the same value look the same there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ilk.files.helper import shared_pool
from ilk.files.listing import Listing
from ilk.files.passed import extension
from ilk.files.samples import Kind, Samples, bands_of, limits_of

__all__ = ["survey"]

_FILES = 64  # looked at, evenly spaced by name
_BYTES = 256 * 2**20  # and no more than this in all
_WORDS = {"uint16": "16-bit samples", "integer": "integer samples", "float": "floating-point samples"}
# Whatever else the pictures are, in these they have 8 bits.
_EIGHT = frozenset("jpg jpeg jpe jfif gif webp bmp dib heic heif hif avif ico icns psd pcx tga mpo".split())  # noqa: SIM905


def survey(listing: Listing, range: Any = "auto", bands: Any = None) -> tuple[Samples, list[str]]:  # noqa: A002
    """Return how the samples of a set become pixels, and notes for its user.

    Parameters
    ----------
    range : "auto", "dtype", "LOW,HIGH" or (low, high)
        What is black and what is white: see `Samples.asked`. "auto" looks at up to 64 files, evenly spaced.
    bands : optional
        See `Samples.asked`.

    Notes
    -----
    Nothing is read where all names end as 8-bit pictures do. Of PNG files the header says whether it is worth it.
    """
    asked = Samples.asked(range, bands)
    chosen = bands_of(bands)
    if all(extension(name) in _EIGHT for name in listing.names):
        return asked or Samples(bands=chosen), []
    looked = list(_looked(listing))
    notes = _shapes(looked, chosen)
    if asked is not None:
        return asked, notes
    told: dict[str, Any] = {"bands": list(chosen)}
    kinds: tuple[Kind, ...] = ("uint16", "integer", "float")
    for kind in kinds:
        mine = [one["values"] for one in looked if one.get("kind") == kind and one.get("values")]
        if not mine:
            continue
        low, high = limits_of(kind, np.concatenate([np.asarray(values) for values in mine]))
        told[kind] = [low, high]
        notes.append(
            f"{_WORDS[kind]}: {low:,g} is shown as black and {high:,g} as white, as {len(mine)} of the files suggest "
            "(--set range=LOW,HIGH for others, range=dtype for all that the type can hold)"
        )
    return Samples.from_told(told), notes


def _looked(listing: Listing) -> Iterable[dict[str, Any]]:
    """Yield what some files are, in the words of `ilk.files.odd.look`."""
    rows = [i for i, name in enumerate(listing.names) if extension(name) not in _EIGHT and i not in listing.refused]
    left = _BYTES
    for at in np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _FILES)).astype(int)) if rows else ():
        if (left := left - int(listing.sizes[rows[at]])) < 0:
            return
        try:
            data = listing.read(rows[at])
        except OSError:
            continue
        if data.startswith(b"\x89PNG"):
            if data[24:26] not in (b"\x10\x00", b"\x10\x04"):  # 16 bits of grey; colours are read by their upper 8
                continue
        elif data.startswith((b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM")):
            continue
        yield shared_pool().look(data)


def _shapes(looked: list[dict[str, Any]], chosen: tuple[int, ...]) -> list[str]:
    """Say what of the files is not shown: further pages, further bands."""
    notes = []
    stacks = sum(one.get("pages", 1) > 1 for one in looked)
    if stacks:
        notes.append(f"{stacks} of {len(looked)} files looked at hold several pages: the first of each is taken")
    many = [one["bands"] for one in looked if one.get("bands", 1) > 4 or one.get("bands", 1) == 2]
    if many and not chosen:
        which = "1, 2, 3 are shown as red, green, blue" if min(many) >= 3 else "the first is shown"
        span = f"{min(many)}" if min(many) == max(many) else f"{min(many)} to {max(many)}"
        notes.append(f"{len(many)} of {len(looked)} files looked at have {span} bands: {which} (--set bands=R,G,B)")
    return notes
