"""Reading ahead: what answers late is asked for before it is needed, and those who compute do not wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ilk.errors import DataError
from ilk.files.remote import REQUESTS, NotHad

__all__ = ["NoAnswer", "reading_ahead"]

_BYTES = 256 * 2**20  # that were read and nobody has taken yet
_LOST = 64  # images one after the other that could not be had: then it is the server, and not the images


class NoAnswer(DataError):
    """A server that answered no longer does: what was read before is good."""


class Source(Protocol):
    """A listing."""

    ahead: Any
    sizes: NDArray[np.int64]

    @property
    def remote(self) -> bool:
        """Whether its images are at addresses."""

    def fetched(self, i: int) -> bytes:
        """Return the bytes of image `i`, asked for now."""


class Ahead:
    """Images that are being read, in the order in which they will be taken; safe for threads.

    Parameters
    ----------
    read, size
        Of image i: its bytes, and how many they will be (0: unknown).
    rows
        In the order in which they are likely to be taken.
    requests : int
        At a time.
    most : int
        Images that were asked for and are not taken yet.
    """

    def __init__(
        self,
        read: Callable[[int], bytes],
        size: Callable[[int], int],
        rows: Iterable[int],
        requests: int = REQUESTS,
        most: int = 2 * REQUESTS,
    ) -> None:
        self._read, self._size, self._rows = read, size, iter(rows)
        self._most = max(most, requests)
        self._asked: dict[int, Future[bytes]] = {}
        self._early: set[int] = set()  # taken before it was their turn
        self._bytes = self._lost = 0
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(requests, thread_name_prefix="ilk-ahead")
        with self._lock:
            self._ask()

    def take(self, i: int) -> bytes:
        """Return the bytes of image `i`, which is forgotten then.

        Raises
        ------
        OSError
            It cannot be had.
        NoAnswer
            Neither could the last 64.
        """
        with self._lock:
            found = self._asked.pop(i, None)
            if found is None:
                self._early.add(i)
        try:
            data = self._read(i) if found is None else found.result()
        except OSError as error:
            self._note_lost(error)
            raise
        finally:
            with self._lock:
                self._bytes -= 0 if found is None else self._size(i)
                self._ask()
        self._lost = 0
        return data

    def _ask(self) -> None:
        while len(self._asked) < self._most and self._bytes < _BYTES:
            i = next(self._rows, None)
            if i is None:
                return
            if i in self._early:
                self._early.discard(i)
                continue
            self._bytes += self._size(i)
            self._asked[i] = self._pool.submit(self._read, i)

    def _note_lost(self, error: OSError) -> None:
        if not isinstance(error.__cause__, NotHad):
            return
        self._lost += 1
        if self._lost >= _LOST:
            raise NoAnswer(
                f"{self._lost} images one after the other could not be had ({error}): the server does not answer, or "
                "no longer lets you in. What was done is kept, and the same command goes on from here"
            ) from None

    def close(self) -> None:
        """Ask for nothing more, and wait for nobody."""
        with self._lock:
            self._rows = iter(())
            self._asked.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def reading_ahead(listing: Source | None, rows: Sequence[int], beyond: int = 0) -> Iterator[None]:
    """Within it, `listing.read` gives what was asked for before, if the images lie at an address.

    Parameters
    ----------
    listing
        None: nothing is done.
    rows
        That will be read, each once, about in this order.
    beyond : int
        Images that may be in work at a time: as many more are read ahead.
    """
    if listing is None or not listing.remote or listing.ahead is not None or len(rows) < 2:
        yield
        return
    listing.ahead = ahead = Ahead(listing.fetched, lambda i: int(listing.sizes[i]), rows, most=2 * REQUESTS + beyond)
    try:
        yield
    finally:
        listing.ahead = None
        ahead.close()
