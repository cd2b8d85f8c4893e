"""True labels: the only module of ilk that reads them, called by `evaluate` and `probe` after the work is done."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ilk import disk
from ilk.errors import DataError, nearest
from ilk.files.arrays import ArraySet, npz_array, npz_header
from ilk.files.datasets import dataset_labels
from ilk.files.features import FeatureSet
from ilk.files.listing import Listing
from ilk.files.lists import table_rows, text_of
from ilk.files.matching import LABEL_COLUMNS, NAME_COLUMNS, matched, some, tidy
from ilk.files.messages import plain_errors
from ilk.files.opening import Source, open_source
from ilk.files.parquet import column_names, read_column

__all__ = ["Label", "truth"]

Label = str | int

_LETTERS = 1000  # of a label
_PARTS = {"train": "test", "test": "train"}


def truth(spec: str | Path, source_spec: Source, split: str = "all") -> dict[str, Label]:
    """True label of each image, by its name.

    Parameters
    ----------
    spec : str or Path
        "none": no labels. "folder": the name of the folder the file is in. "prefix": what stands before the first `_`
        of the file's name. "auto": the `y` (or `y_train` and `y_test`) of an npz, the targets of digits, else none.
        A key of an npz (`coarse` also means `coarse_train` and `coarse_test`), or a column of a Parquet source.
        FILE.csv (or .tsv): a header, then one line an image.
    source_spec : path, sequence of paths, Listing or ArraySet
        The source, or what `open_source` made of it.
    split : "all", "train" or "test"
        As given to `open_source`.

    Returns
    -------
    dict of str to (str or int)
        "folder" and "prefix" leave out the files that have none; empty where there are no labels.

    Raises
    ------
    DataError
        Where the labels cannot be had as asked.

    Notes
    -----
    The columns of a CSV are found by their names, in any case: name, path, file, filename … and label, class, cluster,
    category, target …. Where none is called like a name, it is the one that names the most images of the source, or the
    first; where none is called like a label, the first other one. An empty cell is no label, and its image has none.
    Names are those that ilk lists (relative to the source), or paths of its files; where none of them has a folder,
    base names do, if they are unique. It may name more images than the source has.

    Examples
    --------
    >>> truth("auto", "digits")["digits/0003"]
    3
    """
    word = str(spec)
    if word == "none":
        return {}
    source = open_source(source_spec, split)
    with plain_errors():
        found = _labels(word, source)
        if any(isinstance(label, str) and len(label) > _LETTERS for label in found.values()):
            # an array of texts takes the room of the longest for each
            raise DataError(f"labels {word!r}: one has more than {_LETTERS:,} letters; a label is a number or a word")
    return found


def _labels(word: str, source: Listing | ArraySet | FeatureSet) -> dict[str, Label]:
    if word in ("folder", "prefix"):
        return _from_names(word, source)
    if Path(word).suffix.lower() in (".csv", ".tsv"):
        return _from_csv(Path(word), source)
    if isinstance(source, ArraySet):
        return _from_arrays(word, source)
    if word == "auto":
        return {}
    if isinstance(source, Listing) and source.kind == "parquet":
        return dict(zip(source.names, _from_parquet(word, source), strict=True))
    if (
        isinstance(source, Listing)
        and source.kind == "shards"
        and all(_is_table(part.listing) for part in source.parts)
    ):
        columns = [(part.rows, _from_parquet(word, part.listing)) for part in source.parts]
        return dict(zip(source.names, [values[i] for rows, values in columns for i in rows], strict=True))
    allowed = ["none", "auto", "folder", "prefix"]
    raise DataError(
        f"labels {word!r}: a source of kind {source.kind} has none of that name; allowed are {', '.join(allowed)} "
        f"and FILE.csv.{nearest(word, allowed)}"
    )


def _from_names(word: str, source: Listing | ArraySet | FeatureSet) -> dict[str, Label]:
    if isinstance(source, ArraySet) or (isinstance(source, FeatureSet) and not source.named):
        raise DataError(
            f"labels {word!r} are read from file names, and the images of {source.kind} have none; use auto"
        )
    folders = _folders(source.names) if word == "folder" else set()
    found: dict[str, Label] = {}
    for name in source.names:
        folder, _, base = name.rpartition("/")
        if word == "prefix":
            label, underscore, _ = base.partition("_")
            label = label if underscore else ""
        else:
            label = folder.rpartition("/")[2]
            if label in _PARTS and folder[: -len(label)] + _PARTS[label] in folders:
                label = ""  # directly in train/ with test/ beside it: a part of the data and not a class
        if label:
            found[name] = label
    if not found:
        need = "no image lies in a folder" if word == "folder" else "no file name has an underscore (LABEL_xyz.jpg)"
        raise DataError(f"there are no labels {word!r} in {source.root}: {need}")
    return found


def _folders(names: list[str]) -> set[str]:
    """All folders that the names lie in, at any depth.

    >>> sorted(_folders(["a/b/c.png"]))
    ['a', 'a/b']
    """
    direct = {name.rpartition("/")[0] for name in names}
    return {"/".join(parts[: i + 1]) for folder in direct if (parts := folder.split("/")) for i in range(len(parts))}


def _from_arrays(word: str, source: ArraySet) -> dict[str, Label]:
    if source.kind == "digits" and word == "auto":
        from sklearn.datasets import load_digits

        return dict(zip(source.names, _plain_labels(load_digits().target, "digits"), strict=True))
    if source.kind in ("idx", "cifar"):
        return _beside(word, source)
    if source.kind != "npz" or source.root is None:
        if word == "auto":
            return {}
        raise DataError(f"labels {word!r}: {source.kind} has none; allowed are none, auto and FILE.csv")
    headers = npz_header(source.root)
    key = "y" if word == "auto" else word
    keys = _npz_keys(key, source, headers)
    if keys is None:
        if word == "auto":
            return {}
        others = sorted(name for name in headers if not name.startswith("x"))
        raise DataError(
            f"labels {word!r}: {source.root} has no key {key!r} for these images; it has {', '.join(others) or 'none'}."
            f"{nearest(word, [*others, 'auto', 'none'])}"
        )
    labels = [label for key in keys for label in _plain_labels(npz_array(source.root, key), f"{source.root}: {key}")]
    if len(labels) != len(source):
        raise DataError(f"{source.root}: {' + '.join(keys)} are {len(labels):,} labels for {len(source):,} images")
    return dict(zip(source.names, labels, strict=True))


def _beside(word: str, source: ArraySet) -> dict[str, Label]:
    """Labels of a published data set, which lie in it or beside it."""
    found = dataset_labels(source, word)
    if found is None:
        if word == "auto":
            return {}
        raise DataError(f"labels {word!r}: {source.root} has none of that name; allowed are auto, none, fine or coarse")
    labels = [label for part in found for label in _plain_labels(part, f"labels of {source.root}")]
    if len(labels) != len(source):
        raise DataError(f"{source.root}: {len(labels):,} labels for {len(source):,} images")
    return dict(zip(source.names, labels, strict=True))


def _npz_keys(key: str, source: ArraySet, headers: dict[str, Any]) -> list[str] | None:
    """The keys whose arrays, one after the other, label the images of `source`."""
    parts = list(dict.fromkeys(name.partition("/")[0] for name in source.names if "/" in name))  # in their order
    by_part = [f"{key}_{part}" for part in parts]
    if parts and all(name in headers for name in by_part):
        return by_part
    return [key] if key in headers else None


def _plain_labels(values: Any, what: str) -> list[Label]:
    """Labels of an array as int or str, one an image."""
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or array.dtype.kind not in "iubfUS":
        raise DataError(f"{what} is {array.dtype} {array.shape}; labels are one number or word an image: (n,)")
    if array.dtype.kind == "f":
        if not np.array_equal(array, np.rint(array)):  # NaN differs from itself
            raise DataError(f"{what} is {array.dtype} with values that are no whole numbers; labels are classes")
        array = array.astype(np.int64)
    if array.dtype.kind == "b":
        array = array.astype(np.int64)
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    return list(array.tolist())


def _is_table(source: Listing) -> bool:
    return source.kind == "parquet"


def _from_parquet(word: str, source: Listing) -> list[Label]:
    names = column_names(source.root)
    if word not in names:
        raise DataError(f"labels {word!r}: {source.root} has the columns {', '.join(names)}.{nearest(word, names)}")
    values = read_column(source.root, word)
    if not all(isinstance(value, int | str) for value in values):
        raise DataError(f"labels {word!r}: the column of {source.root} holds something else than words or numbers")
    if len(values) != len(source):  # a split left rows out, and the names no longer say which
        raise DataError(f"labels {word!r} of {source.root} can be had for the whole file only, not for a split")
    return values


# -- CSV --------------------------------------------------------------------------------------------------------------
def _from_csv(path: Path, source: Listing | ArraySet | FeatureSet) -> dict[str, Label]:
    pairs = _read_csv(path, source.names)
    labels = _agreeing(path, pairs)
    found = matched(labels, source.names, source.root)
    refused = source.refused if isinstance(source, Listing) else {}
    missing = [name for i, name in enumerate(source.names) if name not in found and i not in refused]
    if missing:
        raise DataError(f"{path} has no label for {len(missing):,} of {len(source):,} images: {some(missing)}")
    return {name: labels[key] for name, key in found.items() if labels[key] != ""}


def _read_csv(path: Path, names: Sequence[str]) -> list[tuple[str, str]]:
    """Return (name of an image, label) for each row; a name is tidy, or one of `names` as it stands."""
    try:
        text = text_of(path)
    except DataError as error:
        raise DataError(f"the label file {error}") from error
    lines = io.StringIO(text, newline="")  # ends lines where CSV does; str.splitlines also at U+0085, U+2028 …
    first = lines.readline()
    lines.seek(0)
    delimiter = max("\t;,", key=first.count)  # at a tie the last: a comma
    if first.count(",") >= first.count(delimiter):
        delimiter = ","
    rows = table_rows(text, delimiter, f"the label file {path} is not a CSV")
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    if len(header) < 2:
        raise DataError(f"the label file {path} needs a header and two columns: name,label")
    listed = set(names)
    name_at, label_at = _columns(header, rows[1:], listed)
    for i, row in enumerate(rows[1:], 2):
        if len(row) <= max(name_at, label_at):
            raise DataError(f"the label file {path}, line {i}: {len(row)} columns, {len(header)} were expected")
    return [(_key(row[name_at], listed), row[label_at].strip()) for row in rows[1:]]


def _columns(header: list[str], rows: list[list[str]], listed: set[str]) -> tuple[int, int]:
    """Return which columns hold names and labels: each by what it is called, whatever the other is called.

    Of several columns that are called like names, or where none is, the one that names the most images, then the first;
    where none is called like labels, the first that does not hold the names.
    """
    label_at = next((header.index(word) for word in LABEL_COLUMNS if word in header), None)
    called = [header.index(word) for word in NAME_COLUMNS if word in header]
    among = called or [i for i in range(len(header)) if i != label_at]
    name_at = among[0]
    if len(among) > 1:
        bases = {name.rpartition("/")[2] for name in listed}
        named = {
            i: sum(len(row) > i and _key(row[i], listed).rpartition("/")[2] in bases for row in rows) for i in among
        }
        name_at = max(among, key=lambda i: named[i])
    return name_at, (0 if name_at else 1) if label_at is None else label_at


def _key(cell: str, listed: set[str]) -> str:
    """Return the name in a cell as ilk lists names: as it stands where it is one, else tidy and printable."""
    return name if (name := cell.strip()) in listed else disk.printable(tidy(cell))


def _agreeing(path: Path, pairs: list[tuple[str, str]]) -> dict[str, Label]:
    labels: dict[str, Label] = {}
    torn = []
    for name, label in pairs:
        if labels.setdefault(name, label) != label:
            torn.append(name)
    if torn:
        raise DataError(f"{path} gives {len(set(torn)):,} images two different labels: {some(dict.fromkeys(torn))}")
    return labels
