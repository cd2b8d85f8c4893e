"""Features of the user's own, with the images that they are of or without, as a source."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ilk.data.arrays import ArrayImages
from ilk.data.folder import FolderImages
from ilk.data.sources import Block, Index, Known, Resize, Size, as_index
from ilk.errors import ArgumentError, DataError
from ilk.files import FeatureSet, load_features
from ilk.files.matching import matched, some
from ilk.files.parquet import column_names

__all__ = ["OwnFeatures", "as_array", "with_features"]

Images = ArrayImages | FolderImages


class OwnFeatures:
    """Images that come with features of the user's own, or such features alone. Final.

    An `ilk.data.ImageSource` whose images, where there are any, are those of another source. `ilk.encoders.encode`
    takes the features from here.

    Parameters
    ----------
    table : FeatureSet
    images : ArrayImages or FolderImages, optional
        The images in the order of the table, or as many of them as it names.

    Attributes
    ----------
    at : (n,) int64
        Row of the table for each image; -1 = it has no features.
    matched : str
        "order" or "path".
    gaps : list of str
        Notes on images without features, and features without images.

    Raises
    ------
    DataError
        Rows of the table hold NaN or infinity, are not as many as the images, or name none of them.
    """

    def __init__(self, table: FeatureSet, images: Images | None = None) -> None:
        self.table = table
        self.images = images
        self.kind = "features" if images is None else images.kind
        self.gaps: list[str] = []
        if isinstance(images, FolderImages):
            self.listing = images.listing
        given = table.given()
        self.matched = "order"
        if images is None:
            self.at = np.arange(len(table), dtype=np.int64)
        elif table.named and not _same_file(table, images):
            self.matched = "path"
            self.at = self._by_name(images.names())
        elif len(table) != len(images):
            raise DataError(
                f"{table.what} has {len(table):,} rows, and there are {len(images):,} images. Rows belong to images in "
                "their order, which ilk.open_images(SOURCE).names() shows; a Parquet file with a column `path` may "
                "have them in any order, and of some images only."
            )
        else:
            self.at = np.arange(len(table), dtype=np.int64)
        self.at = np.where((self.at >= 0) & given[self.at], self.at, -1)
        self._named: list[str] | None = None  # rows without images that were taken
        if (self.at < 0).all():
            raise DataError(f"{table.what}: none of the images that it names has features; all are NaN.")
        without = np.flatnonzero(self.at < 0)
        if len(without):
            shown = some(self.names(without[:4]))
            self.gaps.append(f"{len(without):,} of {len(self):,} images have no features and are in no group: {shown}")
        self.notes = [*table.notes, *([] if images is None else images.notes), *self.gaps]

    def _by_name(self, names: list[str]) -> npt.NDArray[np.int64]:
        """Return the row of the table for each of `names`; -1 where it does not name it."""
        root = self.listing.root if isinstance(self.images, FolderImages) else None
        keys = matched(self.table.names, names, root)
        if not keys:
            raise DataError(
                f"{self.table.what} names none of the images: it has {some(self.table.names)}, and the source "
                f"{some(names)}."
            )
        unknown = set(self.table.names) - set(keys.values())
        if unknown:
            shown = some(name for name in self.table.names if name in unknown)
            self.gaps.append(f"{len(unknown):,} rows of {self.table.what} are of images that are not here: {shown}")
        where = {name: row for row, name in enumerate(self.table.names)}
        return np.array([where[keys[name]] if name in keys else -1 for name in names], np.int64)

    def __len__(self) -> int:
        return len(self.at)

    @property
    def width(self) -> int:
        """Numbers per image, d."""
        return self.table.width

    def features(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Return the features (b, d) of the images `rows`, all of which have some; float16 or float32, as given."""
        return self.table.read(self.at[rows])

    def as_record(self) -> dict[str, Any]:
        """Return what a run says of them, as plain JSON: where they are from, and their content as hex digits."""
        file = None if self.table.root is None else str(self.table.root.resolve())
        return {
            "file": file,
            "columns": self.table.about or None,
            "n_features": self.width,
            "matched": self.matched if self.images is not None else None,
            "content": self.table.fingerprint(),
        }

    # -- the images ----------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, int, int]:
        """(c, h, w) of what `read` gives."""
        return self._pictures().shape

    def read(self, index: Index) -> Tensor:
        """Return uint8 (b, c, h, w); DataError where there are no pictures."""
        return self._pictures().read(index)

    def names(self, index: Index | None = None) -> list[str]:
        """Return the names of the rows `index`, or of all: those of the images, of the table, or "row 0", …"""
        if self.images is not None:
            return self.images.names(index)
        names = self.table.names if self._named is None else self._named
        return list(names) if index is None else [names[row] for row in as_index(index).tolist()]

    def fingerprint(self) -> str:
        """Return hex digits that change when the images do; where there are none, when the features do."""
        return self.table.fingerprint() if self.images is None else self.images.fingerprint()

    def scan(self, index: Index, known: Known | None = None, *, bare: bool = False) -> Block:
        """Read, hash and thumbnail the images; DataError where there are no pictures."""
        return self._pictures().scan(index, known, bare=bare)

    def take(self, rows: Index) -> OwnFeatures:
        """Return the images `rows` alone, with their features, in that order."""
        other, chosen = OwnFeatures.__new__(OwnFeatures), as_index(rows)
        other.__dict__.update(self.__dict__)
        other.at, other.gaps = self.at[chosen], []
        other.images = None if self.images is None else self.images.take(chosen)
        other._named = self.names(chosen) if self.images is None else None
        return other

    def sized(self, image_size: Size | None, resize: Resize = "crop", crop_pct: float = 1.0) -> OwnFeatures:
        """Return the same features, with images brought to another size."""
        other = OwnFeatures.__new__(OwnFeatures)
        other.__dict__.update(self.__dict__)
        other.images = None if self.images is None else self.images.sized(image_size, resize, crop_pct)
        return other

    def probe(self, at_most: int = 64) -> npt.NDArray[np.int32]:
        """Return (m, 2) int32 height and width of up to `at_most` images; none where there are no pictures."""
        return np.zeros((0, 2), np.int32) if self.images is None else self.images.probe(at_most)

    def stamps(self) -> list[bytes] | None:
        """Return the stamps of the images' files; None where there are none."""
        return None if self.images is None else self.images.stamps()

    def _pictures(self) -> Images:
        if self.images is None:
            raise DataError(
                f"{self.table.what} holds features and no pictures: give the images as the source, with "
                "--features FILE (ilk.open_images(SOURCE, features=…))."
            )
        return self.images


def _same_file(table: FeatureSet, images: Images) -> bool:
    """Whether both are columns of one file: rows go with rows then, whatever they are called."""
    return isinstance(images, FolderImages) and images.kind == "parquet" and images.listing.root == table.root


def as_array(features: Tensor) -> npt.NDArray[Any]:
    """Return a tensor as an array on the CPU; bfloat16, which arrays do not know, as float32."""
    here = features.detach().cpu()
    found: npt.NDArray[Any] = (here.float() if here.dtype == torch.bfloat16 else here).numpy()
    return found


def with_features(images: Images | OwnFeatures, features: Any) -> OwnFeatures:
    """Return `images` with `features`: an array or tensor (n, d), a file, or a column of the images' Parquet file.

    Raises
    ------
    ArgumentError
        `images` come with features already, or are features.
    DataError
        See `OwnFeatures` and `ilk.files.load_features`.
    """
    if isinstance(images, OwnFeatures):
        raise ArgumentError(f"{images.table.what} holds features already: give the images as the source, or no others.")
    if isinstance(features, Tensor):
        features = as_array(features)
    if isinstance(features, str | os.PathLike) and isinstance(images, FolderImages) and images.kind == "parquet":
        root, name = images.listing.root, os.fspath(features)
        if not Path(name).exists() and root.is_file() and name in column_names(root):
            features = f"{root}:{name}"
    return OwnFeatures(load_features(features), images)
