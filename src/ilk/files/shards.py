"""Folders of archives and tables: shards, as Hugging Face (Parquet) and WebDataset (tar) lay data sets out."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

from ilk.errors import DataError
from ilk.files.archives import list_tar, list_zip
from ilk.files.folders import list_folder
from ilk.files.listing import Listing
from ilk.files.parquet import list_parquet
from ilk.files.passed import PassedOver, extension, set_aside
from ilk.files.several import joined

__all__ = ["open_shards"]

_PART = re.compile(r"(?:^|[/_.-])(train|test)(?:[/_.-]|$)", re.I)


def open_shards(path: Path, split: str) -> Listing | None:
    """Return the images of all archives and tables below a folder without images; None where there are none.

    Whatever else lies there is counted, also what cannot be read as the archive or table that it should be.
    """
    shards = containers(path)
    notes: list[str] = []
    parts = {shard: part_of(shard) for shard in shards}
    counts = Counter(parts.values())
    if {"train", "test"} <= counts.keys():
        if split == "all":
            notes.append(
                f"merged train ({counts['train']:,} files) and test ({counts['test']:,}); "
                "--split train or test takes one"
            )
        shards = [shard for shard in shards if split in ("all", parts[shard])]
    elif split != "all":
        raise DataError(f"{path} has no train and test parts, so there is no split {split!r}; leave it out")
    sources, wrong, empty = [], dict[str, DataError](), PassedOver()
    for shard in shards:
        prefix = f"{shard.removesuffix(Path(shard).suffix)}/"
        try:
            opened = list_shard(path / shard)
        except DataError as error:
            wrong[shard] = error
            continue
        if len(opened):
            sources.append((prefix, opened))
        else:
            empty.merge(opened.passed_over, prefix)
    if not sources:
        if wrong:
            raise next(iter(wrong.values()))
        return None
    notes += [f"passed over: {error}" for error in list(wrong.values())[:3]]
    if len(wrong) > 3:
        notes.append(f"passed over: {len(wrong) - 3:,} more that cannot be read")
    whole = joined("shards", path, sources, notes)
    whole.passed_over.merge(empty)
    whole.passed_over.merge(list_folder(path, taken=parts.keys() - wrong.keys()).passed_over)
    return whole


def containers(folder: Path) -> list[str]:
    """Names of the archives and tables below `folder`, in byte order; folders set aside by their names are not."""
    found = []
    base = os.fspath(folder)
    for path, folders, files in os.walk(base):
        folders[:] = [name for name in folders if set_aside(name) is None]
        prefix = "" if path == base else os.path.relpath(path, base).replace(os.sep, "/") + "/"
        for name in files:  # regular ones: a pipe would wait for ever
            if extension(name) in _LISTS and set_aside(name) is None and Path(path, name).is_file():
                found.append(prefix + name)
    return sorted(found, key=os.fsencode)


def part_of(shard: str) -> str:
    """The part of a data set that a shard belongs to, by the names of the file and its folders.

    >>> part_of("data/train-00000-of-00002.parquet"), part_of("default/test/0000.parquet"), part_of("a/latest.tar")
    ('train', 'test', '')
    """
    found = _PART.findall(shard)
    return found[-1].lower() if found else ""


def list_shard(path: Path) -> Listing:
    """Open one archive or table."""
    try:
        return _LISTS[extension(path.name)](path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _table(path: Path) -> Listing:
    return list_parquet(path)


_LISTS = {"tar": list_tar, "zip": list_zip, "parquet": _table, "pq": _table}
