"""Exports that hold the images themselves: a folder per group, or one folder and a file of labels."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ilk.exports import tables
from ilk.exports.beside import Write, expect, refuse, table_names, write_table
from ilk.exports.manifest import Made, Manifest
from ilk.exports.names import file_names, folder_names
from ilk.exports.origin import Origin
from ilk.exports.outcome import Exported, measured
from ilk.exports.placing import Item, OnProgress, Placer, Plan, reconcile
from ilk.exports.rows import UNREADABLE, Rows
from ilk.files.passed import extension
from ilk.runs import Run

__all__ = ["write_tree"]

# endings that a reader of the layout opens; images with another one are written as PNG
_OPENED = {
    "imagefolder": frozenset("jpg jpeg png ppm bmp pgm tif tiff webp".split()),  # noqa: SIM905 - torchvision's list
    "fiftyone": frozenset("jpg jpeg png webp gif bmp".split()),  # noqa: SIM905 - what a browser shows
}


def write_tree(run: Run, rows: Rows, origin: Origin, manifest: Manifest, done: Exported, report: OnProgress) -> None:
    """Bring the folder of `manifest` to what the run says, and say in `done` what that took.

    Raises
    ------
    DataError
        A file that no export made is in the way; nothing is changed then.

    Notes
    -----
    What is no longer right goes first, then the manifest names all that is to come, then it is made: killed at any
    moment, the next export knows every file as its own or misses it.
    """
    folders, names = folder_names(rows.names, rows.guesses), set(origin.images.names)
    items = _items(rows, origin, folders, done)
    plan = reconcile(manifest.folder, manifest.files, items, lambda path: path in names, tidy=not done.dry)
    extra = {"imagefolder": ["metadata.csv"], "fiftyone": ["labels.json"]}.get(done.layout, [])
    targets = table_names(manifest, ["groups.csv", *extra], done)
    refuse(manifest.folder, plan.foreign)
    done.bytes = sum(_size(item, rows) for item in plan.create)
    placer, old = Placer(manifest.folder, origin), set(manifest.files)
    layout = run.map()
    exported: dict[int, str] = {}
    writers: dict[str, Write] = {
        "groups.csv": lambda file: tables.write_csv(file, rows, exported),
        "metadata.csv": lambda file: tables.write_metadata(file, rows, exported),
        "labels.json": lambda file: tables.fiftyone_labels(file, rows, exported, folders, layout),
    }
    kept = set(plan.kept)
    if done.dry:
        exported |= {item.row: item.rel for item in items if item.how or item.rel in kept}
        done.bytes += sum(measured(writers[name]) for name in targets)
        _count(done, plan, placer, len(exported), origin)
        return
    placer.clear(plan.remove)
    for rel in plan.remove:
        manifest.files.pop(rel, None)
    moved = [item for _, item in plan.move]
    manifest.files |= {item.rel: item.made for item in (*plan.create, *moved)}
    stamp = expect(manifest, targets)
    manifest.folder.mkdir(parents=True, exist_ok=True)
    manifest.save(run.path, "running")
    placer.make(plan, report)
    held = [item for item in (*plan.unchanged, *plan.create, *moved) if item.made.path not in placer.failed]
    exported |= {item.row: item.rel for item in (*held, *(item for item in items if item.rel in kept))}
    for name, rel in targets.items():
        write_table(manifest, rel, writers[name], stamp)
    done.bytes += sum((manifest.folder / rel).stat().st_size for rel in targets.values())
    here = {*exported.values(), *kept, *plan.left, *(item.rel for item in plan.missing)}
    _tidy(manifest.folder, old, here)
    manifest.files = {rel: made for rel, made in manifest.files.items() if rel in here or not made.path}
    manifest.save(run.path, "done")
    _count(done, plan, placer, len(exported), origin)


def _items(rows: Rows, origin: Origin, folders: Mapping[int, str], done: Exported) -> list[Item]:
    """What the export should hold: one file per readable image."""
    # names follow from all images of the run, whichever are chosen
    wanted = np.flatnonzero(rows.group >= 0 if done.layout == "imagefolder" else rows.group != UNREADABLE)
    opened = _OPENED.get(done.layout)
    endings, as_png = dict[int, str](), set[int]()
    for row in wanted.tolist():
        ending = None if row in origin.reasons else origin.ending(row)
        if opened and (ending or f".{extension(rows.path[row])}")[1:].lower() not in opened:
            as_png.add(row)
            ending = ".png"
        if ending is not None:
            endings[row] = ending
    names = file_names(rows.path, endings, by_stem=done.layout == "fiftyone")
    groups, items = rows.group.tolist(), []
    wanted = wanted[rows.chosen[wanted]]
    done.converted = len(as_png.intersection(wanted.tolist()))
    for row in wanted.tolist():
        part = "data" if done.layout == "fiftyone" else folders[groups[row]]
        items.append(_item(f"{part}/{names[row]}", row, rows.path[row], origin, done.mode, row in as_png))
    return items


def _item(rel: str, row: int, path: str, origin: Origin, mode: str, as_png: bool) -> Item:
    if row in origin.reasons:
        return Item(rel, row, "", Made(path, None, None, 0))
    stamp = origin.stamp(row)
    if as_png or not origin.has_files:
        return Item(rel, row, "png" if as_png else "bytes", Made(path, None, None, stamp))
    link = origin.file(row) if mode == "link" else None
    return Item(rel, row, mode, Made(path, link, origin.size(row), stamp))


def _size(item: Item, rows: Rows) -> int:
    """Bytes that a new file takes, as far as they are known before it is written."""
    return 0 if item.how == "link" else item.made.size or int(rows.sizes[item.row])


def _tidy(folder: Path, old: set[str], here: set[str]) -> None:
    """Remove folders of former exports that are empty now."""
    for part in {rel.rpartition("/")[0] for rel in old} - {rel.rpartition("/")[0] for rel in here} - {""}:
        try:
            os.rmdir(folder / part)  # noqa: PTH106 - only where it is empty
        except OSError:
            continue


def _count(done: Exported, plan: Plan, placer: Placer, n_images: int, origin: Origin) -> None:
    """Say in `done` what happened."""
    made = {item.rel for item in plan.create}
    done.missing = {item.made.path: origin.reasons.get(item.row, "") for item in plan.missing} | placer.failed
    done.n_images = n_images
    done.added = sum(item.made.path not in done.missing for item in plan.create)
    done.moved = sum(item.made.path not in done.missing for _, item in plan.move)
    done.unchanged = len(plan.unchanged)
    done.removed = sum(rel not in made for rel in plan.remove)
    done.changed.extend(plan.kept)
    view = f"fiftyone app view --dataset-dir {shlex.quote(str(done.folder))}"
    done.opened_by = {
        "imagefolder": f"torchvision.datasets.ImageFolder({str(done.folder)!r})",
        "fiftyone": f"{view} --type fiftyone.types.FiftyOneImageClassificationDataset",
    }.get(done.layout, "")
    done.left = list(plan.left)
    done.links = done.mode == "link" and origin.has_files and placer.kind == "symlink"
    if placer.kind != "symlink":
        what = {"hard link": "hard links (the same file under a second name)", "copy": "copies"}[placer.kind]
        done.notes.append(f"this disk has no symbolic links: {what} were made")
