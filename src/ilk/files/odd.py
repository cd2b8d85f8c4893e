"""Odd formats and huge claims: what the helper process does with one file.

TIFF, HEIC, FITS, TGA, icons, 16 bits and floats: every format that Pillow knows, except those that call other
programs; HEIC through pi-heif; TIFF that Pillow does not read through tifffile. Imports NumPy and Pillow only, the rest
when it is needed.
"""

from __future__ import annotations

import contextlib
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from ilk.files import fits, tiff
from ilk.files.reasons import believed, claim_reason, explain
from ilk.files.render import Decoded, Resize, render, render_raster, upright_size
from ilk.files.samples import Samples, before_loading, deep_values

__all__ = ["look", "open_any", "work"]

# These need other programs (Ghostscript), exist on Windows only, or are mere stubs that can never be loaded.
_NEVER = {"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"}
_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"heif"}


def work(
    data: bytes,
    size: tuple[int, int] | None,
    resize: Resize,
    crop_pct: float,
    samples: Samples,
    probe: bool,
    memory: int,
    thumb: bool = False,
) -> Decoded:
    """Decode one file with every reader there is; `probe`: only its size. Never raises for what the file is.

    `memory` is the limit, in bytes, that a reason may speak of.
    """
    width = height = 0
    kind: str | None = None
    try:
        if fits.is_fits(data):
            kind = "FITS"
            return _raster(data, size, resize, crop_pct, samples, probe, thumb)
        try:
            image = open_any(data)
        except UnidentifiedImageError:
            if not tiff.is_tiff(data):
                raise
            kind = "TIFF"
            return _raster(data, size, resize, crop_pct, samples, probe, thumb)
        kind = image.format or "image"
        if kind == "TIFF":
            _past_copies(image)
        width, height = upright_size(image)
        if probe:
            return Decoded(None, width, height, None)
        if not believed(kind, width, height):
            return Decoded(None, width, height, claim_reason(width, height, kind))
        if kind == "TIFF" and (samples.bands or _loses_depth(image)):
            with contextlib.suppress(
                ValueError
            ):  # packed, or in colours, that only Pillow knows: with 8 of 16 bits, then
                return _raster(data, size, resize, crop_pct, samples, probe, thumb)
        return render(image, size, resize, crop_pct, samples, thumb)
    except Exception as error:  # whatever a decoder raises becomes the row's reason
        kind = kind or _kind_by_magic(data)
        return Decoded(None, width, height, explain(error, data, kind, memory))


def _past_copies(image: ImageFile.ImageFile) -> None:
    """Turn an opened TIFF to its first page that is not a small copy of another."""
    for page in range(min(getattr(image, "n_frames", 1), _MOST_COPIES)):
        image.seek(page)
        if not getattr(image, "tag_v2", {}).get(254, 0) & 1:
            return
    image.seek(0)


def _loses_depth(image: ImageFile.ImageFile) -> bool:
    """Whether Pillow reads a TIFF with fewer bits than it has, or with the wrong sign."""
    tags = getattr(image, "tag_v2", {})
    bits, form = (max(np.atleast_1d(tags.get(tag, default))) for tag, default in ((258, 8), (339, 1)))
    colours = image.mode in ("RGB", "RGBA", "RGBX", "LA") and bits > 8
    return bool(colours or (bits == 8 and form == 2) or (bits == 32 and form == 1))


def _raster(
    data: bytes,
    size: tuple[int, int] | None,
    resize: Resize,
    crop_pct: float,
    samples: Samples,
    probe: bool,
    thumb: bool,
) -> Decoded:
    """As `work`, for FITS, and for a TIFF that Pillow does not read, or not as it is meant."""
    of_tiff = tiff.is_tiff(data)
    width, height = tiff.raster_size(data) if of_tiff else fits.fits_size(data)
    if probe:
        return Decoded(None, width, height, None)
    if not believed("TIFF", width, height):
        return Decoded(None, width, height, claim_reason(width, height))
    found = tiff.read_raster(data, plain=bool(samples.bands)) if of_tiff else fits.read_fits(data)
    return render_raster(found, size, resize, crop_pct, samples, thumb)


_MOST_COPIES = 16
_LOOKED = 2048  # values of one file that the set's black and white are taken from


def look(data: bytes) -> dict[str, Any]:
    """Return what a file's samples are: ``kind`` (None: 8 bits) and some ``values``; ``pages``, ``bands`` of a TIFF.

    ``upper``: it has colours of 16 bits, of which only the upper 8 can be read. Empty where it cannot be read. Some
    values are enough: `_LOOKED`, at random.
    """
    record: dict[str, Any] = {}
    try:
        if tiff.is_tiff(data) or fits.is_fits(data):
            width, height = tiff.raster_size(data) if tiff.is_tiff(data) else fits.fits_size(data)
            if not believed("TIFF", width, height):
                return {}
            try:
                raster = tiff.read_raster(data) if tiff.is_tiff(data) else fits.read_fits(data)
            except ValueError:
                pass
            else:
                values = raster.values[..., :-1] if raster.alpha else raster.values
                bands = values.shape[2] if values.ndim == 3 else 1
                record = {"kind": None, "pages": raster.pages, "bands": bands}
                free = raster.kind is not None and not raster.depth
                return record | ({"kind": raster.kind, "values": _some(values)} if free else {})
        image = open_any(data)
        if not believed(image.format, *image.size):
            return {}
        upper = _loses_depth(image)
        before_loading(image)
        image.load()
        found = deep_values(image)
        if upper and found is None:
            return {"kind": None, "upper": True}
        if found is not None and not found[2]:
            return {"kind": found[1], "values": _some(found[0])}
    except Exception:  # an odd file says nothing of the set; its own reason is found when it is decoded
        return record
    return record or {"kind": None}


def _some(values: NDArray[Any]) -> list[float]:
    """Return finite values from all over a picture: never a single column, as every so-manieth would be."""
    flat = values.reshape(-1)
    if flat.size > _LOOKED:
        flat = flat[np.random.default_rng(0).integers(0, flat.size, _LOOKED)]
    kept = flat.astype(np.float64)
    return [float(v) for v in kept[np.isfinite(kept)]]


def _kind_by_magic(data: bytes) -> str | None:
    """Format of a file that a decoder recognised by its start and then refused with an error of its own."""
    for name in Image.ID:
        accept = Image.OPEN[name][1]
        if name not in _NEVER and accept and accept(data[:16].ljust(16, b"\0")) is True:
            return name
    return None


def open_any(data: bytes) -> ImageFile.ImageFile:
    """Open with every format Pillow knows, except those that call other programs; HEIC through pi-heif."""
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF:
        import pi_heif

        pi_heif.register_heif_opener()
    return Image.open(BytesIO(data), formats=[name for name in Image.ID if name not in _NEVER])
