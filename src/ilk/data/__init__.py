"""Images as tensors: two sources with one face, and `open_images`, which picks the right one."""

from __future__ import annotations

from ilk.data.arrays import ArrayImages
from ilk.data.folder import FolderImages
from ilk.data.sources import Block, ImageSource, Resize, Size, is_small, square, thumbnails

from ilk.data.opening import open_images  # isort: skip - it builds both kinds

__all__ = [
    "ArrayImages",
    "Block",
    "FolderImages",
    "ImageSource",
    "Resize",
    "Size",
    "is_small",
    "open_images",
    "square",
    "thumbnails",
]
