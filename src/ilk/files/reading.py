"""How the images of a listing are read, as plain data: a reader can be cut and sent, and opens what it needs itself."""

from __future__ import annotations

import os
import threading
import weakref
from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from ilk.files.addresses import Address

__all__ = ["Handle", "Picked", "Reader"]

_OPEN = 64  # files that are open at the same time, of all sources together
_SENT = 4  # handles kept after their last reader: one part of a container comes after the other

T = TypeVar("T")


class Reader(ABC):
    """What reads the images of one listing: plain data, so it can be pickled; whatever it opens it opens when asked.

    A frozen dataclass. Calls are thread-safe.
    """

    on_disk: ClassVar[bool] = False
    """Whether images are files of their own, with a `path`."""

    @abstractmethod
    def __call__(self, i: int) -> bytes:
        """Return the bytes of image `i`.

        Raises
        ------
        OSError
            It is gone or damaged; the message is fit for a reader.
        """

    def path(self, i: int) -> str | None:
        """Return where image `i` lies on the disk; None for what lies inside a container."""
        return None

    def take(self, rows: Sequence[int]) -> Reader:
        """Return the reader of the images `rows` alone, in that order; it holds no more than these need."""
        return Picked(self, tuple(rows))


@dataclass(frozen=True)
class Picked(Reader):
    """Some images of another reader."""

    of: Reader
    rows: tuple[int, ...]

    def __call__(self, i: int) -> bytes:
        """Return the bytes of image `i`."""
        return self.of(self.rows[i])

    def path(self, i: int) -> str | None:
        """Return where image `i` lies."""
        return self.of.path(self.rows[i])


class Handle(ABC, Generic[T]):
    """A file that several readers read from: open when it is first needed, closed with the last of them.

    At most 64 are open at a time; one that was closed meanwhile is opened again. Only its path and its state are
    pickled; what arrives in a process for the same file is one handle there.

    Parameters
    ----------
    path : Path or Address
    state : tuple of int, optional
        Bytes and time of the last change when the file was listed; as it is now, if not given.
    *how
        What else opening it takes: plain data.
    """

    def __init__(self, path: Path | Address, state: tuple[int, int] | None = None, *how: Any) -> None:
        self.path: Any = path.absolute()
        self.state = state_of(self.path) if state is None else state
        self.how = how
        self._lock = threading.Lock()
        self._open: T | None = None

    @abstractmethod
    def _opened(self) -> T:
        """Open the file; what comes back closes it when it is let go of."""

    def get(self) -> T:
        """Return what is open. Let go of it after use.

        Raises
        ------
        OSError
            The file is gone, or is another one than was listed.
        """
        with self._lock:
            if self._open is None:
                if state_of(self.path, fresh=True) != self.state:
                    raise OSError(f"{self.path.name} has changed since it was listed: run the command again")
                self._open = self._opened()
            found = self._open
        _note_use(self)
        return found

    def close(self) -> None:
        """Let go of what is open; `get` opens it again."""
        with self._lock:
            self._open = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (type(self), self.path, self.state, self.how)

    @classmethod
    def of(cls, path: Path, state: tuple[int, int], how: tuple[Any, ...]) -> Self:
        """Return the handle for it in this process."""
        key = (cls, path, state, how)
        with _lock:
            found = _handles.get(key)
            if found is None:
                found = _handles[key] = cls(path, state, *how)
            _sent.append(found)
        assert isinstance(found, cls)
        return found


_lock = threading.Lock()
_handles: weakref.WeakValueDictionary[Any, Handle[Any]] = weakref.WeakValueDictionary()  # what came from elsewhere
_sent: deque[Handle[Any]] = deque(maxlen=_SENT)
_used: OrderedDict[int, weakref.ref[Handle[Any]]] = OrderedDict()  # open ones, the last used last


def _arrived(kind: type[Handle[Any]], path: Path, state: tuple[int, int], how: tuple[Any, ...]) -> Handle[Any]:
    return kind.of(path, state, how)


def _note_use(handle: Handle[Any]) -> None:
    idle = None
    with _lock:
        _used[id(handle)] = weakref.ref(handle)
        _used.move_to_end(id(handle))
        if len(_used) > _OPEN:
            idle = _used.popitem(last=False)[1]()
    if idle is not None:
        idle.close()


def state_of(path: str | Path | Address, fresh: bool = False) -> tuple[int, int]:
    """Return bytes and time of the last change in ns; of an object what it had when it was listed, unless `fresh`."""
    if isinstance(path, Address):
        return path.state(fresh)
    found = os.stat(path)  # noqa: PTH116
    return found.st_size, found.st_mtime_ns
