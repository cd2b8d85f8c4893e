"""Near duplicates of a run: as its fit found them, or found now in its features; and which image of each is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk import disk
from ilk.errors import RunError
from ilk.near.leaders import joined, lead
from ilk.near.limit import NO_FEATURES, Limit, find
from ilk.near.ranking import best_first
from ilk.near.rows import Ints

__all__ = ["FILE", "distinct_rows", "kept", "limit_of", "stacks"]

FILE = "near.npy"
"""In a run folder: for each image the row of the one that stands for its stack."""


def stacks(run: Any) -> Ints:
    """Return for every image of `run` the row of the image that stands for its stack.

    Parameters
    ----------
    run : ilk.runs.Run

    Returns
    -------
    (n,) int64
        Rows of images.parquet. The row itself where an image is alone, stands for its stack, or could not be read.
        Exact duplicates belong to the stack of the image they equal.

    Raises
    ------
    RunError
        A file of the run is missing or damaged.

    Notes
    -----
    A run keeps what its fit found, and reading that is instant. Images that joined it since are held against the
    images that stand for stacks, and a run of an older ilk is looked through: seconds for 10,000 images.
    """
    images = run.images()
    n = len(images["path"])
    known, limit = _read(run, n), limit_of(run)
    if limit.value is None:
        return _with_copies(np.arange(n), images)
    known = np.empty(0, np.int64) if known is None else known
    head = np.arange(n)
    head[: len(known)] = known
    if len(known) < n:
        _join(head, len(known), images, run, limit.value)
    return _with_copies(head, images)


def limit_of(run: Any) -> Limit:
    """Return how far apart images of `run` may be to count as nearly the same, and how that was found.

    That of a run of an older ilk is sought in its features now, without copies.
    """
    record = run.header.get("near")
    if record is not None:
        return Limit(record.get("limit"), str(record.get("why", "")), record.get("copies"), record.get("n_copies", 0))
    if not _frozen(run):
        return Limit(None, NO_FEATURES)
    # in an order that says nothing of the images: files that are alike stand together
    rows = np.random.default_rng(0).permutation(distinct_rows(run.images()))
    return find(run.features()[rows])


def distinct_rows(images: Mapping[str, list[Any]]) -> Ints:
    """Return the rows of images.parquet that were read and are no exact duplicate of another."""
    return np.flatnonzero(np.array(images["status"]) == "ok").astype(np.int64)


def kept(run: Any) -> npt.NDArray[np.bool_]:
    """Return (n,) which images stay where of each stack only the best is kept.

    The one that stands for the stack stays; where it belongs to no group, the best of those that do. What a person put
    into another group than that one's, or confirmed there, stays too.
    """
    images = run.images()
    heads, labels = stacks(run), run.labels()
    n = len(heads)
    order = _ranked(images, np.arange(n))[0]
    rank = np.empty(n, np.int64)
    rank[order] = np.arange(n)
    # what is there before what is gone, in a group before in none, the head before others, exact duplicates last, the
    # better before the worse
    gone, copy = np.asarray(images["gone"], bool), np.array(images["status"]) == "duplicate"
    first = np.lexsort((rank, copy, heads != np.arange(n), labels < 0, gone, heads))
    new = np.ones(n, bool)
    new[1:] = heads[first][1:] != heads[first][:-1]
    found = np.zeros(n, bool)
    found[first[new]] = True
    grouping = run.grouping()
    if grouping is not None:
        best = np.empty(n, np.int64)
        best[heads[first[new]]] = first[new]
        said = np.isin(grouping.said, (1, 2)) & ~copy
        found |= said & (labels >= 0) & (labels != labels[best[heads]])
    return found


def _read(run: Any, n: int) -> Ints | None:
    """Return the heads that the run keeps, of all its images or the first of them; None where it keeps none."""
    path = run.path / FILE
    if not path.exists() and not path.is_symlink():
        return None
    try:
        kept = disk.read_array(path)
        if kept.ndim != 1 or kept.dtype.kind != "i" or len(kept) > n:
            raise ValueError(f"{kept.dtype} {kept.shape} for {n:,} images")
        heads = kept.astype(np.int64)
        if len(heads) and (heads.min() < 0 or heads.max() >= len(heads) or (heads[heads] != heads).any()):
            raise ValueError("images that are not there, or stand for others and do not stand for themselves")
    except (OSError, ValueError) as error:
        raise RunError(
            f"{path} is damaged ({disk.one_line(error)}). Remove it: near duplicates are found anew."
        ) from None
    return heads


def _frozen(run: Any) -> bool:
    """Whether the features are those of a frozen encoder; a training draws those of its images together."""
    quality = (run.header.get("quality") or {}).get("silhouette") or {}
    encoder = run.header.get("encoder")
    trained = isinstance(encoder, Mapping) and encoder.get("why") == "trained on these images"
    return bool(encoder) and not trained and quality.get("space") != "learned features"


def _ranked(images: Mapping[str, list[Any]], rows: Ints) -> tuple[Ints, Ints]:
    def column(name: str) -> Ints:
        return np.array([value or 0 for value in images[name]], np.int64)[rows]

    return best_first(column("width"), column("height"), column("bytes"))


def _join(head: Ints, begin: int, images: Mapping[str, list[Any]], run: Any, limit: float) -> None:
    """Put images from row `begin` on into stacks: those that are there, or new ones of their own."""
    rows = distinct_rows(images)
    features = run.features()
    new, old = rows[rows >= begin], rows[rows < begin]
    heads = old[head[old] == old]
    if len(heads):
        together = np.concatenate([heads, new])
        at = joined(features[together], np.arange(len(heads)), np.arange(len(heads), len(together)), limit)
        head[new] = together[at]
    left = new[head[new] == new]
    if len(left):
        order, ties = _ranked(images, left)
        head[left] = left[lead(features[left], order, limit, ties)]


def _with_copies(head: Ints, images: Mapping[str, list[Any]]) -> Ints:
    """Give exact duplicates the stack of the image they equal."""
    if any(images["duplicate_of"]):
        at = {path: row for row, path in enumerate(images["path"])}
        for row, path in enumerate(images["duplicate_of"]):
            if path is not None:
                head[row] = head[at[path]]
    return head
