"""The images themselves as features: for small uniform images such as handwritten digits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ilk.data import ImageSource, Size, is_small, square
from ilk.encoders.frozen import DECODE_VERSION, FrozenEncoder, check_settings, digest

__all__ = ["build_pixels"]

_SIDE = 32
_ALLOWED = ("image_size", "resize")


def build_pixels(
    settings: Mapping[str, Any] | None,
    source: ImageSource | None,
    spec: Mapping[str, Any] | None = None,
) -> FrozenEncoder:
    """Return the encoder that flattens pixels / 255.

    Small uniform images keep their size (and grey ones their single channel); all others are brought to 32 × 32.
    ``image_size=`` overrides both. Cost: none but reading.

    Parameters
    ----------
    settings : mapping
        ``image_size``, ``resize``.
    source : ImageSource
        Decides size and channels.
    spec : mapping
        Of an earlier encoder, whose size and channels then hold instead.
    """
    wanted = check_settings(settings, _ALLOWED, "pixels")
    channels = 3 if source is None else source.shape[0]
    size: Size
    if spec is not None:
        size, channels = (int(spec["image_size"][0]), int(spec["image_size"][1])), int(spec["channels"])
    elif "image_size" in wanted:
        size = wanted["image_size"]
    else:
        size = (is_small(source) if source is not None else None) or _SIDE
    height, width = square(size)
    size = height if height == width else (height, width)
    resolved = {"image_size": size, "resize": wanted.get("resize", "crop")}
    return FrozenEncoder(
        name="pixels",
        settings=resolved,
        key=digest("pixels", 1, DECODE_VERSION, [height, width], resolved["resize"], channels),
        image_size=size,
        n_features=channels * height * width,
        forward=_flatten,
        resize=resolved["resize"],
        channels=channels,
        weak=source is not None and is_small(source) is None,
        batch_size=256,
        workers=2,
        backend="numpy",
    )


def _flatten(pixels: Tensor) -> npt.NDArray[np.float32]:
    flat = np.ascontiguousarray(pixels.cpu().numpy()).reshape(len(pixels), -1)
    return flat.astype(np.float32) / np.float32(255)
