"""Where the images of a run are now: files to link or copy, encoded images inside a container, or pixels."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ilk.errors import DataError
from ilk.exports.belonging import foreign
from ilk.exports.rows import UNREADABLE, Rows
from ilk.files import (
    ArraySet,
    FeatureSet,
    Listing,
    Samples,
    Together,
    content_hash,
    decode,
    is_address,
    open_again,
    open_source,
    open_together,
    without_secrets,
)
from ilk.files.numbered import numbered
from ilk.files.passed import extension
from ilk.runs import Run, source_name

__all__ = ["Origin", "find"]

_MAGIC = {
    b"\xff\xd8\xff": ".jpg",
    b"\x89PNG": ".png",
    b"GIF8": ".gif",
    b"BM": ".bmp",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
}


_NAMELESS = ("parquet", "shards", "several", "images")  # kinds whose names may lack the ending of their content


class Origin:
    """The source of a run, opened again.

    Attributes
    ----------
    images : Listing or ArraySet
    at : (n,) int64
        Position in the source of every image of the run; -1 where the source no longer has it.
    reasons : dict of int to str
        Why an image cannot be had, by its row in the run.
    """

    def __init__(
        self,
        images: Listing | ArraySet,
        rows: Rows,
        created: str,
        samples: Samples | None = None,
        contents: Sequence[str | None] | None = None,
        own_word: bool | npt.NDArray[np.bool_] = False,
    ) -> None:
        self.images = images
        self.samples = samples or Samples()
        self._contents, self._own_word = contents, np.broadcast_to(np.asarray(own_word), len(rows))
        self.created = _nanoseconds(created)
        location = {name: i for i, name in enumerate(images.names)}
        self.at = np.array([location.get(path, -1) for path in rows.path], np.int64)
        self.reasons = dict.fromkeys(np.flatnonzero(self.at < 0).tolist(), "not in the source any more")
        self._numbered = np.zeros(len(self.at), bool)
        if isinstance(images, Listing):
            self._numbered = np.append(numbered(images), False)[self.at]  # the last is for what is not there
            where = {i: row for row, i in enumerate(self.at.tolist()) if i >= 0}
            self.reasons |= {where[i]: why for i, why in images.refused.items() if i in where}

    def unsure(self, rows: Rows) -> int:
        """Number of images that are taken by the number of their row, which the run cannot check."""
        if self._contents is None:
            return 0
        taken = np.flatnonzero(self._numbered & self._own_word & rows.chosen & (rows.group != UNREADABLE)).tolist()
        return sum(self._contents[row] is None for row in taken)

    @property
    def has_files(self) -> bool:
        """Whether the images are files of their own, which can be linked."""
        if not isinstance(self.images, Listing) or not self.images.on_disk:
            return False
        return all(part.listing.on_disk for part in self.images.parts)

    def file(self, row: int) -> str:
        """The whole path of the file of image `row`."""
        assert isinstance(self.images, Listing)
        return os.path.abspath(self.images.path(int(self.at[row])) or "")  # noqa: PTH100 - 100,000 of them

    def size(self, row: int) -> int | None:
        """Bytes of the file of image `row`; None where that is known only when it is written."""
        return int(self.images.sizes[self.at[row]]) if self.has_files and isinstance(self.images, Listing) else None

    def stamp(self, row: int) -> int:
        """Time of the last change (ns) that the exported file gets: the image's own, else that of the run."""
        own = int(self.images.stamps[self.at[row]]) if isinstance(self.images, Listing) else 0
        return own or self.created

    def changed(self, rows: Rows) -> int:
        """Number of images whose file has another size than when the run was made."""
        if not isinstance(self.images, Listing):
            return 0
        here = (self.at >= 0) & rows.chosen & (rows.group != UNREADABLE) & (rows.sizes > 0)
        now = self.images.sizes[np.maximum(self.at, 0)]
        return int((here & (now > 0) & (now != rows.sizes)).sum())

    def ending(self, row: int) -> str | None:
        """The ending for image `row` where its name has none: by the first bytes of what a container holds."""
        if isinstance(self.images, ArraySet):
            return ".png"
        if self.images.kind not in _NAMELESS or extension(self.images.names[self.at[row]]):
            return None
        try:
            data = self.images.read(int(self.at[row]))
        except OSError:
            return None
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return ".webp"
        return next((ending for magic, ending in _MAGIC.items() if data.startswith(magic)), None)

    def vouch(self, row: int, content: bytes) -> None:
        """Refuse to give `content` (a `content_hash`) away as image `row` where that is not what the run was made from.

        A run may come from somebody else and name any folder as its source; what lies in a folder that the user names
        is the user's choice, and is not checked. A number of a row is no name: such an image is always checked, as far
        as the run knows.

        Raises
        ------
        OSError
            It is another image, or the run does not know.
        """
        by_number = self._numbered[row]
        if self._contents is None or (self._own_word[row] and (not by_number or self._contents[row] is None)):
            return
        if self._contents[row] != content.hex():
            if by_number and self._contents[row] is not None:
                raise OSError("another image than the one that was grouped has this number in the source now")
            raise OSError(
                "the run cannot show that this is the image it grouped: to copy it all the same, name where it lies "
                "with --source"
            )

    def content(self, row: int, as_png: bool) -> bytes:
        """What to write for image `row`: the bytes that the source holds, or its pixels as PNG.

        Raises
        ------
        OSError
            It can no longer be read.
        """
        if isinstance(self.images, ArraySet):
            return png(self.images.pixels[self.at[row]])
        data = self.images.read(int(self.at[row]))
        self.vouch(row, content_hash(data))
        if not as_png:
            return data
        decoded = decode(data, None, samples=self.samples)
        if decoded.pixels is None:
            raise OSError(decoded.reason)
        return png(decoded.pixels)


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """PNG of one image, uint8 (h, w), (h, w, 1) or (h, w, 3)."""
    out = BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels)).save(out, "PNG")
    return out.getvalue()


def find(run: Run, rows: Rows, source: Any = None) -> Origin:
    """Open the source of `run`, or `source` in its stead.

    Raises
    ------
    DataError
        The source is gone, was never a file, or holds other images.
    """
    records = run.sources()
    record = records[0]
    given = record.get("spec") if source is None else source
    if given is None:
        raise DataError(
            f"the run was made from {'a list of paths' if record.get('kind') == 'list' else 'an array in memory'}, "
            "which it cannot find again: give it once more (source= in Python), or export a table (--as csv or "
            "parquet)."
        )
    try:
        if source is None:
            first = open_again(record)
        else:
            first = open_source(given, record.get("split", "all") if isinstance(given, str | Path) else "all")
    except DataError as error:
        here = [one for one in _listed(given) if not is_address(one)]
        if source is None and (gone := [one for one in here if not Path(one).exists()]):
            where = ", ".join(gone[:3])
            raise DataError(f"the images are not at {where} any more. Say where they are now with --source.") from None
        raise error
    where = without_secrets(source_name({"spec": given})) if isinstance(given, str | list) else given
    if isinstance(first, ArraySet) and first.fingerprint() != record.get("fingerprint"):
        where = where if first.root else "the array"
        raise DataError(f"{where} does not hold the images of the run any more: nothing is exported.")
    if isinstance(first, FeatureSet):
        where = "Say where the images are with --source, or export" if first.named else "Export"
        raise DataError(f"{first.what} holds features and no images. {where} a table (--as csv or parquet).")
    together = open_together(records, first)
    images = together.images
    if isinstance(images, FeatureSet):
        raise DataError(f"{images.what} holds features and no images.")
    contents, own_word = _vouched(run, rows, together, source is not None or not isinstance(first, Listing))
    origin = Origin(images, rows, str(run.header.get("created", "")), Samples.of_run(run.header), contents, own_word)
    for prefix, why in together.lost.items():
        lost = (row for row in origin.reasons if rows.path[row].startswith(prefix))
        origin.reasons |= dict.fromkeys(lost, why)
    wanted = rows.chosen & (rows.group != UNREADABLE)
    if source is None or isinstance(source, str | Path):  # what the caller has opened, or listed, is his own choice
        _keep_to_source(run, rows, origin, given, record.get("spec") if source is None else None)
    if wanted.any() and not (wanted & (origin.at >= 0)).any():
        example = rows.path[int(np.flatnonzero(wanted)[0])]
        raise DataError(
            f"{where} holds none of the {int(wanted.sum()):,} images of the run (such as {example!r}). "
            "Say where they are now with --source."
        )
    return origin


def _vouched(
    run: Run, rows: Rows, together: Together, own_word: bool
) -> tuple[list[str | None] | None, npt.NDArray[np.bool_]]:
    """Return what the run knows of the contents of its images, and which are taken by their names all the same.

    Those are the images of the source that the user names, if he does; of other sources of the run none. What comes
    out of arrays is known by their fingerprints.
    """
    others = tuple(str(record["prefix"]) for record, _ in together.parts[1:]) + tuple(together.lost)
    own = np.array([own_word and not (others and path.startswith(others)) for path in rows.path], bool)
    if not isinstance(together.images, Listing):
        return None, own
    contents = list(run.hashes() or [None] * len(rows))
    for row, path in enumerate(rows.path):
        if path in together.pixels:
            contents[row], own[row] = None, True
    return contents, own


def _listed(given: Any) -> list[str]:
    return [str(one) for one in given] if isinstance(given, list) else [str(given)]


def _keep_to_source(run: Run, rows: Rows, origin: Origin, given: Any, spec: Any) -> None:
    """Take no file that the run names and that is not of its source: a run from elsewhere may name any file.

    Of the source is what lies in a folder that was grouped, or beside the list that names it.
    """
    images = origin.images
    if not isinstance(images, Listing) or not images.on_disk:
        return
    if images.kind == "several":
        parts = [inner for part in images.parts for inner in (part.listing.parts or [part])]
        roots = [part.listing.root for part in parts if part.listing.kind in ("folder", "shards")]
        base = [root for root in roots if isinstance(root, Path)]
    elif images.kind == "list":
        named = Path(given).expanduser().absolute() if isinstance(given, str | Path) else None
        base = [named.parent] if named is not None and named.is_file() else []
    else:
        base = [images.root] if isinstance(images.root, Path) else []
    rows_of = np.flatnonzero((origin.at >= 0) & (rows.chosen & (rows.group != UNREADABLE))).tolist()
    wanted = {row: int(origin.at[row]) for row in rows_of}
    found = foreign(images, base, wanted, rows.sizes.tolist(), run.hashes)
    if found and found.keys() >= wanted.keys():
        how = "Name the folder that they lie in with --source." if spec is not None else "Nothing is exported."
        raise DataError(f"none of the {len(wanted):,} images can be taken: {next(iter(found.values()))}. {how}")
    origin.reasons |= found


def _nanoseconds(created: str) -> int:
    """The time a run was made, which the files made from its pixels get: the same in every export."""
    try:
        return int(datetime.datetime.fromisoformat(created).timestamp()) * 10**9
    except ValueError:
        return 10**18
