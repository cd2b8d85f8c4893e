"""What the files of a set have in common, asked of a few of them before any is used: black, white, bands, pages.

One rule for all: two pictures of a set that hold the same value look the same there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ilk.files import tiff
from ilk.files.ahead import reading_ahead
from ilk.files.helper import shared_pool
from ilk.files.listing import Listing
from ilk.files.passed import extension
from ilk.files.samples import Kind, Samples, bands_of, limits_of

__all__ = ["survey"]

_FILES = 256  # looked at, evenly spaced by name
_SNIFFED = 16  # of those that are called like 8-bit pictures
_BYTES = 256 * 2**20  # and no more than this in all
_WORDS = {"uint16": "16-bit samples", "integer": "integer samples", "float": "floating-point samples"}
# Whatever else the pictures are, in these they have 8 bits.
_EIGHT = frozenset("jpg jpeg jpe jfif gif webp bmp dib heic heif hif avif ico icns psd pcx tga mpo".split())  # noqa: SIM905


def survey(listing: Listing, range: Any = "auto", bands: Any = None) -> tuple[Samples, list[str]]:  # noqa: A002
    """Return how the samples of a set become pixels, and notes for its user.

    Parameters
    ----------
    range : "auto", "dtype", "LOW,HIGH" or (low, high)
        What is black and what is white: see `Samples.asked`. "auto" looks at up to 256 files, evenly spaced.
    bands : optional
        See `Samples.asked`.

    Notes
    -----
    Of files that are called like 8-bit pictures a few are looked at, whether they are. Of PNG files the header says
    whether more is worth it.
    """
    asked = Samples.asked(range, bands)
    chosen = bands_of(bands)
    looked = list(_looked(listing))
    notes = _shapes(looked, chosen)
    if asked is not None:
        return asked, notes
    record: dict[str, Any] = {"bands": list(chosen)}
    kinds: tuple[Kind, ...] = ("uint16", "integer", "float")
    for kind in kinds:
        mine = [one["values"] for one in looked if one.get("kind") == kind and one.get("values")]
        if not mine:
            continue
        low, high = limits_of(kind, np.concatenate([np.asarray(values) for values in mine]))
        record[kind] = [low, high]
        notes.append(
            f"{_WORDS[kind]}: {low:,g} is shown as black and {high:,g} as white, as {len(mine)} of the files suggest "
            "(--set range=LOW,HIGH for others, range=dtype for all that the type can hold)"
        )
    return Samples.from_record(record), notes


def _evenly(rows: list[int], count: int) -> list[int]:
    """Return up to `count` of `rows`, evenly spaced."""
    return (
        [rows[at] for at in np.unique(np.linspace(0, len(rows) - 1, min(len(rows), count)).astype(int))] if rows else []
    )


def _eight(listing: Listing, row: int) -> bool:
    """Whether a file called like one of 8 bits begins like one, as far as can be seen."""
    try:
        start = listing.read(row)[:26]
    except OSError:
        return True
    deep = start.startswith(b"\x89PNG") and start[24:25] == b"\x10"
    return not (deep or tiff.is_tiff(start))


def _looked(listing: Listing) -> Iterable[dict[str, Any]]:
    """Yield what some files are, in the words of `ilk.files.odd.look`."""
    left: list[int] = []
    usual: list[int] = []
    for i, name in enumerate(listing.names):
        if i not in listing.refused:
            (usual if extension(name) in _EIGHT else left).append(i)
    few = list(_evenly(usual, _SNIFFED))
    with reading_ahead(listing, few):
        odd = any(not _eight(listing, i) for i in few)
    if odd:
        left = sorted(left + usual)  # endings say nothing here
    sizes = listing.sizes[left].astype(np.float64)
    fitting = int(_BYTES / max(1.0, float(sizes.mean()))) if left else 0
    with reading_ahead(listing, chosen := list(_evenly(left, max(1, min(_FILES, fitting))))):
        yield from _each(listing, chosen)


def _each(listing: Listing, chosen: Iterable[int]) -> Iterable[dict[str, Any]]:
    for i in chosen:
        try:
            data = listing.read(i)
        except OSError:
            continue
        if data.startswith(b"\x89PNG"):
            if data[24:25] != b"\x10":
                continue
            if data[25:26] != b"\x00":  # not plain grey: Pillow reads the upper 8 of the 16 bits
                yield {"kind": None, "upper": True}
                continue
        elif data.startswith((b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM")):
            continue
        yield shared_pool().look(data)


def _shapes(looked: list[dict[str, Any]], chosen: tuple[int, ...]) -> list[str]:
    """Say what of the files is not shown: further pages, further bands, the lower half of deep colours."""
    notes = []
    if upper := sum(one.get("upper", False) for one in looked):
        notes.append(
            f"{upper} of {len(looked)} files looked at have colours or opacity of 16 bits that can be read by their "
            "upper 8 bits only: dark where the values are small, whatever range= says. TIFF without compression is "
            "read whole"
        )
    stacks = sum(one.get("pages", 1) > 1 for one in looked)
    if stacks:
        notes.append(
            f"{stacks} of {len(looked)} files looked at hold several pages: the first of each is taken "
            "(for all of them: magick FILE page-%04d.png, or tiffsplit FILE, and give their folder)"
        )
    many = [one["bands"] for one in looked if one.get("bands", 1) > 4 or one.get("bands", 1) == 2]
    if many and not chosen:
        which = "1, 2, 3 are shown as red, green, blue" if min(many) >= 3 else "the first is shown"
        span = f"{min(many)}" if min(many) == max(many) else f"{min(many)} to {max(many)}"
        notes.append(f"{len(many)} of {len(looked)} files looked at have {span} bands: {which} (--set bands=R,G,B)")
    return notes
