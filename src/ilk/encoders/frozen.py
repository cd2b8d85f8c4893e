"""A frozen encoder: pixels in, one feature vector per image out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ilk.data import Resize, Size, square
from ilk.data.shards import DECODE_VERSION, digest
from ilk.data.sources import bring
from ilk.errors import ArgumentError, nearest

__all__ = ["DECODE_VERSION", "SETTINGS", "FrozenEncoder", "check_room", "check_settings", "digest"]

SETTINGS: Mapping[str, str] = {
    "image_size": "side in pixels to which images are brought",
    "pool": "gap | flatten | logits | softmax | cls: which features a network gives",
    "pad_type": "same: TensorFlow's padding, for weights that were trained with it",
    "resize": "crop | stretch: keep the proportions and cut, or not",
    "signed_sqrt": "true | false: signed square root of the numbers; on where encoders stand side by side",
    "encoder_key": "a name for the features of your own encoder: only then are they kept in the cache",
}
"""What may be set for an encoder, and what it means."""

MOST_FLATTENED = 8 * 2**30  # bytes of flattened maps
POOLS = ("gap", "flatten", "logits", "softmax", "cls")

Forward = Callable[[Tensor], npt.NDArray[np.float32]]


@dataclass(eq=False)
class FrozenEncoder:
    """A network (or a fixed rule) that never learns. Made by `build` and `rebuild`; final.

    Attributes
    ----------
    name : str
        "pixels", "gradients", "classic", a model of timm, several joined by +, ``module:function``, or "features":
        those of the user's own, which nothing encodes.
    settings : dict
        All settings, resolved.
    key : str
        Hex digits; equal keys give equal features. Names the feature cache.
    weights_hash, weights_file : str or None, Path or None
        Content of the weights, and a safetensors file that holds exactly them; encoders side by side have several,
        see `weights_files`.
    parts : list of FrozenEncoder
        The encoders that stand side by side, in the order of their features; empty where there is one.
    own : bool
        An object of the user's own, which `rebuild` has to be given again.
    lasting : bool
        Whether features may be found again in a cache by their `key`.
    home : object
        Keeps a temporary folder with the weights alive.
    image_size, resize, crop_pct
        What `ImageSource.sized` is to be called with.
    n_features : int
        d.
    batch_size : int
        Images per call at which it is fastest.
    workers : int
        Calls that may run at the same time, each on one core.
    backend, precision : str
        "openvino", "torch" or "numpy"; "fp32" or "bf16".
    channels : int
        1 or 3.
    weak : bool
        Hand-made features of photos: groups of them say little, and no number of groups is called clear.
    why : str
        One sentence for the user: which encoder, and why this one.
    notes : list of str
        What the user should know: degraded paths.
    """

    name: str
    settings: dict[str, Any]
    key: str
    image_size: Size
    n_features: int
    forward: Forward = field(repr=False)
    resize: Resize = "crop"
    crop_pct: float = 1.0
    channels: int = 3
    weak: bool = False
    batch_size: int = 8
    workers: int = 1
    backend: str = "torch"
    precision: str = "fp32"
    weights_hash: str | None = None
    weights_file: Path | None = None
    parts: list[FrozenEncoder] = field(default_factory=list)
    own: bool = False
    lasting: bool = True
    home: object = field(default=None, repr=False)
    why: str = ""
    notes: list[str] = field(default_factory=list)

    def __call__(self, pixels: Tensor) -> npt.NDArray[np.float32]:
        """Encode a batch.

        Parameters
        ----------
        pixels : Tensor uint8 (b, c, h, w)
            c = 1 or 3. Another size than `image_size` is brought to it.

        Returns
        -------
        ndarray float32 (b, n_features)

        Notes
        -----
        The features of an image do not depend on the rest of the batch: batches are cut and padded to `batch_size`.
        """
        if pixels.dtype != torch.uint8 or pixels.ndim != 4 or pixels.shape[1] not in (1, 3):
            raise ArgumentError(
                f"pixels must be uint8 (b, c, h, w) with c = 1 or 3, got {pixels.dtype} {tuple(pixels.shape)}"
            )
        size = square(self.image_size)
        features = np.empty((len(pixels), self.n_features), np.float32)
        for start in range(0, len(pixels), self.batch_size):
            part = pixels[start : start + self.batch_size]
            if tuple(part.shape[-2:]) != size:
                part = bring(part, size, self.resize, self.crop_pct)
            features[start : start + len(part)] = self.forward(_channels(part, self.channels))
        return features

    @property
    def weights_files(self) -> list[Path]:
        """The files with the weights: of every part, in order."""
        return [file for part in self.parts or [self] if (file := part.weights_file) is not None]

    def spec(self) -> dict[str, Any]:
        """Return what `rebuild` needs beside the weights, as plain JSON."""
        return {
            "name": self.name,
            "settings": dict(self.settings),
            "key": self.key,
            "weights_hash": self.weights_hash,
            "backend": self.backend,
            "precision": self.precision,
            "image_size": list(square(self.image_size)),
            "resize": self.resize,
            "crop_pct": self.crop_pct,
            "channels": self.channels,
            "n_features": self.n_features,
            **({"parts": [part.spec() for part in self.parts]} if self.parts else {}),
            **({"own": True} if self.own else {}),
        }


def _channels(pixels: Tensor, wanted: int) -> Tensor:
    if pixels.shape[1] == wanted:
        return pixels
    if wanted == 3:
        return pixels.expand(-1, 3, -1, -1)
    weights = torch.tensor([299, 587, 114], dtype=torch.int32, device=pixels.device).view(1, 3, 1, 1)
    return ((pixels.to(torch.int32) * weights).sum(1, keepdim=True) // 1000).to(torch.uint8)


def check_room(n: int, d: int, pool: Any) -> None:
    """Raise ArgumentError where the flattened maps of `n` images, of `d` numbers each, are too much to keep.

    >>> check_room(45_000, 94_080, "flatten")
    """
    size = n * d * 2
    if pool == "flatten" and size > MOST_FLATTENED:
        raise ArgumentError(
            f"pool='flatten': {n:,} images of {d:,} numbers each make {size / 2**30:.1f} GiB of features; "
            f"{MOST_FLATTENED / 2**30:g} GiB are allowed. Use pool=gap (the mean over positions, far smaller), "
            f"or at most {MOST_FLATTENED // (2 * d):,} images."
        )


def check_settings(settings: Mapping[str, Any] | None, allowed: tuple[str, ...], encoder: str) -> dict[str, Any]:
    """Return a checked copy of `settings`; ArgumentError names the key or the value, and what is allowed."""
    checked: dict[str, Any] = {}
    for key, value in (settings or {}).items():
        if key not in SETTINGS:
            raise ArgumentError(
                f"unknown encoder setting {key!r}.{nearest(key, SETTINGS)} Allowed: {', '.join(SETTINGS)}."
            )
        if value is None:
            continue
        if key not in allowed:
            raise ArgumentError(f"encoder {encoder!r} has no setting {key!r}; it has {', '.join(allowed) or 'none'}")
        checked[key] = _checked(key, value)
    return checked


def _checked(key: str, value: Any) -> Any:
    if key == "encoder_key":
        if not isinstance(value, str | int) or not str(value):
            raise ArgumentError(f"encoder_key={value!r}: give a short name, such as mine-v1")
        return str(value)
    choices = {
        "pool": POOLS,
        "pad_type": ("same", "default"),
        "resize": ("crop", "stretch"),
        "signed_sqrt": (True, False),
    }
    if key in choices:
        if value not in choices[key]:
            raise ArgumentError(
                f"{key}={value!r}: must be one of {', '.join(map(str, choices[key]))}."
                f"{nearest(str(value), map(str, choices[key]))}"
            )
        return value
    sides = list(value) if isinstance(value, (list, tuple)) and len(value) == 2 else [value]
    for i, side in enumerate(sides):
        if isinstance(side, str) and side.isdecimal():
            sides[i] = int(side)
    if not all(isinstance(side, int) and not isinstance(side, bool) and 8 <= side <= 1024 for side in sides):
        raise ArgumentError(f"image_size={value!r}: must be a whole number of pixels from 8 to 1024")
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])
