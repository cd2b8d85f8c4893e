"""Placing new images by the groups as they are now: a head and the nearest images, both of the space."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.errors import RunError
from ilk.regroup.head import taught_by_all
from ilk.regroup.space import Floats, Ints, Run, board_of

__all__ = ["placer"]

Placer = Callable[[npt.NDArray[Any]], tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]

_VOTES = 15
_KNOWN = 16_384  # images of the run that new ones are compared with, at most; those that a person spoke of on top
_BLOCK = 1 << 24  # distances that are held at a time


def placer(run: Run, *, seed: int = 0) -> Placer:
    """Return what assigns features to the corrected groups of `run`.

    Returns
    -------
    callable (features (m, d)) -> (groups (k,) int64, probabilities (m, k) float32)
        groups: those that have images, by number; probabilities of each row sum to 1, and are 0 where the features are
        no numbers. d: as of ``run.features()``.

    Raises
    ------
    RunError
        No image of a group has features; when called, features of another width.

    Notes
    -----
    The mean of two: a logistic head that learned from the images of all groups, those that a person spoke of four times
    as much, and the shares among the 15 nearest images, of at most 16,384. Where groups are round the head alone does
    as well, where they are bent the nearest images do; the mean is near the better one of both.
    """
    board = board_of(run)
    if not len(board.groups):
        raise RunError(
            f"{run.path}: no image in a group has features, so new ones cannot be compared with them. Group them anew "
            "(ilk cluster), or take the groups as they were found (--uncorrected)."
        )
    head, project = taught_by_all(board, seed), board.space.project
    rows = np.flatnonzero(board.labels >= 0)
    if len(rows) > _KNOWN:
        few = np.random.default_rng(seed).choice(rows, _KNOWN, replace=False)
        rows = np.union1d(few, np.flatnonzero(board.pinned))
    width = run.features().shape[1]
    known, columns = board.x[rows], board.columns(board.labels[rows])

    def assign(features: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        if features.shape[1] != width:
            raise RunError(
                f"{run.features_path} has {width:,} numbers an image, and the model makes "
                f"{features.shape[1]:,}: one is damaged. Run the command that made the run again, with --overwrite."
            )
        read = np.isfinite(features).all(1)
        proba = np.zeros((len(features), len(head.groups)), np.float32)
        x = project(features[read])
        proba[read] = (head(x) + _shares(x, known, columns, len(head.groups))) / 2
        return head.groups, proba

    return assign


def _shares(x: Floats, known: Floats, columns: Ints, count: int) -> Floats:
    """Return (m, count) the share of each group among the nearest of `known`."""
    votes = min(_VOTES, len(known))
    shares = np.zeros((len(x), count), np.float32)
    if not votes:
        return shares
    lengths = np.einsum("ij,ij->i", known, known)
    step = max(1, _BLOCK // len(known))
    for start in range(0, len(x), step):
        near = lengths - 2 * (x[start : start + step] @ known.T)
        index = np.argpartition(near, votes - 1, axis=1)[:, :votes]
        rows = np.repeat(np.arange(start, start + len(near)), votes)
        np.add.at(shares, (rows, columns[index].ravel()), np.float32(1 / votes))
    return shares
