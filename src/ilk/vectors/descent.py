"""Approximate neighbours of all rows among themselves, by nearest-neighbour descent: friends of friends are friends.

What has to hold beyond the descent itself is done here: rows that are equal are looked for once and stand for each
other; every distance is measured by differences; rows of zeros have the cosine distance that they have everywhere.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ilk import compute, kernels
from ilk.vectors import exact
from ilk.vectors.exact import Known, measure
from ilk.vectors.repeats import repeats
from ilk.vectors.rows import Rows

__all__ = ["search"]

Ints = npt.NDArray[np.int64]

_SPARE = 4  # neighbours beyond those asked for, which the descent keeps in sight: fewer are missed
_FEWEST = 10  # a descent that keeps fewer in sight finds its way badly
_MOST = 200  # beyond, the descent costs more than it saves
_BLOCK = 65_536


def search(known: Known, k: int, exclude_self: bool, exact_up_to: int) -> tuple[Tensor, Tensor]:
    """Return index and distance (n, k) of the k nearest of every row of `known`.

    Parameters
    ----------
    known, k, exclude_self
    exact_up_to
        Distinct rows among which the search is exact all the same.

    Notes
    -----
    One thread and a fixed seed. Without pynndescent (or a numba that loads) the search is exact.

    References
    ----------
    W. Dong, M. Charikar, K. Li, "Efficient k-nearest neighbor graph construction for generic similarity measures",
    WWW 2011. The program is pynndescent.
    """
    n, wide = len(known.rows), max(k + _SPARE, _FEWEST)
    x = _in_memory(known.rows)
    first, of = repeats(x)
    void = _void(x, first) if known.rows.normalize else len(first)
    distinct = x if len(first) == n else x[first]
    near = _near(_without(distinct, void), min(wide, len(first) - int(void < len(first)) - 1), exact_up_to)
    if near is None:
        return exact.search(known.rows, known, k, exclude_self)
    near, most = _with(near, void, len(first)), min(n - 1, k + _SPARE)
    found = near[:, :most] if len(first) == n else _members(near, of, most)
    found = np.pad(found, ((0, 0), (0, most - found.shape[1])), constant_values=-1)
    return _measured(known, torch.from_numpy(found), k, exclude_self, void < len(first))


def _in_memory(rows: Rows) -> npt.NDArray[np.float32]:
    x = np.empty((len(rows), rows.width), np.float32)
    for start, stop, block in rows.blocks(rows.step(rows.width, None)):
        x[start:stop] = block.numpy()
    x += np.float32(0)  # no negative zeros: what is equal has equal bytes
    return x


def _void(x: npt.NDArray[np.float32], first: Ints) -> int:
    """Return which of the distinct rows is all zeros; their number where none is."""
    some = np.flatnonzero(x[first, 0] == 0)
    zero = some[~x[first[some]].any(1)]
    return int(zero[0]) if len(zero) else len(first)


def _without(x: npt.NDArray[np.float32], void: int) -> npt.NDArray[np.float32]:
    return x if void >= len(x) else np.delete(x, void, 0)


def _with(near: Ints, void: int, n: int) -> Ints:
    """Return `near` as it is where the row `void` of n is there again, without neighbours."""
    if void >= n:
        return near
    return np.insert(np.where(near >= void, near + 1, near), void, -1, 0)


@compute.keep_threads()  # numba, at its first parallel loop, would have torch use every core
def _near(x: npt.NDArray[np.float32], k: int, exact_up_to: int) -> Ints | None:
    """Return k rows near each of the distinct rows `x` (u, d) but itself, -1 for none; None where nothing is known."""
    if k < 1:
        return np.empty((len(x), 0), np.int64)
    if len(x) <= exact_up_to:
        rows = torch.from_numpy(x)
        return exact.search(Rows(rows), Known.of(rows, "euclidean", None), k, True)[0].numpy()
    if k > _MOST:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "failed to find n_neighbors for some": they are searched for again
            kernels.prepare_numba_cache()
            from pynndescent import NNDescent

            # of low memory: the other way keeps a set of all pairs that were compared
            made: Any = NNDescent(x, n_neighbors=k + 1, random_state=0, n_jobs=1, low_memory=True)
            index: npt.NDArray[np.int32] = made.neighbor_graph[0]
    except (ImportError, RuntimeError, AttributeError):  # numba does not load everywhere
        return None
    own = index == np.arange(len(x), dtype=np.int32)[:, None]
    own[~own.any(1), -1] = True  # it lost itself: the farthest goes instead
    near: Ints = index[~own].reshape(len(x), k).astype(np.int64)
    return near


def _members(near: Ints, of: Ints, k: int) -> Ints:
    """Return k candidates (n, k) of every row, -1 for none: its equals, then those of each of the classes near its own.

    Parameters
    ----------
    near : (u, c), classes near each class, -1 for none
    of : (n,), class of each row
    """
    n, u = len(of), len(near)
    order = np.argsort(of, kind="stable")
    count = np.bincount(of, minlength=u + 1)  # class -1 is the last, without members
    start = np.cumsum(count) - count
    classes = np.hstack([np.arange(u)[:, None], np.where(near < 0, u, near)])
    ends = np.cumsum(count[classes], 1)
    found = np.full((u, k + 1), -1, np.int64)
    for column in range(k + 1):
        at = (ends <= column).sum(1)
        there = np.flatnonzero(at < classes.shape[1])
        mine = classes[there, at[there]]
        before = ends[there, at[there]] - count[mine]
        found[there, column] = order[start[mine] + column - before]
    rows = found[of]
    own = rows == np.arange(n)[:, None]
    own[~own.any(1), -1] = True  # more equals than columns
    others: Ints = rows[~own].reshape(n, k)
    return others


def _measured(known: Known, found: Tensor, k: int, exclude_self: bool, void: bool) -> tuple[Tensor, Tensor]:
    """Return index and distance of the k nearest of the candidates (n, c), -1 for none; `void`: a row is all zeros."""
    rows, own = known.rows, torch.arange(len(known.rows))[:, None]
    candidates = found if exclude_self else torch.cat([own, found], 1)
    index, distance = measure(rows, rows, torch.where(candidates < 0, own, candidates), k, known.chunk_bytes)
    again = (candidates < 0).any(1)
    if void:  # at distance 1 from all, so perhaps nearer than what was found
        again |= distance[:, -1] > 1
    left = again.nonzero()[:, 0]
    for start in range(0, len(left), _BLOCK):
        some = left[start : start + _BLOCK]
        near, away = exact.search(
            Rows.of(rows.take(some), normalize=rows.normalize), known, k + int(exclude_self), False
        )
        if exclude_self:
            mine = near == some[:, None]
            mine[~mine.any(1), -1] = True  # more equals than columns
            near, away = near[~mine].view(-1, k), away[~mine].view(-1, k)
        index[some], distance[some] = near, away
    return index, distance
