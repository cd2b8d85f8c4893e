"""What an export made, written beside it: the only files that a later export may move, replace or remove."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ilk import disk
from ilk.errors import DataError
from ilk.exports.names import is_own
from ilk.files.listing import EXPORTED

__all__ = ["Made", "Manifest", "load", "look", "verified"]

_VERSION = 1
_GRAINS = (1, 100, 10**3, 10**6, 10**9, 2 * 10**9)  # ns; what file systems keep of a time
_BYTES, _VALUES = 512 << 20, 20_000_000  # two million files


@dataclass(slots=True)
class Made:
    """A file that an export made.

    Attributes
    ----------
    path : str
        The image's name in the run; empty for a table.
    link : str or None
        Where the symbolic link leads, if it is one.
    size : int or None
        Bytes of the file, or of the file that a hard link shares; None where only the time is known.
    stamp, before : int
        Time of the last change that the export gave the file, in ns; of a table, also that of the one it replaces.
    """

    path: str
    link: str | None
    size: int | None
    stamp: int
    before: int = 0


@dataclass
class Manifest:
    """Content of ``.ilk-export.json``; `tree` is the layout of folders that stands here, or None for tables only."""

    folder: Path
    source: str | None = None
    tree: str | None = None
    files: dict[str, Made] = field(default_factory=dict)

    def save(self, run: Path, status: str) -> None:
        """Write it, whole or not at all."""
        files = {rel: [made.path, made.link, made.size, made.stamp, made.before] for rel, made in self.files.items()}
        head = {"ilk_export": _VERSION, "run": str(run), "status": status, "source": self.source, "tree": self.tree}
        columns = ["path", "link", "size", "stamp", "before"]
        # without indents: Python's own encoder, which makes them, takes ten times as long
        text = json.dumps({**head, "columns": columns, "files": files})
        disk.write_bytes(self.folder / EXPORTED, text.encode("ascii"))


def load(folder: Path) -> Manifest:
    """Read the manifest of `folder`; an empty one where there is none.

    Raises
    ------
    DataError
        It is damaged, of a newer version, or names files outside of `folder`.
    """
    path = folder / EXPORTED
    try:
        found = disk.read_json(path, limit=_BYTES, values=_VALUES)
        files = {rel: Made(*row) for rel, row in found["files"].items()}
        version, source, tree = found["ilk_export"], found["source"], found["tree"]
    except FileNotFoundError:
        return Manifest(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise DataError(
            f"{path} is damaged: export to another folder, or remove that file and what lies here."
        ) from None
    if version != _VERSION:
        raise DataError(f"{path} was written by another version of ilk. Export to another folder.")
    bad = [rel for rel, made in files.items() if not is_own(rel) or not _typed(made)]
    if bad:
        raise DataError(f"{path} was tampered with: it names {bad[0]!r}, which no export makes. Remove it first.")
    return Manifest(folder, source, tree, files)


def _typed(made: Made) -> bool:
    numbers: list[Any] = [made.stamp, made.before, 0 if made.size is None else made.size]
    return isinstance(made.path, str) and isinstance(made.link, str | None) and all(type(n) is int for n in numbers)


def look(folder: Path, part: str, *, tidy: bool = True) -> dict[str, os.stat_result] | None:
    """Status of everything in ``folder/part`` by name; None where there is no such folder. Links are not followed.

    What a killed export left half written is removed, unless `tidy` is false.

    Raises
    ------
    DataError
        ``folder/part`` is a link or a file: whatever is written there would land elsewhere.
    """
    location = folder / part if part else folder
    try:
        kind = location.lstat().st_mode
    except FileNotFoundError:
        return None
    if part and not stat.S_ISDIR(kind):
        what = "a link" if stat.S_ISLNK(kind) else "a file"
        raise DataError(
            f"{location} is in the way: it is {what}, no folder. Move it away, or export to another folder."
        )
    found = {}
    if tidy:
        disk.remove_temporaries(location)
    with os.scandir(location) as entries:
        for entry in entries:
            if not disk.is_temporary(entry.name):
                found[entry.name] = entry.stat(follow_symlinks=False)
    return found


def verified(location: str, state: os.stat_result, made: Made) -> bool:
    """Whether the file at `location` is still what the export made."""
    if stat.S_ISLNK(state.st_mode):
        return made.link is not None and os.readlink(location) == made.link  # noqa: PTH115
    if not stat.S_ISREG(state.st_mode):
        return False
    stamps = (made.stamp, made.before or made.stamp)
    right_time = any(_kept(stamp, state.st_mtime_ns) for stamp in stamps)
    return right_time and (made.size is None or made.size == state.st_size)


def _kept(stamp: int, found: int) -> bool:
    """Whether `found` is what a disk makes of the time `stamp`.

    >>> _kept(1_700_000_001_123_456_789, 1_700_000_001_123_456_000), _kept(10**9 + 5, 10**9 + 6)
    (True, False)
    """
    return any(found in (stamp // grain * grain, -(-stamp // grain) * grain) for grain in _GRAINS)
