"""Frozen encoders: images in, features out, each image encoded once.

`build` makes an encoder ("auto", "pixels", "classic", "learned", or any model of timm), `encode` runs a source through
it with a feature cache, `rebuild` makes the encoder of a run again. The list of what is worth naming is `KNOWN`.
"""

from __future__ import annotations

from ilk.data import Encoded, ThumbSource
from ilk.encoders.auto import KNOWN, available, cache_size, clear_cache
from ilk.encoders.building import build, rebuild
from ilk.encoders.encode import encode
from ilk.encoders.frozen import SETTINGS, FrozenEncoder
from ilk.encoders.learned import read_learned, save_learned
from ilk.errors import Interrupted

__all__ = [
    "KNOWN",
    "SETTINGS",
    "Encoded",
    "FrozenEncoder",
    "Interrupted",
    "ThumbSource",
    "available",
    "build",
    "cache_size",
    "clear_cache",
    "encode",
    "read_learned",
    "rebuild",
    "save_learned",
]
