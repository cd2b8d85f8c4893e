"""What an export did."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Exported"]


@dataclass
class Exported:
    """What `export` did.

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
    changed: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    opened_by: str = ""
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def summary(self) -> dict[str, Any]:
        """Return what ``ilk export --json`` prints: counts, and at most 100 names of each list."""
        lists = {
            "missing": dict(list(self.missing.items())[:100]),
            "changed": self.changed[:100],
            "left": self.left[:100],
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
            "n_dropped": len(self.dropped),
            **lists,
            "table": str(self.table),
            "opened_by": self.opened_by,
            "notes": self.notes,
            "seconds": round(self.seconds, 2),
        }
