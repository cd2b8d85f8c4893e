"""Weights that a user gave once: kept in the cache by the name of their network, ready for the next time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ilk import disk
from ilk.data.shards import write_whole
from ilk.encoders import weights
from ilk.encoders.frozen import digest
from ilk.errors import ArgumentError, DataError, nearest

__all__ = ["Remembered", "find", "forget", "identify", "kept_files", "listed", "remember", "sound"]

_FOLDER = "encoders"
_MOST = 2**16  # bytes of one description


@dataclass(frozen=True)
class Remembered:
    """Weights at hand.

    Attributes
    ----------
    name : str
        Model of timm.
    content : str
        Names the tensors; the file is ``weights/<content>.safetensors`` in the cache.
    origin : str
        The file they were given in.
    settings : dict
        Encoder settings that belong to them, such as ``pad_type``.
    """

    name: str
    content: str
    origin: str
    settings: dict[str, Any]

    def file(self, cache: Path) -> Path:
        """Return the file in `cache`."""
        return cache / "weights" / f"{self.content}.safetensors"


def remember(
    cache: Path, name: str, state: weights.State, origin: Path, settings: Mapping[str, Any] | None = None
) -> Remembered:
    """Keep `state`, the weights of the timm model `name`, in `cache`; older ones of that name are replaced.

    Raises
    ------
    DataError
        The cache cannot be written.
    """
    found = Remembered(name, weights.content(state), str(origin.resolve()), dict(settings or {}))
    weights.keep(state, found.content, cache / "weights")
    write_whole(_path(cache, name), json.dumps(asdict(found)).encode())
    return found


def listed(cache: Path | None) -> list[Remembered]:
    """Return what is remembered in `cache`, by name; damaged entries and those without their file are left out."""
    found = []
    for path in sorted((cache / _FOLDER).glob("*.json")) if cache is not None else []:
        try:
            value = disk.read_json(path, limit=_MOST)
            entry = Remembered(str(value["name"]), str(value["content"]), str(value["origin"]), dict(value["settings"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if entry.content.isalnum() and entry.file(cache).is_file():  # type: ignore[arg-type]
            found.append(entry)
    return sorted(found, key=lambda entry: entry.name)


def find(cache: Path | None, name: str) -> Remembered | None:
    """Return the remembered weights of the timm model `name`, or None."""
    return next((entry for entry in listed(cache) if entry.name == name), None)


def sound(cache: Path, entry: Remembered) -> Path:
    """Return the file of `entry` in `cache`, its content checked: damage is mended from where the weights came from.

    Raises
    ------
    DataError
        It is damaged, and the weights are no longer where they came from.
    """
    from ilk.encoders import bundled

    path = entry.file(cache)
    for file in (path, Path(entry.origin)):
        try:
            state = bundled.renamed(weights.read(file))
        except DataError:
            continue
        if weights.content(state) == entry.content:
            return path if file == path else weights.keep(state, entry.content, path.parent)
    raise DataError(
        f"the weights remembered for {entry.name} are damaged ({path}), and {entry.origin} no longer holds them. "
        f"Give them again: ilk encoders add FILE --as {entry.name}"
    )


def forget(cache: Path, name: str) -> Remembered:
    """Forget the weights of `name`; their file stays where another entry or a run shares it.

    Raises
    ------
    ArgumentError
        Nothing is remembered under that name.
    """
    entry = find(cache, name)
    if entry is None:
        known = [other.name for other in listed(cache)]
        hint = f" Remembered are {', '.join(known)}." if known else " No weights are remembered."
        raise ArgumentError(f"no weights are remembered for {name!r}.{nearest(name, known)}{hint}")
    _path(cache, name).unlink(missing_ok=True)
    if entry.content not in {other.content for other in listed(cache)}:
        entry.file(cache).unlink(missing_ok=True)
    return entry


def kept_files(cache: Path) -> set[Path]:
    """Return the files in `cache` that remembered weights are in."""
    return {entry.file(cache) for entry in listed(cache)}


def identify(path: Path, state: weights.State, cache: Path | None = None) -> str:
    """Return the timm model that the weights in `path` belong to.

    Asked are, in this order: what the file itself says, its name, and the networks worth naming. The first whose
    parameters have the names and shapes of `state` is the answer.

    Raises
    ------
    DataError
        None of them fits.
    """
    from ilk.encoders import pretrained
    from ilk.encoders.auto import KNOWN
    from ilk.encoders.facts import timm

    said = weights.architecture(path)
    models = timm().list_models()
    stem = path.stem.lower().replace("-", "_")
    named = sorted((name for name in models if stem.startswith(name)), key=len, reverse=True)
    tried = [name for name in (said, *named, *KNOWN) if name]
    for name in dict.fromkeys(tried):
        if timm().models.is_model(name) and pretrained.fits(state, name, cache):
            return str(name)
    close = nearest(stem, models)
    raise DataError(
        f"weights {str(path)!r}: neither the file nor its name says which network they belong to; "
        f"name it with --encoder (a model of timm).{close}"
    )


def _path(cache: Path, name: str) -> Path:
    return cache / _FOLDER / f"{digest(name)}.json"
