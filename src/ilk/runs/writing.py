"""A run being written: ``<RUN>.partial``, locked, renamed to ``<RUN>`` when it is whole."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk import corrections, disk, shards
from ilk.errors import RunError
from ilk.runs import shapes
from ilk.runs.columns import written
from ilk.runs.figures import save_figures
from ilk.runs.names import source_name
from ilk.runs.reading import SCHEMA, WHOLE, read_header
from ilk.runs.state import plain, save_state, write_json

__all__ = ["RunWriter", "begin", "difference", "locked", "outgrown"]


class RunWriter:
    """A run being written: ``<RUN>.partial``, locked until `finish` or `close`."""

    def __init__(
        self, path: Path, folder: Path, lock: int, header: dict[str, Any], resumed: bool, made: Sequence[Path] = ()
    ) -> None:
        self.path = path
        self.folder = folder
        self.header = header
        self.resumed = resumed
        self._lock = lock
        self._made = made

    def update(self, **entries: Any) -> None:
        """Add `entries` to run.json, which is written by `save` and `finish`."""
        self.header.update(entries)

    def save(self) -> None:
        """Write run.json."""
        write_json(self.folder / "run.json", self.header)

    def json(self, name: str, value: Any) -> None:
        """Write one JSON file of the run."""
        write_json(self.folder / name, value)

    def array(self, name: str, value: npt.NDArray[Any]) -> None:
        """Write one ``.npy`` file of the run, without a second copy in memory."""
        with disk.replacing(self.folder / name) as file:
            np.save(file, value, allow_pickle=False)

    def table(self, name: str, columns: Mapping[str, Any]) -> None:
        """Write one Parquet file of the run from columns of equal length."""
        import pyarrow.parquet as pq

        with disk.replacing(self.folder / name) as file:
            pq.write_table(written(columns), file, compression="zstd")

    def state(self, state: Mapping[str, Any]) -> None:
        """Write the fitted model, ``model/state.safetensors`` and ``model/state.json``; run.json gets its checksums."""
        found = save_state(self.folder / "model", state)
        self.update(checksums={f"model/{name}": value for name, value in found.items()})

    def name_shards(self, naming: shards.Naming) -> None:
        """Name shards of a cache instead of writing features and thumbnails."""
        self.update(ilk_run=SCHEMA, shards=shards.write(self.folder, naming))

    def figures(self, figures: Sequence[dict[str, Any]]) -> None:
        """Write the method's own figures, as `checked_figure` returned them; none removes older ones."""
        save_figures(self.folder, figures)

    def finish(self) -> Path:
        """Mark the run as done and give it its final name; an older run of that name is replaced in one step."""
        self.update(status="done")
        if self.header.get("shards"):
            self.update(shards=shards.note(self.path, self.header["shards"]))
        self.save()
        shutil.rmtree(self.folder / "cache", ignore_errors=True)
        for checkpoint in self.folder.glob("checkpoint*"):
            shutil.rmtree(checkpoint, ignore_errors=True)
        old = self.path.with_name(f".{self.path.name}.old-{os.urandom(4).hex()}")
        if self.path.exists():
            self.path.rename(old)
        (self.folder / ".lock").unlink(missing_ok=True)  # still held: nobody comes between this and the new name
        self.folder.rename(self.path)
        self._unlock()
        if old.is_symlink():  # the user's own name for a run elsewhere
            old.unlink()
        elif corrections.is_there(old):  # somebody corrected it meanwhile
            old.rename(self.path.with_name(old.name.removeprefix(".")))
        else:
            shutil.rmtree(old, ignore_errors=True)
        return self.path

    def close(self) -> None:
        """Release the lock and leave the partial run for a later resume."""
        self._unlock()

    def discard(self) -> None:
        """Remove the partial run, and the folders that were made for it: nothing of worth was in it."""
        _remove(self.folder, self._made)
        self._unlock()

    def _unlock(self) -> None:
        if self._lock >= 0:
            (self.folder / ".lock").unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = -1


def begin(path: str | Path, header: Mapping[str, Any], *, overwrite: bool = False) -> RunWriter:
    """Start the run `path`, or go on with its unfinished part.

    Parameters
    ----------
    path
        Where the finished run will stand. Its parent is created.
    header
        First entries of run.json. ``header["identity"]`` says which job this is (settings and source); an unfinished
        run is only resumed by the same job.
    overwrite
        Start anew whatever stands there. The old finished run stays until the new one is complete.

    Raises
    ------
    RunError
        `path` holds a finished run, something that is not a run, an unfinished run of another job, or is locked by
        another process; or it cannot be written.
    """
    path = Path(path).expanduser()
    if not path.name or path.name == "..":
        raise RunError(f"{path} cannot be a run: give the name of a folder that ilk may make, with -o.")
    folder = path.with_name(path.name + ".partial")
    _check_outside(path)
    _check_free(path, overwrite)
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        disk.own_folder(folder)
        lock = locked(folder)
    except OSError as error:
        where = error.filename or folder.parent
        raise RunError(f"cannot write to {where}: {error.strerror}. Choose another folder with -o.") from None
    try:
        _check_free(path, overwrite)  # another process may have finished the run meanwhile
        resumed = _unfinished(folder, overwrite) and not overwrite
        if resumed:
            _same_job(folder, header)
        else:
            _empty(folder)
        writer = RunWriter(path, folder, lock, {"ilk_run": WHOLE, **header, "status": "running"}, resumed, made[1:])
        writer.save()
    except BaseException as error:
        if folder in made:
            _remove(folder, made[1:])
        if lock >= 0:
            (folder / ".lock").unlink(missing_ok=True)
            os.close(lock)
        if isinstance(error, OSError):
            raise RunError(f"cannot write to {folder}: {error.strerror}. Choose another folder with -o.") from None
        raise
    return writer


def _check_outside(path: Path) -> None:
    """Raise where `path` lies in a run: what is in the folder of a run is its own."""
    for run in path.absolute().parents:
        if (run / "run.json").is_file() and (run / "images.parquet").is_file():
            raise RunError(
                f"{path} lies in the run {run}: choose a folder beside it with -o, say {run.parent / path.name}."
            )


def _check_free(path: Path, overwrite: bool) -> None:
    """Raise unless a run may take the place of `path`. A folder that ilk did not write is never replaced."""
    if not path.exists() and not path.is_symlink():
        return
    if path.is_dir() and not any(path.iterdir()):
        return  # an empty folder that was made for the run
    if not (path / "run.json").is_file():
        raise RunError(f"{path} exists and is not an ilk run; nothing was written. Choose another folder with -o.")
    if not overwrite:
        raise RunError(f"{path} holds a finished run. Look at it with `ilk info {path}`, or add --overwrite.")
    if corrections.is_there(path):
        raise RunError(
            f"{path} was corrected by hand, and --overwrite would lose that: choose another folder with -o, or remove "
            f"{path / corrections.NAME} first."
        )
    try:
        read_header(path)
    except RunError as error:
        raise RunError(f"{error} It is not overwritten: remove it by hand, or choose another folder with -o.") from None


def _remove(folder: Path, made: Sequence[Path]) -> None:
    """Remove `folder`, and those parents of it that were `made` for it, as far as they are empty."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        for parent in made:
            parent.rmdir()


def locked(folder: Path, cure: str = "Wait for it, or choose another folder with -o.") -> int:
    """Take the folder's lock for this process; the kernel frees it when the process dies, however it dies.

    Returns -1 where the system knows no such locks (Windows, some network drives): there the partial folder itself is
    the only guard.
    """
    try:
        import fcntl
    except ImportError:
        return -1
    path = folder / ".lock"
    while True:
        if path.is_symlink():
            raise OSError(errno.ELOOP, f"{path.name} is a link, which ilk does not make: remove it", str(path))
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):  # removed by its holder between our opening and locking it
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise RunError(f"{folder} is being written by another process. {cure}") from None
        except OSError:
            os.close(descriptor)
            return -1
        os.close(descriptor)


def _unfinished(folder: Path, overwrite: bool) -> bool:
    """Whether `folder` holds an unfinished run, without what a killed process left half written in it.

    Raises
    ------
    RunError
        It holds something that ilk did not write.
    """
    if not overwrite:  # else all of it is removed
        _check_plain(folder)
        for inner in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
            disk.remove_temporaries(inner)
    if (folder / "run.json").is_file():
        read_header(folder)
        return True
    if any(entry.name != ".lock" for entry in folder.iterdir()):
        raise RunError(f"{folder} holds files that are not ilk's; nothing was written. Choose another folder with -o.")
    return False


def _check_plain(folder: Path) -> None:
    """Raise RunError where something below `folder` is a link or a device: what is written would land elsewhere."""
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            what = "a link" if stat.S_ISLNK(mode) else "no regular file"
            raise RunError(
                f"{path} is {what}, which ilk does not make in a run: nothing was written. Add --overwrite to start "
                "anew, or choose another folder with -o."
            )


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != ".lock":
            entry.unlink()


def _same_job(folder: Path, header: Mapping[str, Any]) -> None:
    """Raise unless the unfinished run in `folder` is the job that `header` describes."""
    kept = read_header(folder)
    if wrong := shapes.misfit(kept, shapes.UNFINISHED):
        raise RunError(f"{folder / 'run.json'} is damaged ({wrong}). Add --overwrite to start anew.")
    other = difference(kept, header)
    if other:
        raise RunError(
            f"{folder} holds an unfinished run of {other}. Choose another folder with -o, or add --overwrite to start "
            "anew; what was encoded is kept in the cache."
        )


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Say in a few words what sets the job `old` apart from the job `new`, two headers; empty where nothing does."""
    theirs, ours = old.get("identity", {}), json.loads(json.dumps(new.get("identity", {}), default=plain))
    if theirs == ours:
        return ""
    then, now = theirs.get("source") or {}, ours.get("source") or {}
    if then != now:
        if {**then, "features": None} == {**now, "features": None}:
            return "other features of the same images"
        same_place = all(then.get(key) == now.get(key) for key in ("spec", "split"))
        changed = "the same source as it was before its files changed"
        return changed if same_place else f"other images ({source_name(then) or None}, {then.get('n')} files)"
    then, now = {**theirs, **(theirs.get("params") or {})}, {**ours, **(ours.get("params") or {})}
    keys = sorted(key for key in {*then, *now} - {"params"} if then.get(key) != now.get(key))
    return f"other settings ({', '.join(f'{key} was {then.get(key)!r}, not {now.get(key)!r}' for key in keys)})"


def outgrown(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether `old` and `new`, two headers, are one job of one source, the files of which changed in between."""
    theirs, ours = old.get("identity") or {}, json.loads(json.dumps(new.get("identity", {}), default=plain))
    then, now = theirs.get("source") or {}, ours.get("source") or {}
    files = dict.fromkeys(("n", "fingerprint", "samples"))
    one_job = {**theirs, "source": {**then, **files}} == {**ours, "source": {**now, **files}}
    return one_job and then != now and then.get("spec") is not None
