"""Which of images that are nearly the same stands for them: most pixels, then most bytes, then the central one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ilk.near.rows import Ints

__all__ = ["best_first"]


def best_first(
    widths: npt.NDArray[np.integer], heights: npt.NDArray[np.integer], sizes: npt.NDArray[np.integer]
) -> tuple[Ints, Ints]:
    """Order images by pixels, then by bytes: of two shots of equal size the sharper one has more.

    Parameters
    ----------
    widths, heights, sizes
        (n,) pixels and bytes; 0 = unknown.

    Returns
    -------
    order : (n,) int64
        All rows, the best first; of equals the first.
    ties : (n,) int64
        Equal numbers for rows of which none is better.

    Examples
    --------
    >>> best_first(np.array([10, 20, 10]), np.array([10, 20, 10]), np.array([5, 1, 5]))
    (array([1, 0, 2]), array([1, 0, 1]))
    """
    pixels = np.asarray(widths, np.int64) * np.asarray(heights, np.int64)
    order = np.lexsort((-np.asarray(sizes, np.int64), -pixels))
    new = np.ones(len(order), np.int64)
    new[1:] = (np.diff(pixels[order]) != 0) | (np.diff(np.asarray(sizes, np.int64)[order]) != 0)
    ties = np.empty(len(order), np.int64)
    ties[order] = np.cumsum(new) - 1
    return order.astype(np.int64), ties
