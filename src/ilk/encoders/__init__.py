"""Frozen encoders: images in, features out, each image encoded once.

`build` makes an encoder ("auto", a short name of `SHORT`, "pixels", "gradients", "classic", "learned", any model of
timm, several joined by "+", or the user's own), `encode` runs a source through
it with a feature cache, `rebuild` makes the encoder of a run again. The list of what is worth naming is `KNOWN`.
"""

from __future__ import annotations

from ilk.data import Encoded, ThumbSource
from ilk.encoders.auto import KNOWN, available, cache_needed_by, cache_size, clear_cache
from ilk.encoders.building import build, rebuild, remember_file
from ilk.encoders.encode import encode, missing
from ilk.encoders.frozen import SETTINGS, FrozenEncoder
from ilk.encoders.learned import read_learned, save_learned
from ilk.encoders.names import SHORT
from ilk.encoders.own import is_own, name_of
from ilk.encoders.remembered import forget
from ilk.encoders.remembered import listed as remembered_weights
from ilk.encoders.rows import encode_rows
from ilk.errors import Interrupted

__all__ = [
    "KNOWN",
    "SETTINGS",
    "SHORT",
    "Encoded",
    "FrozenEncoder",
    "Interrupted",
    "ThumbSource",
    "available",
    "build",
    "cache_needed_by",
    "cache_size",
    "clear_cache",
    "encode",
    "encode_rows",
    "forget",
    "is_own",
    "missing",
    "name_of",
    "read_learned",
    "rebuild",
    "remember_file",
    "remembered_weights",
    "save_learned",
]
