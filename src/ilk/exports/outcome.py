"""What an export did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

__all__ = ["Exported", "measured"]


_LINKS = "; links to your images, which take no room (copies, for another machine or a stick: --mode copy)"


@dataclass
class Exported:
    """What `export` did, or, where `dry`, what it would have done.

    Attributes
    ----------
    run, folder : Path
    layout, mode : str
    table : Path
        The table with one row per image.
    n_images, n_unreadable, n_groups : int
        Images that the export holds; those that could not be read, which are in the table only; groups, "not assigned"
        left out.
    added, moved, unchanged, removed, converted : int
        Files that were made, that went to another group, that were there, that no longer belong, that were made PNG.
    missing : dict of str to str
        Images that could not be exported, and why.
    foreign : list of str
        Sidecars that were there and that no export made, or that somebody has worked on: never touched.
    changed : list of str
        Files of a former export that were changed by hand: kept as they are.
    dropped : list of str
        Images that are nearly the same as one that the export holds, and are left out.
    left : list of str
        Copies of images that are neither in the run nor in the source any more: kept.
    opened_by : str
        The command that opens it in the tool it is for; empty for folders and plain tables.
    notes : list of str
    seconds : float
    dry : bool
        Nothing was written.
    links : bool
        The files are links, and lead nowhere where the images are not.
    bytes : int
        Size of the new files and of the tables; links take none, and what is made PNG counts as its original does.
    """

    run: Path
    folder: Path
    layout: str
    mode: str
    table: Path
    n_images: int = 0
    n_unreadable: int = 0
    n_groups: int = 0
    added: int = 0
    moved: int = 0
    unchanged: int = 0
    removed: int = 0
    converted: int = 0
    missing: dict[str, str] = field(default_factory=dict)
    foreign: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    opened_by: str = ""
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    dry: bool = False
    bytes: int = 0
    links: bool = False

    def lines(self) -> list[str]:
        """Return what was done in a few lines for people."""
        what, groups = _count(self.n_images, "image"), f" in {_count(self.n_groups, 'group')}" if self.n_groups else ""
        how = " as sidecars" if self.layout == "xmp" else ""
        lines = [f"{'would export' if self.dry else 'exported'} {what}{groups}{how} to {self.folder}"]
        if self.layout in ("folders", "imagefolder", "fiftyone", "xmp"):
            moved = "changed" if self.layout == "xmp" else "moved"
            counts = {"new": self.added, moved: self.moved, "as before": self.unchanged, "removed": self.removed}
            said = ", ".join(f"{n:,} {word}" for word, n in counts.items() if n or word == "new")
            lines.append(f"files    {said}{_LINKS if self.links else ''}")
        if self.converted:
            be = "would be written" if self.dry else "written"
            lines.append(f"         {_count(self.converted, 'image')} of a format that few readers open {be} as PNG")
        if self.dry:
            lines.append(f"size     {_size(self.bytes)}; nothing was written")
        lines.append(f"table    {self.table}")
        return [*lines, f"open     {self.opened_by}"] if self.opened_by else lines

    def summary(self) -> dict[str, Any]:
        """Return what ``ilk export --json`` prints: counts, and at most 100 names of each list."""
        lists = {
            "missing": dict(list(self.missing.items())[:100]),
            "changed": self.changed[:100],
            "left": self.left[:100],
            "foreign": self.foreign[:100],
            "dropped": self.dropped[:100],
        }
        counts = ("n_images", "n_unreadable", "n_groups", "added", "moved", "unchanged", "removed", "converted")
        return {
            "run": str(self.run),
            "folder": str(self.folder),
            "layout": self.layout,
            "mode": self.mode,
            **{name: getattr(self, name) for name in counts},
            "n_missing": len(self.missing),
            "n_foreign": len(self.foreign),
            "n_dropped": len(self.dropped),
            **lists,
            "table": str(self.table),
            "opened_by": self.opened_by,
            "notes": self.notes,
            "seconds": round(self.seconds, 2),
            "dry": self.dry,
            "bytes": self.bytes,
        }


def measured(write: Callable[[BytesIO], object]) -> int:
    """Return how many bytes `write` would write into a file."""
    buffer = BytesIO()
    write(buffer)
    return buffer.getbuffer().nbytes


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}" + ("" if n == 1 else "s")


def _size(n: int) -> str:
    """Return bytes for people.

    >>> _size(0), _size(20_480), _size(3 << 30)
    ('0 bytes', '20.5 kB', '3.2 GB')
    """
    for step, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if n >= step:
            return f"{n / step:.1f} {unit}"
    return _count(n, "byte")
