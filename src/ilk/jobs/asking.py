"""What was asked for: where the source is, what is said of it, and what can be refused before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ilk.errors import ArgumentError, DataError, NotEnoughImages, nearest
from ilk.files import ArraySet, FeatureSet, Listing, load_features, open_source
from ilk.files.arrays import npz_header
from ilk.files.parquet import column_names

__all__ = ["check_count", "checked", "checked_labels", "given", "is_path", "notes", "opened", "place", "what"]


def opened(source: Any, split: str) -> Listing | ArraySet | FeatureSet | None:
    """Return `source` as files or arrays where it is a path or a list of paths, which takes no torch; else None."""
    paths = source if isinstance(source, list | tuple) else [source]
    return open_source(source, split) if all(isinstance(path, str | Path) for path in paths) else None


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
    if images.root is None or images.kind not in ("npz", "parquet") or Path(labels).suffix.lower() in _TABLES:
        return
    names = list(npz_header(images.root)) if images.kind == "npz" else column_names(images.root)
    if not {labels, f"{labels}_train", f"{labels}_test"} & set(names):
        others = [name for name in names if not name.startswith("x")]
        raise DataError(
            f"--labels {labels}: {images.root} has no {'key' if images.kind == 'npz' else 'column'} of that name; "
            f"it has {', '.join(others) or 'none'}.{nearest(labels, [*others, 'auto', 'none'])}"
        )


def is_path(source: Any) -> bool:
    return isinstance(source, Path) or (isinstance(source, str) and source != "digits")


def place(source: str | Path) -> Path:
    path = Path(source)
    return (path if path.exists() else path.expanduser()).resolve()


def what(images: Any) -> str:
    if getattr(images, "kind", None) == "features":
        return "feature row"
    return "image file" if hasattr(images, "listing") else "image"


def notes(images: Any, source: Any = None) -> list[str]:
    notes = list(getattr(images, "notes", []))
    if isinstance(source, str) and source == "digits" and Path(source).exists():
        notes.append("these are the built-in handwritten digits; for the folder of that name say ./digits")
    return notes


_NAMED_LABELS = ("folder", "prefix")
_TABLES = (".csv", ".tsv")


def checked_labels(labels: str, kind: str) -> str:
    """Return `labels`, a file with its whole path. What cannot be right is said before an hour of work, unopened.

    >>> checked_labels("prefix", "folder")
    'prefix'
    """
    if Path(labels).suffix.lower() in _TABLES:
        file = place(labels)
        if not file.is_file():
            raise DataError(f"--labels {labels}: there is no such file.")
        return str(file)
    arrays = kind in ("npz", "npy", "digits", "array")
    if arrays and labels in _NAMED_LABELS:
        raise ArgumentError(f"--labels {labels} reads file names; images of {kind} have none. Use auto or none.")
    if arrays and kind != "npz" and labels not in ("auto", "none"):
        raise ArgumentError(f"--labels {labels}: {kind} has none of that name; allowed are auto, none and FILE.csv.")
    known = ("auto", "none", *_NAMED_LABELS)
    if not arrays and kind != "parquet" and labels not in known:
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
            f"{n} images are too few for {least} groups. Ask for fewer groups (-k) or give more images."
        )
