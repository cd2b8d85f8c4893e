"""The run folder: everything one job leaves behind, and the only thing reports, exports and predictions read.

A run is written into ``<RUN>.partial`` and renamed to ``<RUN>`` when it is complete, so a folder without that ending is
always whole. A lock file keeps two processes off one run. Nothing here is ever pickled.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.errors import RunError

__all__ = ["SCHEMA", "Run", "RunWriter", "begin", "load_run", "load_state", "save_state"]

SCHEMA = 1
_STATE = ("state.safetensors", "state.json")


# -- state: a flat {name: array | number | str | list | None} as safetensors + JSON --


def save_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write `state` below `folder`, replacing an older one in a single rename each.

    Parameters
    ----------
    folder
        Created when missing.
    state
        Flat mapping. Arrays and CPU tensors go to ``state.safetensors``, everything else to ``state.json``.
    """
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, npt.NDArray[Any]] = {}
    plain: dict[str, Any] = {}
    for name, value in state.items():
        if isinstance(value, np.ndarray) or hasattr(value, "detach"):
            arrays[name] = np.ascontiguousarray(value)
        else:
            plain[name] = value
    # an empty safetensors file is legal, so both files always exist and neither can belong to another state
    with _replacing(folder / _STATE[0]) as target:
        save_file(arrays, target)
    write_json(folder / _STATE[1], plain)


def load_state(folder: Path) -> dict[str, Any]:
    """Read what `save_state` wrote.

    Raises
    ------
    RunError
        A file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        state: dict[str, Any] = json.loads((folder / _STATE[1]).read_text("utf-8"))
        state.update(load_file(folder / _STATE[0]))
    except FileNotFoundError as error:
        raise RunError(f"{folder} holds no model: {Path(str(error.filename)).name} is missing.") from None
    except (SafetensorError, ValueError, OSError) as error:
        raise RunError(f"the model in {folder} is damaged ({error}). Run the command that made it again.") from None
    return state


# -- small atomic writers --


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path`; when the block succeeds it is synced and takes the place of `path`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON; a reader sees the old file or the new one, never half of it."""
    with _replacing(path) as target:
        target.write_text(json.dumps(value, indent=1, ensure_ascii=False, default=_plain) + "\n", "utf-8")


def _plain(value: Any) -> Any:
    """Turn NumPy scalars and paths into what JSON knows."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written to a run")


# -- writing --


class RunWriter:
    """A run being written: ``<RUN>.partial``, locked until `finish` or `close`."""

    def __init__(self, path: Path, folder: Path, lock: int, header: dict[str, Any], resumed: bool) -> None:
        self.path = path
        self.folder = folder
        self.header = header
        self.resumed = resumed
        self._lock = lock

    def update(self, **entries: Any) -> None:
        """Add `entries` to run.json and write it."""
        self.header.update(entries)
        write_json(self.folder / "run.json", self.header)

    def json(self, name: str, value: Any) -> None:
        """Write one JSON file of the run."""
        write_json(self.folder / name, value)

    def array(self, name: str, value: npt.NDArray[Any]) -> None:
        """Write one ``.npy`` file of the run, without a second copy in memory."""
        with _replacing(self.folder / name) as target, open(target, "wb") as file:
            np.save(file, value, allow_pickle=False)

    def table(self, name: str, columns: Mapping[str, Any]) -> None:
        """Write one Parquet file of the run from columns of equal length."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        with _replacing(self.folder / name) as target:
            pq.write_table(pa.table(dict(columns)), target, compression="zstd")

    def state(self, state: Mapping[str, Any]) -> None:
        """Write the fitted model: ``model/state.safetensors`` and ``model/state.json``."""
        save_state(self.folder / "model", state)

    def finish(self) -> Path:
        """Mark the run as done and give it its final name; an older run of that name is replaced in one step."""
        self.update(status="done")
        shutil.rmtree(self.folder / "cache", ignore_errors=True)
        shutil.rmtree(self.folder / "checkpoint", ignore_errors=True)
        self._unlock()
        old = self.path.with_name(f".{self.path.name}.old-{os.getpid()}")
        if self.path.exists():
            self.path.rename(old)
        self.folder.rename(self.path)
        shutil.rmtree(old, ignore_errors=True)
        return self.path

    def close(self) -> None:
        """Release the lock and leave the partial run for a later resume."""
        self._unlock()

    def discard(self) -> None:
        """Remove the partial run: nothing of worth was in it."""
        self._unlock()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
            (self.folder / ".lock").unlink(missing_ok=True)


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
    path = Path(path)
    folder = path.with_name(path.name + ".partial")
    if path.exists() and not (path / "run.json").is_file():
        raise RunError(f"{path} exists and is not an ilk run; nothing was written. Choose another place with -o.")
    if path.exists() and not overwrite:
        raise RunError(f"{path} holds a finished run. Look at it with `ilk info {path}`, or add --overwrite.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = _lock(folder)
    except OSError as error:
        raise RunError(f"cannot write to {folder.parent}: {error.strerror}. Choose another place with -o.") from None
    resumed = False
    try:
        if (folder / "run.json").is_file():
            if overwrite:
                _empty(folder)
            else:
                _same_job(folder, header)
                resumed = True
        writer = RunWriter(path, folder, lock, {"ilk_run": SCHEMA, **header, "status": "running"}, resumed)
        writer.update()
    except BaseException as error:
        os.close(lock)
        if isinstance(error, OSError):
            raise RunError(f"cannot write to {folder}: {error.strerror}.") from None
        raise
    return writer


def _lock(folder: Path) -> int:
    """Take the folder's lock for this process; the kernel frees it when the process dies, however it dies."""
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:  # Windows has no fcntl; there the partial folder itself is the only guard
        pass
    except OSError:
        os.close(descriptor)
        raise RunError(f"{folder} is being written by another process. Wait for it, or choose another -o.") from None
    return descriptor


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != ".lock":
            entry.unlink()


def _same_job(folder: Path, header: Mapping[str, Any]) -> None:
    """Raise unless the unfinished run in `folder` is the job that `header` describes."""
    old = _read_header(folder)
    theirs, ours = old.get("identity", {}), json.loads(json.dumps(header.get("identity", {}), default=_plain))
    if theirs == ours:
        return
    if theirs.get("source") != ours.get("source"):
        raise RunError(
            f"{folder} was started on other images (or the images changed since): {_named(old)}. "
            "Add --overwrite to start anew; what was encoded is kept in the cache."
        )
    different = sorted(key for key in {*theirs, *ours} if theirs.get(key) != ours.get(key))
    raise RunError(f"{folder} was started with other settings ({', '.join(different)}). Add --overwrite to start anew.")


def _named(header: Mapping[str, Any]) -> str:
    source = header.get("source", {})
    return f"{source.get('spec')}, {source.get('n')} files"


# -- reading --


def _read_header(folder: Path) -> dict[str, Any]:
    try:
        header = json.loads((folder / "run.json").read_text("utf-8"))
        schema = header["ilk_run"]
    except FileNotFoundError:
        raise RunError(f"{folder} is not an ilk run: it has no run.json.") from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise RunError(f"{folder}/run.json is damaged ({type(error).__name__}: {error}).") from None
    if not isinstance(schema, int) or schema > SCHEMA:
        raise RunError(
            f"{folder} was written by a newer ilk (run format {schema}, this one reads up to {SCHEMA}). Upgrade ilk."
        )
    return dict(header)


class Run:
    """A finished run, read lazily.

    Attributes
    ----------
    path : Path
    header : dict
        What run.json holds: method, params, source, versions, seconds, history, warnings …
    """

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.path = path
        self.header = header

    def images(self) -> dict[str, list[Any]]:
        """Columns of images.parquet: index, path, bytes, width, height, status, reason, twin."""
        return self._table("images.parquet")

    def assignments(self) -> dict[str, list[Any]]:
        """Columns of assignments.parquet: index, cluster, confidence, distance, second, silhouette."""
        return self._table("assignments.parquet")

    def clusters(self) -> list[dict[str, Any]]:
        """Groups by id: id, name, size, exemplars, borderline, quality."""
        return list(self._json("clusters.json"))

    def k_table(self) -> list[dict[str, Any]]:
        """One row of criteria per number of groups that was tried; empty when K was given."""
        return list(self._json("k_table.json")) if (self.path / "k_table.json").exists() else []

    def scores(self) -> dict[str, Any] | None:
        """What `ilk evaluate` wrote, or None."""
        return dict(self._json("scores.json")) if (self.path / "scores.json").exists() else None

    def features(self) -> npt.NDArray[Any]:
        """(n, d) memory map, one row per image of images.parquet; NaN where unreadable."""
        return self._array("features.npy")

    def map(self) -> npt.NDArray[Any] | None:
        """(n, 2) float32 layout, NaN where unreadable; None where the run has none."""
        return self._array("map.npy") if (self.path / "map.npy").exists() else None

    def state(self) -> dict[str, Any]:
        """The fitted model's state."""
        return load_state(self.path / "model")

    def labels(self) -> npt.NDArray[np.int64]:
        """(n,) group of every image of images.parquet; -1 for "none of these", -2 for unreadable."""
        labels = np.full(int(self.header["source"]["n"]), -2, np.int64)
        table = self.assignments()
        labels[np.asarray(table["index"], np.int64)] = np.asarray(table["cluster"], np.int64)
        return labels

    def _table(self, name: str) -> dict[str, list[Any]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            columns: dict[str, list[Any]] = pq.read_table(self.path / name).to_pydict()
        except (OSError, pa.ArrowException) as error:
            raise self._damaged(name, error) from None
        return columns

    def _json(self, name: str) -> Any:
        try:
            return json.loads((self.path / name).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise self._damaged(name, error) from None

    def _array(self, name: str) -> npt.NDArray[Any]:
        try:
            array: npt.NDArray[Any] = np.load(self.path / name, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise self._damaged(name, error) from None
        return array

    def _damaged(self, name: str, error: Exception) -> RunError:
        return RunError(f"{self.path / name} is missing or damaged ({error}). Run the command that made it again.")


def load_run(path: str | Path) -> Run:
    """Open a finished run.

    Raises
    ------
    RunError
        No such folder, not a run, an unfinished run, or one written by a newer ilk.
    """
    path = Path(path)
    if not path.exists():
        partial = path.with_name(path.name + ".partial")
        hint = " It is unfinished: give the command that started it again." if partial.exists() else ""
        raise RunError(f"no run at {path}.{hint}")
    header = _read_header(path)
    if header.get("status") != "done":
        raise RunError(f"{path} is unfinished. Give the command that started it again, and it goes on from there.")
    return Run(path, header)


def list_runs(folder: str | Path) -> Sequence[Path]:
    """Paths of the finished runs directly below `folder`, in the order of their names."""
    folder = Path(folder)
    return sorted(p.parent for p in folder.glob("*/run.json") if not p.parent.name.endswith(".partial"))
