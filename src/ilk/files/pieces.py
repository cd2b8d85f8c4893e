"""Objects read at any path: neighbours come with one request, which is what archives at addresses are for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future
from typing import Any

from ilk.files.addresses import Address
from ilk.files.remote import Store

__all__ = ["Pieces"]

_PIECE, _MOST_PIECES = 2**20, 64
_pieces: OrderedDict[Any, Future[bytes]] = OrderedDict()
_pieces_lock = threading.Lock()


class Pieces:
    """An object that is read at any path: neighbours come with one request, and are kept for a while.

    Of all objects together 64 MiB are kept.
    """

    def __init__(self, address: Address) -> None:
        self._store = Store(address, address.options)
        self._place, self._key = self._store.base, (address.key, address.stamp)

    def read(self, size: int, at: int) -> bytes:
        """Return up to `size` bytes from `at` on; safe for threads."""
        if size > _PIECE:
            return self._store.read(self._place, at, at + size)
        first, last = at // _PIECE, max(at, at + size - 1) // _PIECE
        data = b"".join(self._piece(n) for n in range(first, last + 1))
        return data[at - first * _PIECE :][:size]

    def _piece(self, n: int) -> bytes:
        key = (self._key, n)
        with _pieces_lock:
            found = _pieces.get(key)
            mine = found is None
            if found is None:
                found = _pieces[key] = Future()
            _pieces.move_to_end(key)
            while len(_pieces) > _MOST_PIECES:
                _pieces.popitem(last=False)
        if mine:
            try:
                found.set_result(self._store.read(self._place, n * _PIECE, (n + 1) * _PIECE))
            except BaseException as error:  # others wait for it
                with _pieces_lock:
                    _pieces.pop(key, None)
                found.set_exception(error)
        return found.result()
