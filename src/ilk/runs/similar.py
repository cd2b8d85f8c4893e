"""The images of a run most like one of them, or like a new one: exact, without torch, quick after the first question.

A float16 takes long to become a number that a processor multiplies. So the first question makes a coarse copy of the
features, a byte a value, with how far each row of it is from the truth at most. A question goes through that copy, and
compares in full only what may still be among the nearest.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.errors import ArgumentError

__all__ = ["Neighbours", "Similar", "count_of"]


Floats = npt.NDArray[np.float32]

COPY = 256 * 2**20
"""Most bytes of the coarse copy. More features are gone through as they lie on the disk, at some 4 ns a value."""

_BLOCK = 1024  # rows at a time: a block of floats that stays in the cache of the processor
_ROUNDING = 1e-5  # what float32 may be off, of sums over some thousand values
_TINY = np.float32(1e-37)


@dataclass(frozen=True)
class _Coarse:
    """Unit vectors as ``bytes_ * step``: (m, d) int8, (m,) float32; `off`: length of what is missing from each row."""

    bytes_: npt.NDArray[np.int8]
    step: Floats
    off: Floats


class Similar:
    """Finds the rows of `features` most like a vector, by the cosine.

    Parameters
    ----------
    features : (n, d) float
        Such as ``run.features()``, a memory map; it is read in blocks and never held whole.
    among : (n,) bool, optional
        Rows that may be found, such as the distinct readable ones; by default all. Rows that are not finite are never.

    Notes
    -----
    Exact to rounding. The first question reads all features (0.3 s for 100,000 x 384) and keeps n x d bytes (at most
    256 MiB; beyond that nothing, and every question reads them again). Threads may ask at the same time.
    """

    def __init__(self, features: npt.NDArray[Any], among: npt.NDArray[np.bool_] | None = None) -> None:
        self._features = features
        self._wanted = np.ones(len(features), bool) if among is None else np.asarray(among, bool)
        self._lock = threading.Lock()
        self._prepared: tuple[npt.NDArray[np.int64], _Coarse | None] | None = None

    def prepare(self) -> None:
        """Do now what the first question would do."""
        self._ready()

    def of_row(self, row: int, n: int = 12, without: Iterable[int] = ()) -> tuple[npt.NDArray[np.int64], Floats]:
        """Return what `of` does for the features of `row`, which is left out itself."""
        return self.of(self._features[row], n, {row, *without})

    def of(
        self, vector: npt.NDArray[Any], n: int = 12, without: Iterable[int] = ()
    ) -> tuple[npt.NDArray[np.int64], Floats]:
        """Return the rows most like `vector`.

        Parameters
        ----------
        vector : (d,) float
        n
            How many; fewer where there are fewer rows.
        without
            Rows to leave out.

        Returns
        -------
        rows : (k,) int64
            The most alike first, equals by row.
        similarity : (k,) float32
            Cosine, -1 to 1; 0 for a vector that is all zero.

        Raises
        ------
        ArgumentError
            `vector` has another width than the features, or is not finite.
        """
        with np.errstate(over="ignore"):
            vector = np.asarray(vector, np.float32)
        if vector.shape != self._features.shape[1:] or not np.isfinite(vector).all():
            raise ArgumentError(f"features of shape {vector.shape}: {self._features.shape[1]} finite numbers belong.")
        rows, coarse = self._ready()
        gone = np.fromiter(without, np.int64)
        gone = gone[(gone >= 0) & (gone < len(self._wanted))]
        outside = np.zeros(len(self._wanted), bool)
        outside[gone] = True
        left_out = outside[rows]
        n = min(n, len(rows) - int(left_out.sum()))
        if n < 1:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        query = _unit(vector[None])[0]
        candidates = ~left_out
        if coarse is not None:
            rough = _through(coarse.bytes_, query) * coarse.step
            rough[left_out] = -np.inf
            lowest = np.partition(rough - coarse.off, -n)[-n]
            candidates = rough + coarse.off >= lowest - _ROUNDING
        rows = rows[candidates]
        exact = np.empty(len(rows), np.float32)
        for at in range(0, len(rows), _BLOCK):
            exact[at : at + _BLOCK] = _unit(self._features[rows[at : at + _BLOCK]]) @ query
        best = np.flatnonzero(exact >= np.partition(exact, -n)[-n])
        order = best[np.argsort(-exact[best], kind="stable")[:n]]
        return rows[order], np.clip(exact[order], -1, 1)

    def _ready(self) -> tuple[npt.NDArray[np.int64], _Coarse | None]:
        with self._lock:
            if self._prepared is None:
                self._prepared = self._coarse()
            return self._prepared

    def _coarse(self) -> tuple[npt.NDArray[np.int64], _Coarse | None]:
        """Return the rows that may be found, and their coarse copy where it is not too large."""
        wanted, d = np.flatnonzero(self._wanted), self._features.shape[1]
        small = len(wanted) * d <= COPY
        found, parts = [np.empty(0, np.int64)], []
        for at in range(0, len(wanted), _BLOCK):
            rows = wanted[at : at + _BLOCK]
            with np.errstate(over="ignore"):
                block = np.asarray(self._features[rows], np.float32)
            finite = np.isfinite(block).all(1)
            found.append(rows[finite])
            if small:
                parts.append(_rounded(_unit(block[finite])))
        if not parts:
            return np.concatenate(found), None
        return np.concatenate(found), _Coarse(*(np.concatenate(column) for column in zip(*parts, strict=True)))


class Neighbours:
    """Finds the images of a run most like one: of each content one, and none that cannot be read.

    Parameters
    ----------
    images : mapping
        The columns of ``run.images()``.
    features : (n, d) float
        Those of every one of them.
    """

    def __init__(self, images: Mapping[str, list[Any]], features: npt.NDArray[Any]) -> None:
        self._paths: list[str] = images["path"]
        self._of: list[str | None] = images["duplicate_of"]
        self._readable = np.array([status != "unreadable" for status in images["status"]])
        self.search = Similar(features, np.array([status == "ok" for status in images["status"]]))

    @cached_property
    def _row(self) -> dict[str, int]:
        return {path: row for row, path in enumerate(self._paths)}

    def of_row(self, row: int, n: int) -> list[tuple[int, float]]:
        """Return rows and similarities of the `n` images most like that of `row`, itself and its copies left out.

        Raises
        ------
        ArgumentError
            There is no such row, or it could not be read.
        """
        if not 0 <= row < len(self._paths):
            raise ArgumentError(f"there is no image {row}: the run has {len(self._paths):,}, counted from 0.")
        if not self._readable[row]:
            raise ArgumentError(f"{self._paths[row]} could not be read, so nothing is like it.")
        first = self._of[row]
        found, similarity = self.search.of_row(row, n, [] if first is None else [self._row[first]])
        return list(zip(found.tolist(), similarity.tolist(), strict=True))


def count_of(n: Any) -> int:
    """Return `n`, how many images are asked for.

    Raises
    ------
    ArgumentError
        It is no whole number of at least 1.
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ArgumentError(f"n={n!r}: give a whole number of at least 1.")
    return int(n)


def _rounded(unit: Floats) -> tuple[npt.NDArray[np.int8], Floats, Floats]:
    """Return rows as bytes, the step of each row, and the length of what rounding took from it."""
    step = np.maximum(np.abs(unit).max(1), _TINY * 127) / np.float32(127)
    rounded = np.rint(unit / step[:, None])
    off = np.sqrt(np.square(unit - rounded * step[:, None]).sum(1))
    return rounded.astype(np.int8), step, off


def _through(rows: npt.NDArray[np.int8], query: Floats) -> Floats:
    """Return ``rows @ query``, a block at a time."""
    out = np.empty(len(rows), np.float32)
    floats = np.empty((min(_BLOCK, len(rows)), rows.shape[1]), np.float32)
    for at in range(0, len(rows), _BLOCK):
        block = floats[: min(_BLOCK, len(rows) - at)]
        np.copyto(block, rows[at : at + _BLOCK])
        np.dot(block, query, out=out[at : at + len(block)])
    return out


def _unit(rows: npt.NDArray[Any]) -> Floats:
    """Return rows of length 1; those that are all zero stay so."""
    rows = np.asarray(rows, np.float32)
    most = np.maximum(
        np.abs(rows).max(1, keepdims=True, initial=0), _TINY
    )  # squares of very large numbers are infinite
    rows = rows / most
    unit: Floats = rows / np.maximum(np.sqrt(np.square(rows).sum(1, keepdims=True)), _TINY)
    return unit
