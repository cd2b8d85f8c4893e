"""Several sources as one `Listing`: folders, archives, tables, lists and files."""

# ruff: noqa: PTH118, PTH119, PTH120
# Plain strings and os: a Path for each of 100,000 files takes seconds and most of the memory.

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ilk.files.addresses import Address
from ilk.files.arrays import ArraySet
from ilk.files.listing import Listing, Part, PartsReader, starts_of, unique
from ilk.files.passed import PassedOver
from ilk.files.reading import Reader

__all__ = ["as_listing", "joined", "prefixes", "rows_of_tables"]


def joined(
    kind: str, root: Path | Address, sources: Sequence[tuple[str, Listing]], notes: Sequence[str] = ()
) -> Listing:
    """Return the images of all `sources` one after the other, the names of each below its prefix ("": as they are).

    A file, or an image of a container, that is in two of them counts once, where it comes first; links to folders and
    containers do not make two.
    """
    parts, seen, twice = [], set[str](), 0
    for prefix, listing in sources:
        whole = _places(listing)
        rows = [i for i in range(len(listing)) if not whole or whole[i] is None or whole[i] not in seen]
        twice += len(listing) - len(rows)
        seen.update(path for path in whole if path is not None)
        parts.append(Part(prefix, listing, rows))
    starts = starts_of(parts)
    passed = PassedOver()
    for part in parts:
        passed.merge(part.listing.passed_over, part.prefix)
    all_notes = list(notes)
    for part in parts:
        named = f"{part.prefix.rstrip('/')}: " if part.prefix else ""
        all_notes += [f"{named}{note}" for note in part.listing.notes]
    if twice:
        all_notes.append(
            f"{twice:,} file{'s are' if twice > 1 else ' is'} in more than one of the sources, and counted once"
        )
    names = [part.prefix + part.listing.names[i] for part in parts for i in part.rows]
    return Listing(
        kind,
        root,
        unique(names),
        _together([part.listing.sizes[part.rows] for part in parts]),
        _together([part.listing.stamps[part.rows] for part in parts]),
        {
            start + at: part.listing.refused[i]
            for start, part in zip(starts, parts, strict=False)
            for at, i in enumerate(part.rows)
            if i in part.listing.refused
        },
        passed,
        all_notes,
        PartsReader(parts),
        parts=parts,
    )


def rows_of_tables(images: Listing) -> Iterator[tuple[str, int]]:
    """Yield name and row of each image that comes out of a table, also where that is one of several sources."""
    if images.kind == "parquet":
        yield from zip(images.names, range(len(images)), strict=True)
    start = 0
    for part in images.parts:
        if part.listing.kind == "parquet":
            yield from ((images.names[i], i) for i in range(start, start + len(part.rows)))
        start += len(part.rows)


def _places(listing: Listing) -> list[str | None]:
    """Return for each image what is the same wherever it is found; empty where that cannot be said."""
    if listing.parts:
        found = {id(part.listing): _places(part.listing) for part in listing.parts}
        return [(found[id(part.listing)] or {i: None})[i] for part in listing.parts for i in part.rows]
    if listing.on_disk:
        real = functools.cache(os.path.realpath)
        paths = [listing.path(i) for i in range(len(listing))]
        return [
            None if path is None else os.path.join(real(os.path.dirname(path)), os.path.basename(path))
            for path in paths
        ]
    if isinstance(listing.root, Address):
        start = listing.root.key + (f"\0{listing._salt}\0" if listing.root.size else "/")
        return [start + name for name in listing.names]
    if listing.root.is_file():  # a container: what is in it has a name, also where it is an array
        start = f"{os.path.realpath(listing.root)}\0{listing._salt}\0"
        return [start + name for name in listing.names]
    return []


def _together(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.zeros(0, np.int64)


def prefixes(paths: Sequence[str]) -> list[str]:
    """Return for each of different whole paths the shortest end of it that no other has, with a slash behind it.

    >>> prefixes(["/a/2023/photos", "/a/2024/photos", "/b/x.zip"])
    ['2023/photos/', '2024/photos/', 'x.zip/']
    """
    split = [[part for part in path.replace(os.sep, "/").split("/") if part] or ["root"] for path in paths]
    lengths = [1] * len(paths)
    while True:
        ends = ["/".join(parts[-n:]) for parts, n in zip(split, lengths, strict=True)]
        equal = [i for i, end in enumerate(ends) if ends.count(end) > 1 and lengths[i] < len(split[i])]
        if not equal:
            return [f"{end}/" for end in ends]
        for i in equal:
            lengths[i] += 1


def as_listing(images: ArraySet) -> Listing:
    """Return images of an array as if each were a PNG file (without loss)."""
    n = len(images)
    zeros = np.zeros(n, np.int64)
    root = images.root or Path()
    return Listing(
        images.kind,
        root,
        images.names,
        zeros,
        zeros,
        {},
        PassedOver(),
        images.notes,
        _Array(images.pixels),
        images.fingerprint(),
    )


@dataclass(frozen=True)
class _Array(Reader):
    """Images of an array."""

    pixels: NDArray[np.uint8]

    def __call__(self, i: int) -> bytes:
        from PIL import Image

        pixels = np.ascontiguousarray(self.pixels[i])
        out = BytesIO()
        Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels).save(out, "PNG", compress_level=1)
        return out.getvalue()

    def take(self, rows: Sequence[int]) -> _Array:
        return _Array(self.pixels[np.asarray(rows, np.int64)])
