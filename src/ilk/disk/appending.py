"""A file that only grows: one writer at a time, and what it has confirmed is on the disk."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from ilk.disk.reading import opened
from ilk.disk.writing import write_bytes

__all__ = ["Held", "appending", "claimed", "sync_folder"]

_FLAGS = (
    os.O_RDWR
    | os.O_CREAT
    | os.O_APPEND
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
_PAUSE = 0.02  # seconds between two tries for the lock


class Held:
    """A file that this process alone may write, until the block of `appending` ends."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._path = path

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return os.fstat(self._descriptor).st_size

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` up to `stop`."""
        parts = []
        with os.fdopen(os.dup(self._descriptor), "rb") as file:
            file.seek(start)
            while start < stop and (part := file.read(stop - start)):
                parts.append(part)
                start += len(part)
        return b"".join(parts)

    def cut(self, size: int) -> None:
        """Leave the first `size` bytes."""
        os.ftruncate(self._descriptor, size)

    def append(self, data: bytes) -> None:
        """Write `data` behind what is there. When this returns, it is on the disk.

        Raises
        ------
        OSError
            It could not be written; the file is as before.
        """
        before, rest = self.size, memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            os.fsync(self._descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):
                self.cut(before)
            raise type(error)(error.errno, error.strerror, str(self._path)) from None


@contextlib.contextmanager
def appending(path: Path, *, wait: float = 0) -> Iterator[Held]:
    """Yield the file `path`, made where it is missing, for this process alone.

    Parameters
    ----------
    path
    wait
        Seconds to wait for another process that has it.

    Raises
    ------
    BlockingIOError
        Another process has it.
    OSError
        It is a link or no regular file, or must not be written.

    Notes
    -----
    The kernel frees the lock when the process dies, however it dies. Where the system knows no such locks (Windows,
    some network drives) nobody is kept out. A file that has a second name (a hard link, as of a backup) becomes a file
    of its own first.
    """
    descriptor = _opened(path, time.monotonic() + wait)
    try:
        yield Held(descriptor, path)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Yield whether this process is the first to claim the file `path`, as others hear until the block ends.

    Nothing is written and nobody is kept out of anything: a disk that is read-only will do. The kernel ends the claim
    when the process dies. Where the system knows no such locks everyone is the first.
    """
    with opened(path) as file:
        try:
            _lock(file.fileno(), path, 0)
        except BlockingIOError:
            yield False
        else:
            yield True


def _opened(path: Path, until: float) -> int:
    """Return a descriptor of the file that has the name `path` while we hold its lock, and has no other name."""
    while True:
        new = not path.exists()
        if path.is_symlink():
            raise OSError(errno.ELOOP, "a link, where a file of its own belongs", str(path))
        descriptor = os.open(path, _FLAGS, 0o666)
        try:
            _lock(descriptor, path, until)
            state = os.fstat(descriptor)
            if not stat.S_ISREG(state.st_mode):
                raise OSError(errno.EINVAL, "no regular file", str(path))
            with contextlib.suppress(FileNotFoundError):  # removed between our opening and locking it
                if os.path.samestat(state, path.stat()):
                    if state.st_nlink == 1:
                        if new:
                            sync_folder(path.parent)
                        return descriptor
                    # what is written must not land in a copy, or in a file of somebody else
                    write_bytes(path, Held(descriptor, path).read(0, state.st_size))
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int, path: Path, until: float) -> None:
    try:
        import fcntl
    except ImportError:
        return
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until:
                raise BlockingIOError(errno.EAGAIN, "another process has it", str(path)) from None
            time.sleep(_PAUSE)
        except OSError:  # no locks here
            return


def sync_folder(folder: Path) -> None:
    """Let the name of a new file survive a loss of power too, where folders can be synced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
