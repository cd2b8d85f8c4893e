"""Images and groups by what people call them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ilk.errors import ArgumentError

__all__ = ["Folder", "find_group", "find_images"]

Folder = Path | tuple[Path, str]

_HASH = re.compile("[0-9a-f]{6,32}")
_COMPARED = 20_000  # names that are compared with one that is wrong


def find_images(
    words: Iterable[str | int], paths: Sequence[str], keys: Sequence[str], folders: Sequence[Folder] = ()
) -> list[int]:
    """Return the row of each image.

    Parameters
    ----------
    words
        The path in the source; a path on the disk that lies in one of `folders`; the end of a path, where only one has
        it; the number of a row; or the beginning of a content hash (6 hex digits or more). The first that fits counts.
    paths, keys
        Of all images.
    folders
        Those of the source; with what stands before the names of its images, where something does.

    Raises
    ------
    ArgumentError
        There is no such image, or there are several.
    """
    index = _Index(paths, keys, folders)
    found = []
    for word in words:
        row = index.row(word)
        if row is None:
            raise ArgumentError(f"there is no image {word}.{_nearest(str(word), paths)} {_HOW}")
        found.append(row)
    return found


_HOW = (
    "Name images by their path in the source, their row in images.parquet, or the first digits of their content hash."
)


@dataclass(frozen=True)
class _Index:
    """Images by what they are called; what nobody asks for is not made."""

    paths: Sequence[str]
    keys: Sequence[str]
    folders: Sequence[Folder]

    @cached_property
    def by_path(self) -> dict[str, int]:
        return {path: row for row, path in enumerate(self.paths)}

    @cached_property
    def by_name(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for row, path in enumerate(self.paths):
            found.setdefault(path.rpartition("/")[2], []).append(row)
        return found

    @cached_property
    def by_key(self) -> dict[str, int]:
        return {key: row for row, key in reversed(list(enumerate(self.keys)))}

    def row(self, word: str | int) -> int | None:
        text = str(word)
        if not isinstance(word, int):
            if text in self.by_path:
                return self.by_path[text]
            if (inside := self._on_disk(text)) is not None:
                return inside
            plain = text.replace("\\", "/").removeprefix("./")
            ends = [row for row in self.by_name.get(plain.rpartition("/")[2], ()) if self._ends(row, plain)]
            if ends:
                return self._one(text, ends, "whole path")
        if re.fullmatch("[0-9]{1,12}", text) and int(text) < len(self.paths):
            return int(text)
        key = text.lower()
        if _HASH.fullmatch(key):
            same = [self.by_key[key]] if key in self.by_key else []
            same = same or [row for one, row in self.by_key.items() if one.startswith(key)]
            if same:
                return self._one(text, same, "more digits")
        return None

    def _ends(self, row: int, plain: str) -> bool:
        return f"/{self.paths[row]}".endswith(f"/{plain}")

    def _on_disk(self, text: str) -> int | None:
        for one in self.folders:
            folder, prefix = one if isinstance(one, tuple) else (one, "")
            try:
                name = Path(text).absolute().relative_to(folder.absolute()).as_posix()
            except (ValueError, OSError):
                continue
            for path in [prefix + name] if prefix else [name, f"{folder.name}/{name}"]:  # the latter of several sources
                if path in self.by_path:
                    return self.by_path[path]
        return None

    def _one(self, text: str, rows: Sequence[int], more: str) -> int:
        if len(rows) > 1:
            some = ", ".join(self.paths[row] for row in rows[:3]) + (" …" if len(rows) > 3 else "")
            raise ArgumentError(f"{len(rows):,} images are called {text}: {some}. Give the {more}.")
        return rows[0]


def _nearest(word: str, paths: Sequence[str]) -> str:
    """Return `` Did you mean …?`` for the path that is most alike; of very many, those that begin or end alike."""
    own = word.rpartition("/")[2]
    stem = own.rpartition(".")[0] or own
    few = paths
    if len(paths) > _COMPARED:
        few = [path for path in paths if stem[:3] in path or stem[-4:] in path][:_COMPARED]
    names: dict[str, str] = {}
    for path in few:
        names.setdefault(path.rpartition("/")[2], path)
    close = difflib.get_close_matches(word, few, 1) or [names[n] for n in difflib.get_close_matches(own, names, 1)]
    return f" Did you mean {close[0]!r}?" if close else ""


def find_group(word: str | int, names: Mapping[int, str], merged: Mapping[int, int]) -> int:
    """Return the number of a group.

    Parameters
    ----------
    word
        Its number, ``group 3``, or the name that somebody gave it.
    names
        Of all groups, by number.
    merged
        Groups that are gone, and where they went.

    Raises
    ------
    ArgumentError
        There is no such group, or several have the name.
    """
    text = " ".join(str(word).split())
    number = re.fullmatch(r"(?:group[ -])?([0-9]{1,10})", text.casefold())
    same = [group for group, name in names.items() if name and name.casefold() == text.casefold()]
    if number is not None and int(number[1]) in names and not isinstance(word, bool):
        return int(number[1])
    if len(same) == 1:
        return same[0]
    if same:
        raise ArgumentError(f"groups {', '.join(map(str, same))} are all called {text}: give the number.")
    if number is not None and int(number[1]) in merged:
        into = merged[int(number[1])]
        raise ArgumentError(f"group {int(number[1])} was merged into group {into}: give that.")
    close = difflib.get_close_matches(text, [name for name in names.values() if name], 1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    called = [f"{group} ({name})" if name else str(group) for group, name in list(names.items())[:20]]
    some = ", ".join(called) + (" …" if len(names) > 20 else "")
    raise ArgumentError(f"there is no group {text}.{hint} Groups are {some}.")
