"""Small files that are replaced whole, and a fitted model as safetensors + JSON."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.errors import RunError

__all__ = ["load_state", "plain", "replacing", "save_state", "write_json"]

AGAIN = "Run the command that made it again, with --overwrite."
_STATE = ("state.safetensors", "state.json")


def save_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write `state` below `folder`, replacing an older one in a single rename each.

    Parameters
    ----------
    folder
        Created when missing.
    state
        Flat mapping. Arrays and CPU tensors go to ``state.safetensors``, everything else to ``state.json``.
    """
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, npt.NDArray[Any]] = {}
    plain: dict[str, Any] = {}
    for name, value in state.items():
        if isinstance(value, np.ndarray) or hasattr(value, "detach"):
            arrays[name] = np.asarray(value, order="C")  # unlike ascontiguousarray, keeps a scalar a scalar
        else:
            plain[name] = value
    # an empty safetensors file is legal, so both files always exist and neither can belong to another state
    with replacing(folder / _STATE[0]) as target:
        save_file(arrays, target)
    write_json(folder / _STATE[1], plain)


def load_state(folder: Path) -> dict[str, Any]:
    """Read what `save_state` wrote.

    Raises
    ------
    RunError
        A file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    for name in _STATE:
        if not (folder / name).is_file():
            raise RunError(f"{folder} holds no whole model: {name} is missing. {AGAIN}")
    try:
        state: dict[str, Any] = json.loads((folder / _STATE[1]).read_text("utf-8"))
        state.update(load_file(folder / _STATE[0]))
    except (SafetensorError, ValueError, AttributeError, OSError) as error:
        raise RunError(f"the model in {folder} is damaged ({short(error)}). {AGAIN}") from None
    return state


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path`; when the block succeeds it is synced and takes the place of `path`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON; a reader sees the old file or the new one, never half of it."""
    with replacing(path) as target:
        text = json.dumps(value, indent=1, ensure_ascii=False, default=plain) + "\n"
        try:
            data = text.encode()
        except UnicodeEncodeError:  # a path with bytes that are no text
            data = json.dumps(value, indent=1, default=plain).encode() + b"\n"
        target.write_bytes(data)


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
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 100 else text[:99] + "…"
