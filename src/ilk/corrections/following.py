"""The state that a journal leads to, kept up with the file: what others append is followed before anything is done."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from ilk import disk
from ilk.corrections import journal
from ilk.corrections.actions import Action
from ilk.corrections.folding import Found, State
from ilk.errors import RunError

__all__ = ["Followed"]

_WAIT = 1.0  # seconds for another process to write its line; one that corrects for longer keeps the journal


class _Stamp(NamedTuple):
    """What changes when somebody else writes to a file."""

    device: int
    number: int
    size: int
    changed: int


class Followed:
    """The journal of the run in `folder`, and the state that it leads to from what `found` returns.

    Attributes
    ----------
    path : Path
    actions : list of Action
        All lines, in their order.
    torn : int
        Bytes behind the last whole line: that of a process which was killed while it wrote.
    """

    def __init__(self, folder: Path, found: Callable[[], Found]) -> None:
        self.path = folder / journal.NAME
        self.actions: list[Action] = []
        self.torn = 0
        self._found = found
        self._state: State | None = None
        self._size = 0  # bytes of the lines that were followed
        self._stamp: _Stamp | None = None
        self._held: disk.Held | None = None

    def now(self) -> State:
        """Return the state by what is on the disk.

        Raises
        ------
        RunError
            The journal is damaged.
        """
        stamp = self._looks()
        if self._state is not None and stamp == self._stamp:
            return self._state
        same = self._stamp is not None and stamp is not None and stamp[:2] == self._stamp[:2]
        data = journal.content(self.path)
        # where nothing was followed there is nothing to begin anew: the first line of a new journal costs no more
        if self._state is None or (self._size and (not same or len(data) < self._size)):
            self._state, self.actions, self._size = State(self._found()), [], 0
        actions, size = journal.lines(self.path, data[self._size :], self._state.last, len(self.actions) + 1)
        self._follow(self._state, actions, size)
        self.torn, self._stamp = len(data) - self._size, stamp
        return self._state

    @contextlib.contextmanager
    def writing(self) -> Iterator[State]:
        """Yield the state; until the block ends nobody else writes.

        Raises
        ------
        RunError
            The run cannot be written, or another process is correcting it.
        """
        if self._held is not None:
            yield self.now()
            return
        folder = self.path.parent
        if why := disk.unwritable(folder):
            raise RunError(f"{folder} cannot be written ({why}): it can be looked at, not corrected.")
        with contextlib.ExitStack() as stack:
            try:
                self._held = stack.enter_context(disk.appending(self.path, wait=_WAIT))
                stack.callback(self._let_go)
                state = self.now()
                if self.torn:
                    self._held.cut(self._size)
                    self.torn, self._stamp = 0, self._looks()
            except BlockingIOError:
                raise RunError(
                    f"{folder} is being corrected by another process: close that first (a gallery?), or wait for it."
                ) from None
            except OSError as error:
                raise self._refused(error) from None
            yield state

    def append(self, action: Action) -> None:
        """Put `action` on the disk, then follow it; within `writing` only.

        Raises
        ------
        RunError
            It could not be written, and is not in effect.
        """
        assert self._held is not None
        assert self._state is not None
        line = action.line()
        if self._size + len(line) > journal.MAX_BYTES:
            raise RunError(f"{self.path} is full ({journal.MAX_BYTES >> 20} MiB): it takes no more corrections.")
        journal.lines(self.path, line, self._state.last)  # what is written can be read again
        try:
            self._held.append(line)
        except OSError as error:
            raise self._refused(error) from None
        self._follow(self._state, [action], len(line))
        self._stamp = self._looks()

    def _follow(self, state: State, actions: list[Action], size: int) -> None:
        for action in actions:
            state.take(action)
        self.actions += actions
        self._size += size

    def _let_go(self) -> None:
        self._held = None

    def _refused(self, error: OSError) -> RunError:
        return RunError(f"cannot write {self.path}: {error.strerror}. The correction was not made.")

    def _looks(self) -> _Stamp | None:
        try:
            state = self.path.lstat()
        except OSError:
            return None
        return _Stamp(state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)
