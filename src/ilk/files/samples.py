"""How samples beyond 8 bits become pixels: one rule for every file of a set.

A camera writes 12 bits into 16, a thermal camera counts from 300 to 363, a height model has metres, and floats reach
from 0 to 1 or from anywhere to anywhere. What is black and what is white is therefore asked of the whole set, once
(survey.py), or said by the user; a file alone is asked for its own values. See `limits_of` for the rule.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ilk.errors import ArgumentError

__all__ = [
    "Kind",
    "Raster",
    "Samples",
    "before_loading",
    "deep_values",
    "eight_bits",
    "kind_of",
    "limits_of",
    "to_eight_bits",
    "whole_range",
    "without_no_data",
]

Kind = Literal["uint16", "integer", "float"]
Limits = tuple[float, float]

_NO_DATA = 42113  # the tag of GDAL
_STRETCHED = "ilk: stretched"
_BLACK, _WHITE = 0.001, 0.999  # quantiles: one hot pixel in a thousand decides nothing


@dataclass(frozen=True)
class Samples:
    """What counts as black and as white in samples beyond 8 bits, and which bands are shown.

    Attributes
    ----------
    uint16, integer, floating : (black, white) or None
        For unsigned 16-bit samples without a stated depth, all other integers, and floats; None: every file by its own
        values.
    dtype : bool
        What has no black and white of its own here has those of its type: all that the type can hold.
    bands : tuple of int
        One band (grey) or three (red, green, blue) of pictures that have several, counted from 1; empty: the first
        three of three or more, else the first.
    """

    uint16: Limits | None = None
    integer: Limits | None = None
    floating: Limits | None = None
    dtype: bool = False
    bands: tuple[int, ...] = ()

    @classmethod
    def asked(cls, range: Any = "auto", bands: Any = None) -> Samples | None:  # noqa: A002 - the user's word
        """Return what a user asked for; None where the set itself is to be asked.

        Parameters
        ----------
        range : "auto", "dtype", "LOW,HIGH" or (low, high)
            "auto": the values of the set decide. "dtype": all that the type can hold, and 0 … 1 for floats.
        bands : "3,2,1", sequence of int or int, optional
            Three bands for red, green and blue, or one.

        Raises
        ------
        ArgumentError
            Anything else.

        Examples
        --------
        >>> Samples.asked("300,363").integer
        (300.0, 363.0)
        """
        chosen = _bands(bands)
        if range in ("auto", None):
            return None
        if range == "dtype":
            return cls(dtype=True, bands=chosen)
        try:
            low, high = (float(part) for part in (range.split(",") if isinstance(range, str) else range))
        except (TypeError, ValueError):
            low = high = math.nan
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ArgumentError(f"range={range!r}: give auto, dtype, or two numbers LOW,HIGH with LOW below HIGH.")
        return cls((low, high), (low, high), (low, high), bands=chosen)

    def of(self, kind: Kind) -> Limits | None:
        """Return (black, white) of samples of `kind`, where they are fixed."""
        return {"uint16": self.uint16, "integer": self.integer, "float": self.floating}[kind]

    def as_record(self) -> dict[str, list[float]]:
        """Return only what is fixed, as JSON has it."""
        pairs = {"uint16": self.uint16, "integer": self.integer, "float": self.floating, "bands": self.bands or None}
        return {key: list(value) for key, value in pairs.items() if value} | ({"dtype": [1]} if self.dtype else {})

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Samples:
        """Rebuild from what `as_record` returned; what is not there, or makes no sense, is not fixed."""

        def pair(key: str) -> Limits | None:
            low, high = (*map(float, record.get(key, ())), math.nan, math.nan)[:2]
            return (low, high) if math.isfinite(low) and math.isfinite(high) else None

        bands = tuple(int(band) for band in record.get("bands", ()) if math.isfinite(band) and band >= 1)
        bands = bands if len(bands) in (1, 3) else ()
        return cls(pair("uint16"), pair("integer"), pair("float"), bool(record.get("dtype")), bands)

    @classmethod
    def of_run(cls, header: Mapping[str, Any]) -> Samples:
        """Return how the images of a run were read, by its ``run.json``."""
        return cls.from_record((header.get("source") or {}).get("samples") or {})

    def key(self) -> str:
        """Return a name for this way of reading, fit for a folder; empty where nothing is fixed."""
        text = "_".join(f"{key}{'~'.join(f'{v!r}' for v in value)}" for key, value in self.as_record().items())
        return f"-{text}" if text else ""

    def encoded(self) -> bytes:
        """Return the bytes that `decoded` understands; empty where nothing is fixed."""
        record = self.as_record()
        return json.dumps(record).encode() if record else b""

    @classmethod
    def decoded(cls, data: bytes) -> Samples:
        """Rebuild from what `encoded` returned."""
        return cls.from_record(json.loads(data)) if data else cls()


def _bands(bands: Any) -> tuple[int, ...]:
    if bands is None:
        return ()
    try:
        parts = bands.split(",") if isinstance(bands, str) else [bands] if isinstance(bands, int) else list(bands)
        found = tuple(int(part) for part in parts)
    except (TypeError, ValueError):
        found = ()
    if len(found) not in (1, 3) or min(found) < 1 or max(found) > 4096:
        raise ArgumentError(
            f"bands={bands!r}: give one band (grey) or three (red, green, blue), counted from 1: 4,3,2."
        )
    return found


def bands_of(bands: Any) -> tuple[int, ...]:
    """Return checked bands, empty for None; see `Samples.asked`."""
    return _bands(bands)


def kind_of(dtype: np.dtype[Any]) -> Kind | None:
    """Return which rule samples of `dtype` follow; None for 8 bits."""
    if dtype in (np.uint8, np.bool_):
        return None
    return "float" if dtype.kind == "f" else "uint16" if dtype == np.uint16 else "integer"


def whole_range(kind: Kind, dtype: np.dtype[Any] | None = None) -> Limits:
    """Return (black, white) by the type alone."""
    if kind == "float":
        return 0.0, 1.0
    info = np.iinfo(np.uint16 if kind == "uint16" or dtype is None or dtype.kind not in "iu" else dtype)
    return 0.0 if info.min == 0 else float(info.min), float(info.max)


class Raster(NamedTuple):
    """A picture that was read without Pillow.

    Attributes
    ----------
    values : (h, w) or (h, w, bands)
        As stored; what the file calls no data is NaN, and such values are floats then.
    kind : str or None
        See `kind_of`, of the values as stored.
    depth : int
        Bits of a sample that count, where the file states fewer than its type has, which then decides; else 0.
    inverted : bool
        The largest value is black.
    turn : int
        EXIF orientation.
    profile : bytes
        Of the colours (ICC); empty without one.
    alpha : bool
        The last band is opacity.
    multiplied : bool
        Where it is, the others are multiplied by it.
    pages : int
        Pictures in the file.
    """

    values: NDArray[Any]
    kind: Kind | None
    depth: int = 0
    inverted: bool = False
    turn: int = 1
    profile: bytes = b""
    alpha: bool = False
    multiplied: bool = False
    pages: int = 1


def limits_of(kind: Kind, values: NDArray[Any]) -> Limits:
    """Return (black, white) for samples of which `values` are some; what is not finite is left out.

    Notes
    -----
    Between the 0.1 % and the 99.9 % quantile, so that single hot pixels decide nothing, but for what has a range that
    everybody means: 16-bit samples that reach the upper half of 0 … 65535; integers and floats from 0 to between 128
    and 255, which are 8-bit values in a wider type; floats from 0 to about 1.

    Examples
    --------
    >>> limits_of("float", np.array([0.0, 0.5, 1.0]))
    (0.0, 1.0)
    >>> limits_of("uint16", np.arange(300, 364))
    (300.0, 363.0)
    """
    values = np.asarray(values, np.float64).ravel()
    values = values[np.isfinite(values)]
    if not values.size:
        return whole_range(kind)
    low, high = (float(q) for q in np.quantile(values, [_BLACK, _WHITE], method="nearest"))
    if kind == "uint16":
        return (0.0, 65535.0) if high > 32767 else (low, high)
    if low >= 0 and 128 <= high <= 255:
        return 0.0, 255.0
    if low == high and 0 <= low <= 255:  # one value: nothing to stretch between
        return (0.0, 1.0) if kind == "float" and high <= 1 else (0.0, 255.0)
    if kind == "float" and low >= 0 and 0.1 < high <= 1.1:  # filters overshoot, a highlight shines
        return 0.0, 1.0
    return low, high


def eight_bits(values: NDArray[Any], limits: Limits) -> NDArray[np.uint8]:
    """Return `values` (h, w[, c]) with black … white mapped to 0 … 255; what is not finite becomes black.

    A band of rows at a time, to bound the memory.

    >>> eight_bits(np.array([[0.0, 0.5, 2.0, np.nan]]), (0.0, 1.0)).tolist()
    [[0, 128, 255, 0]]
    """
    low, high = limits
    scale = 255.0 / (high - low) if high > low else 1.0
    out = np.empty(values.shape, np.uint8)
    for i in range(0, len(values), 256):
        band = (values[i : i + 256].astype(np.float64) - low) * scale
        out[i : i + 256] = np.clip(np.rint(np.nan_to_num(band, nan=0.0, posinf=255.0, neginf=0.0)), 0, 255)
    return out


def deep_values(image: Image.Image) -> tuple[NDArray[np.generic], Kind, int] | None:
    """Return the grey values of a loaded picture with more than 8 bits, their kind, and the depth that the file states.

    (h, w); what the file calls no data is NaN. None for a picture of 8 bits. Pillow stretches a PGM to 16 bits.
    """
    if not (image.mode.startswith("I") or image.mode == "F"):
        return None
    values: NDArray[np.generic] = np.asarray(image)
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(258, (0,))  # BitsPerSample
    bits = int(bits[0] if isinstance(bits, tuple) else bits)
    kind: Kind = "float" if image.mode == "F" else "uint16" if image.mode.startswith("I;16") else "integer"
    if image.format == "PPM" and kind != "float":  # Pillow has stretched what states another largest value
        kind, bits = "uint16", 16 if image.info.get(_STRETCHED) else 0
    elif image.format == "TIFF":
        if kind == "integer" and bits == 16:  # Pillow has them in 32 bits
            values = values.astype(np.int16)
        bits = bits if 8 < bits < 16 else 0
    else:
        bits = 0
    return without_no_data(values, tags.get(_NO_DATA)), kind, bits


def before_loading(image: Image.Image) -> None:
    """Remember of an opened picture what is gone once it is loaded: whether Pillow stretches its values."""
    if image.format == "PPM":
        image.info[_STRETCHED] = any(tile[0] != "raw" for tile in getattr(image, "tile", ()))


def without_no_data(values: NDArray[np.generic], stated: object) -> NDArray[np.generic]:
    """Return `values` with NaN, as floats, where they are what the file's tag calls no data; else as they are."""
    try:
        gap = float(str(stated).strip().strip("\0"))
    except ValueError:  # no tag, or nonsense
        return values
    with np.errstate(over="ignore", invalid="ignore"):  # a gap that the type cannot hold is nowhere
        missing = values == gap if np.isfinite(gap) else ~np.isfinite(values)
    if not missing.any():
        return values
    result = values.astype(np.float32 if values.dtype.itemsize < 4 or values.dtype.kind == "f" else np.float64)
    result[missing] = np.nan
    return result


def to_eight_bits(values: NDArray[np.generic], kind: Kind, bits: int, samples: Samples) -> NDArray[np.uint8]:
    """Return samples of more than 8 bits as uint8: by the depth the file states, else by the set, else by its own."""
    limits = (0.0, float(2**bits - 1)) if bits else samples.of(kind)
    if limits is None and samples.dtype:
        limits = whole_range(kind, values.dtype)
    return eight_bits(values, limits or limits_of(kind, values))
