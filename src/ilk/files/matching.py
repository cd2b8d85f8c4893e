"""Rows of a table and the images they are of: by the names in the table."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from ilk.files.addresses import Address

__all__ = ["LABEL_COLUMNS", "NAME_COLUMNS", "matched", "some", "tidy"]

NAME_COLUMNS = ("name", "path", "file", "filename", "file_name", "image", "image_path", "filepath")
"""Columns of a table that hold names of images, in any case."""

LABEL_COLUMNS = ("label", "class", "cluster", "category", "target", "y", "class_name", "group")
"""Columns of a table that hold true labels, in any case."""


def tidy(name: str) -> str:
    """Return a name as ilk lists names: no spaces around it, plain slashes, no ``./`` in front.

    >>> tidy(" ./a\\\\b.png ")
    'a/b.png'
    """
    return name.strip().replace("\\", "/").removeprefix("./")


def matched(given: Iterable[str], names: Sequence[str], root: Path | Address | None = None) -> dict[str, str]:
    """Return for each of `names` that `given` names how it is named there, in the order of `names`.

    Parameters
    ----------
    given
        Tidy names of a table. They are names as ilk lists them, relative to the source; or paths from where one works,
        or whole ones, of files in `root`; or, where none of them has a folder, base names, if these are unique.
    names
        The names of all images of the source.
    root
        The folder that `names` are relative to.

    Examples
    --------
    >>> matched(["b.png", "z.png"], ["x/a.png", "x/b.png"])
    {'x/b.png': 'b.png'}
    """
    keys = set(given)
    found = {name: name for name in names if name in keys}
    if not any("/" in key for key in keys):
        bases = Counter(_base(name) for name in names)
        if all(bases[key] <= 1 for key in keys):  # else only full names are unmistakable
            found |= {name: base for name in names if (base := _base(name)) in keys}
    elif isinstance(root, Path) and root.is_dir() and len(found) < len(keys):
        starts = tuple({f"{os.path.abspath(root)}{os.sep}", f"{os.path.realpath(root)}{os.sep}"})  # noqa: PTH100
        for key in keys - found.keys():
            whole = os.path.abspath(key)  # noqa: PTH100 - 100,000 of them
            for start in starts:
                if whole.startswith(start):
                    found.setdefault(whole[len(start) :].replace(os.sep, "/"), key)
    return {name: found[name] for name in names if name in found}


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def some(names: Iterable[str]) -> str:
    """Return the first three names, and that there are more.

    >>> some(["a", "b", "c", "d"])
    'a, b, c …'
    """
    shown = list(names)
    return ", ".join(shown[:3]) + (" …" if len(shown) > 3 else "")
