"""What became of the images of a run in a source that is looked at again, and which of its images are new. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Known", "Matched", "free_name", "match"]


@dataclass(frozen=True)
class Known:
    """The images of a run, one entry a row.

    Attributes
    ----------
    paths : list of str
        Unique.
    contents : list of (str or None)
        What each is known by; None where that is unknown.
    status : list of str
        "ok", "duplicate" or "unreadable".
    gone : list of bool
    """

    paths: Sequence[str]
    contents: Sequence[str | None]
    status: Sequence[str]
    gone: Sequence[bool]


@dataclass
class Matched:
    """What became of every image.

    Attributes
    ----------
    rows : dict
        Row -> its path, and whether it is gone: those that differ from before.
    moved, back, changed, gone : list of int
        Rows under another path; that were gone and are there again; under whose path something else is; that are gone.
    new : list of int
        Positions in the source of images that the run does not have under their path, copies of others among them.
    """

    rows: dict[int, tuple[str, bool]] = field(default_factory=dict)
    moved: list[int] = field(default_factory=list)
    back: list[int] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    new: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.rows or self.new)


def match(
    known: Known,
    mine: Sequence[int],
    names: Sequence[str],
    contents: Sequence[str | None],
    there: Collection[str] | None = None,
) -> Matched:
    """Match the rows of a run with the images of a source that they came from, by content and then by path.

    Parameters
    ----------
    known
    mine
        Rows that came from this source.
    names, contents
        Of the images of the source now; a content is None where it cannot be read.
    there
        All names that the source has, where `names` are some of them: no image is gone then whose path is not in
        `names`, and none has moved whose path is in `there`. None: `names` are all.

    Notes
    -----
    Same path and content: nothing happened. Content that is at no path of before any more: moved, to the path with the
    same base name if there is one. A path that cannot be read now is taken for unchanged: that may pass.

    Examples
    --------
    >>> before = Known(["a.png", "b.png", "c.png"], ["A", "B", "C"], ["ok"] * 3, [False] * 3)
    >>> found = match(before, [0, 1, 2], ["b.png", "d.png", "e.png"], ["X", "A", "E"])
    >>> found.rows
    {0: ('d.png', False), 1: ('b.png#gone', True), 2: ('c.png', True)}
    >>> found.moved, found.changed, found.gone, found.new
    ([0], [1], [2], [0, 2])
    """
    at = {name: i for i, name in enumerate(names)}
    where: dict[int, int] = {}
    for row in mine:
        i = at.get(known.paths[row])
        if i is not None and _same(known, row, contents[i]):
            where[row] = i
    taken = set(where.values())
    elsewhere = set() if there is None else {*there} - at.keys()
    left = [row for row in mine if row not in where and known.paths[row] not in elsewhere]
    # those that are there, and that carry the features of their copies, find their new path first
    left.sort(key=lambda row: (known.gone[row], known.status[row] != "ok"))
    free: dict[str, list[int]] = {}
    for i, content in enumerate(contents):
        if i not in taken and content is not None:
            free.setdefault(content, []).append(i)
    for row in left:
        if options := free.get(known.contents[row] or ""):
            base = known.paths[row].rpartition("/")[2]
            chosen = next((i for i in options if names[i].rpartition("/")[2] == base), options[0])
            options.remove(chosen)
            where[row] = chosen
    taken = set(where.values())
    found = Matched(new=[i for i in range(len(names)) if i not in taken])
    _say(found, known, left, where, names, whole=there is None)
    found.rows = dict(sorted(found.rows.items()))
    return found


def _same(known: Known, row: int, content: str | None) -> bool:
    """Whether what is at the path of `row` is what was there, as far as can be said."""
    before = known.contents[row]
    if content is None or before == content:
        return True
    return before is None and known.status[row] != "unreadable"  # what could not be opened then, can be now


def _say(
    found: Matched, known: Known, left: Sequence[int], where: Mapping[int, int], names: Sequence[str], *, whole: bool
) -> None:
    """Put into `found` what is not as it was."""
    for row, i in where.items():
        if known.gone[row]:
            found.back.append(row)
        if names[i] != known.paths[row]:
            found.moved.append(row)
        if known.gone[row] or names[i] != known.paths[row]:
            found.rows[row] = (names[i], False)
    now, listed = {*known.paths, *names}, set(names)
    for row in sorted(left):
        path = known.paths[row]
        if row in where or not (whole or path in listed):
            continue
        if not known.gone[row]:
            (found.changed if path in listed else found.gone).append(row)
        if path in listed:  # names are unique: what is there now has it
            path = free_name(f"{path}#gone", now)
            now.add(path)
        if not known.gone[row] or path != known.paths[row]:
            found.rows[row] = (path, True)
    for rows in (found.moved, found.back, found.changed, found.gone):
        rows.sort()


def free_name(name: str, taken: Collection[str]) -> str:
    """Return `name`, or the first of ``name-2``, ``name-3`` … that is not taken.

    >>> free_name("a", {"a", "a-2"})
    'a-3'
    """
    found, count = name, 1
    while found in taken:
        count += 1
        found = f"{name}-{count}"
    return found
