"""Parts of a source, encoded by as many processes or machines as there are, with nothing between them but a cache.

Each process lists the source itself, and encodes its own range of rows. Which encoder that is, with which weights and
in which precision, is decided once, from the whole source, by whoever comes first; the others read it in the cache.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ilk
from ilk import compute, disk, encoders
from ilk.data import ArrayImages, Encoded, ImageSource, OnProgress, OwnFeatures
from ilk.data.collect import location
from ilk.data.keeping import digest, write_whole
from ilk.encoders import FrozenEncoder
from ilk.errors import ArgumentError, DataError, RunError

__all__ = ["cut", "decide", "encode_part", "share"]

_WAIT = 900.0  # seconds for another process to decide: it may download weights and convert a network


def cut(n: int, per: int) -> list[tuple[int, int]]:
    """Return the ranges (a, b) of at most `per` rows that `n` rows are made of, in order.

    >>> cut(10, 4), cut(0, 4)
    ([(0, 4), (4, 8), (8, 10)], [])
    """
    if per < 1:
        raise ArgumentError(f"per={per}: a part has at least one image.")
    return [(a, min(a + per, n)) for a in range(0, n, per)]


def share(n: int, i: int, of: int) -> tuple[int, int]:
    """Return the range (a, b) of part `i` among `of` (1 … `of`) of `n` rows: sizes differ by one at most.

    >>> [share(10, i, 3) for i in (1, 2, 3)]
    [(0, 3), (3, 6), (6, 10)]
    """
    if not 1 <= i <= of:
        raise ArgumentError(f"part {i}/{of}: parts are counted from 1 to {of}.")
    return (i - 1) * n // of, i * n // of


def decide(source: ImageSource, cache: str | Path, name: Any = "auto", **how: Any) -> FrozenEncoder:
    """Return the encoder of the whole `source`, the same in every process that asks with the same arguments.

    Parameters
    ----------
    source : ImageSource
        All of it.
    cache : path
        Shared by all. The first process keeps there what it decided; a lock of the file system lets only one decide.
    name, **how
        As in `ilk.encoders.build`: weights, settings, device, precision.

    Raises
    ------
    RunError
        This machine would encode in another way: features would not mix.
    DataError
        The cache cannot be written; another process has been deciding for a quarter of an hour.

    Notes
    -----
    What "auto" comes to depends on the images and on how fast this machine is, and bf16 on a measurement: left to every
    process, parts of one set might be encoded differently. Where the file system knows no locks, two first processes
    may both decide; then both go by what stands in the cache.
    """
    home = Path(cache).expanduser()
    device = compute.device(how.get("device", "auto")).type
    asked = digest(
        ilk.__version__,
        location(source),
        source.fingerprint(),
        encoders.name_of(name),
        str(sorted(how.items())),
        device,
    )
    file = home / "parts" / f"{asked}.json"
    known = _decided(file)
    if known is None:
        with _alone(file):
            known = _decided(file)
            if known is None:
                encoder = encoders.build(name, source=source, cache=home, **how)
                weights = [str(path.absolute()) for path in encoder.weights_files]
                record = {"spec": encoder.spec(), "weights": weights, "why": encoder.why}
                write_whole(file, json.dumps(record).encode())
                if _decided(file) == record:
                    return encoder
                known = _decided(file) or record
    return _again(known, name, how, home)


def encode_part(
    source: ImageSource,
    encoder: FrozenEncoder,
    cache: str | Path,
    a: int = 0,
    b: int | None = None,
    *,
    on_progress: OnProgress | None = None,
) -> Encoded:
    """Encode the rows `a` to `b` of `source` into `cache`; what is there already is neither read nor encoded again.

    Afterwards whoever encodes the whole source with the same encoder and cache finds all of them there. Killed at any
    time, the same call goes on: at most one shard's images are read and encoded once more.

    Parameters
    ----------
    source : ImageSource
        All of it, as `ilk.open_images` gives it.
    encoder : FrozenEncoder
        The same in all parts: see `decide`.
    cache : path
    a, b : int
        By default all.
    on_progress : callable (done, total) -> bool or None
        True stops: `Interrupted` is raised once all finished work is in the cache.

    Returns
    -------
    Encoded
        Of this part: its rows are counted from 0.

    Raises
    ------
    ArgumentError
        Nothing would be kept: features of the user's own, an encoder without a lasting name.
    """
    if isinstance(source, OwnFeatures):
        raise ArgumentError("these images come with features of your own: there is nothing to encode.")
    if not encoder.lasting:
        raise ArgumentError(
            f"encoder {encoder.name}: nothing says that it is the same the next time, so nothing of it is kept. Give "
            "it a name of your own: --set encoder_key=mine-v1"
        )
    if isinstance(source, ArrayImages) and encoder.name in ("pixels", "gradients"):
        raise ArgumentError(f"{encoder.name} of an array are as fast as any cache: nothing is kept. Run `ilk cluster`.")
    part = source if (a, b) == (0, None) else source.part(a, len(source) if b is None else b)  # type: ignore[attr-defined]
    return encoders.encode(part, encoder, cache=cache, on_progress=on_progress)


def _decided(file: Path) -> Mapping[str, Any] | None:
    with contextlib.suppress(OSError, ValueError):
        found = disk.read_json(file)
        if isinstance(found, dict) and isinstance(found.get("spec"), dict) and isinstance(found.get("weights"), list):
            return found if all(Path(str(file)).is_file() for file in found["weights"]) else None
    return None


@contextlib.contextmanager
def _alone(file: Path) -> Any:
    """Let one process at a time into the block."""
    lock = file.with_suffix(".lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        disk.own_folder(lock.parent)
        with disk.appending(lock, wait=_WAIT):
            yield
    except BlockingIOError:
        raise DataError(
            f"another process has been choosing the encoder for {_WAIT / 60:.0f} minutes ({lock}). Give the command "
            "again when it is done."
        ) from None
    except OSError as error:
        raise DataError(
            f"cannot write the cache {file.parent.parent}: {error.strerror or error}; choose another with --cache"
        ) from None


def _again(record: Mapping[str, Any], name: Any, how: Mapping[str, Any], home: Path) -> FrozenEncoder:
    """Build the encoder that was decided on."""
    spec = record["spec"]
    own = name if encoders.is_own(name) else None
    encoder = encoders.rebuild(
        spec, record["weights"] or None, own=own, device=how.get("device", "auto"), cache=home
    )  # in the precision of the spec
    if encoder.key != spec["key"]:
        raise RunError(
            f"this machine encodes in another way ({encoder.name} by {encoder.backend} in {encoder.precision}) than "
            f"the one that began ({spec.get('name')} by {spec.get('backend')} in {spec.get('precision')}): features "
            "would not mix. Install the same packages on all machines, or give all of them --precision fp32."
        )
    encoder.why = str(record.get("why") or "") or "as the first part decided"
    return encoder
