"""A gallery on a port of 127.0.0.1: in a thread of its own, closed with the block."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from ilk import disk, machine
from ilk.errors import ArgumentError
from ilk.gallery.app import application
from ilk.gallery.gallery import Gallery
from ilk.gallery.security import Guard

__all__ = ["HOST", "Served", "serving"]

HOST = "127.0.0.1"
_FIRST, _PORTS = 21_000, 9000  # below those that systems give away by themselves
_END = 2  # seconds for answers that are under way
_KEPT = 60  # seconds that a connection stays open for the next question


@dataclass(frozen=True)
class Served:
    """A gallery that answers.

    Attributes
    ----------
    gallery : Gallery
    port : int
    token : str
        Whoever knows it is let in.
    notes : list of str
        What to know: it can be looked at only, another gallery has it open.
    """

    gallery: Gallery
    port: int
    token: str
    notes: list[str]
    _guard: Guard
    _thread: threading.Thread

    @property
    def address(self) -> str:
        """The address to open: with the token."""
        return f"http://{HOST}:{self.port}/?token={self.token}"

    def once(self) -> str:
        """Return an address that lets one browser in, for command lines: every user of a machine can read those."""
        return f"http://{HOST}:{self.port}/?token={self._guard.once()}"

    def wait(self) -> None:
        """Return when it no longer answers; meanwhile signals are heard."""
        while self._thread.is_alive():
            time.sleep(0.2)  # not a join: an exception of a signal in the midst of one leaves its lock behind


@contextlib.contextmanager
def serving(path: Path, *, port: int | None = None, exports: Path | None = None) -> Iterator[Served]:
    """Show the run `path` until the block ends.

    Parameters
    ----------
    path
    port
        0: any that is free; None: the same for the same run where that is free, so that a page that was left open finds
        its gallery again.
    exports
        Below this folder exports go; by default ``exports`` in the run.

    Raises
    ------
    ArgumentError
        The port is taken, or none.
    RunError
        There is no such run, or it is damaged.
    """
    path = Path(path).expanduser()
    machine.few_heaps()
    with contextlib.ExitStack() as stack:
        gallery = Gallery(path, exports)
        stack.callback(gallery.close)
        notes = [] if stack.enter_context(disk.claimed(path / "run.json")) else [_SECOND]
        if why := gallery.opened.read_only:
            notes.append(why)
        taken = _of_run(path, stack) if port is None else stack.enter_context(_bound(port))
        number, token = taken.getsockname()[1], secrets.token_urlsafe(24)
        gallery.now()
        gallery.beside()
        guard = Guard(application(gallery), number, token, gallery.proof)
        server = uvicorn.Server(
            uvicorn.Config(
                guard, lifespan="off", log_level="warning", access_log=False,
                ws="none", proxy_headers=False, server_header=False, loop="asyncio",
                timeout_graceful_shutdown=_END, timeout_keep_alive=_KEPT,
                http="h11", log_config=None,
            )
        )  # fmt: skip
        thread = threading.Thread(target=server.run, args=([taken],), name="ilk-gallery", daemon=True)
        thread.start()  # who connects before it answers waits in the socket
        try:
            yield Served(gallery, number, token, notes, guard, thread)
        finally:
            server.should_exit = True
            thread.join(_END + 3)


def _of_run(path: Path, stack: contextlib.ExitStack) -> socket.socket:
    """Return a socket on the run's own port, or on any that is free."""
    digest = hashlib.blake2b(os.fsencode(path.resolve()), digest_size=8).digest()
    try:
        return stack.enter_context(_bound(_FIRST + int.from_bytes(digest) % _PORTS))
    except ArgumentError:
        return stack.enter_context(_bound(0))


@contextlib.contextmanager
def _bound(port: int) -> Iterator[socket.socket]:
    """Yield a socket of 127.0.0.1 that nobody else has."""
    if not 0 <= port < 65536:
        raise ArgumentError(f"port={port}: give a number from 0 to 65535; 0 takes one that is free.")
    # named TCP, so that asyncio sends without waiting for more (40 ms an answer)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as found:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # Windows: nobody else may take it too
            found.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((HOST, port))
        except OSError as error:
            why = "is taken" if port else "cannot be had"
            raise ArgumentError(
                f"port={port} {why} ({error.strerror}). Leave --port out, and one that is free is taken."
            ) from None
        found.listen(128)
        yield found


_SECOND = "another gallery has this run open: both work, and each sees what the other corrects"
