"""``corrections.jsonl`` of a run: what was done to its groups by hand, a line an action, which only grows."""

from __future__ import annotations

import os
from pathlib import Path

from ilk import disk
from ilk.corrections.actions import Action, parsed
from ilk.errors import RunError

__all__ = ["MAX_BYTES", "NAME", "content", "is_there", "lines"]

NAME = "corrections.jsonl"
MAX_BYTES = disk.JSON_BYTES
_MAX_ACTIONS = 2_000_000
_VALUES = 4_000_000  # in all lines: images, numbers, texts


def content(path: Path) -> bytes:
    """Return the bytes of the journal `path`; none where there is none.

    Raises
    ------
    RunError
        It is no regular file, or larger than 64 MiB.
    """
    try:
        return disk.read_bytes(path, MAX_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}). {_CURE}") from None


def lines(path: Path, data: bytes, last: int = 0, first: int = 1) -> tuple[list[Action], int]:
    """Return the actions in `data`, a piece of the journal `path`, and how many bytes their lines take.

    What stands behind the last line end was being written when its process was killed: it was never confirmed.

    Parameters
    ----------
    path
        For messages.
    data
        Begins with a line.
    last
        Number of the action before it.
    first
        Which line of the file it begins with, from 1.

    Raises
    ------
    RunError
        A line is damaged.
    """
    size = data.rfind(b"\n") + 1
    if data.count(b",", 0, size) > _VALUES:
        raise RunError(f"{path} is damaged (more than {_VALUES:,} values). {_CURE}")
    actions = []
    for i, line in enumerate(data[:size].split(b"\n")[:-1], first):
        try:
            action = parsed(line)
            if action.n <= last:
                raise ValueError(f"number {action.n} comes after {last}")
            if i > _MAX_ACTIONS:
                raise ValueError("far too many lines")
        except ValueError as error:
            what = " ".join(str(error).split())[:100]
            raise RunError(f"{path} is damaged (line {i}: {what}). {_CURE}") from None
        actions.append(action)
        last = action.n
    return actions, size


def is_there(run: Path) -> bool:
    """Whether the run in the folder `run` has a journal that is not empty, whatever is in it."""
    path = run / NAME
    return os.path.lexists(path) and (not path.is_file() or path.is_symlink() or path.stat().st_size > 0)


_CURE = "Mend or remove what is damaged, or look at the groups as they were found with --uncorrected."
