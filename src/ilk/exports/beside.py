"""The tables that lie beside the folders of an export: where each goes, and replacing it in one step."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from ilk import disk
from ilk.errors import DataError
from ilk.exports.manifest import Made, Manifest, look, verified
from ilk.exports.outcome import Exported

__all__ = ["Write", "expect", "refuse", "table_names", "write_table"]

Write = Callable[[BinaryIO], object]


def refuse(folder: Path, foreign: list[str]) -> None:
    """Raise DataError where files of somebody else are in the way."""
    if foreign:
        more = f" and {len(foreign) - 1:,} more" if len(foreign) > 1 else ""
        raise DataError(
            f"{folder / foreign[0]}{more} is in the way and was not made by ilk: move it away, or export to another "
            "folder. Nothing was changed."
        )


def table_names(manifest: Manifest, names: list[str], done: Exported) -> dict[str, str]:
    """Where each table goes: its own name, or a numbered one where the user has changed ours.

    Raises
    ------
    DataError
        A file that no export made has the name.
    """
    here = look(manifest.folder, "", tidy=not done.dry) or {}
    found = {}
    for name in names:
        rel, count = name, 0
        while rel in here:
            if rel not in manifest.files:
                refuse(manifest.folder, [rel])
            if verified(str(manifest.folder / rel), here[rel], manifest.files[rel]):
                break
            done.changed.append(rel)
            count += 1
            rel = f"{Path(name).stem}-{count}{Path(name).suffix}"
        found[name] = rel
        if rel != name:
            done.notes.append(f"{name} was changed by hand and is kept; the new table is {rel}")
    done.table = manifest.folder / found[names[0]]
    return found


def expect(manifest: Manifest, targets: dict[str, str]) -> int:
    """Put the tables that will be written into the manifest: a killed export finds them again as its own."""
    stamp = time.time_ns()
    for rel in targets.values():
        path = manifest.folder / rel
        manifest.files[rel] = Made("", None, None, stamp, path.lstat().st_mtime_ns if path.exists() else 0)
    return stamp


def write_table(manifest: Manifest, rel: str, write: Write, stamp: int) -> None:
    """Write the table `rel` and enter it into the manifest."""
    target = manifest.folder / rel
    with disk.replacing(target) as file:
        write(file)
        file.flush()
        os.utime(file.name, ns=(stamp, stamp))
    manifest.files[rel] = Made("", None, None, stamp)
