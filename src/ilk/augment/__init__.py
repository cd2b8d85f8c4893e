"""Random changes of whole float batches, on their own device, with factors of its own for every image.

Every function takes a float batch (b, c, h, w) and a generator on the same device, and returns a new batch. None waits
for the device, none loops over images, and all draw the same amount of random numbers whatever their options are.
Those that change colours suppose values from 0 to 1.
"""

from ilk.augment.colour import blur, color_jitter, grey
from ilk.augment.geometry import affine, cutout, flip, resized_crop, warp
from ilk.augment.policy import OPERATIONS, rand_augment

__all__ = [
    "OPERATIONS",
    "affine",
    "blur",
    "color_jitter",
    "cutout",
    "flip",
    "grey",
    "rand_augment",
    "resized_crop",
    "warp",
]
