"""Every image of a run as one row: the columns that every export shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.runs import Run, guessed, looks_like, plain_name

__all__ = ["NOISE", "UNREADABLE", "Rows", "gather"]

NOISE, UNREADABLE = -1, -2


@dataclass(frozen=True)
class Rows:
    """One entry per image of the run, duplicates and unreadable ones included.

    Attributes
    ----------
    path, status, reason : list of str
        Name in the source; "ok", "duplicate" or "unreadable"; why not.
    group : (n,) int64
        Group; -1 not assigned, -2 unreadable.
    second : (n,) int64
        Next-best group; -1 where there is none.
    confidence, distance, silhouette : (n,) float32
        NaN where unknown. The silhouette is that of the features.
    duplicate_of : list of str
        For a duplicate, the image it is a copy of; else empty.
    sizes : (n,) int64
        Bytes when the run was made.
    names : dict of int to str
        Name of every group that has a chosen image, by id, or its number; "not assigned" for -1.
    looks : dict of int to list of str
        What its images look like, guessed; empty where nothing was.
    guesses : dict of int to list of str
        The same, empty where a person gave the group a name.
    chosen : (n,) bool
        Which are to be exported.
    fine : (n,) int64 or None
        Fine cluster, -2 unreadable; None where the method has one level only.
    n_gone : int
        Images that were not in the source any more when it was looked at last (`ilk update`): none of them is chosen.
    """

    path: list[str]
    status: list[str]
    reason: list[str]
    group: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float32]
    distance: npt.NDArray[np.float32]
    silhouette: npt.NDArray[np.float32]
    duplicate_of: list[str]
    sizes: npt.NDArray[np.int64]
    names: dict[int, str]
    looks: dict[int, list[str]]
    guesses: dict[int, list[str]]
    chosen: npt.NDArray[np.bool_]
    fine: npt.NDArray[np.int64] | None = None
    n_gone: int = 0

    def __len__(self) -> int:
        return len(self.path)

    def name_of(self, row: int) -> str:
        """Name of the group of image `row`; empty for an unreadable one."""
        return self.names.get(int(self.group[row]), "")

    def shown(self, group: int) -> str | None:
        """What to call `group` in one line; None where there is no such group."""
        if group not in self.names:
            return None
        words = self.guesses[group]
        return self.names[group] + (f" (looks like {', '.join(words)})" if words else "")


def gather(run: Run, chosen: npt.NDArray[np.bool_] | None = None) -> Rows:
    """Read the tables of `run`.

    Parameters
    ----------
    run
    chosen : (n,) bool, optional
        Which images are to be exported; None: all. Those that are gone from the source are not.

    Raises
    ------
    RunError
        A table is missing or damaged.
    """
    images, found = run.images(), run.assignments()
    path = [str(one) for one in images["path"]]
    n, index = len(path), np.asarray(found["index"], np.int64)

    def column(name: str, kind: Any, empty: Any) -> npt.NDArray[Any]:
        values = np.full(n, empty, kind)
        values[index] = np.array([empty if one is None else one for one in found[name]], kind)
        return values

    group = column("group", np.int64, UNREADABLE)
    groups: dict[int, Mapping[str, Any]] = {int(one["id"]): one for one in run.clusters()}
    gone = np.asarray(images["gone"], bool)
    chosen = ~gone if chosen is None else np.asarray(chosen, bool) & ~gone
    ids = [int(i) for i in np.unique(group[chosen]) if i != UNREADABLE]
    return Rows(
        path=path,
        status=[str(one) for one in images["status"]],
        reason=[str(one or "") for one in images["reason"]],
        group=group,
        second=column("second", np.int64, NOISE),
        confidence=column("confidence", np.float32, np.nan),
        distance=column("distance", np.float32, np.nan),
        # that of an older run is one of the space the groups were sought in, not of the features
        silhouette=column("silhouette", np.float32, np.nan)
        if "silhouette_reduced" in found
        else np.full(n, np.nan, "f4"),
        duplicate_of=[str(one or "") for one in images["duplicate_of"]],
        sizes=np.array([size or 0 for size in images["bytes"]], np.int64),
        names={i: plain_name(groups.get(i, {"id": i})) for i in ids},
        looks={i: looks_like(groups.get(i, {})) for i in ids},
        guesses={i: guessed(groups.get(i, {"id": i})) for i in ids},
        chosen=chosen,
        fine=column("fine", np.int64, UNREADABLE) if "fine" in found else None,
        n_gone=int(gone.sum()),
    )
