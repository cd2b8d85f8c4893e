"""Patterns such as ``photos/**/*.jpg``, as a shell reads them; folders are walked as `ilk.files.folders` does."""

# ruff: noqa: PTH100, PTH112, PTH118, PTH119, PTH120
# Plain strings and os: a Path for each of 100,000 files takes seconds and most of the memory.

from __future__ import annotations

import fnmatch
import functools
import itertools
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from ilk.disk import printable
from ilk.errors import DataError
from ilk.files.folders import Walk, within
from ilk.files.passed import PassedOver, set_aside

__all__ = ["expanded", "has_braces", "is_pattern", "matches"]

_BRACES = re.compile(r"\{(?:(\d+)\.\.(\d+)|([^{}/]*,[^{}/]*))\}")
_LOOKED = 10_000  # files whose endings are said
_MOST = 100_000  # names that braces may stand for


def is_pattern(text: str) -> bool:
    """Whether `text` may stand for several files."""
    return any(letter in text for letter in "*?[")


def has_braces(text: str) -> bool:
    """Whether `text` holds {000..099} or {a,b}."""
    return _BRACES.search(text) is not None


def expanded(text: str) -> list[str]:
    """Return what braces stand for, as a shell and WebDataset read them; others are letters as any.

    Raises
    ------
    DataError
        More than 100,000 names.

    Examples
    --------
    >>> expanded("a-{08..10}.{tar,zip}")
    ['a-08.tar', 'a-08.zip', 'a-09.tar', 'a-09.zip', 'a-10.tar', 'a-10.zip']
    """
    done, waiting = list[str](), [text]
    while waiting:
        found = _BRACES.search(one := waiting.pop())
        if found is None:
            done.append(one)
            continue
        if found[3] is None:
            first, last = int(found[1]), int(found[2])
            width = max(len(found[1]), len(found[2])) if "0" in (found[1][0], found[2][0]) else 1
            step = 1 if last >= first else -1
            words = [f"{n:0{width}d}" for n in range(first, last + step, step)[: _MOST + 1]]
        else:
            words = found[3].split(",")
        if len(words) * (len(waiting) + 1) + len(done) > _MOST:
            raise DataError(f"{text} stands for more than {_MOST:,} names: give a pattern with *, or the folder")
        waiting += [one[: found.start()] + word + one[found.end() :] for word in reversed(words)]
    return done


def matches(pattern: Path, passed: PassedOver, notes: list[str]) -> list[Path]:
    """Return what a pattern stands for, by name; what is set aside is counted in `passed`, and `notes` grows.

    ``*``, ``?`` and ``[…]`` stand for parts of one name, hidden ones only behind a dot; ``**`` for any folders. Links
    to folders are followed by `**` once, and never upwards, neither by it nor by the others; folders that
    are hidden, deleted or kept by a system are not gone through.

    Raises
    ------
    DataError
        Nothing matches.
    """
    parts = pattern.parts
    first = next((i for i, part in enumerate(parts) if is_pattern(part)), len(parts))
    start = os.path.join(*parts[:first]) if first else ""
    found, walks = {start: None}, list[Walk]()
    for i, part in enumerate(parts[first:], first):
        if part == "**" and parts[i - 1 : i] == ("**",):  # any folders of any folders
            continue
        step = dict[str, None]()
        for folder in found:
            step.update(dict.fromkeys(_step(folder, part, i == len(parts) - 1, passed, walks)))
        found = step
    kept = _each_once(path for path in found if path and set_aside(os.path.basename(path)) in (None, "hidden"))
    if not kept:
        raise DataError(f"nothing matches {pattern}{_instead(start)}")
    for walk in walks:
        start = walk.base.rstrip(os.sep) + os.sep
        walk.say_links(path.removeprefix(start) for path in kept if path.startswith(start))
        notes += walk.notes
    return [Path(path) for path in kept]


def _instead(folder: str) -> str:
    """Say which kinds of files are in the folder that a pattern begins with: a reason why it matches none of them."""
    try:
        with os.scandir(folder or ".") as there:
            names = [entry.name for entry in itertools.islice(there, _LOOKED) if entry.name[0] != "."]
    except OSError:
        return ": there is no such folder" if folder else ""
    kinds = Counter(ending.lower() for name in names if (ending := Path(name).suffix))
    some = ", ".join(f"{n:,} {printable(ending)}" for ending, n in kinds.most_common(4))
    return f": that folder has {some}" if some else ""


def _each_once(paths: Iterable[str]) -> list[str]:
    """Return paths by name, without those that lead through links to a file that is among them anyway."""
    real = functools.cache(os.path.realpath)
    kept = dict[str, str]()
    for path in sorted(
        paths, key=lambda path: (real(os.path.dirname(path)) != os.path.abspath(os.path.dirname(path)), path)
    ):
        kept.setdefault(os.path.join(real(os.path.dirname(path)), os.path.basename(path)), path)
    return sorted(kept.values())


def _step(folder: str, part: str, last: bool, passed: PassedOver, walks: list[Walk]) -> Iterator[str]:
    """Yield the paths that one part of a pattern stands for in `folder`."""
    if not is_pattern(part):
        path = os.path.join(folder, part)
        if os.path.lexists(path):
            yield path
        return
    if not os.path.isdir(folder or "."):
        return
    walk = Walk(folder or ".", passed)
    if part == "**":
        for prefix, entries in walk.folders():
            if prefix or not last:
                yield os.path.join(folder, prefix.rstrip("/")) if prefix else folder
            if last:
                yield from (os.path.join(folder, prefix + entry.name) for entry in entries if entry.name[0] != ".")
        walks.append(walk)
        return
    fits = re.compile(fnmatch.translate(os.path.normcase(part))).match
    with os.scandir(folder or ".") as there:
        for entry in there:
            if not fits(os.path.normcase(entry.name)) or (entry.name[0] == "." and part[0] != "."):
                continue
            folder_too = os.path.isdir(entry.path)
            if (kind := set_aside(entry.name)) not in (None, "hidden"):
                walk.set_aside(str(kind), entry, "", folder_too)
            elif (
                entry.is_symlink()
                and folder_too
                and within(os.path.realpath(folder or "."), os.path.realpath(entry.path))
            ):
                passed.add("outside", printable(entry.name))
            elif not (entry.is_symlink() and folder_too) or walk.follows(entry, ""):
                yield os.path.join(folder, entry.name)
