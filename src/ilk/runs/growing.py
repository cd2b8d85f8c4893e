"""A run that grows: an update is written beside what there is, and is part of the run once it has its name."""

from __future__ import annotations

import contextlib
import datetime
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ilk import disk
from ilk.errors import RunError
from ilk.runs.columns import written
from ilk.runs.parts import CHANGES, FOLDER, MADE_BY, MOST
from ilk.runs.reading import Run
from ilk.runs.state import write_json
from ilk.runs.writing import locked

__all__ = ["UpdateWriter"]


class UpdateWriter:
    """The next update of `run`, written as ``updates/0001.partial``. As a context manager it leaves nothing unfinished.

    Raises
    ------
    RunError
        The run cannot be written, is being updated by another process, or was since `run` was read.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        number = len(run.updates) + 1
        if number > MOST:
            raise RunError(f"{run.path} has {MOST:,} updates, and takes no more: make a run of all its images.")
        self.path = run.path / FOLDER / f"{number:04}"
        self.folder = self.path.with_name(f"{self.path.name}.partial")
        if why := disk.unwritable(run.path):
            raise RunError(f"{run.path} cannot be written ({why}): it can be looked at, not updated.")
        try:
            disk.own_folder(run.path / FOLDER)
            disk.own_folder(self.folder)
            self._lock: int | None = locked(self.folder, "Wait for it.")
        except OSError as error:
            raise RunError(f"cannot write to {error.filename or self.folder}: {error.strerror}.") from None
        if self.path.exists() or self.path.is_symlink():
            self.discard()
            raise RunError(f"{run.path} was updated by another process meanwhile: give the command again.")
        for left in self.folder.iterdir():  # of a process that was killed
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            elif left.name != ".lock":
                left.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self.discard()

    def array(self, name: str, value: npt.NDArray[Any]) -> None:
        """Write one ``.npy`` file."""
        with disk.replacing(self.folder / name) as file:
            np.save(file, value, allow_pickle=False)

    def table(self, name: str, columns: Mapping[str, Any]) -> None:
        """Write one Parquet file from columns of equal length."""
        import pyarrow.parquet as pq

        with disk.replacing(self.folder / name) as file:
            pq.write_table(written(columns), file, compression="zstd")

    def changes(self, rows: Mapping[int, tuple[str, bool]]) -> None:
        """Write which rows of before have another path, or are gone: row -> both as they are now."""
        columns = {
            "index": np.array(list(rows), np.int64),
            "path": [path for path, _ in rows.values()],
            "gone": np.array([gone for _, gone in rows.values()], np.int8),
        }
        if not rows:
            import pyarrow as pa

            columns["path"] = pa.array([], pa.string())
        self.table(CHANGES, columns)

    def finish(self, before: int, n: int, source: Mapping[str, Any], **more: Any) -> Path:
        """Make the update part of the run, in one rename.

        Parameters
        ----------
        before, n
            Rows that the run had, and that it gets.
        source
            Where the new images are, as ``source`` of run.json, with ``prefix``.
        """
        created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        record = {"ilk_update": MADE_BY, "before": before, "n": n, "created": created, "source": dict(source), **more}
        write_json(self.folder / "update.json", record)
        self.folder.rename(self.path)
        (self.path / ".lock").unlink(missing_ok=True)  # not before: who finds no lock takes the folder for a ruin
        disk.sync_folder(self.path.parent)
        self._unlock()
        return self.path

    def discard(self) -> None:
        """Remove what was written."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.folder.parent.rmdir()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None and self._lock >= 0:
            os.close(self._lock)
        self._lock = None
