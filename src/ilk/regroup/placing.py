"""Placing new images by the groups as they are now: a head on the features of the run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.regroup.head import Head, learned
from ilk.regroup.space import Run, board_of

__all__ = ["placer"]

Placer = Callable[[npt.NDArray[Any]], tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]


def placer(run: Run, *, seed: int = 0) -> Placer:
    """Return what places features by the corrected groups of `run`.

    Returns
    -------
    callable (features (m, d)) -> (groups (k,) int64, probabilities (m, k) float32)
        groups: those that have images, by number; probabilities of each row sum to 1, and are 0 where the features are
        no numbers. d: as of ``run.features()``.
    """
    board = board_of(run)
    head: Head = learned(board, board.labels, board.pinned, seed)
    project = board.space.project

    def place(features: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        read = np.isfinite(features).all(1)
        proba = np.zeros((len(features), len(head.groups)), np.float32)
        proba[read] = head(project(features[read]))
        return head.groups, proba

    return place
