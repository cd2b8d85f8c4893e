"""Exports as sidecars: a file of keywords for every image, in a tree like the source's, or beside the images."""

from __future__ import annotations

# ruff: noqa: PTH102, PTH105, PTH108, PTH118, PTH120
# Plain strings and os: a Path for each of 100,000 files takes seconds and most of the memory.
import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ilk import disk
from ilk.errors import ArgumentError, DataError
from ilk.exports import tables
from ilk.exports.beside import expect, table_names, write_table
from ilk.exports.manifest import Manifest
from ilk.exports.names import tree_names
from ilk.exports.origin import Origin
from ilk.exports.outcome import Exported, measured
from ilk.exports.placing import OnProgress
from ilk.exports.rows import UNREADABLE, Rows
from ilk.exports.xmp import ENDING, LARGEST, is_ours, sidecar
from ilk.files.passed import extension
from ilk.runs import Run

__all__ = ["SIDECARS", "write_sidecars"]

SIDECARS = ("full", "stem")
"""How they are called: photo.jpg.xmp (darktable, digiKam), or photo.xmp (Lightroom, Bridge, Capture One)."""


@dataclass(slots=True)
class _Card:
    """The sidecar of image `row`: where it belongs, and what it says; None where there should be none."""

    row: int
    location: str
    data: bytes | None


def write_sidecars(
    run: Run,
    rows: Rows,
    origin: Origin | None,
    manifest: Manifest,
    done: Exported,
    report: OnProgress,
    called: str = "full",
) -> None:
    """Write a sidecar for every chosen image that is in a group, and the table.

    Parameters
    ----------
    origin
        The source, where sidecars lie beside the images; None: they lie below the folder of `manifest`.
    called
        One of `SIDECARS`.

    Notes
    -----
    A sidecar that somebody else made, or has worked on, is never touched: its image is named in ``done.missing``. One
    of ours, as it was made, is replaced where the group has changed, and removed where there is none any more. Only the
    chosen images are looked at.
    """
    targets = table_names(manifest, ["groups.csv"], done)
    cards = list(_cards(rows, origin, manifest.folder, done, called))
    folders = _Folders(None if origin else str(manifest.folder))
    if not done.dry:
        manifest.folder.mkdir(parents=True, exist_ok=True)
        stamp = expect(manifest, targets)
        manifest.save(run.path, "running")
    exported = {}
    for count, card in enumerate(cards, 1):
        try:
            if _placed(card, folders, done):
                exported[card.row] = card.location if origin else os.path.relpath(card.location, manifest.folder)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                raise
            done.missing[rows.path[card.row]] = f"{card.location}: {error.strerror or error}"
        if count % 256 == 0:
            report(count, len(cards))
    report(len(cards), len(cards))
    done.n_images = len(exported)
    if done.dry:
        done.bytes += measured(lambda file: tables.write_csv(file, rows, exported))
        return
    write_table(manifest, targets["groups.csv"], lambda file: tables.write_csv(file, rows, exported), stamp)
    done.bytes += done.table.stat().st_size
    manifest.save(run.path, "done")


def _cards(rows: Rows, origin: Origin | None, folder: Path, done: Exported, called: str) -> Iterator[_Card]:
    """Yield what belongs where."""
    if origin is not None and not origin.has_files:
        raise ArgumentError("beside=True: the images lie inside a container; leave it out, and sidecars lie in DIR.")
    names = tree_names(rows.path) if origin is None else []
    texts = {group: sidecar(name) for group, name in rows.names.items() if group >= 0}
    seen: dict[str, int] = {}
    for row in np.flatnonzero(rows.chosen & (rows.group != UNREADABLE)).tolist():
        if origin is not None and row in origin.reasons:
            done.missing[rows.path[row]] = origin.reasons[row]
            continue
        image = os.path.join(folder, names[row]) if origin is None else origin.file(row)
        ending = extension(image)
        location = (image[: -len(ending) - 1] if called == "stem" and ending else image) + ENDING
        group = int(rows.group[row])
        if seen.setdefault(location, group) != group:
            done.missing[rows.path[row]] = f"{location} is the sidecar of an image of the same name in another group"
            continue
        yield _Card(row, location, texts.get(group))
    if origin is None and (n := sum(name != path for name, path in zip(names, rows.path, strict=True))):
        done.notes.append(f"{n:,} sidecars are called otherwise than their image, whose name not every system takes")


class _Folders:
    """Makes folders below `base`; no link may lead out of it. Without one, folders must be there."""

    def __init__(self, base: str | None) -> None:
        self._base = base
        self._known: set[str] = set() if base is None else {base}

    def check(self, folder: str, dry: bool) -> None:
        """Raise unless files may be written into `folder`, which is made."""
        if self._base is None or folder in self._known:
            return
        self.check(os.path.dirname(folder), dry)
        try:
            kind = os.lstat(folder).st_mode
        except FileNotFoundError:
            if not dry:
                os.mkdir(folder)
        else:
            if not stat.S_ISDIR(kind):
                raise DataError(f"{folder} is in the way: it is no folder. Move it away, or export to another folder.")
        self._known.add(folder)


def _placed(card: _Card, folders: _Folders, done: Exported) -> bool:
    """Bring one sidecar to what it should be, and count that; return whether it is there then."""
    folders.check(os.path.dirname(card.location), done.dry)
    before = _before(card.location)
    foreign = before is not None and before and not is_ours(before)
    if card.data is None:
        if before and not foreign:
            done.removed += 1
            if not done.dry:
                os.unlink(card.location)
        return False
    if foreign:
        done.foreign.append(card.location)
        return False
    if before == card.data:
        done.unchanged += 1
        return True
    done.bytes += len(card.data)
    if before:
        done.moved += 1
    else:
        done.added += 1
    if not done.dry:
        _write(card.location, card.data)
    return True


def _before(location: str) -> bytes | None:
    """Return what lies at `location`, None for nothing; of what cannot be a sidecar of ours, something that is none."""
    try:
        return disk.read_bytes(location, LARGEST)
    except FileNotFoundError:
        return None
    except OSError:
        return b"another"


def _write(location: str, data: bytes) -> None:
    """Write under a name of our own first: half of a file never bears its name."""
    temporary = os.path.join(os.path.dirname(location), disk.temporary_name())
    try:
        with disk.create(temporary) as file:
            file.write(data)
        os.replace(temporary, location)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
