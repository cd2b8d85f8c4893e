"""Folders of archives and tables: shards, as Hugging Face (Parquet) and WebDataset (tar) lay data sets out."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ilk.errors import DataError
from ilk.files.addresses import Address
from ilk.files.archives import list_tar, list_zip
from ilk.files.folders import list_folder
from ilk.files.listing import Listing
from ilk.files.parquet import list_parquet
from ilk.files.passed import PassedOver, extension, set_aside
from ilk.files.remote import in_flight
from ilk.files.several import joined

__all__ = ["CONTAINERS", "list_shard", "open_containers", "open_shards"]

_PART = re.compile(r"(?:^|[/_.-])(train|test)(?:[/_.-]|$)", re.I)


def open_shards(path: Path, split: str) -> Listing | None:
    """Return the images of all archives and tables below a folder without images; None where there are none.

    Whatever else lies there is counted, also what cannot be read as the archive or table that it should be.
    """
    shards = containers(path)
    whole, wrong = open_containers(path, {shard: path / shard for shard in shards}, split)
    if whole is not None:
        whole.passed_over.merge(list_folder(path, taken=set(shards) - wrong).passed_over)
    return whole


def open_containers(
    root: Path | Address, shards: Mapping[str, Path | Address], split: str
) -> tuple[Listing | None, set[str]]:
    """Return the images of all `shards`, by their names below `root`, and the names of those that cannot be read.

    None where they hold no image; those at addresses are opened many at a time.

    Raises
    ------
    DataError
        None of them can be read, or there is no such split.
    """
    notes: list[str] = []
    parts = {shard: part_of(shard) for shard in shards}
    counts = Counter(parts.values())
    if {"train", "test"} <= counts.keys():
        if split == "all":
            notes.append(
                f"merged train ({counts['train']:,} files) and test ({counts['test']:,}); "
                "--split train or test takes one"
            )
        shards = {shard: path for shard, path in shards.items() if split in ("all", parts[shard])}
    elif split != "all":
        raise DataError(f"{root} has no train and test parts, so there is no split {split!r}; leave it out")
    sources, wrong, empty = [], dict[str, DataError](), PassedOver()
    for shard, opened in zip(shards, _opened(list(shards.values())), strict=True):
        prefix = f"{shard.removesuffix(Path(shard).suffix)}/"
        if isinstance(opened, DataError):
            wrong[shard] = opened
        elif len(opened):
            sources.append((prefix, opened))
        else:
            empty.merge(opened.passed_over, prefix)
    if not sources:
        if wrong:
            raise next(iter(wrong.values()))
        return None, set()
    notes += [f"passed over: {error}" for error in list(wrong.values())[:3]]
    if len(wrong) > 3:
        notes.append(f"passed over: {len(wrong) - 3:,} more that cannot be read")
    whole = joined("shards", root, sources, notes)
    whole.passed_over.merge(empty)
    return whole, set(wrong)


def _opened(paths: list[Path | Address]) -> list[Listing | DataError]:
    def one(path: Path | Address) -> Listing | DataError:
        try:
            return list_shard(path)
        except DataError as error:
            return error

    return in_flight(paths, one) if paths and isinstance(paths[0], Address) else [one(path) for path in paths]


def containers(folder: Path) -> list[str]:
    """Names of the archives and tables below `folder`, in byte order; folders set aside by their names are not."""
    found = []
    base = os.fspath(folder)
    for path, folders, files in os.walk(base):
        folders[:] = [name for name in folders if set_aside(name) is None]
        prefix = "" if path == base else os.path.relpath(path, base).replace(os.sep, "/") + "/"
        for name in files:  # regular ones: a pipe would wait for ever
            if extension(name) in CONTAINERS and set_aside(name) is None and Path(path, name).is_file():
                found.append(prefix + name)
    return sorted(found, key=os.fsencode)


def part_of(shard: str) -> str:
    """The part of a data set that a shard belongs to, by the names of the file and its folders.

    >>> part_of("data/train-00000-of-00002.parquet"), part_of("default/test/0000.parquet"), part_of("a/latest.tar")
    ('train', 'test', '')
    """
    found = _PART.findall(shard)
    return found[-1].lower() if found else ""


def list_shard(path: Path | Address, split: str = "all") -> Listing:
    """Open one archive or table."""
    try:
        return CONTAINERS[extension(path.name)](path, split)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


CONTAINERS: dict[str, Callable[[Any, str], Listing]] = {
    "tar": list_tar, "zip": list_zip, "parquet": list_parquet, "pq": list_parquet
}  # fmt: skip
