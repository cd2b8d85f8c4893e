"""Which files an export may take: those of the source, and no other that a run only names."""

from __future__ import annotations

# ruff: noqa: PTH120
# Plain strings and os: a Path for each of 100,000 files takes seconds and most of the memory.
import functools
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ilk.files import Listing, content_hash

__all__ = ["foreign"]


def foreign(
    images: Listing,
    base: Sequence[Path],
    wanted: Mapping[int, int],
    sizes: Sequence[int],
    contents: Callable[[], Sequence[str | None] | None],
) -> dict[int, str]:
    """Say why images must not be exported, by their row in the run.

    A file belongs to the source where it lies, links followed, below one of `base`: the folders that were grouped, or
    that of the list of paths. Any other must be the very image of the run: of the content that it had when the run was
    made.

    Parameters
    ----------
    images
        The source, opened again.
    base
    wanted
        Row of the run -> position in `images`.
    sizes
        Bytes of every row when the run was made; 0 where unknown.
    contents
        Gives the content (`content_hash` in hex) of every row when the run was made, or None where the run does not
        know; called where files lie outside.

    Notes
    -----
    One look at each file; those outside are read whole, on all cores.
    """
    roots = [os.path.realpath(folder) for folder in base]
    where = f"outside of {', '.join(map(str, base[:3]))}" if base else "in no folder that was given as a source"
    real = functools.cache(os.path.realpath)
    outside = []
    for row, i in wanted.items():
        location = images.path(i)
        if location is None:  # in an archive
            continue
        path = os.path.abspath(location)  # noqa: PTH100
        folder = real(os.path.dirname(path))
        if _is_link(path):
            folder = os.path.dirname(os.path.realpath(path))
        if not any(folder == root or folder.startswith(root.rstrip(os.sep) + os.sep) for root in roots):
            outside.append(row)
    if not outside:
        return {}
    known = contents()
    if known is None:
        unknown = f"it lies {where}, and a run of an older ilk cannot say whether it is the image it grouped"
        return dict.fromkeys(outside, unknown)

    def reason(row: int) -> str | None:
        i, other = wanted[row], f"it lies {where}, and is not the image that was grouped"
        if not known[row] or sizes[row] not in (0, images.sizes[i]):
            return other
        try:
            return None if content_hash(images.read(i)).hex() == known[row] else other
        except OSError as error:
            return str(error)

    with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="ilk-export") as pool:
        reasons = zip(outside, pool.map(reason, outside), strict=True)
        return {row: why for row, why in reasons if why is not None}


def _is_link(path: str) -> bool:
    try:
        return stat.S_ISLNK(os.lstat(path).st_mode)
    except OSError:
        return False
