"""Where an image lies among the shards of a cache: sorted tables of hashes, and one file of them beside the shards."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import save

from ilk import disk
from ilk.errors import IlkError
from ilk.shards.slots import Slots, shard_of, slot

__all__ = ["Hashes", "Index", "as_names", "content"]

_FRESH = 65_536  # entries in a mapping before they become a table
_SMALLEST = 2**20  # bytes of the filter
_NAME = re.compile("[0-9a-f]{32}")  # of a shard

Names = npt.NDArray[np.bytes_]  # S16: equal where the 16 bytes are, in the order of bytes; an element loses last zeros


def as_names(hashes: Sequence[bytes]) -> Names:
    """Return hashes of 16 bytes (b"": none) as an array (n,) S16."""
    return np.array(hashes, "S16") if len(hashes) else np.zeros(0, "S16")


def content(name: bytes) -> bytes:
    """Return the 16 bytes of an element of `Names`; b"" where it is none."""
    return name.ljust(16, b"\0") if name else b""


class Hashes(Sequence[bytes]):
    """Hashes of the images of a source: 16 bytes each, b"" where there is none. An array that looks like a list."""

    def __init__(self, names: Names) -> None:
        self.names = names

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, at: int) -> bytes: ...
    @overload
    def __getitem__(self, at: slice) -> Hashes: ...
    def __getitem__(self, at: int | slice) -> bytes | Hashes:
        return Hashes(self.names[at]) if isinstance(at, slice) else content(bytes(self.names[at]))

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]


class _Table(NamedTuple):
    names: Names  # sorted
    slots: Slots


class Index:
    """Slots of images by their hashes; thread-safe. Of an image that is in several shards it knows one that is there.

    About 24 bytes an image, and 16 of a filter that says in a tenth of a microsecond that one is new.

    Attributes
    ----------
    shards : list of str
        Names, by number.
    """

    def __init__(self) -> None:
        self.shards: list[str] = []
        self._numbers: dict[str, int] = {}
        self._gone = np.zeros(0, bool)
        self._tables: list[_Table] = []
        self._fresh: dict[bytes, int] = {}
        self._filter = bytearray(_SMALLEST)
        self._lock = threading.RLock()

    def __contains__(self, shard: str) -> bool:
        number = self._numbers.get(shard)
        return number is not None and not self._gone[number]

    def count(self) -> int:
        """Return the number of entries, those of shards that are gone too."""
        return len(self._fresh) + sum(len(table.names) for table in self._tables)

    def add(self, shard: str, hashes: Sequence[bytes], bad: Sequence[bool], retry: bool = False) -> None:
        """Add the images of a shard; `bad` says which are unreadable, and `retry` that these count as unknown."""
        with self._lock:
            number = self._numbered(shard)
            for row, (name, wrong) in enumerate(zip(hashes, bad, strict=True)):
                if not (retry and wrong):
                    self._fresh.setdefault(name, slot(number, row, wrong))
                    self._filter[self._at(name)] = 1
            if len(self._fresh) > _FRESH:
                self._settle()

    def get(self, name: bytes) -> int:
        """Return the slot of an image, -1 if there is none."""
        with self._lock:
            if not self._filter[self._at(name)]:
                return -1
            fresh = self._fresh.get(name, -1)
            if fresh >= 0 and not self._gone[shard_of(fresh)]:
                return fresh
            return int(self._among_tables(as_names([name]))[0])

    def find(self, names: Names) -> Slots:
        """Return the slots of many images (n,); -1 for what is not there, and for hashes that are none."""
        with self._lock:
            self._settle()
            return self._among_tables(names)

    def drop(self, shard: str) -> None:
        """Forget a shard and what is in it alone."""
        with self._lock:
            if shard in self._numbers:
                number = self._numbers.pop(shard)
                self._gone[number] = True
                self._fresh = {name: at for name, at in self._fresh.items() if shard_of(at) != number}

    def save(self, path: Path, kind: str) -> None:
        """Write all as one file; `kind` is asked for when it is read. A disk that refuses is no reason to stop."""
        with self._lock:
            self._settle()
            kept = [_kept(table, self._gone) for table in self._tables]
            named = all(_NAME.fullmatch(name) for name in self.shards)
            if not kept or not named:
                return
            names = np.concatenate([table.names for table in kept])
            slots = np.concatenate([table.slots for table in kept])
            shards = np.frombuffer(bytes.fromhex("".join(self.shards)), np.uint8).reshape(-1, 16)
        tensors = {"names": names.view(np.uint8).reshape(-1, 16), "slots": slots, "shards": shards}
        data = save(
            tensors,
            {
                "kind": kind,
                "digest": disk.tensor_digest(tensors),
                "runs": json.dumps([len(table.names) for table in kept]),
            },
        )
        with contextlib.suppress(IlkError, OSError):
            disk.write_bytes(path, data)

    def load(self, path: Path, kind: str, there: set[str]) -> None:
        """Take in what `save` wrote, as far as shards are still `there`; nothing where it is damaged."""
        with contextlib.suppress(SafetensorError, OSError, KeyError, ValueError, TypeError, IndexError):
            with disk.open_tensors(path) as file:
                tensors = {key: file.get_tensor(key) for key in ("names", "slots", "shards")}
                metadata = file.metadata()
            if metadata["kind"] != kind or metadata["digest"] != disk.tensor_digest(tensors):
                return
            names, slots = np.ascontiguousarray(tensors["names"]).view("S16").reshape(-1), tensors["slots"]
            shards = [row.tobytes().hex() for row in tensors["shards"]]
            ends = np.cumsum([0, *disk.parse_json(metadata["runs"].encode())])
            if len(slots) and not 0 <= shard_of(slots).min() <= shard_of(slots).max() < len(shards):
                return
            with self._lock:
                self.shards = shards
                self._gone = np.array([*(shard not in there for shard in shards), *[False] * 64])
                self._numbers = {shard: at for at, shard in enumerate(shards) if not self._gone[at]}
                self._tables = [_Table(names[a:b], slots[a:b]) for a, b in itertools.pairwise(ends)]
                self._refill()

    def _numbered(self, shard: str) -> int:
        if shard not in self._numbers:
            self._numbers[shard] = len(self.shards)
            self.shards.append(shard)
            if len(self._gone) < len(self.shards):
                self._gone = np.concatenate([self._gone, np.zeros(max(64, len(self._gone)), bool)])
        return self._numbers[shard]

    def _at(self, name: bytes) -> int:
        return int.from_bytes(name[:4], "little") & (len(self._filter) - 1)

    def _settle(self) -> None:
        """Make a table of what is in the mapping; tables of like size become one."""
        if not self._fresh:
            return
        new = _sorted(as_names(list(self._fresh)), np.fromiter(self._fresh.values(), np.int64, len(self._fresh)))
        self._fresh = {}
        while self._tables and len(self._tables[-1].names) <= 2 * len(new.names):
            old = _kept(self._tables.pop(), self._gone)
            new = _sorted(np.concatenate([old.names, new.names]), np.concatenate([old.slots, new.slots]))
        self._tables.append(new)
        if 8 * sum(len(table.names) for table in self._tables) > len(self._filter):
            self._refill()

    def _refill(self) -> None:
        size, count = _SMALLEST, sum(len(table.names) for table in self._tables)
        while size < 16 * count and size < 2**32:
            size *= 2
        self._filter = bytearray(size)
        seen = np.frombuffer(self._filter, np.uint8)
        for table in self._tables:
            seen[table.names.view("<u4")[::4] & np.uint32(size - 1)] = 1

    def _among_tables(self, names: Names) -> Slots:
        found = np.full(len(names), -1, np.int64)
        for table in self._tables:
            left = np.flatnonzero((found < 0) & (names != b""))
            if not len(table.names) or not len(left):
                continue
            at = np.minimum(np.searchsorted(table.names, names[left]), len(table.names) - 1)
            slots = table.slots[at]
            hit = (table.names[at] == names[left]) & ~self._gone[shard_of(slots)]
            found[left[hit]] = slots[hit]
        return found


def _sorted(names: Names, slots: Slots) -> _Table:
    order = np.argsort(names, kind="stable")
    return _Table(names[order], slots[order])


def _kept(table: _Table, gone: npt.NDArray[np.bool_]) -> _Table:
    """Return a table without the images of shards that are gone."""
    there = ~gone[shard_of(table.slots)]
    return table if there.all() else _Table(table.names[there], table.slots[there])
