"""A run that names shards of a cache: all that it needs copied in, or what is missing made again."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy.typing as npt

from ilk import _kept, disk, runs, shards
from ilk.errors import DataError, Interrupted, RunError
from ilk.files.packs import PACK
from ilk.jobs import models

__all__ = ["gather", "mend"]

OnEvent = Callable[[dict[str, Any]], bool | None]

_BYTES = 64 << 20  # of features at a time


def gather(run: runs.Run | str | Path, *, on_event: OnEvent | None = None) -> runs.Run:
    """Copy into `run` the features and thumbnails that it names in a cache: it can be moved alone then.

    Parameters
    ----------
    run
        A run, or its folder.
    on_event
        Called with what happens; a true answer stops it, and the run is as before.

    Returns
    -------
    Run
        The same, read anew. One that has all it needs is left as it is.

    Raises
    ------
    RunError
        A shard is missing or damaged: every byte of all is held against its checksum. Or the run cannot be written.
    Interrupted
        `on_event` asked for it.
    """
    run = run if isinstance(run, runs.Run) else runs.load_run(run)
    named, notify = run.named, on_event or (lambda event: None)
    if named is None:
        return run
    if why := disk.unwritable(run.path):
        raise RunError(f"{run.path} cannot be written ({why}).")
    named.shards.check()
    notify({"event": "stage", "stage": "gather", "begin": True})
    n, features = len(named.slots), named.features()
    steps = len(named.shards) + n

    def at(done: int) -> None:
        if notify({"event": "stage", "stage": "gather", "step": done, "steps": steps}):
            raise Interrupted("stopped; the run is as it was")

    try:
        for number in range(len(named.shards)):
            named.shards.check_content(number)
            at(number)
        blocks, thumbs = _features(features, len(named.shards), at), _thumbs(named.thumbs())
        _kept.copy(run.path, features.shape, features.dtype, blocks, thumbs)
        header = {key: value for key, value in run.header.items() if key != "shards"}
        runs.write_json(run.path / "run.json", {**header, "ilk_run": runs.WHOLE})  # from here on the copies count
    except OSError as error:
        _undo(run.path)
        raise RunError(f"cannot write {error.filename or run.path}: {error.strerror}. The run is as it was.") from None
    except BaseException:
        _undo(run.path)
        raise
    for name in shards.FILES:
        with contextlib.suppress(OSError):  # nobody reads them any more
            (run.path / name).unlink()
    return runs.load_run(run.path)


def _features(features: Any, done: int, at: Callable[[int], None]) -> Iterator[npt.NDArray[Any]]:
    step = max(1, _BYTES // max(1, features.itemsize * features.shape[1]))
    for start in range(0, len(features), step):
        yield features[start : start + step]
        at(done + min(start + step, len(features)))


def _thumbs(thumbs: shards.ShardThumbs) -> Iterator[list[bytes]]:
    for start in range(0, len(thumbs), PACK):
        yield thumbs.files(range(start, min(start + PACK, len(thumbs))))


def _undo(path: Path) -> None:
    """Remove copies that the run does not need."""
    (path / "features.npy").unlink(missing_ok=True)
    shutil.rmtree(path / "thumbs", ignore_errors=True)


def mend(run: runs.Run, model: Any, images: Any, notify: OnEvent) -> runs.Run:
    """Make again what is missing of the shards that `run` names, and name those of the cache that `model` has.

    Parameters
    ----------
    run
    model
        The estimator of the command that made it, not fitted: whose class, cache, device and own encoder count.
    images : ImageSource
        The images of the run.
    notify
        Called with what happens; a true answer stops it.

    Returns
    -------
    Run
        The same, read anew where something was missing.

    Raises
    ------
    RunError
        They cannot be made again: there is no cache, or the images are others than those of the run.
    Interrupted
        `notify` asked for it; what was encoded is kept.
    """
    if run.header.get("shards") is None or (why := _wrong(run)) is None:
        return run
    cache, own = getattr(model, "cache", None), getattr(model, "encoder", None)
    if cache is None:
        raise RunError(f"{why} A cache is needed for that.")
    notify({"event": "stage", "stage": "mend", "notes": [why]})
    encoder = None if own is None or isinstance(own, str) else own
    kept = models.model_of(run, cls=type(model), device=model.device, cache=cache, encoder=encoder)

    def progress(done: int, total: int) -> bool:
        return bool(notify({"event": "stage", "stage": "encode", "done": done, "total": total}))

    encoded = kept.encode(images, progress)
    if [one.hex() or None for one in encoded.hashes] != run.as_made().hashes():
        raise RunError(f"{run.path}: its images are not those that it was made from: add --overwrite to make it anew.")
    if encoded.kept is None:
        raise RunError(f"{why} A cache is needed for that.")
    try:
        record = shards.write(run.path, encoded.kept.naming())
    except DataError as error:
        raise RunError(f"{run.path} cannot name its shards: {error}. Choose another --cache.") from None
    runs.write_json(run.path / "run.json", {**run.header, "shards": shards.note(run.path, record)})
    return runs.load_run(run.path)


def _wrong(run: runs.Run) -> str | None:
    """Say what is wrong with the shards that `run` names; None where all are there, as they were named."""
    try:
        named = run.named
        if named is not None:
            named.shards.check()
            for number in range(len(named.shards)):
                named.shards.one(number)
    except RunError as error:
        return str(error)
    return None
