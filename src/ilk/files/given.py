"""What a user gives as sources, sorted out: single files, folders and containers; patterns and braces resolved."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ilk.errors import DataError, nearest
from ilk.files.addresses import Address, is_address, local_path
from ilk.files.datasets import is_dataset_file
from ilk.files.features import split_column
from ilk.files.listing import IMAGE_EXTENSIONS, printable
from ilk.files.lists import LIST_ENDINGS
from ilk.files.passed import PassedOver, extension
from ilk.files.patterns import expanded, has_braces, is_pattern, matches

__all__ = ["DIGITS", "Path_", "common", "is_digits", "readable", "sorted_out", "suggestion", "whole_path"]

Path_ = str | os.PathLike[str]

DIGITS = "digits"  # scikit-learn's, where nothing of this name lies where one works
CONTAINERS = ("tar", "zip", "npz", "npy", "parquet", "pq")


def is_digits(spec: Path_, base: Path) -> bool:
    """Whether `spec` means scikit-learn's digits: so it does where nothing else has this name."""
    return isinstance(spec, str) and (spec == f"ilk:{DIGITS}" or (spec == DIGITS and not (base / spec).exists()))


def sorted_out(
    spec: Sequence[Path_], base: Path, passed: PassedOver, notes: list[str]
) -> tuple[list[Path_], list[Path_]]:
    """Return single files, and folders and containers; patterns are resolved. Each container counts once."""
    files: list[Path_] = []
    others: dict[str, Path_] = {}
    for given in each(spec, base):
        text = os.fspath(given)
        if is_address(text) and (is_pattern(text) or extension(text) not in IMAGE_EXTENSIONS):
            others.setdefault(text, given)
            continue
        if extension(text) in IMAGE_EXTENSIONS and not is_pattern(text):
            files.append(given)
            continue
        with readable(given):
            whole = base / Path(given).expanduser() if text[:1] == "~" else base / given
            found = matches(whole, passed, notes) if is_pattern(text) and not whole.exists() else None
            for path in [whole] if found is None else found:
                if (found is None and is_digits(given, base)) or path.is_dir() or is_container(path, found is None):
                    others.setdefault(str(path), given if found is None else path)
                elif found is None and not os.path.lexists(path):
                    raise DataError(f"there is no {given}.{suggestion(Path(given))}")
                elif found is None or extension(path.name) in IMAGE_EXTENSIONS:
                    files.append(given if found is None else path)
                else:
                    passed.file(path.name)
    return files, list(others.values())


def each(spec: Sequence[Path_], base: Path) -> Iterator[Path_]:
    """Yield each source; what braces stand for where no file has such a name."""
    for given in spec:
        text = os.fspath(given)
        if is_address(text) and (here := local_path(text)) is not None:
            yield here
        elif is_address(text) or not has_braces(text) or os.path.lexists(base / text):
            yield given
        else:
            yield from expanded(text)


def is_container(path: Path, lists: bool) -> bool:
    """Whether a file without an image's ending holds several images, or, with `lists`, names some."""
    if not path.is_file():
        return split_column(path)[1] != "" and not path.exists()
    if (ending := extension(path.name)) in CONTAINERS or ending in LIST_ENDINGS[:-1]:
        return ending in CONTAINERS or lists
    with path.open("rb") as file:
        head = file.read(512)
    return head[:4] == b"PK\3\4" or head[257:262] == b"ustar" or is_dataset_file(path, head) is not None


def whole_path(spec: Path_, base: Path) -> str:
    """Return the whole path of `spec`, which is relative to `base`; an address as it is."""
    if is_address(spec):
        return str(Address(str(spec)))
    return os.path.abspath(base / Path(spec).expanduser())  # noqa: PTH100 - links in it are the user's own names


def common(paths: list[str], base: Path) -> Path:
    """Return the folder that all of `paths` are in; `base` where there is none."""
    if any(map(is_address, paths)):
        return base
    try:
        return Path(os.path.commonpath([os.path.dirname(location) for location in paths]))  # noqa: PTH120
    except ValueError:  # two drives
        return base


@contextmanager
def readable(given: Path_) -> Iterator[None]:
    """Let what a system says of a path be said of `given`."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:  # ValueError: a zero byte in a path; RuntimeError: no home
        if isinstance(error, DataError):
            raise
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(f"{printable(str(given))} cannot be read: {reason or error}") from error


def suggestion(path: Path) -> str:
    """`` Did you mean …?`` with the nearest name beside a path that does not exist."""
    folder = path.parent
    while not folder.is_dir() and folder != folder.parent:
        path, folder = folder, folder.parent
    try:
        names = sorted(entry.name for entry in folder.iterdir())[:10_000]
    except OSError:
        return ""
    lower = {name.lower(): name for name in names}
    if (same := lower.get(path.name.lower())) and same != path.name:
        return f" Did you mean {str(folder / same)!r}?"
    found = nearest(path.name, names)
    return found.replace("Did you mean '", f"Did you mean '{folder}{os.sep}") if str(folder) != "." else found
