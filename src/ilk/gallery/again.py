"""What takes seconds: grouping again, the tree of groups, what to ask next, exports. One at a time, beside the rest.

These work on a run of their own, so that whoever looks at pictures meanwhile does not wait.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ilk import disk, exports, machine, near
from ilk.errors import ArgumentError
from ilk.exports.names import component
from ilk.gallery.answers import Missing
from ilk.runs import Run, load_run

if TYPE_CHECKING:
    from ilk import regroup

__all__ = ["Again", "folder_of"]

_PREVIEWS = 4
_LONG = 2  # seconds
_COVER = 16
_MODES = {
    "link": ("folders", "link"),
    "copy": ("folders", "copy"),
    "csv": ("csv", "link"),
    "imagefolder": ("imagefolder", "link"),
    "xmp": ("xmp", "link"),
}


class _Outliers(NamedTuple):
    rows: npt.NDArray[np.int64]
    last: int
    seconds: float


class Again:
    """Slow work on the run in the folder `path`; safe for threads.

    Parameters
    ----------
    path : Path
        The run.
    exports : Path
        Below it exports go.
    columns : callable () -> object
        Another object when the run has grown.
    """

    def __init__(self, path: Path, exports: Path, columns: Callable[[], object]) -> None:
        self._path, self._exports, self._columns = path, exports, columns
        self._seen: object = None
        self._lock = threading.Lock()
        self._run: Run | None = None
        self._numbers = itertools.count(1)
        self._previews: OrderedDict[int, regroup.Preview] = OrderedDict()
        self._tree: regroup.Tree | None = None
        self._outliers: _Outliers | None = None
        self._queue: tuple[tuple[int, int], dict[str, Any]] | None = None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Let nobody else work on the run; what that took is given back."""
        with self._lock:
            begin = time.perf_counter()
            if (columns := self._columns()) is not self._seen:  # the run has grown: begin anew
                self._seen, self._run, self._tree, self._queue, self._outliers = columns, None, None, None, None
                self._previews.clear()
            yield
        if time.perf_counter() - begin > _LONG:
            machine.give_back()

    # -- grouping again ------------------------------------------------------------------------------------------------

    def preview(self) -> dict[str, Any]:
        """Return what grouping again would move."""
        from ilk import regroup  # imports scikit-learn: a page opens without

        with self._alone():
            found = regroup.preview(self._opened())
            number = next(self._numbers)
            self._previews[number] = found
            while len(self._previews) > _PREVIEWS:
                self._previews.popitem(last=False)
        return {
            "id": number,
            **found.summary(),
            "moves": {str(group): rows for group, rows in found.moves.items()},
        }

    def accept(self, number: Any, without: list[int]) -> int:
        """Put a preview into effect, but for some rows, which stay; return how many images moved.

        Raises
        ------
        ArgumentError
            There is no such preview, or something was corrected since.
        """
        from ilk import regroup

        with self._alone():
            found = self._previews.get(number) if isinstance(number, int) else None
            if found is None:
                raise ArgumentError("there is no such preview any more: group again to get a new one")
            action = regroup.accept(self._opened(), found, without=without)
            self._previews.clear()
        return sum(map(len, action.arguments["images"]))

    # -- the tree of groups --------------------------------------------------------------------------------------------

    def tree(self) -> dict[str, Any]:
        """Return which numbers of groups there are to choose from."""
        with self._alone():
            tree = self._grown()
            suggested = [{"name": name, "k": k} for name, k in tree.suggested.items()]
            return {"now": tree.now, "low": tree.low, "high": tree.high, "suggested": suggested}

    def cut(self, k: int) -> dict[str, Any]:
        """Return the groups there would be of a number of groups."""
        with self._alone():
            tree = self._grown()
            if not tree.low <= k <= tree.high:
                raise Missing(f"choose a number of groups from {tree.low} to {tree.high}")
            groups = [
                {
                    "size": len(rows),
                    "cover": [int(row) for row in rows[:_COVER]],
                    "from": [{"id": int(one), "count": int(n)} for one, n in of.items()],
                }
                for rows, of in tree.cut(k)
            ]
        return {"k": k, "groups": groups}

    def take(self, k: int) -> None:
        """Make these the groups."""
        with self._alone():
            self._grown().take(self._opened(), k)

    def queue(self, limit: int) -> dict[str, Any]:
        """Return what to ask next."""
        from ilk import regroup

        with self._alone():
            run = self._opened()
            known = (run.corrections.grouping().last, limit)
            if self._queue is None or self._queue[0] != known:
                found = regroup.queue(run, limit)
                self._queue = known, {"left": found.left, "won": found.won, "items": found.items}
            return self._queue[1]

    def outliers(self) -> npt.NDArray[np.int64]:
        """Return the rows that fit no group, the farthest first.

        What took long is not found anew after every correction: what a person spoke of since is left out then.
        """
        with self._alone():
            run = self._opened()
            grouping = run.corrections.grouping()
            if self._outliers is None or (self._outliers.last != grouping.last and self._outliers.seconds < _LONG):
                begin = time.perf_counter()
                rows = near.outliers(run)
                self._outliers = _Outliers(rows, grouping.last, time.perf_counter() - begin)
            rows = self._outliers.rows
        found: npt.NDArray[np.int64] = rows[grouping.said[rows] == 0]
        return found

    # -- exports -------------------------------------------------------------------------------------------------------

    def export(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Write an export below the folder for exports, or say what it would be.

        Raises
        ------
        ArgumentError
            What is asked makes no sense.
        DataError
            It cannot be written, or the images are gone.
        """
        mode, keep = asked.get("mode", "link"), asked.get("keep", "all")
        if not isinstance(mode, str) or mode not in _MODES:
            raise ArgumentError(f"mode={str(mode)[:40]!r}: allowed are {', '.join(_MODES)}")
        if keep not in exports.KEEP:
            raise ArgumentError(f"keep={str(keep)[:40]!r}: allowed are {', '.join(exports.KEEP)}")
        layout, how = _MODES[mode]
        folder, dry = folder_of(self._exports, asked.get("to")), asked.get("dry") is True
        with self._alone():
            run = self._opened()
            groups, images = (_numbers(asked, name) for name in ("groups", "images"))
            done = exports.export(
                run, folder, layout=layout, mode=how, groups=groups, images=images, keep=keep, dry=dry
            )
        return {"dry": dry, "folder": str(done.folder), "lines": [*done.lines(), *done.notes], "count": done.n_images}

    # -- how -----------------------------------------------------------------------------------------------------------

    def _opened(self) -> Run:
        if self._run is None:
            self._run = load_run(self._path)
        return self._run

    def _grown(self) -> regroup.Tree:
        from ilk import regroup

        run = self._opened()
        if self._tree is None or self._tree.last != run.corrections.grouping().last:
            self._tree = regroup.tree(run)
        return self._tree


def _numbers(asked: Mapping[str, Any], name: str) -> list[int] | None:
    """Return the numbers of groups or images that a page chose; None for all."""
    found = asked.get(name)
    if found is None:
        return None
    if not isinstance(found, list) or not found or not all(type(one) is int and one >= -1 for one in found):
        raise ArgumentError(f"{name} is no list of numbers")
    return found


def folder_of(exports: Path, name: Any) -> Path:
    """Return the folder below `exports` that a page may name: one plain part, and no link.

    Raises
    ------
    ArgumentError
        It is none.

    Examples
    --------
    >>> folder_of(Path("exports"), "sorted").as_posix()
    'exports/sorted'
    >>> folder_of(Path("exports"), "../sorted")
    Traceback (most recent call last):
    ilk.errors.ArgumentError: to='../sorted': give the plain name of a folder
    """
    if not isinstance(name, str) or not name or component(name) != name or name.startswith("."):
        raise ArgumentError(f"to={str(name)[:80]!r}: give the plain name of a folder")
    path = disk.within(exports, name)
    if path.is_symlink() or exports.is_symlink():
        raise ArgumentError(f"to={name!r}: a link is there, and where it leads nobody said: give another name")
    return path
