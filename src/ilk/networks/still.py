"""Switches of a network that several threads may want at the same time: evaluation mode, fixed statistics."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from torch import nn

__all__ = ["held", "still"]

_lock = threading.Lock()
_users: WeakKeyDictionary[nn.Module, tuple[int, Callable[[], object]]] = WeakKeyDictionary()


@contextmanager
def held(network: nn.Module, switch: Callable[[], Callable[[], object]]) -> Iterator[None]:
    """Keep `network` switched while the block runs, in whatever thread; the last to leave switches it back.

    Parameters
    ----------
    network
        Always with the same `switch`.
    switch
        Called by the first thread that comes; returns what undoes it.
    """
    with _lock:
        count, undo = _users.get(network) or (0, switch())
        _users[network] = count + 1, undo
    try:
        yield
    finally:
        with _lock:
            count, undo = _users.pop(network)
            if count > 1:
                _users[network] = count - 1, undo
            else:
                undo()


@contextmanager
def still(network: nn.Module) -> Iterator[None]:
    """Keep `network` in evaluation mode while the block runs, in whatever thread, and then as it was.

    Examples
    --------
    >>> net = nn.Dropout()
    >>> with still(net):
    ...     net.training
    False
    >>> net.training
    True
    """

    def switch() -> Callable[[], object]:
        was = network.training
        network.eval()
        return lambda: network.train(was)

    with held(network, switch):
        yield
