"""What was asked for: where the source is, what is said of it, and what can be refused before any work."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ilk.errors import ArgumentError, DataError, NotEnoughImages, nearest
from ilk.files import (
    ARRAY_KINDS,
    Address,
    ArraySet,
    FeatureSet,
    Listing,
    PassedOver,
    as_list,
    is_address,
    load_features,
    open_source,
)
from ilk.files.addresses import local_path
from ilk.files.arrays import npz_header
from ilk.files.parquet import column_names

__all__ = [
    "check_count",
    "checked",
    "checked_labels",
    "given",
    "notes",
    "notes_on_samples",
    "opened",
    "passed_over",
    "path_of",
    "spec",
    "stem",
    "what",
]


def opened(source: Any, split: str, by_content: bool = False) -> Listing | ArraySet | FeatureSet | None:
    """Return `source` as files or arrays where it is a path or a list of paths, which takes no torch; else None."""
    source = as_list(source)
    paths = source if isinstance(source, list | tuple) else [source]
    if not all(isinstance(path, str | Path) for path in paths):
        return None
    return open_source(source, split, by_content=by_content)


def given(features: Any) -> Any:
    """Return `features` opened where they are a file, which takes no torch; other words may be a column of the source.

    >>> given("embedding")
    'embedding'
    """
    file = str(features).partition(":")[0] if isinstance(features, str | Path) else ""
    return load_features(features) if Path(file).suffix.lower() in (".npy", ".parquet", ".pq") else features


def checked(images: Any, labels: str, k: Any) -> str:
    """Return `labels` as `checked_labels` does; raise where they, or `k` groups, cannot be had from `images`."""
    labels = checked_labels(labels, getattr(images, "kind", "array"))
    if isinstance(images, ArraySet | Listing) and labels not in (*_NAMED_LABELS, "auto", "none"):
        _check_key(images, labels)
    check_count(len(images), k)
    return labels


def _check_key(images: ArraySet | Listing, labels: str) -> None:
    """Raise where an npz has no such key, or a Parquet file no such column. Names are read, and no label."""
    if (
        not isinstance(images.root, Path)
        or images.kind not in ("npz", "parquet")
        or not images.root.is_file()
        or Path(labels).suffix.lower() in _TABLES
    ):
        return
    names = list(npz_header(images.root)) if images.kind == "npz" else column_names(images.root)
    if not {labels, f"{labels}_train", f"{labels}_test"} & set(names):
        others = [name for name in names if not name.startswith("x")]
        raise DataError(
            f"--labels {labels}: {images.root} has no {'key' if images.kind == 'npz' else 'column'} of that name; "
            f"it has {', '.join(others) or 'none'}.{nearest(labels, [*others, 'auto', 'none'])}"
        )


def spec(source: Any, images: Any) -> str | list[str] | None:
    """Return what a run says of where its images are, so that they can be found again; None where they cannot."""
    source = as_list(source)
    if isinstance(source, str | Path):
        return "digits" if images.kind == "digits" else str(path_of(source))
    if not isinstance(source, list | tuple) or len(source) > _LISTED:
        return None
    if not all(isinstance(one, str | Path) for one in source):
        return None
    return [_whole(one) for one in source]


def _whole(one: str | Path) -> str:
    if is_address(one):
        return str(path_of(one))
    built_in = isinstance(one, str) and (one == "ilk:digits" or (one == "digits" and not Path(one).exists()))
    return "ilk:digits" if built_in else os.path.abspath(Path(one).expanduser())  # noqa: PTH100 - links keep their names


def stem(source: Any) -> str:
    """Return the name of `source` for that of a run."""
    source = as_list(source)
    if isinstance(source, list | tuple) and source and isinstance(source[0], str | Path):
        more = f"-and-{len(source) - 1}-more" if len(source) > 1 else ""
        return f"{path_of(source[0]).stem[:40]}{more}"
    return path_of(source).stem if isinstance(source, str | Path) else "array"


def path_of(source: str | Path) -> Any:
    """Return the whole path of `source`; an address, without secrets, where it is one.

    ``~`` is the home unless something here is called so.
    """
    if isinstance(source, str) and is_address(source):
        return Address(source) if (here := local_path(source)) is None else here.resolve()
    path = Path(source)
    return (path if path.exists() else path.expanduser()).resolve()


def what(images: Any) -> str:
    """Return what one of `images` is called in a message."""
    if getattr(images, "kind", None) == "features":
        return "feature row"
    return "image file" if hasattr(images, "listing") else "image"


def notes(images: Any) -> list[str]:
    """Return what the user should know of `images`."""
    return list(getattr(images, "notes", []))


def notes_on_samples(images: Any) -> list[str]:
    """Return what was found out about the files of `images` beyond their names: what is black and white in them."""
    listing = getattr(images, "listing", None)
    return [] if listing is None else [note for note in images.notes if note not in listing.notes]


def passed_over(images: Any) -> PassedOver:
    """Return what the source of `images` holds beside them."""
    found: PassedOver = getattr(getattr(images, "listing", images), "passed_over", None) or PassedOver()
    return found


_LISTED = 1000  # sources that a run names; of a longer list it cannot say where its images are
_NAMED_LABELS = ("folder", "prefix")
_TABLES = (".csv", ".tsv")


def checked_labels(labels: str, kind: str) -> str:
    """Return `labels`, a file with its whole path. What cannot be right is said before an hour of work, unopened.

    >>> checked_labels("prefix", "folder")
    'prefix'
    """
    if Path(labels).suffix.lower() in _TABLES:
        file = path_of(labels)
        if not file.is_file():
            raise DataError(f"--labels {labels}: there is no such file.")
        return str(file)
    arrays = kind in ARRAY_KINDS
    if arrays and labels in _NAMED_LABELS:
        raise ArgumentError(f"--labels {labels} reads file names; images of {kind} have none. Use auto or none.")
    if arrays and kind not in ("npz", "cifar") and labels not in ("auto", "none"):
        raise ArgumentError(f"--labels {labels}: {kind} has none of that name; allowed are auto, none and FILE.csv.")
    known = ("auto", "none", *_NAMED_LABELS)
    if not arrays and kind not in ("parquet", "shards") and labels not in known:
        raise ArgumentError(f"--labels {labels}: allowed are {', '.join(known)} and FILE.csv.{nearest(labels, known)}")
    return labels


def check_count(n: int, k: Any) -> None:
    """Raise where `n` files can never make `k` groups; how many of them are distinct shows later."""
    least = 2 if isinstance(k, str) else int(k)
    if n == 1:
        raise NotEnoughImages(
            f"1 image is too few for {least} groups: a single image has nothing to be compared with. "
            "Give the folder it is in, or more images."
        )
    if n < least:
        raise NotEnoughImages(
            f"{n} images are too few for {least} groups. "
            + ("Ask for fewer groups (-k) or give more images." if least > 2 and n > 1 else "Give more images.")
        )
