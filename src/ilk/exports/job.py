"""`export`: one run, one folder, one layout."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ilk import disk, near
from ilk.errors import ArgumentError, DataError, answered, nearest
from ilk.exports import tables
from ilk.exports.atlas import write_atlas
from ilk.exports.beside import expect, table_names, write_table
from ilk.exports.manifest import Manifest, load
from ilk.exports.origin import Origin, find
from ilk.exports.outcome import Exported, measured
from ilk.exports.placing import OnProgress
from ilk.exports.rows import NOISE, UNREADABLE, Rows, gather
from ilk.exports.selection import chosen
from ilk.exports.sidecars import SIDECARS, write_sidecars
from ilk.exports.trees import write_tree
from ilk.files import is_address, is_run_folder, local_only
from ilk.runs import Run, load_run

__all__ = ["KEEP", "LAYOUTS", "MODES", "export"]

LAYOUTS = ("folders", "imagefolder", "csv", "parquet", "fiftyone", "embedding-atlas", "xmp")
MODES = ("link", "copy", "xmp")
KEEP = ("all", "best")
_TREES = ("folders", "imagefolder", "fiftyone")


@answered
def export(
    run: Run | str | Path,
    folder: str | Path,
    *,
    layout: str = "folders",
    mode: str = "link",
    source: Any = None,
    groups: Any = None,
    images: Any = None,
    keep: str = "all",
    beside: bool = False,
    sidecars: str = "full",
    into: bool = False,
    dry: bool = False,
    on_progress: OnProgress | None = None,
) -> Exported:
    """Take the groups of `run` away: folders of images, tables, or what another tool opens.

    Parameters
    ----------
    run
        A finished run or its path.
    folder
        Created where missing. Other files in it are never touched.
    layout
        "folders": a folder per group and groups.csv. "imagefolder": the same for torchvision and Hugging Face, with
        metadata.csv. "csv", "parquet": one table. "fiftyone": data/ and labels.json. "embedding-atlas": one Parquet
        file with map, thumbnails and neighbours. "xmp": a sidecar for every image, with the name of its group as
        keyword.
    mode
        "link": absolute symbolic links, where the images are files; "copy"; "xmp": the layout of that name.
    source
        Where the images are now, if they are no longer where the run found them.
    groups, images
        Only these: numbers or names of groups (-1: in none), and rows or names of images as `Run.rows` takes them. With
        both, all of them. None: everything.
    keep
        "best": of images that are nearly the same, exact copies among them, only the best one: see `ilk.near.kept`.
        The others are listed in `Exported.dropped`.
    beside
        Sidecars lie beside the images, and not in `folder`, which gets the table only.
    sidecars
        "full": photo.jpg.xmp, as darktable and digiKam call them. "stem": photo.xmp, as Lightroom does.
    into
        Folders of groups may come into a folder that is full of other things, too.
    dry
        Write nothing; say what would be written.
    on_progress
        Called with (done, total).

    Returns
    -------
    Exported

    Raises
    ------
    ArgumentError
        An unknown layout, mode or `keep`; no such group or image; `beside` for anything but sidecars.
    DataError
        The source cannot be found; `folder` is the source, a run, another export, or holds other things, without
        `into`; or something in it is in the way.

    Notes
    -----
    A source file is never changed, moved or deleted. A second export adds what is new, moves the files of images whose
    group has changed, removes files of ours of what is not chosen any more (sidecars stay), and leaves everything alone
    that an export did not make. 100,000 links took 14 s and 330 MiB on
    two busy cores.
    """
    begin = time.perf_counter()
    layout, mode = _checked(layout, mode, beside, sidecars, keep)
    run = run if isinstance(run, Run) else load_run(run)
    report: OnProgress = on_progress or (lambda done, total: None)
    rows, dropped = gather(run, chosen(run, groups, images)), np.empty(0, np.int64)
    if keep == "best":
        better = near.kept(run) | (rows.group == UNREADABLE)
        dropped = np.flatnonzero(rows.chosen & ~better)
        rows = gather(run, rows.chosen & better)
    origin = find(run, rows, source) if layout in _TREES or beside else None
    base = _checked_folder(Path(folder), run, origin)
    done = Exported(
        run.path, base, layout, mode, base / "groups.csv", n_groups=sum(i >= 0 for i in rows.names), dry=dry
    )
    done.dropped = [rows.path[i] for i in dropped.tolist()]
    done.n_unreadable = int((rows.chosen & (rows.group == UNREADABLE)).sum())
    done.notes.extend(_notes(rows, origin, layout, mode))
    manifest = load(base)
    if not into and manifest.source is None and (layout in _TREES or (layout == "xmp" and not beside)):
        _check_empty(base, folder)
    _check_manifest(manifest, run, layout)
    if layout == "xmp":
        write_sidecars(run, rows, origin, manifest, done, report, sidecars)
    elif origin is None:
        names = [{"csv": "groups.csv", "parquet": "groups.parquet"}.get(layout, "atlas.parquet")]
        targets = table_names(manifest, names, done)
        _one_table(run, rows, manifest, targets, done, report)
    else:
        write_tree(run, rows, origin, manifest, done, report)
    done.seconds = time.perf_counter() - begin
    return done


def _checked(layout: str, mode: str, beside: bool, sidecars: str, keep: str) -> tuple[str, str]:
    """Return layout and mode, which must go together."""
    options = (
        *(("layout", layout, LAYOUTS), ("mode", mode, MODES)),
        *(("keep", keep, KEEP), ("sidecars", sidecars, SIDECARS)),
    )
    for name, value, allowed in options:
        if value not in allowed:
            raise ArgumentError(f"{name}={value!r}: allowed are {', '.join(allowed)}.{nearest(str(value), allowed)}")
    if mode == "xmp" and layout not in ("folders", "xmp"):
        raise ArgumentError(f"layout={layout!r} and mode='xmp': sidecars have no other layout.")
    if "xmp" in (layout, mode):
        return "xmp", "xmp"
    if beside or sidecars != SIDECARS[0]:
        raise ArgumentError("beside and sidecars go with mode='xmp'.")
    return layout, mode


def _checked_folder(folder: Path, run: Run, origin: Origin | None) -> Path:
    """The whole path of `folder`; what must not be written into is refused."""
    local_only(folder, "DIR")
    base = folder.expanduser().resolve()
    own = run.path.resolve() / "exports"  # where the gallery exports to
    for parent in (base, *base.parents):
        if parent == own and own.parent == run.path.resolve() and base != own:
            break
        if is_run_folder(parent):
            raise DataError(f"{folder} lies inside the run {parent}: export to a folder of its own.")
    for root in _roots(run, origin):
        whole = Path(root).resolve()
        if base == whole or (whole in base.parents and run.header["source"].get("kind") in _FOLDERS):
            what = "is the source" if base == whole else f"lies inside the source {whole}"
            raise DataError(f"{folder} {what}, and a source is never changed: export to a folder beside it.")
    if base.exists() and not base.is_dir():
        raise DataError(f"{folder} is a file: give the name of a folder.")
    return base


def _check_empty(base: Path, called: str | Path) -> None:
    """Raise where `base`, which no export has made, holds anything: it was hardly meant."""
    if not base.is_dir():
        return
    there = [entry.name for entry in base.iterdir() if not entry.name.startswith(".") and entry.name not in _SYSTEM]
    if there:
        some = ", ".join(sorted(there)[:3]) + (" …" if len(there) > 3 else "")
        raise DataError(
            f"{called} holds other things ({some}) and no export: give a folder that is new or empty, or say into=True "
            "where folders of groups are to come between them."
        )


_SYSTEM = ("Thumbs.db", "desktop.ini")
_FOLDERS = ("folder", "shards", "several")  # kinds of sources in whose folders no export belongs


def _roots(run: Run, origin: Origin | None) -> list[Path]:
    """The folders that were grouped."""
    if origin is None:
        specs = [record.get("spec") for record in run.sources()]
        listed = [one for spec in specs for one in (spec if isinstance(spec, list) else [spec])]
        found = [Path(one) for one in listed if one not in (None, "digits") and not is_address(one)]
    else:
        parts = [inner for part in getattr(origin.images, "parts", []) for inner in (part.listing.parts or [part])]
        roots = [part.listing.root for part in parts if part.listing.kind in _FOLDERS]
        roots = roots if parts else [origin.images.root]
        found = [root for root in roots if isinstance(root, Path)]  # an address is no folder of ours
    return [path for path in found if path.is_dir()]


def _check_manifest(manifest: Manifest, run: Run, layout: str) -> None:
    """Refuse to mix two sources, or two layouts, in one folder."""
    record = run.header["source"]
    identity = str(record.get("spec") or record.get("fingerprint"))
    if manifest.source is not None and manifest.source != identity:
        raise DataError(
            f"{manifest.folder} holds an export of other images ({manifest.source}). Export to another folder."
        )
    manifest.source = identity
    if layout in (*_TREES, "xmp"):
        if manifest.tree not in (None, layout):
            raise DataError(f"{manifest.folder} holds an export as {manifest.tree}: export to another folder.")
        manifest.tree = layout


def _notes(rows: Rows, origin: Origin | None, layout: str, mode: str) -> list[str]:
    notes = []
    if rows.n_gone:
        notes.append(
            f"{rows.n_gone:,} images are not in the source any more (as `ilk update` saw it), and are left out"
        )
    if layout in ("imagefolder",) and NOISE in rows.names:
        n = int((rows.chosen & (rows.group == NOISE)).sum())
        notes.append(f"{n:,} images belong to no group and are only in groups.csv: leftovers are no class to learn")
    if layout not in ("parquet", "embedding-atlas"):
        paths = rows.path if rows.chosen.all() else [rows.path[i] for i in np.flatnonzero(rows.chosen)]
        notes += disk.formula_note([*paths, *rows.names.values()])
    if origin is not None:
        if n := origin.changed(rows):
            notes.append(f"{n:,} files have another size than when the run was made: their groups may be out of date")
        if n := origin.unsure(rows):
            notes.append(
                f"{n:,} images are taken by the number of their row, and a run of an older ilk cannot say whether the "
                "rows are still those of the same images"
            )
        if mode == "link" and not origin.has_files:
            where = "at an address" if getattr(origin.images, "remote", False) else "inside a container"
            notes.append(f"the images lie {where}, so there is nothing to link: they are written as files")
    return notes


def _one_table(
    run: Run, rows: Rows, manifest: Manifest, targets: dict[str, str], done: Exported, report: OnProgress
) -> None:
    (rel,) = targets.values()
    if done.dry:
        _measured(rows, done, rel)
        return
    stamp = expect(manifest, targets)
    manifest.folder.mkdir(parents=True, exist_ok=True)
    manifest.save(run.path, "running")
    done.table = manifest.folder / rel
    done.n_images = int(rows.chosen.sum()) - done.n_unreadable
    if done.layout == "embedding-atlas":

        def write(file: BinaryIO) -> None:
            done.n_images, near = write_atlas(file, run, rows, report)
            near_too = " --neighbors neighbors" if near else ""
            table = shlex.quote(str(manifest.folder / rel))
            done.opened_by = f"uvx embedding-atlas {table} --x x --y y{near_too}"
            if not near:
                done.notes.append("neighbours are left out: for so many images they would take minutes")

        write_table(manifest, rel, write, stamp)
    else:
        writer = tables.write_csv if done.layout == "csv" else tables.write_parquet
        write_table(manifest, rel, lambda file: writer(file, rows, {}), stamp)
    done.bytes = done.table.stat().st_size
    manifest.save(run.path, "done")


def _measured(rows: Rows, done: Exported, rel: str) -> None:
    """Say in `done` what a table would be."""
    done.table, done.n_images = done.folder / rel, int(rows.chosen.sum()) - done.n_unreadable
    if done.layout == "embedding-atlas":
        done.notes.append("how large the file would be is known only when it is written: thumbnails and neighbours")
    else:
        writer = tables.write_csv if done.layout == "csv" else tables.write_parquet
        done.bytes = measured(lambda file: writer(file, rows, {}))
