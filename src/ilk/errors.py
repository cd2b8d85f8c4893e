"""Every error and warning ilk raises on purpose.

IlkError
├── DataError            (ValueError)    images, arrays or label files that cannot be used as asked
│   └── NotEnoughImages                  fewer (distinct) images than the request needs
├── ArgumentError        (ValueError)    an option or argument outside of what is allowed
├── Diverged             (RuntimeError)  training produced a loss that is not finite
├── Interrupted                          stopped on request; what was done by then is kept, the same command goes on
├── NotEnoughMemory      (MemoryError)   what is asked for needs more memory than there is
├── RunError                             a run folder that is missing, damaged, locked or of another format
├── TaskFailed                           a task of a parallel job failed after its retries
└── MissingDependency    (ImportError)   an optional package is not installed, or does not load

IlkWarning               (UserWarning)   finished, but look: degraded path, images skipped, not converged
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar

__all__ = [
    "ArgumentError",
    "DataError",
    "Diverged",
    "IlkError",
    "IlkWarning",
    "Interrupted",
    "MissingDependency",
    "NotEnoughImages",
    "NotEnoughMemory",
    "RunError",
    "TaskFailed",
    "answered",
    "meant",
    "nearest",
    "refuse_arguments",
]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_MEANT = dict.fromkeys(("k", "K", "n", "n_groups", "groups", "num_clusters", "clusters", "n_components"), "n_clusters")
_MEANT |= {"seed": "random_state", "model": "encoder", "network": "encoder", "backbone": "encoder", "gpu": "device"}


class IlkError(Exception):
    """Base of all errors with a message written for the user: one line, what was wrong, what to do next."""


class DataError(IlkError, ValueError):
    """Images, arrays or label files that cannot be used as asked."""


class NotEnoughImages(DataError):
    """Fewer (distinct, readable) images than the request needs."""


class ArgumentError(IlkError, ValueError):
    """An option or argument outside of what is allowed."""


class Diverged(IlkError, RuntimeError):
    """Training produced a loss that is not finite."""


class Interrupted(IlkError):
    """Stopped on request; what was done by then is kept, and the same command goes on from there."""


class NotEnoughMemory(IlkError, MemoryError):
    """What is asked for needs more memory than there is."""


class RunError(IlkError):
    """A run folder that is missing, damaged, locked or of another format."""


class TaskFailed(IlkError):
    """A task of a parallel job failed after its retries."""


class MissingDependency(IlkError, ImportError):
    """An optional package is not installed, or is installed but does not load."""


class IlkWarning(UserWarning):
    """Finished, but look: a degraded path was taken, images were skipped, a fit did not converge."""


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the allowed word closest to `name`, or an empty string.

    Examples
    --------
    >>> nearest("kmean", ["gmm", "kmeans"])
    " Did you mean 'kmeans'?"
    >>> nearest("zzz", ["gmm", "kmeans"])
    ''
    """
    close = difflib.get_close_matches(name, list(allowed), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def meant(name: str, allowed: Collection[str]) -> str:
    """Return `` Did you mean 'x'?`` as `nearest` does, and for what is called otherwise elsewhere.

    >>> meant("k", ["n_clusters", "cache"]), meant("zzz", ["cache"])
    (" Did you mean 'n_clusters'?", '')
    """
    other = _MEANT.get(name)
    return f" Did you mean {other!r}?" if other in allowed else nearest(name, allowed)


def refuse_arguments(owner: str, given: Mapping[str, Any], allowed: Collection[str]) -> None:
    """Raise `TypeError` for the first of the arguments `given` that `owner` does not take, with the one that is meant.

    Where it takes ``options`` or ``settings``, what it does not know may be one of these.
    """
    for name, value in given.items():
        if name in allowed:
            continue
        hint = meant(name, allowed)
        inner = next((one for one in ("options", "settings") if one in allowed), None)
        if not hint and inner is not None:
            shown = text if len(text := repr(value)) <= 40 else "…"
            hint = f" Did you mean {inner}={{{_MEANT.get(name, name)!r}: {shown}}}?"
        raise TypeError(f"{owner}() has no argument {name!r}." + (hint or f" It has {', '.join(allowed)}."))


def answered(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let a keyword that `function` does not take be answered with the one that is meant: `refuse_arguments`."""
    allowed = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def call(*args: _P.args, **given: _P.kwargs) -> _R:
        refuse_arguments(f"ilk.{function.__name__}", given, allowed)
        return function(*args, **given)

    return call
