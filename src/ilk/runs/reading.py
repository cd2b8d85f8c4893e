"""A finished run, read lazily, with every damage named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.errors import RunError
from ilk.runs.figures import load_figures
from ilk.runs.state import AGAIN, load_state, short

__all__ = ["SCHEMA", "Run", "load_run", "read_header"]

SCHEMA = 1
_IMAGES = ("index", "path", "bytes", "width", "height", "status", "reason", "twin")
_ASSIGNMENTS = ("index", "cluster", "confidence", "distance", "second", "silhouette")


def read_header(folder: Path) -> dict[str, Any]:
    """Return what ``run.json`` of a finished or unfinished run holds."""
    try:
        header = json.loads((folder / "run.json").read_text("utf-8"))
        schema = header["ilk_run"]
    except FileNotFoundError:
        raise RunError(f"{folder} is not an ilk run: it has no run.json.") from None
    except (ValueError, KeyError, TypeError, OSError, RecursionError) as error:
        raise RunError(f"{folder / 'run.json'} is damaged ({short(error)}).") from None
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
        return self._table("images.parquet", _IMAGES)

    def assignments(self) -> dict[str, list[Any]]:
        """Columns of assignments.parquet: index, cluster, confidence, distance, second, silhouette; fine by method."""
        return self._table("assignments.parquet", _ASSIGNMENTS)

    def clusters(self) -> list[dict[str, Any]]:
        """Groups by id: id, name, size, exemplars, borderline, quality."""
        return self._rows("clusters.json")

    def k_table(self) -> list[dict[str, Any]]:
        """One row of criteria per number of groups that was tried; empty when K was given."""
        return self._rows("k_table.json") if (self.path / "k_table.json").exists() else []

    def suggestions(self) -> dict[str, dict[str, Any]]:
        """Groups of the suggested numbers by name (coarse, natural, fine): k, groups; empty when K was given."""
        path = self.path / "suggestions.json"
        found = self._json(path.name) if path.exists() else {}
        if not isinstance(found, dict) or not all(isinstance(level, dict) for level in found.values()):
            raise self._damaged(path.name, ValueError("not an object of objects"))
        return found

    def scores(self) -> dict[str, Any] | None:
        """What `ilk evaluate` wrote, or None."""
        return dict(self._json("scores.json")) if (self.path / "scores.json").exists() else None

    def figures(self) -> list[dict[str, Any]]:
        """The method's own figures: name, title, caption, kind and the arrays of that kind; empty where it has none."""
        return load_figures(self.path)

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

    def fine_labels(self) -> npt.NDArray[np.int64] | None:
        """(n,) fine cluster of every image, -2 for unreadable; None where the method has one level only."""
        table = self.assignments()
        if "fine" not in table:
            return None
        labels = np.full(int(self.header["source"]["n"]), -2, np.int64)
        labels[np.asarray(table["index"], np.int64)] = np.asarray(table["fine"], np.int64)
        return labels

    def _rows(self, name: str) -> list[dict[str, Any]]:
        rows = self._json(name)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self._damaged(name, ValueError("not a list of objects"))
        return rows

    def _table(self, name: str, needed: tuple[str, ...]) -> dict[str, list[Any]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(self.path / name)
        except (OSError, pa.ArrowException) as error:
            raise self._damaged(name, error) from None
        if missing := [column for column in needed if column not in table.column_names]:
            raise self._damaged(name, ValueError(f"no column {', '.join(missing)}"))
        columns: dict[str, list[Any]] = table.to_pydict()
        return columns

    def _json(self, name: str) -> Any:
        try:
            return json.loads((self.path / name).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise self._damaged(name, error) from None

    def _array(self, name: str) -> npt.NDArray[Any]:
        try:
            array: npt.NDArray[Any] = np.load(self.path / name, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise self._damaged(name, error) from None
        return array

    def _damaged(self, name: str, error: Exception) -> RunError:
        return RunError(f"{self.path / name} is missing or damaged ({short(error)}). {AGAIN}")


def load_run(path: str | Path) -> Run:
    """Open a finished run.

    Raises
    ------
    RunError
        No such folder, not a run, an unfinished run, or one written by a newer ilk.
    """
    path = Path(path).expanduser()
    if not path.exists():
        partial = path.with_name(path.name + ".partial")
        hint = " It is unfinished: give the command that started it again." if partial.exists() else ""
        raise RunError(f"no run at {path}.{hint}")
    header = read_header(path)
    if header.get("status") != "done" and path.name.endswith(".partial"):
        raise RunError(f"{path} is unfinished. Give the command that started it again, and it goes on from there.")
    shape = {"method": str, "params": dict, "source": dict, "summary": dict}
    wrong = [key for key, kind in shape.items() if not isinstance(header.get(key), kind)]
    wrong += ["status done"] if header.get("status") != "done" else []
    if wrong:
        raise RunError(f"{path / 'run.json'} is damaged (no {', '.join(wrong)}). {AGAIN}")
    return Run(path, header)
