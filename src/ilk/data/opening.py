"""From whatever the user calls images to a source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ilk.data.arrays import ArrayImages
from ilk.data.folder import FolderImages
from ilk.data.own import OwnFeatures, as_array, with_features
from ilk.errors import ArgumentError, DataError
from ilk.files import ArraySet, FeatureSet, Listing, Samples, are_features, as_list, load_features, open_source, survey
from ilk.files.memory import are_pictures

__all__ = ["open_images"]


def open_images(
    X: Any,
    split: str = "all",
    *,
    features: Any = None,
    range: Any = "auto",  # noqa: A002 - the word for it
    bands: Any = None,
    samples: Samples | None = None,
    by_content: bool = False,
) -> ArrayImages | FolderImages | OwnFeatures:
    """Open images as a source.

    Parameters
    ----------
    X : str, Path, array, memmap, Tensor, list of paths or images, Series, or an open source
        A folder, ``.tar``, ``.zip``, list of paths (``.txt``, ``.csv``, ``.jsonl``), ``.npz``, ``.npy``, Parquet, the
        files of MNIST or CIFAR, ``"digits"``; a uint8 array (n, h, w) or (n, h, w, c); paths of image files, patterns
        such as ``photos/*.jpg``, or several sources, as a list, an array or a Series; a list of Pillow images; or what
        this function returned, which is passed on. Floats (n, d), as an array or ``.npy``, are features without images.
    split : {"all", "train", "test"}
        Part of a specification that has parts; arrays and lists have none.
    features : path, ndarray or Tensor (n, d), optional
        Features of your own, which every method then works on instead of an encoder's: ``.npy`` (rows in the order
        of the images), Parquet (a column ``path`` says of which image a row is), ``FILE.parquet:COLUMN``, or the name
        of a column of `X`. float16, float32 or float64.
    range : "auto", "dtype", "LOW,HIGH" or (low, high)
        What is black and what is white in files with more than 8 bits a sample. "auto": the values of the set decide;
        up to 256 files are looked at. "dtype": all that the type can hold, and 0 … 1 for floats.
    bands : "3,2,1", sequence of int or int, optional
        Three bands for red, green and blue, or one, of TIFF files that have several; counted from 1.
    samples : Samples, optional
        Both of it, as it was found before: nothing is looked at then.
    by_content : bool
        Whether the same images are known again by their bytes alone, and not by name, size and time of the last change.

    Raises
    ------
    DataError
        Not images, or a split that is not there; features that are not finite, or not of these images.

    Examples
    --------
    >>> len(open_images(np.zeros((3, 8, 8), np.uint8)))
    3
    """
    images = _opened(as_list(X), split, lambda listing: _files(listing, range, bands, samples), by_content)
    if (range not in ("auto", None) or bands is not None) and not isinstance(images, FolderImages):
        raise ArgumentError(f"range={range!r}, bands={bands!r}: these are for image files; {_WHAT[type(images)]}.")
    return images if features is None else with_features(images, features)


_WHAT = {ArrayImages: "arrays are uint8 pixels already", OwnFeatures: "features have no pixels"}


def _files(listing: Listing, range: Any, bands: Any, samples: Samples | None) -> FolderImages:  # noqa: A002
    found, notes = survey(listing, range, bands) if samples is None else (samples, [])
    images = FolderImages(listing, found)
    images.notes += notes
    return images


def _opened(
    X: Any, split: str, files: Callable[[Listing], FolderImages], by_content: bool
) -> ArrayImages | FolderImages | OwnFeatures:
    if isinstance(X, (ArrayImages, FolderImages, OwnFeatures, np.ndarray, Tensor)) and split != "all":
        raise DataError(f"split={split!r}: arrays and open sources have no parts; pass the part you want")
    if isinstance(X, (ArrayImages, FolderImages, OwnFeatures)):
        return X
    if isinstance(X, (np.ndarray, Tensor)):
        array = as_array(X) if isinstance(X, Tensor) and X.is_floating_point() else X
        if isinstance(array, np.ndarray) and are_features(array.dtype, array.shape):
            return OwnFeatures(load_features(array))
        return ArrayImages(X)
    if isinstance(X, (str, Path, Listing, ArraySet, FeatureSet)) or (
        isinstance(X, (list, tuple)) and (all(isinstance(p, (str, Path)) for p in X) or are_pictures(X))
    ):
        found = open_source(X, split, by_content=by_content)
        if isinstance(found, Listing):
            return files(found)
        if isinstance(found, FeatureSet):
            return OwnFeatures(found)
        images = ArrayImages(
            found.pixels, found.names, kind=found.kind, notes=found.notes, fingerprint=found.fingerprint()
        )
        images.passed_over = found.passed_over
        return images
    if isinstance(X, (list, tuple)) and X and all(isinstance(part, (np.ndarray, Tensor)) for part in X):
        raise DataError("a list of arrays is not images; stack them into one uint8 array (n, h, w) or (n, h, w, c)")
    raise DataError(f"cannot open {type(X).__name__} as images; give a folder, an archive, paths or a uint8 array")
