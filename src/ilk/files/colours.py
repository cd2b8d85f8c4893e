"""Colours as sRGB: what a picture's own colour profile says, carried over to the colours every screen means.

A phone's photo is in Display P3, a camera's in Adobe RGB, a printer's file in CMYK with a profile. Read as if they were
sRGB, such colours are duller, or wrong, and the same scene differs by the device that saw it.
"""

from __future__ import annotations

import functools
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageCms

__all__ = ["to_srgb"]

_MOST = 4 * 2**20  # bytes of a profile; display calibrations have some hundred kB
_SPACES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}
_SAME = 2  # of 255: a profile that changes no colour by more than this is sRGB under some name
_GAMMA = 0.45455  # what PNG files state for sRGB


def to_srgb(image: Image.Image, info: dict[Any, Any]) -> Image.Image:
    """Return `image` in sRGB, as the profile in `info` (of the opened file) says.

    Parameters
    ----------
    image
        Mode L, RGB, CMYK, LA or RGBA; alpha stays.
    info
        Pillow's: ``icc_profile`` (bytes); of a PNG without one, ``gamma`` and ``srgb``.

    Returns
    -------
    Image
        The same picture where there is no profile, where it is sRGB in all but name, is of another kind than the
        picture (a CMYK profile in an RGB file), or damaged: then nobody knows better.

    Notes
    -----
    Relative colorimetric, as browsers do. A profile is prepared once and kept (64 of them); a picture of 224 × 224 then
    costs about 1 ms, one in sRGB the comparison of its profile with those kept.
    """
    profile = info.get("icc_profile")
    if isinstance(profile, bytes) and 128 < len(profile) <= _MOST:
        mode = _SPACES.get(profile[16:20])
        bands = image.mode.removesuffix("A") if image.mode in ("LA", "RGBA") else image.mode
        if mode is None or mode != bands:
            return image
        transform = _transform(profile, mode)
        return image if transform is None else _apply(image, transform)
    gamma = info.get("gamma")
    if profile is not None or "srgb" in info or not isinstance(gamma, float) or not 0.1 < gamma < 2:
        return image
    known = abs(gamma - _GAMMA) <= 0.02 or image.mode not in ("L", "RGB", "LA", "RGBA")
    return image if known else _by_gamma(image, gamma)


def _apply(image: Image.Image, transform: Any) -> Image.Image:
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    plain = image if alpha is None else image.convert(image.mode[:-1])
    found: Image.Image | None = ImageCms.applyTransform(plain, transform)
    assert found is not None  # not in place
    if alpha is not None:
        found.putalpha(alpha)
    return found


@functools.lru_cache(maxsize=64)
def _transform(profile: bytes, mode: str) -> Any:
    """Return what brings pictures in `mode` from `profile` to sRGB; None where nothing changes, or nothing can be done.

    Threads may share it: each call of the library works on its own copy of what changes.
    """
    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        )
        if mode == "CMYK":
            return transform
        steps = np.linspace(0, 255, 9 if mode == "RGB" else 256).round().astype(np.uint8)
        if mode == "RGB":
            cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(1, -1, 3)
            asked, plain = Image.fromarray(cube), cube
        else:
            asked, plain = Image.fromarray(steps[None]), np.repeat(steps[None, :, None], 3, 2)
        found = np.asarray(ImageCms.applyTransform(asked, transform), np.int16)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return None if np.abs(found - plain).max() <= _SAME else transform


def _by_gamma(image: Image.Image, gamma: float) -> Image.Image:
    """Return `image`, whose samples are light to the power of `gamma`, with sRGB's curve."""
    light = (np.arange(256) / 255) ** (1 / gamma)
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    table = [round(float(v)) for v in np.clip(curve, 0, 1) * 255]
    bands = len(image.getbands())
    alpha = image.mode in ("LA", "RGBA")
    return image.point(table * (bands - alpha) + (list(range(256)) if alpha else []))
