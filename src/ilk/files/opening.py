"""What a source is: `open_source` decides, and every refusal is one line that says what to do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ilk.errors import ArgumentError, DataError, nearest
from ilk.files.archives import list_tar, list_zip
from ilk.files.arrays import ArraySet, from_array, load_digits, load_npy, load_npz, mapped_npy
from ilk.files.columns import has_vectors
from ilk.files.features import FeatureSet, are_features, load_features, split_column
from ilk.files.folders import list_folder, list_paths, read_paths
from ilk.files.listing import IMAGE_EXTENSIONS, Listing, extension, is_run_folder, looks_like_image, printable
from ilk.files.parquet import has_images, list_parquet

__all__ = ["SPLITS", "Source", "open_source"]

Path_ = str | os.PathLike[str]
Source = Path_ | Sequence[Path_] | NDArray[Any] | Listing | ArraySet | FeatureSet

SPLITS = ("all", "train", "test")
_SUPPORTED = "a folder, .tar, .zip, a text file of paths, .npz, .npy, .parquet, an image, or `digits`"
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


def open_source(spec: Source, split: str = "all") -> Listing | ArraySet | FeatureSet:
    """Open a source of images: pixels and names only, never labels.

    Parameters
    ----------
    spec : path, sequence of paths, ndarray, Listing, ArraySet or FeatureSet
        A folder, a .tar, .zip, .npz, .npy or .parquet file, a text file of paths, the word "digits", an image file, or
        several in the wanted order, or uint8 (n, h, w[, c]). Floats (n, d), of an array or a .npy, and a column of
        lists of floats in a Parquet file without images are features. What is open already is given back as it is.
    split : "all", "train" or "test"
        Part of a source that has train and test parts; "all" merges them and notes it.

    Returns
    -------
    Listing, ArraySet or FeatureSet
        With at least one image in it (which may turn out to be unreadable).

    Raises
    ------
    DataError
        Where nothing can be made of it.
    ArgumentError
        Where `split` is not one of the three.

    Examples
    --------
    >>> len(open_source("digits"))
    1797
    """
    if split not in SPLITS:
        raise ArgumentError(f"split={split!r}; allowed are all, train and test.{nearest(str(split), SPLITS)}")
    if isinstance(spec, Listing | ArraySet | FeatureSet):
        if split != "all":
            raise ArgumentError(f"split={split!r} with a source that is open already; give it where it is opened")
        return spec
    if isinstance(spec, np.ndarray):
        return _features(spec, split) if are_features(spec.dtype, spec.shape) else from_array(spec, split)
    if isinstance(spec, str | os.PathLike):
        if os.fspath(spec) == "digits" and isinstance(spec, str):
            return load_digits(split)
        return _checked(_open_path(Path(spec), split), split)
    return _checked(_open_sequence(spec, split), split)


def _open_sequence(spec: Sequence[Path_], split: str) -> Listing:
    if not isinstance(spec, Sequence) or not all(isinstance(path, str | os.PathLike) for path in spec):
        what = f"a {type(spec).__name__}"
        if isinstance(spec, Sequence):
            what += f" with {type(next(p for p in spec if not isinstance(p, str | os.PathLike))).__name__} in it"
        raise DataError(f"{what} cannot be a source; allowed are {_SUPPORTED}, a sequence of paths, or an ndarray")
    if not spec:
        raise DataError("the list of paths is empty: there is no image in it")
    return list_paths(spec, Path.cwd(), split)


def _open_path(path: Path, split: str) -> Listing | ArraySet | FeatureSet:
    if "://" in str(path) or str(path).startswith(("http:/", "https:/", "s3:/")):
        raise DataError(f"{path} is an address; ilk reads local files only: download it first")
    try:
        if not path.exists():
            path = path.expanduser()
        if not path.exists():
            if split_column(path)[1]:
                return _features(path, split)
            raise DataError(f"there is no {path}.{_suggestion(path)}")
        if path.is_dir():
            return _open_folder(path, split)
        if not path.is_file():
            raise DataError(f"{path} is neither a file nor a folder; allowed are {_SUPPORTED}")
        with path.open("rb") as file:
            head = file.read(1024)
        return _open_file(path, head, split)
    except (OSError, ValueError, RuntimeError) as error:  # ValueError: a zero byte in a path; RuntimeError: no home
        if isinstance(error, DataError):
            raise
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(f"{printable(str(path))} cannot be read: {reason or error}") from error


def _open_folder(path: Path, split: str) -> Listing:
    if is_run_folder(path):
        raise DataError(
            f"{path} is a run that ilk wrote, not a folder of images; give the images, or use `ilk report {path}`"
        )
    with os.scandir(path):  # a folder without permission is an error here, not an empty listing
        pass
    return list_folder(path, split)


def _open_file(path: Path, head: bytes, split: str) -> Listing | ArraySet | FeatureSet:
    ending = extension(path.name)
    if not head:
        raise DataError(f"{path} is an empty file; allowed are {_SUPPORTED}")
    for magic, name in _COMPRESSED.items():
        if head.startswith(magic):
            what = (
                "a compressed tar" if ".tar" in path.name or ending in ("tgz", "tbz", "txz") else f"{name}-compressed"
            )
            raise DataError(f"{path} is {what}: its images cannot be read one by one; unpack it and give the folder")
    if head.startswith(b"PAR1") or ending in ("parquet", "pq"):
        alone = not has_images(path) and has_vectors(path)
        return _features(path, split) if alone else list_parquet(path, split)
    if head.startswith(b"\x93NUMPY") or ending == "npy":
        values = mapped_npy(path, "uint8 images (n, height, width[, 1 or 3]) or float features (n, d)")
        return _features(path, split) if are_features(values.dtype, values.shape) else load_npy(path, split)
    if ending == "npz":
        return load_npz(path, split)
    if head.startswith((b"PK\3\4", b"PK\5\6")) or ending == "zip":
        return list_zip(path, split)
    if head[257:262] == b"ustar" or ending == "tar":
        return list_tar(path, split)
    if ending in IMAGE_EXTENSIONS or looks_like_image(head[:32]):
        return list_paths([path], Path.cwd(), split)  # a source of one
    if ending in ("txt", "lst", "list", ""):
        paths = read_paths(path)
        if not paths:
            raise DataError(f"{path} names no file: there is no image in it")
        return list_paths(paths, path.parent, split)
    raise DataError(f"{path} is of a type that ilk cannot read (.{ending}); allowed are {_SUPPORTED}")


def _features(spec: Path | NDArray[Any], split: str) -> FeatureSet:
    found = load_features(spec)
    if split != "all":
        raise DataError(f"{found.what} holds features without train and test parts: leave out the split {split!r}")
    return found


def _checked(source: Listing | ArraySet | FeatureSet, split: str) -> Listing | ArraySet | FeatureSet:
    """Refuse a source without any image, and say what was seen instead."""
    if len(source):
        return source
    assert isinstance(source, Listing)
    seen = sorted(source.ignored.items(), key=lambda item: (-item[1], item[0]))
    what = ", ".join(
        f"{count:,} {'without a known ending' if end == '(none)' else '.' + end}" for end, count in seen[:5]
    )
    where = f"{source.root}" if split == "all" else f"{source.root}, split {split!r},"
    notes = "; ".join(source.notes)
    what = f"only other files ({what})" if what else "nothing"
    raise DataError(f"there is no image in {where}: it holds {what}{'; ' + notes if notes else ''}")


def _suggestion(path: Path) -> str:
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
