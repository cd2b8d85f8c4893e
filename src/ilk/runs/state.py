"""A fitted model as safetensors + JSON, with checksums; JSON files that are replaced whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk import disk
from ilk.errors import RunError

__all__ = ["check_numbers", "load_state", "plain", "save_state", "write_json"]

AGAIN = "Run the command that made it again, with --overwrite."
_STATE = ("state.safetensors", "state.json")


def save_state(folder: Path, state: Mapping[str, Any]) -> dict[str, str]:
    """Write `state` below `folder`, replacing an older one in a single rename each.

    Parameters
    ----------
    folder
        Created when missing.
    state
        Flat mapping. Arrays and CPU tensors go to ``state.safetensors``, everything else to ``state.json``.

    Returns
    -------
    dict
        Checksum of each file, by its name: for `load_state`. That of the arrays also stands in ``state.json``, so that
        a state without a run folder around it is checked too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, npt.NDArray[Any]] = {}
    plain: dict[str, Any] = {}
    for name, value in state.items():
        if isinstance(value, np.ndarray) or hasattr(value, "detach"):
            arrays[name] = np.asarray(value, order="C")  # unlike ascontiguousarray, keeps a scalar a scalar
        else:
            plain[name] = value
    # an empty safetensors file is legal, so both files always exist and neither can belong to another state
    disk.write_tensors(folder / _STATE[0], arrays)
    found = disk.file_digest(folder / _STATE[0])
    write_json(folder / _STATE[1], {**plain, _STATE[0]: found})
    return {_STATE[0]: found, _STATE[1]: disk.file_digest(folder / _STATE[1])}


def load_state(folder: Path, checksums: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Read what `save_state` wrote.

    Parameters
    ----------
    folder
    checksums
        What `save_state` returned, as far as it is known; states of before there were any are read without.

    Raises
    ------
    RunError
        A file is missing or damaged: other bytes than were written.
    """
    checksums, name = checksums or {}, _STATE[1]
    try:
        paths = [disk.within(folder.parent, folder.name, name) for name in _STATE]
        for name, path in zip(_STATE, paths, strict=True):
            if not path.exists():
                raise RunError(f"{folder} holds no whole model: {name} is missing. {AGAIN}")
        state = disk.read_json(paths[1])
        if not isinstance(state, dict):
            raise ValueError("state.json is no object")
        own = {_STATE[0]: state.pop(_STATE[0], None)}
        if not isinstance(own[_STATE[0]], str | None):
            raise ValueError("a checksum that is no text")
        for name, path in zip(_STATE, paths, strict=True):
            disk.check_memory(path)
            known = {checksums.get(name), own.get(name)} - {None}
            if known and known != {disk.file_digest(path)}:
                raise ValueError("not what was written: its checksum differs")
        name = _STATE[0]
        state.update(disk.read_tensors(paths[0]))
    except (ValueError, OSError) as error:
        raise RunError(f"the model in {folder} is damaged ({name}: {short(error)}). {AGAIN}") from None
    return state


def check_numbers(folder: Path, state: Mapping[str, Any]) -> None:
    """Raise RunError where an array or a number of a fitted model is NaN; what is only drawn may have gaps."""
    for name, value in state.items():
        if name.startswith("shown_"):
            continue
        known = isinstance(value, float) or (isinstance(value, np.ndarray) and value.dtype.kind == "f")
        if known and np.isnan(np.asarray(value)).any():
            raise RunError(f"the model in {folder} is damaged: {name} holds values that are no numbers (NaN). {AGAIN}")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON; a reader sees the old file or the new one, never half of it."""
    text = json.dumps(value, indent=1, ensure_ascii=False, default=plain) + "\n"
    try:
        data = text.encode()
    except UnicodeEncodeError:  # a path with bytes that are no text
        data = json.dumps(value, indent=1, default=plain).encode() + b"\n"
    disk.write_bytes(path, data)


def plain(value: Any) -> Any:
    """Turn NumPy scalars and paths into what JSON knows."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written to a run")


def short(error: BaseException) -> str:
    """Return what `error` says, in one line that leaves room for what to do about it.

    >>> short(ValueError("two\\nlines"))
    'two lines'
    """
    message = getattr(error, "strerror", None) or str(error)
    text = " ".join(message.split()) or type(error).__name__
    return text if len(text) <= 100 else text[:99] + "…"
