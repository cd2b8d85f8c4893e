"""Images as tensors: two sources with one face, and `open_images`, which picks the right one.

A third source has features of the user's own, with images or without.
"""

from __future__ import annotations

from ilk.data.arrays import ArrayImages
from ilk.data.contents import contents
from ilk.data.encoded import Encoded, OnProgress
from ilk.data.few import FEW
from ilk.data.folder import FolderImages
from ilk.data.own import OwnFeatures
from ilk.data.packing import Packed, channel_mean, channel_moments, pack
from ilk.data.sources import Block, ImageSource, Resize, Size, is_small, network_size, square, thumbnails, training_size
from ilk.data.thumbs import NoThumbs, ThumbSource
from ilk.files import Samples

from ilk.data.opening import open_images  # isort: skip - it builds all kinds

__all__ = [
    "FEW",
    "ArrayImages",
    "Block",
    "Encoded",
    "FolderImages",
    "ImageSource",
    "NoThumbs",
    "OnProgress",
    "OwnFeatures",
    "Packed",
    "Resize",
    "Samples",
    "Size",
    "ThumbSource",
    "channel_mean",
    "channel_moments",
    "contents",
    "is_small",
    "network_size",
    "open_images",
    "pack",
    "square",
    "thumbnails",
    "training_size",
]
