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
from collections.abc import Iterable

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
    "nearest",
]


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
