"""The image column of a Parquet file, a window of rows at a time: never as a whole."""

from __future__ import annotations

import base64
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["Windows"]

_WINDOW_BYTES = 32 * 2**20  # what one window of rows may take, by the file's own average
_WINDOWS = 3  # how many are kept: threads that walk the file together are not all in the same one


class Windows:
    """The image column, a window of rows at a time; going on is cheap, going back starts a row group again."""

    def __init__(self, file: Any, column: str, kind: str) -> None:
        self._file, self._column, self._in_struct = file, column, kind.startswith("struct")
        self._base64 = kind == "base64"
        self._lock = threading.Lock()
        groups = [file.metadata.row_group(g) for g in range(file.metadata.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum([group.num_rows for group in groups], dtype=np.int64)])
        self._steps = [
            int(np.clip(_WINDOW_BYTES * group.num_rows // max(group.total_byte_size, 1), 1, 4096)) for group in groups
        ]
        self._cache: OrderedDict[tuple[int, int], Any] = OrderedDict()  # (row group, window) -> rows
        self._at: tuple[int, int] = (-1, 0)  # the row group being read, and its next window
        self._batches: Iterator[Any] = iter(())

    def read(self, row: int) -> bytes | None:
        """Return the bytes in `row`; None where there are none.

        Raises
        ------
        OSError
            The file is damaged there, or the text is no base64.
        """
        import pyarrow as pa

        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        window, offset = divmod(row - int(self._starts[group]), self._steps[group])
        try:
            with self._lock:
                value = self._window(group, window)[offset].as_py()
        except (pa.lib.ArrowException, StopIteration, IndexError) as error:
            raise OSError(f"damaged in the Parquet file: {error}") from error
        if value is None or not self._base64:
            return None if value is None else bytes(value)
        try:
            text = value.partition(",")[2] if value.startswith("data:") else value
            return base64.b64decode("".join(text.split()), validate=True)
        except ValueError as error:
            raise OSError(f"no base64 in this row: {error}") from error

    def _window(self, group: int, window: int) -> Any:
        if (group, window) in self._cache:
            self._cache.move_to_end((group, window))
            return self._cache[group, window]
        if self._at[0] != group or self._at[1] > window:
            column = f"{self._column}.bytes" if self._in_struct else self._column
            self._batches = self._file.iter_batches(
                self._steps[group], row_groups=[group], columns=[column], use_threads=False
            )
            self._at = (group, 0)
        for at in range(self._at[1], window + 1):
            found = next(self._batches).column(0)
            self._at = (group, at + 1)
        self._cache[group, window] = found.field("bytes") if self._in_struct else found
        while len(self._cache) > _WINDOWS:
            self._cache.popitem(last=False)
        return self._cache[group, window]
