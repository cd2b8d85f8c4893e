"""From whatever the user calls images to a source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ilk.data.arrays import ArrayImages
from ilk.data.folder import FolderImages
from ilk.errors import DataError
from ilk.files import ArraySet, Listing, open_source

__all__ = ["open_images"]


def open_images(X: Any, split: str = "all") -> ArrayImages | FolderImages:
    """Open images as a source.

    Parameters
    ----------
    X : str, Path, array, memmap, Tensor, list of paths, or an open source
        A folder, ``.tar``, ``.zip``, text file of paths, ``.npz``, ``.npy``, Parquet, ``"digits"``; a uint8 array
        (n, h, w) or (n, h, w, c); paths of image files; or what this function returned, which is passed on.
    split : {"all", "train", "test"}
        Part of a specification that has parts; arrays and lists have none.

    Raises
    ------
    DataError
        Not images, or a split that is not there.

    Examples
    --------
    >>> len(open_images(np.zeros((3, 8, 8), np.uint8)))
    3
    """
    if isinstance(X, (ArrayImages, FolderImages, np.ndarray, Tensor)) and split != "all":
        raise DataError(f"split={split!r}: arrays and open sources have no parts; pass the part you want")
    if isinstance(X, (ArrayImages, FolderImages)):
        return X
    if isinstance(X, (np.ndarray, Tensor)):
        return ArrayImages(X)
    if isinstance(X, (str, Path, Listing, ArraySet)) or (
        isinstance(X, (list, tuple)) and all(isinstance(p, (str, Path)) for p in X)
    ):
        found = open_source(X, split)
        if isinstance(found, Listing):
            return FolderImages(found)
        return ArrayImages(
            found.pixels, found.names, kind=found.kind, notes=found.notes, fingerprint=found.fingerprint()
        )
    if isinstance(X, (list, tuple)) and X and all(isinstance(part, (np.ndarray, Tensor)) for part in X):
        raise DataError("a list of arrays is not images; stack them into one uint8 array (n, h, w) or (n, h, w, c)")
    raise DataError(f"cannot open {type(X).__name__} as images; give a folder, an archive, paths or a uint8 array")
