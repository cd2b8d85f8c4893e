"""Images as tensors: two sources with one face, and `open_images`, which picks the right one."""

from __future__ import annotations

from ilk.data.arrays import ArrayImages
from ilk.data.encoded import Encoded, OnProgress, ThumbSource
from ilk.data.few import FEW
from ilk.data.folder import FolderImages
from ilk.data.packing import Packed, channel_mean, channel_moments, pack
from ilk.data.sources import Block, ImageSource, Resize, Size, is_small, network_size, square, thumbnails, training_size

from ilk.data.opening import open_images  # isort: skip - it builds both kinds

__all__ = [
    "FEW",
    "ArrayImages",
    "Block",
    "Encoded",
    "FolderImages",
    "ImageSource",
    "OnProgress",
    "Packed",
    "Resize",
    "Size",
    "ThumbSource",
    "channel_mean",
    "channel_moments",
    "is_small",
    "network_size",
    "open_images",
    "pack",
    "square",
    "thumbnails",
    "training_size",
]
