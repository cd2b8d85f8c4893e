"""Features that the user gives: nothing is encoded, and every image gets its row of a table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ilk import compute
from ilk.data import ArrayImages, Encoded, ImageSource, NoThumbs, OnProgress, OwnFeatures
from ilk.data.collect import Work, collect
from ilk.data.direct import collect_directly
from ilk.data.encoded import First, release, room
from ilk.data.shards import DECODE_VERSION, digest
from ilk.encoders.frozen import FrozenEncoder, check_settings
from ilk.errors import ArgumentError, DataError, Interrupted, RunError
from ilk.files import content_hash
from ilk.files.features import NO_FEATURES

__all__ = ["NAME", "build_given", "encode_given", "rebuild_given"]

NAME = "features"

Ints = npt.NDArray[np.int64]
Thumbs = Callable[[Iterable[int]], npt.NDArray[np.uint8]]

_BLOCK = 1024  # rows per step
_BATCH = 32


def build_given(source: OwnFeatures, name: Any, settings: Mapping[str, Any] | None) -> FrozenEncoder:
    """Return what stands for the encoder where `source` brings its features along.

    Raises
    ------
    ArgumentError
        An encoder was asked for as well, or has settings.
    """
    if name not in ("auto", NAME):
        raise ArgumentError(
            f"encoder {name!r}: features of your own are given too, and no encoder makes those; leave one out"
        )
    check_settings(settings, (), NAME)
    table = source.table
    where = "" if table.root is None else f" of {table.root.name}"
    where += f" ({table.about})" if table.about else ""
    how = ", matched by path" if source.matched == "path" else ""
    if source.images is not None and not how:
        first, last = source.names([0, len(source) - 1])
        how = f", in the order of the images: the first row is {first}, the last {last}"
    return _encoder(source.width, f"{NAME}: your own{where}, {source.width:,} numbers an image{how}")


def rebuild_given(spec: Mapping[str, Any]) -> FrozenEncoder:
    """Return the same for a run that was made so; it encodes nothing but takes features of this length.

    Raises
    ------
    RunError
        The description is damaged.
    """
    width = spec.get("n_features")
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise RunError("the description of the run's encoder is damaged (n_features); run the command again")
    return _encoder(width, "as in the run")


def _encoder(width: int, why: str) -> FrozenEncoder:
    return FrozenEncoder(
        name=NAME,
        settings={},
        key=digest(NAME, width),
        image_size=32,
        n_features=width,
        forward=_unknown,
        backend="",
        lasting=False,
        why=why,
    )


def _unknown(pixels: Tensor) -> npt.NDArray[np.float32]:
    raise _not_given()


def _not_given() -> ArgumentError:
    return ArgumentError(
        "the groups were made from features of your own, and which encoder makes those of new images is not known: "
        "give their features too, with --features FILE (features= in Python), or as the source itself (a float .npy)"
    )


def encode_given(
    source: ImageSource,
    encoder: FrozenEncoder,
    *,
    cache: str | Path | None = None,
    on_progress: OnProgress | None = None,
    first: First | None = None,
) -> Encoded:
    """Give every image of `source` its own features, in the way of `ilk.encoders.encode`.

    Images are read once, for their content, their size and a thumbnail; which of them are the same, and the order of
    the features, follow from that. Of several copies of an image the first that has features gives them. An image
    without features counts as unreadable. Without images, rows that are equal are duplicates.

    Raises
    ------
    ArgumentError
        `source` brings no features, or some although `encoder` makes them itself.
    DataError
        They are of another length than those the groups were made from.
    """
    if not isinstance(source, OwnFeatures):
        raise _not_given()
    if encoder.name != NAME:
        what = "leave the features out" if source.images is not None else "give the images, not their features"
        raise ArgumentError(
            f"features were given, but the groups were made from those of encoder {encoder.name}: {what}"
        )
    if source.width != encoder.n_features:
        raise DataError(
            f"{source.table.what} has {source.width:,} numbers an image, and the groups were made from "
            f"{encoder.n_features:,}: give features of the same encoder."
        )
    if source.images is None:
        return _rows_alone(source, on_progress, first)
    return _beside_images(source, cache, on_progress, first)


# -- with images -------------------------------------------------------------------------------------------------------


class _First:
    """Hands the features of the first rows over, as soon as these are read."""

    def __init__(self, source: OwnFeatures, first: First) -> None:
        self.rows = first.rows[source.at[first.rows] >= 0]
        self._source, self._first = source, first

    def __call__(self, rows: Ints, features: npt.NDArray[Any], thumbs: Thumbs) -> None:
        self._first(rows, self._source.features(rows), thumbs)


def _beside_images(
    source: OwnFeatures, cache: str | Path | None, on_progress: OnProgress | None, first: First | None
) -> Encoded:
    begin = time.perf_counter()
    assert source.images is not None
    images = source.images.sized(None)
    early = None if first is None else _First(source, first)
    if isinstance(images, ArrayImages):
        seen = collect_directly(images, 0, np.float16, _nothing, on_progress=on_progress, first=early)
    else:
        work = Work(
            f"features/{digest('seen', DECODE_VERSION, images.shape)}",
            0,
            np.float16,
            _nothing,
            _BATCH,
            compute.threads(),
        )
        seen = collect(images, work, cache=cache, on_progress=on_progress, first=early)
    has = source.at >= 0
    usable = np.flatnonzero(has & (seen.position >= 0))
    content, where = np.unique(seen.position[usable], return_index=True)
    kept = usable[where]  # the first row of every content that has features
    order = np.array(sorted(range(len(kept)), key=lambda at: seen.hashes[int(kept[at])]), np.int64)
    rows, new = kept[order], np.full(len(seen.rows), -1, np.int64)
    new[content[order]] = np.arange(len(rows))
    position = np.where(seen.position >= 0, new[seen.position] if len(new) else -1, -1)
    chosen = np.zeros(len(source), bool)
    chosen[rows] = True
    status = [
        "unreadable" if at < 0 else "ok" if own else "duplicate" for at, own in zip(position, chosen, strict=True)
    ]
    reasons = [
        why or (NO_FEATURES if at < 0 else None) for why, at in zip(seen.reasons, position.tolist(), strict=True)
    ]
    return seen.with_features(
        _gathered(source, rows, None if cache is None else Path(cache).expanduser()),
        rows=rows,
        position=position,
        status=status,
        reasons=reasons,
        images_per_second=0.0,
        seconds=time.perf_counter() - begin,
        n_encoded=0,
        n_cached=0,
        notes=[*seen.notes, *source.gaps, *_torn(source, rows, position)],
    )


def _nothing(pixels: Tensor) -> npt.NDArray[np.float16]:
    return np.zeros((len(pixels), 0), np.float16)


def _gathered(source: OwnFeatures, rows: Ints, folder: Path | None) -> npt.NDArray[Any]:
    """Return the features of the images `rows`, in a file if large."""
    found = room(len(rows), source.width, source.table.dtype, folder)
    for start in range(0, len(rows), _BLOCK):
        found[start : start + _BLOCK] = source.features(rows[start : start + _BLOCK])
        release(found)
    return found


def _torn(source: OwnFeatures, rows: Ints, position: Ints) -> list[str]:
    """Return a note where copies of one image were given different features."""
    copies = np.flatnonzero((position >= 0) & (source.at >= 0))
    copies = copies[rows[position[copies]] != copies]
    other = 0
    for start in range(0, len(copies), _BLOCK):
        part = copies[start : start + _BLOCK]
        other += int((source.features(part) != source.features(rows[position[part]])).any(1).sum())
    if not other:
        return []
    return [
        f"{other:,} exact duplicates were given other features than the first copy of the image, and count as that one"
    ]


# -- without -----------------------------------------------------------------------------------------------------------


def _rows_alone(source: OwnFeatures, on_progress: OnProgress | None, first: First | None) -> Encoded:
    begin = time.perf_counter()
    report: OnProgress = on_progress or (lambda done, total: None)
    n = len(source)
    there = np.flatnonzero(source.at >= 0)
    thumbs = NoThumbs()
    if first is not None and len(early := first.rows[source.at[first.rows] >= 0]):
        features = source.features(early)
        distinct = np.sort(np.unique([content_hash(row.tobytes()) for row in features], return_index=True)[1])
        first(early[distinct], features[distinct], thumbs.read)
    hashes = [b""] * n
    for start in range(0, len(there), _BLOCK):
        if report(int(there[start]), n):
            raise Interrupted(f"stopped after {start} of {n} rows")
        part = there[start : start + _BLOCK]
        for row, features in zip(part.tolist(), source.features(part), strict=True):
            hashes[row] = content_hash(features.tobytes())
    report(n, n)
    owner: dict[bytes, int] = {}
    for row in there.tolist():
        owner.setdefault(hashes[row], row)
    rows = np.array([owner[name] for name in sorted(owner)], np.int64)
    slot = {name: at for at, name in enumerate(sorted(owner))}
    position = np.array([slot[name] if name else -1 for name in hashes], np.int64)
    nothing = np.zeros(n, np.int32)
    return Encoded(
        features=_gathered(source, rows, None),
        rows=rows,
        position=position,
        status=[
            "unreadable" if not name else "ok" if owner[name] == row else "duplicate" for row, name in enumerate(hashes)
        ],
        reasons=[None if name else NO_FEATURES for name in hashes],
        hashes=hashes,
        sizes=np.full(n, source.width * source.table.dtype.itemsize, np.int64),
        widths=nothing,
        heights=nothing,
        images_per_second=0.0,
        seconds=time.perf_counter() - begin,
        n_encoded=0,
        n_cached=0,
        thumbs=thumbs,
        notes=list(source.gaps),
    )
