"""A source and a frozen encoder in, features out. What was encoded before is found again by its content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ilk.data import ArrayImages, Encoded, ImageSource, OnProgress, OwnFeatures
from ilk.data.collect import Work, collect
from ilk.data.collect import missing as not_collected
from ilk.data.direct import collect_directly
from ilk.data.encoded import First
from ilk.encoders.frozen import FrozenEncoder, check_room
from ilk.encoders.given import NAME, encode_given
from ilk.errors import DataError

__all__ = ["encode", "missing"]

Float16s = npt.NDArray[np.float16]

_LARGEST = float(np.finfo(np.float16).max)


def encode(
    source: ImageSource,
    encoder: FrozenEncoder,
    *,
    cache: str | Path | None = None,
    on_progress: OnProgress | None = None,
    first: First | None = None,
) -> Encoded:
    """Encode all images of a source.

    Parameters
    ----------
    source : ImageSource
        One that brings features of its own gives these; see `ilk.encoders.given`.
    encoder : FrozenEncoder
    cache : path, optional
        Where features are kept for the next time; a temporary folder, removed with the result, otherwise.
    on_progress : callable (done, total) -> bool or None
        Called from the calling thread as blocks finish. True stops: `Interrupted` is raised once all finished work is
        in the cache.
    first : First, optional
        Rows to encode before all others; it is called with their features as soon as they are there.

    Raises
    ------
    ArgumentError
        More than 8 GiB of flattened maps; features of the user's own are needed or given, but not both.
    DataError
        The cache cannot be written (disk full), or the features are not finite.
    Interrupted
        `on_progress` asked for it.

    Notes
    -----
    The rows of the features are in the order of the images' content hashes: what follows does not depend on the names
    of the files or on their order.

    Memory: (workers + 3) blocks of ``encoder.batch_size`` images, one shard, and features beyond 256 MiB in a nameless
    file in the cache. A process that is killed loses at most the one shard in work. An odd file never stops it.
    """
    if isinstance(source, OwnFeatures) or encoder.name == NAME:
        return encode_given(source, encoder, cache=cache, on_progress=on_progress, first=first)
    check_room(len(source), encoder.n_features, encoder.settings.get("pool"))

    def to_float16(pixels: Tensor) -> Float16s:
        features = encoder(pixels)
        if not np.isfinite(features).all():
            raise DataError(
                f"encoder {encoder.name} gives features that are not finite; its weights are damaged or not its own"
            )
        return features.clip(-_LARGEST, _LARGEST).astype(np.float16)

    work = _work(encoder, to_float16)
    cache = cache if encoder.lasting else None
    sized = source.sized(encoder.image_size, encoder.resize, encoder.crop_pct)
    if isinstance(sized, ArrayImages) and encoder.name in ("pixels", "gradients"):  # as fast as any cache
        return collect_directly(
            sized, encoder.n_features, np.float16, to_float16, on_progress=on_progress, first=first, canonical=True
        )
    return collect(sized, work, cache=cache, on_progress=on_progress, first=first)


def missing(source: ImageSource, encoder: FrozenEncoder, cache: str | Path) -> npt.NDArray[np.int64]:
    """Return the rows of `source` that `encode` would have to read, as far as is known without reading any."""
    return not_collected(source, _work(encoder, encoder), cache)


def _work(encoder: FrozenEncoder, apply: Callable[[Tensor], npt.NDArray[Any]]) -> Work:
    workers = encoder.workers
    key, size = f"features/{encoder.key}", encoder.batch_size
    return Work(key, encoder.n_features, np.float16, apply, size, workers, canonical=True)
