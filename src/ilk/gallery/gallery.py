"""What a gallery has at hand for its pages: the opened run, and what is read beside it while people look."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk import __version__, disk, machine, near
from ilk.errors import ArgumentError, IlkError, RunError
from ilk.files import Sprites, sprites_of
from ilk.gallery.again import Again
from ilk.gallery.answers import Missing, ReadOnly
from ilk.gallery.columns import Columns
from ilk.gallery.facets import Facets
from ilk.gallery.listing import shares
from ilk.gallery.opened import Now, Opened
from ilk.gallery.originals import Originals
from ilk.gallery.words import said

__all__ = ["MOST", "Gallery"]

MOST = 200_000
"""Images of one correction."""
_NEIGHBOURS = 12


class _Beside:
    """What belongs to the images of a run, and is read when it is asked for, or meanwhile."""

    def __init__(self, opened: Opened) -> None:
        self.columns: Columns = opened.columns
        self.facets = Facets(self.columns)
        self.originals = Originals(opened.run, self.columns)
        self.sprites = sprites_of(opened.run.thumbs()) or Sprites(opened.path / "thumbs")
        self.map = opened.run.map()
        self.stacks: npt.NDArray[np.int64] | None = None
        self.problem = ""
        same: dict[int, list[int]] = {}
        for row in np.flatnonzero(self.columns.original != np.arange(len(self.columns))).tolist():
            same.setdefault(int(self.columns.original[row]), []).append(row)
        self._same = same

    def copies(self, row: int) -> list[int]:
        """Return the other images of the same content."""
        first = int(self.columns.original[row])
        return [one for one in (first, *self._same.get(first, ())) if one != row]

    def read(self, opened: Opened) -> None:
        """Read what takes its time, the quickest first; for a thread of its own."""
        kept = (opened.path / near.FILE).exists()
        if kept:
            self._stack(opened)
        opened.prepare()
        machine.give_back()
        if self.originals.open() is None:
            self.facets.ready = True
        else:
            self.facets.read(len(self.columns), self.originals.taken)
        if not kept:
            self._stack(opened)
        machine.give_back()

    def _stack(self, opened: Opened) -> None:
        try:
            self.stacks = near.stacks(opened.run)
        except IlkError as error:  # exact copies are stacked then
            self.problem = str(error)


class Gallery:
    """A run, shown; safe for threads.

    Parameters
    ----------
    path : Path
        The run.
    exports : Path, optional
        Below it exports go; by default ``exports`` in the run.
    """

    def __init__(self, path: Path, exports: Path | None = None) -> None:
        self.opened = Opened(path)
        self.exports = (exports or path / "exports").expanduser().absolute()
        self.again = Again(path, self.exports, self._columns)
        self.proof = secrets.token_hex(32)
        self._lock = threading.Lock()
        self._beside: _Beside | None = None
        self._closed = False

    def now(self) -> Now:
        """Return the groups as they are."""
        return self.opened.now()

    def _columns(self) -> Columns:
        self.now()
        return self.opened.columns

    def beside(self) -> _Beside:
        """Return what belongs to the images, begun anew where the run has grown."""
        with self._lock:
            if self._beside is None or self._beside.columns is not self.opened.columns:
                if self._beside is not None:
                    self._beside.facets.stop()
                self._beside = _Beside(self.opened)
                if not self._closed:
                    threading.Thread(target=self._beside.read, args=(self.opened,), daemon=True).start()
            return self._beside

    def close(self) -> None:
        """Read no further."""
        with self._lock:
            self._closed = True
            if self._beside is not None:
                self._beside.facets.stop()

    def row(self, text: str) -> int:
        """Return the row that an address names.

        Raises
        ------
        Missing
            There is no such image.
        """
        if not (text.isascii() and text.isdecimal() and len(text) <= 12 and int(text) < len(self.opened.columns)):
            raise Missing(f"there is no image {disk.printable(text[:40])}")
        return int(text)

    # -- what is shown -------------------------------------------------------------------------------------------------

    def about(self) -> dict[str, Any]:
        """Return what ``/api/run`` answers."""
        opened, beside = self.opened, self.beside()
        header, columns = opened.run.header, opened.columns
        encoder = header.get("encoder")
        read_only = opened.read_only
        return {
            "name": opened.path.absolute().name,
            "path": str(opened.path.absolute()),
            "method": str(header.get("method", "")),
            "encoder": str((encoder or {}).get("name", "")) if isinstance(encoder, Mapping | None) else str(encoder),
            "n_images": len(columns),
            "n_unreadable": int((columns.found == -2).sum()),
            "n_duplicates": int((columns.original != np.arange(len(columns))).sum()),
            "read_only": read_only,
            "has": {
                "map": beside.map is not None,
                "regroup": read_only is None,
                "tree": True,
                "near": beside.stacks is not None,
                "originals": beside.originals.gone is None,
            },
            "key_of_thumbs": self.key(),
            "proof": self.proof,
            "exports": None if disk.unwritable(self.exports) else str(self.exports),
            "version": __version__,
        }

    def key(self) -> str:
        """Return what changes with the thumbnails."""
        state = (self.opened.path / "run.json").stat()
        return f"{state.st_ino:x}-{state.st_mtime_ns:x}-{len(self.opened.columns):x}"

    def state(self) -> tuple[dict[str, Any], str]:
        """Return what ``/api/state`` answers, and what changes with it."""
        now, beside = self.now(), self._beside
        if beside is None or not beside.problem:
            return now.state, now.version
        return {**now.state, "problems": [*now.state["problems"], beside.problem]}, f"{now.version}-near"

    def image(self, row: int) -> dict[str, Any]:
        """Return what ``/api/image/{row}`` answers."""
        now, beside, columns = self.now(), self.beside(), self.opened.columns
        label, taken = int(now.labels[row]), beside.originals.taken(row)
        close, stack = self._neighbours(row) if label != -2 else ((), ()), self.stack(row)
        second = now.grouping.where(int(columns.second[row]))
        found = now.grouping.where(int(columns.found[row]))
        if label >= 0 and label != found:  # put elsewhere by hand: what was found comes second
            second = found
        return {
            "row": row,
            "path": columns.paths[row],
            "file": beside.originals.file(row),
            "later": beside.originals.soon,
            "group": label,
            "confidence": shares(now.certainty[row : row + 1])[0],
            "second": second if second is not None and second not in (label, -1) else None,
            "said": int(now.grouping.said[row]),
            "width": int(columns.widths[row]) or None,
            "height": int(columns.heights[row]) or None,
            "bytes": int(columns.bytes_[row]),
            "status": columns.status[row],
            "reason": columns.reasons[row],
            "date": taken.date or None,
            "camera": taken.camera or None,
            "duplicates": beside.copies(row),
            "near": [one for one in stack if one != row],
            "neighbours": [{"row": int(one), "similarity": round(float(s), 4)} for one, s in zip(*close, strict=True)],
        }

    def _neighbours(self, row: int) -> tuple[Any, Any]:
        """Return rows and similarities of the images most like that of `row`, its copies left out."""
        return self.opened.similar.of_row(row, _NEIGHBOURS, [int(self.opened.columns.original[row])])

    def stack(self, row: int) -> list[int]:
        """Return all images of the stack of `row`, itself among them."""
        beside = self.beside()
        stacks = beside.columns.original if beside.stacks is None else beside.stacks
        return [int(one) for one in np.flatnonzero(stacks == stacks[row])]

    # -- what is done --------------------------------------------------------------------------------------------------

    def do(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Correct the run as a page asks, and return what ``/api/do`` answers.

        Raises
        ------
        ArgumentError
            What is asked makes no sense; of an outdated page `Outdated`.
        ReadOnly
            The run can be looked at only.
        """
        self.writable()
        last = asked.get("last")
        if not isinstance(last, int) or isinstance(last, bool):
            raise ArgumentError("say what the page knows: last=, the number of the newest correction")
        verb = _VERBS.get(str(asked.get("do")))
        if verb is None:
            raise ArgumentError(f"do={str(asked.get('do'))[:40]!r}: allowed are {', '.join(_VERBS)}")
        n = len(self.opened.columns)
        action, before, now = self.opened.write(last, lambda corrections: verb(corrections, _Checked(asked, n)))
        if action.do in ("undo", "redo"):
            words = f"{action.do}ne: {before.state[action.do]}"
        else:
            words = said(action, now.called)
        return {"action": {"n": action.n, "do": action.do, "said": words}, "state": now.state}

    def writable(self) -> None:
        """Raise `ReadOnly` where the run can be looked at only."""
        if why := self.opened.read_only:
            raise ReadOnly(why)

    def accept(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Put a preview of grouping again into effect, but for the rows ``without``."""
        self.writable()
        without = _Checked(asked, len(self.opened.columns)).rows("without", few=0)
        moved = self.again.accept(asked.get("id"), without)
        return {"state": self.now().state, "moved": moved}

    def take(self, k: int) -> dict[str, Any]:
        """Make a cut of the tree the groups."""
        self.writable()
        self.again.take(k)
        return {"state": self.now().state}

    def export(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Write an export."""
        if why := disk.unwritable(self.exports):
            raise RunError(
                f"{self.exports} cannot be written ({why}): start the gallery with --exports and another folder"
            )
        return self.again.export(asked)


class _Checked:
    """The arguments of a correction, as the page sent them, by what they have to be."""

    def __init__(self, asked: Mapping[str, Any], n: int) -> None:
        self._asked, self._n = asked, n

    def rows(self, name: str = "images", *, few: int = 1) -> list[int]:
        found = self._asked.get(name, [])
        if not isinstance(found, list) or len(found) < few:
            raise ArgumentError(f"{name} is no list of rows")
        if len(found) > MOST:
            raise ArgumentError(f"{len(found):,} images at once: choose at most {MOST:,}")
        if not all(type(row) is int and 0 <= row < self._n for row in found):
            raise ArgumentError(f"{name}: rows are numbers from 0 to {self._n - 1:,}")
        return found

    def group(self, name: str = "group") -> int:
        found = self._asked.get(name)
        if type(found) is not int or found < 0:
            raise ArgumentError(f"{name} is no number of a group")
        return found

    def groups(self) -> list[int]:
        found = self._asked.get("groups")
        if not isinstance(found, list) or len(found) > MOST or not all(type(one) is int and one >= 0 for one in found):
            raise ArgumentError("groups is no list of numbers of groups")
        return found

    def text(self, name: str) -> str:
        found = self._asked.get(name, "")
        if not isinstance(found, str):
            raise ArgumentError(f"{name} is no text")
        return found


_VERBS: Mapping[str, Any] = {
    "rename": lambda made, given: made.rename(given.group(), given.text("name")),
    "move": lambda made, given: made.move(given.rows(), given.group("to")),
    "merge": lambda made, given: made.merge(*given.groups()),
    "split": lambda made, given: made.split(given.group(), given.rows("examples", few=0)),
    "ignore": lambda made, given: made.ignore(given.rows()),
    "confirm": lambda made, given: made.confirm(given.rows()),
    "new": lambda made, given: made.new(given.rows(), given.text("name")),
    "note": lambda made, given: made.note(given.group(), given.text("text")),
    "undo": lambda made, given: made.undo(),
    "redo": lambda made, given: made.redo(),
}
