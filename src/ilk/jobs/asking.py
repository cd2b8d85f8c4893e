"""What was asked for: where the source is, what is said of it, and what can be refused before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ilk.errors import ArgumentError, DataError, NotEnoughImages, nearest

__all__ = ["check_count", "checked_labels", "is_path", "notes", "place", "what"]


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


def checked_labels(labels: str, kind: str) -> str:
    """Return `labels`, a file with its whole path. What cannot be right is said before an hour of work, unopened.

    >>> checked_labels("prefix", "folder")
    'prefix'
    """
    if Path(labels).suffix.lower() in (".csv", ".tsv"):
        file = place(labels)
        if not file.is_file():
            raise DataError(f"--labels {labels}: there is no such file.")
        return str(file)
    arrays = kind in ("npz", "npy", "digits", "array")
    if arrays and labels in _NAMED_LABELS:
        raise ArgumentError(f"--labels {labels} reads file names; images of {kind} have none. Use auto or none.")
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
