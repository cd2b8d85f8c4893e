"""The thumbnails of a run: packs of 256 whole little picture files, each of which is read without the others.

``00000.bin`` holds the first 256: 16 bytes that say what it is, their number, where each begins (and the last ends), as
uint32 with the low byte first, and the files one after the other; an empty one is an image that could not be read. Runs
of an older ilk have sprite sheets instead, ``00000.webp``; a folder may hold both, as image i is entry i % 256 of pack
or sheet i // 256 in either.
"""

from __future__ import annotations

import itertools
import os
import struct
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import IO, final

import numpy as np
from numpy.typing import NDArray

from ilk import disk
from ilk.errors import DataError
from ilk.files.sheets import CELLS, SHEET_BYTES, SIDE, decode_sheet
from ilk.files.thumbs import MOST_BYTES, UNSEEN, decode_thumb, make_thumb, media_type, squares

__all__ = ["PACK", "Sprites", "Thumbnails", "write_thumbs"]

PACK = CELLS
"""Thumbnails in a pack."""

_MAGIC = b"ilk thumbnails 1"
_COUNT = struct.Struct("<I")
_SHEETS = 4  # decoded ones that are kept
_TABLES = 4096  # of packs: a million images, 4 MB

Pixels = NDArray[np.uint8]


def write_thumbs(folder: Path, thumbs: Iterable[bytes], start: int = 0) -> int:
    """Write thumbnails as packs, each whole or not at all.

    Parameters
    ----------
    folder
        Made if there are any thumbnails.
    thumbs : iterable of bytes
        As `make_thumb` gives them; empty for images that could not be read. One pack is held in memory.
    start
        Number of thumbnails that are there already and are kept; what lies beyond them is replaced.

    Returns
    -------
    int
        How many there are now.

    Raises
    ------
    DataError
        A pack that is to be filled up is missing or damaged.
    OSError
        The disk refuses.
    """
    held = [] if start % PACK == 0 else Sprites(folder).pack(start // PACK)[: start % PACK]
    if len(held) < start % PACK:
        raise DataError(f"{folder} holds fewer than {start:,} thumbnails")
    number, n = start // PACK, start
    for thumb in thumbs:
        if len(thumb) > MOST_BYTES:
            raise ValueError(f"a thumbnail of {len(thumb):,} bytes")
        held.append(thumb)
        n += 1
        if len(held) == PACK:
            _write_pack(folder, number, held)
            held, number = [], number + 1
    if held and n > start:
        _write_pack(folder, number, held)
    return n


def _write_pack(folder: Path, number: int, thumbs: list[bytes]) -> None:
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
    disk.own_folder(folder)
    begin = len(_MAGIC) + _COUNT.size + 4 * (len(thumbs) + 1)
    ends = begin + np.cumsum([0, *map(len, thumbs)], dtype=np.uint32)
    head = _MAGIC + _COUNT.pack(len(thumbs)) + ends.astype("<u4").tobytes()
    disk.write_bytes(folder / f"{number:05d}.bin", head + b"".join(thumbs))


class Thumbnails(ABC):
    """Thumbnails of a run, wherever they are.

    Attributes
    ----------
    old : bool
        They have 48 pixels, as an older ilk made them.
    """

    old: bool

    @abstractmethod
    def picture(self, row: int) -> tuple[bytes, str]:
        """Return the thumbnail of image `row` as a file that a browser shows, and its media type (JPEG or PNG).

        An image that could not be read is grey.

        Raises
        ------
        DataError
            The file that it is in is missing or damaged; it is named.
        IndexError
            There is no image with that number.
        """

    @abstractmethod
    def pixels(self, row: int) -> Pixels:
        """Return the thumbnail of image `row` as uint8 (h, w, 3), sides up to 256; raises as `picture`."""

    @final
    def read(self, index: NDArray[np.int64] | Iterable[int], side: int = SIDE) -> Pixels:
        """Return the central squares of the thumbnails `index`, uint8 (b, side, side, 3), in that order.

        Small images are enlarged in crisp blocks. Each costs 0.3 ms. Raises as `picture`.
        """
        wanted = np.asarray(index if isinstance(index, np.ndarray) else list(index), np.int64)
        order = np.argsort(wanted, kind="stable")  # each sheet once, whatever the order asked for
        out = np.empty((len(wanted), side, side, 3), np.uint8)
        for at in order.tolist():
            out[at] = squares([self.pixels(int(wanted[at]))], side)[0]
        return out


class Sprites(Thumbnails):
    """Thumbnails of a run, read from its packs, or from the sprite sheets of an older ilk; thread-safe.

    Parameters
    ----------
    folder : Path
        Where they are: ``RUN/thumbs``. It may grow meanwhile.

    Notes
    -----
    One picture costs some tens of microseconds and no decoding, whatever the order; of the positions of pictures 1 KB a
    pack is remembered. From a sheet it costs 1 ms, and 10 ms where that is not one of the four read last.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._tables: OrderedDict[int, tuple[tuple[int, ...], NDArray[np.uint32]]] = OrderedDict()
        self._sheets: OrderedDict[int, Pixels] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def old(self) -> bool:  # type: ignore[override]  # it may change: a run of before that grows
        """Whether they have 48 pixels, as an older ilk made them."""
        return not (self.folder / "00000.bin").is_file()

    def picture(self, row: int) -> tuple[bytes, str]:
        """Return the thumbnail of image `row` as a file, and its media type: see `Thumbnails.picture`."""
        data = self._data(row)
        if data is None:
            data = make_thumb(self._cell(row))
        try:
            return data, media_type(data)
        except DataError as error:
            raise DataError(f"{self._path(row // PACK)}: {error}") from error

    def pixels(self, row: int) -> Pixels:
        """Return the thumbnail of image `row` as uint8 (h, w, 3): see `Thumbnails.pixels`."""
        data = self._data(row)
        if data is None:
            return self._cell(row)
        try:
            return decode_thumb(data)
        except DataError as error:
            raise DataError(f"{self._path(row // PACK)}: {error}") from error

    def pack(self, number: int) -> list[bytes]:
        """Return all thumbnails of a pack, or of a sheet, as files; b"" for an image that could not be read.

        The last cells of a sheet may be empty ones. Raises as `picture`.
        """
        if not self._is_pack(number):
            return [make_thumb(cell) for cell in self._sheet(number)]
        with self._opened(number) as file:
            ends = self._table(number, file)
            file.seek(int(ends[0]))
            data = file.read(int(ends[-1] - ends[0]))
        positions = (ends - ends[0]).tolist()
        return [data[a:b] for a, b in itertools.pairwise(positions)]

    def _data(self, row: int) -> bytes | None:
        """Return the file of one thumbnail; None where it is a cell of a sheet."""
        if row < 0:
            raise IndexError(f"there is no thumbnail {row}")
        number, at = divmod(row, PACK)
        if not self._is_pack(number):
            return None
        with self._opened(number) as file:
            ends = self._table(number, file)
            if at >= len(ends) - 1:
                raise IndexError(f"there is no thumbnail {row}")
            file.seek(int(ends[at]))
            data = file.read(int(ends[at + 1] - ends[at]))
        return data or UNSEEN

    def _cell(self, row: int) -> Pixels:
        sheet = self._sheet(row // CELLS)
        if row % CELLS >= len(sheet):
            raise IndexError(f"there is no thumbnail {row}")
        cell: Pixels = sheet[row % CELLS]
        return cell

    def _path(self, number: int, end: str = "bin") -> Path:
        return disk.within(self.folder.parent, self.folder.name, f"{number:05d}.{end}")

    def _is_pack(self, number: int) -> bool:
        """Whether there is no sheet of that number, or a pack in its place: what is missing is missed as a pack."""
        return os.path.lexists(self.folder / f"{number:05d}.bin") or not os.path.lexists(
            self.folder / f"{number:05d}.webp"
        )

    def _opened(self, number: int) -> IO[bytes]:
        try:
            return disk.opened(self._path(number))
        except OSError as error:
            name = self.folder / f"{number:05d}.bin"
            raise DataError(f"the thumbnails {name} cannot be read: {error.strerror}") from error

    def _table(self, number: int, file: IO[bytes]) -> NDArray[np.uint32]:
        """Return where the thumbnails of an opened pack begin, and the last one ends, in bytes: (count + 1,)."""
        state = os.fstat(file.fileno())
        mark = (state.st_ino, state.st_mtime_ns, state.st_size)  # a pack that was filled up is another file
        with self._lock:
            known = self._tables.get(number)
            if known is not None and known[0] == mark:
                return known[1]
        head = file.read(len(_MAGIC) + _COUNT.size)
        count = _COUNT.unpack(head[len(_MAGIC) :])[0] if len(head) == len(_MAGIC) + _COUNT.size else 0
        if not head.startswith(_MAGIC) or not 1 <= count <= PACK:
            raise DataError(f"the thumbnails {self._path(number)} are damaged: no pack of thumbnails")
        table = file.read(4 * (count + 1))
        begin = len(head) + 4 * (count + 1)
        if len(table) != 4 * (count + 1):
            raise DataError(f"the thumbnails {self._path(number)} are damaged: cut off")
        ends = np.frombuffer(table, "<u4")
        lengths = np.diff(ends.astype(np.int64))
        if ends[0] != begin or ends[-1] != state.st_size or lengths.min() < 0 or lengths.max() > MOST_BYTES:
            raise DataError(f"the thumbnails {self._path(number)} are damaged: their positions make no sense")
        with self._lock:
            self._tables[number] = mark, ends
            while len(self._tables) > _TABLES:
                self._tables.popitem(last=False)
        return ends

    def _sheet(self, number: int) -> Pixels:
        with self._lock:
            if number not in self._sheets:
                path = self.folder / f"{number:05d}.webp"
                try:
                    data = disk.read_bytes(self._path(number, "webp"), SHEET_BYTES)
                except OSError as error:
                    raise DataError(f"the sprite sheet {path} cannot be read: {error.strerror}") from error
                self._sheets[number] = decode_sheet(data)
                while len(self._sheets) > _SHEETS:
                    self._sheets.popitem(last=False)
            self._sheets.move_to_end(number)
            return self._sheets[number]
