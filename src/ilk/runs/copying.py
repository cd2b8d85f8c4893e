"""A run of its own that was made from another one: the same images, other groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ilk import corrections, disk
from ilk.errors import RunError
from ilk.runs.reading import Run, load_run
from ilk.runs.writing import RunWriter, begin

__all__ = ["with_other_groups"]

# what another run has of its own, or nothing of
_OWN = {"run.json", "scores.json", "report.html", corrections.NAME, ".lock"}
_OWN_FOLDERS = {"plots", "exports", "cache"}


def with_other_groups(run: Run, out: Path, change: Callable[[Run], object]) -> Run:
    """Write a copy of `run` as `out`, whose groups as found are those that `change` makes of the corrected ones.

    Numbers and names stay, and so does what a person said of single images: it stands in a journal of the new run. The
    model is that of `run` and knows the groups that it found; ``ilk predict`` places new images by those of the copy.

    Parameters
    ----------
    run
        Is not changed.
    out
        Must not be there.
    change
        Is given the copy with all corrections, and corrects it.

    Returns
    -------
    Run
        Without a report and without scores.

    Raises
    ------
    RunError
        `out` is there, or cannot be written; `run` is damaged.
    """
    header = {name: value for name, value in run.header.items() if name not in ("status", "scores")}
    writer = begin(out, {**header, "identity": {"regrouped": str(run.path.absolute())}, "scores": None})
    try:
        _copy(run.path, writer.folder)
        copy = Run(writer.folder, writer.header)
        if corrections.is_there(run.path):
            _copied(run.path / corrections.NAME, copy.corrections.path)
        change(copy)
        _write(writer, copy)
        for key in ("identity",):
            writer.header[key] = run.header.get(key)
        writer.update(regrouped={"run": run.path.name, "corrections": copy.corrections.grouping().count})
        _say(writer, copy)
        path = writer.finish()
    except OSError as error:
        writer.discard()
        raise RunError(f"cannot write {out}: {error.strerror or error}.") from None
    except BaseException:
        writer.discard()
        raise
    return load_run(path)


def _copy(source: Path, folder: Path) -> None:
    """Copy the files of a run; links and devices are none of ours."""
    for path in sorted(source.iterdir()):
        if path.is_symlink() or path.name in _OWN or path.name.startswith(("checkpoint", ".")):
            continue
        if path.is_file():
            _copied(path, folder / path.name)
        elif path.is_dir() and path.name not in _OWN_FOLDERS:
            _copy_folder(path, disk.own_folder(folder / path.name))


def _copy_folder(source: Path, folder: Path) -> None:
    for path in sorted(source.iterdir()):
        if path.is_symlink() or path.name.endswith(".partial"):
            continue
        if path.is_file():
            _copied(path, folder / path.name)
        elif path.is_dir():  # an update, and what is in it
            _copy_folder(path, disk.own_folder(folder / path.name))


def _copied(source: Path, path: Path) -> None:
    with disk.opened(source) as file:
        disk.copied(file, path)


def _write(writer: RunWriter, copy: Run) -> None:
    """Write the tables of the groups as they are."""
    import pyarrow as pa

    table: Mapping[str, list[Any]] = copy.assignments()
    kinds = {"index": pa.int64(), "group": pa.int64(), "second": pa.int64(), "fine": pa.int64()}
    columns = {name: pa.array(values, kinds.get(name, pa.float32())) for name, values in table.items()}
    second = np.asarray(table["second"], np.int64)
    clusters, summary = copy.clusters(), copy.summary()
    whole = pa.table({**columns, "second": pa.array(second, mask=second < 0)})
    index = np.asarray(table["index"], np.int64)
    for part in copy.parts:
        mine = whole.filter(pa.array((index >= part.start) & (index < part.start + part.count())))
        name = (part.folder / "assignments.parquet").relative_to(copy.path)
        writer.table(str(name), {one: mine.column(one).combine_chunks() for one in mine.column_names})
    writer.json("clusters.json", [{name: value for name, value in one.items() if name != "note"} for one in clusters])
    summary.pop("n_corrections", None)
    writer.update(summary={**summary, "scores": None})


def _say(writer: RunWriter, copy: Run) -> None:
    """Keep what was said of single images and groups: a journal of the new run in place of that of the other."""
    said = copy.corrections.grouping()
    copy.corrections.path.unlink(missing_ok=True)
    new = Run(writer.folder, writer.header).corrections
    rows = np.arange(len(said.said))
    pinned, ignored = rows[(said.said != 0) & (said.labels >= 0)], rows[said.said == 3]
    if len(pinned):
        new.confirm(pinned.tolist())
    if len(ignored):
        new.ignore(ignored.tolist())
    for group, text in said.notes.items():
        new.note(group, text)
