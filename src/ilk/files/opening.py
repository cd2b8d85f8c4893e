"""What a source is: `open_source` decides, and every refusal is one line that says what to do."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ilk.errors import ArgumentError, DataError, nearest
from ilk.files.addresses import check_allowed, is_address, local_path, refuse_mangled
from ilk.files.archives import list_tar, list_zip
from ilk.files.arrays import ArraySet, as_before, from_array, load_digits, load_npy, load_npz, mapped_npy
from ilk.files.columns import has_vectors
from ilk.files.datasets import dataset_files, is_dataset_file, load_dataset
from ilk.files.features import FeatureSet, are_features, load_features, split_column
from ilk.files.folders import list_folder
from ilk.files.given import DIGITS, Path_, common, readable, sorted_out, suggestion, whole_path
from ilk.files.listing import IMAGE_EXTENSIONS, Listing, is_run_folder, looks_like_image
from ilk.files.lists import LIST_ENDINGS, list_paths, open_list
from ilk.files.memory import are_pictures, list_pictures
from ilk.files.messages import plain, plain_errors
from ilk.files.objects import open_address, open_addresses
from ilk.files.parquet import has_images, is_column, list_parquet
from ilk.files.passed import ARCHIVES, VIDEOS, PassedOver, extension
from ilk.files.patterns import has_braces, is_pattern
from ilk.files.several import as_listing, joined, prefixes
from ilk.files.shards import open_shards

__all__ = ["SPLITS", "Source", "as_list", "open_again", "open_source"]

Source = Path_ | Sequence[Path_] | NDArray[Any] | Listing | ArraySet | FeatureSet

SPLITS = ("all", "train", "test")
_SUPPORTED = "a folder, .tar, .zip, a list of paths (.txt, .csv, .jsonl), .npz, .npy, .parquet, an image, or `digits`"
_TO_CONVERT = dict.fromkeys(
    VIDEOS, "is a video: take frames of it, one a second with `ffmpeg -i {} -vf fps=1 %06d.jpg`, and give their folder"
) | {"pdf": "holds pages: make pictures of them with `pdftoppm -png {} page`, and give their folder"}
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


def open_source(
    spec: Any, split: str = "all", *, folder: str | os.PathLike[str] | None = None, by_content: bool = False
) -> Listing | ArraySet | FeatureSet:
    """Open a source of images: pixels and names only, never labels.

    Parameters
    ----------
    spec : path, sequence of paths or images, ndarray, Listing, ArraySet or FeatureSet
        A folder, a .tar, .zip, .npz, .npy or .parquet file (or FILE.parquet:COLUMN), a list of paths (.txt, .csv,
        .jsonl), a pattern such as photos/*.jpg or shards-{000..099}.tar, an address (s3://, gs://, az://, hf://,
        http(s)://, memory://, file://), an image file, the files of MNIST or CIFAR, or the word "digits" where
        there is nothing of that name ("ilk:digits" always means scikit-learn's). Several of these become one source,
        the names of each below its own; several image files alone keep their order. Also a list of Pillow images,
        paths in an array or a Series, and uint8 (n, h, w[, c]). Floats (n, d), of an array or a .npy, and a column of
        lists of floats in a Parquet file without images are features. What is open already is given back as it is.
    split : "all", "train" or "test"
        Part of a source that has train and test parts; "all" merges them and notes it.
    folder : path, optional
        What relative paths are relative to, and names of single files, instead of the folder one works in.
    by_content : bool
        Do not trust names, sizes and time stamps of files: `Listing.by_content`.

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
    with plain_errors():
        found = _opened(spec, split, Path.cwd() if folder is None else Path(folder), by_content)
    found.notes[:] = [plain(note) for note in found.notes]
    return found


def _opened(spec: Any, split: str, base: Path, by_content: bool) -> Listing | ArraySet | FeatureSet:
    if split not in SPLITS:
        raise ArgumentError(f"split={split!r}; allowed are all, train and test.{nearest(str(split), SPLITS)}")
    if isinstance(spec, Listing | ArraySet | FeatureSet):
        if split != "all":
            raise ArgumentError(f"split={split!r} with a source that is open already; give it where it is opened")
        return spec
    spec = as_list(spec)
    if isinstance(spec, np.ndarray):
        return _features(spec, split) if are_features(spec.dtype, spec.shape) else from_array(spec, split)
    found = _open_one(spec, split, base) if isinstance(spec, str | os.PathLike) else _open_sequence(spec, split, base)
    if isinstance(found, Listing | ArraySet):
        found.by_content = by_content
    return _checked(found, split)


def open_again(record: Mapping[str, Any], split: str | None = None) -> Listing | ArraySet | FeatureSet:
    """Open the source that a run names (``run.json``, "source"), with the names that its images had then.

    Parameters
    ----------
    record : mapping
        ``spec``, which must not be None, ``kind``, ``split``, ``folder`` and ``fingerprint``.
    split
        Another part than that of the run.

    Raises
    ------
    DataError
        It cannot be opened; or it is at an address, and nobody has asked for that (`ilk.files.allow`).
    """
    check_allowed(record.get("spec"))
    spec = f"ilk:{DIGITS}" if record.get("kind") == DIGITS else record.get("spec")
    found = open_source(spec, record.get("split") or "all" if split is None else split, folder=record.get("folder"))
    if isinstance(found, ArraySet) and split is None and record.get("fingerprint"):
        as_before(found, record["fingerprint"])
    return found


def as_list(spec: Any) -> Any:
    """Return paths of an array, a Series or the like as a list; everything else as it is.

    >>> as_list(np.array(["a.png", "b.png"]))
    ['a.png', 'b.png']
    """
    if isinstance(spec, list | tuple | str | os.PathLike):
        return spec
    if isinstance(spec, np.ndarray):
        if spec.ndim == 1 and spec.dtype.kind == "U":
            return spec.tolist()
        of_objects = spec.ndim == 1 and spec.dtype == object and len(spec)
        return spec.tolist() if of_objects and all(isinstance(one, str | os.PathLike) for one in spec) else spec
    made = next((way for name in ("to_pylist", "tolist", "to_list") if (way := getattr(spec, name, None))), None)
    if made is not None and not hasattr(spec, "is_floating_point"):  # a Series, an Index, a column; not a tensor
        found = made()
        if isinstance(found, list) and found and all(isinstance(one, str | os.PathLike) for one in found):
            return found
    return spec


def _open_one(spec: Path_, split: str, base: Path) -> Listing | ArraySet | FeatureSet:
    text = os.fspath(spec)
    if isinstance(spec, str) and text in (DIGITS, f"ilk:{DIGITS}"):
        if text != DIGITS or not os.path.lexists(base / DIGITS):
            return load_digits(split)
        found = _open_path(base / DIGITS, split, base)
        found.notes.append("this is what lies here by the name of digits; for scikit-learn's digits say ilk:digits")
        return found
    if isinstance(spec, str) and is_address(text):
        return open_address(text, split) if (here := local_path(text)) is None else _open_path(here, split, base)
    refuse_mangled(text)
    return _open_path(Path(spec), split, base)


def _open_sequence(spec: Any, split: str, base: Path) -> Listing | ArraySet | FeatureSet:
    if isinstance(spec, Sequence) and are_pictures(spec):
        if split != "all":
            raise DataError(f"a list of images has no train and test parts, so there is no split {split!r}")
        return list_pictures(spec)
    if not isinstance(spec, Sequence) or not all(isinstance(path, str | os.PathLike) for path in spec):
        what = f"a {type(spec).__name__}"
        if isinstance(spec, Sequence):
            what += f" with {type(next(p for p in spec if not isinstance(p, str | os.PathLike))).__name__} in it"
        raise DataError(f"{what} cannot be a source; allowed are {_SUPPORTED}, a sequence of these, or an ndarray")
    if not spec:
        raise DataError("the list of paths is empty: there is no image in it")
    passed, notes = PassedOver(), list[str]()
    files, others = sorted_out(spec, base, passed, notes)
    if not others:
        if not files:
            raise DataError(f"there is no image in {', '.join(map(str, spec))[:200]}: only other files match")
        if any(map(is_address, files)):
            return _single(files, base, split)
        found = list_paths(files, base, split)
        found.passed_over.merge(passed)
        found.notes += notes
        return found
    if len(others) == 1 and not files:
        alone = _open_one(others[0], split, base)
        if isinstance(alone, Listing):
            alone.passed_over.merge(passed)
        alone.notes += notes
        return alone
    files, afar = [one for one in files if not is_address(one)], [str(one) for one in files if is_address(one)]
    paths = [whole_path(one, base) for one in others]
    sources: list[tuple[str, Listing]] = []
    for one, prefix in zip(others, prefixes(paths), strict=True):
        opened = _checked(_open_one(one, split, base), split)
        if isinstance(opened, FeatureSet):
            raise DataError(f"{one} holds features, and no images that could be joined with others: give it alone")
        sources.append((prefix, as_listing(opened) if isinstance(opened, ArraySet) else opened))
    if files:
        sources.append(("", list_paths(files, base, split)))
    if afar:
        sources.append(("", open_addresses(afar, split)))
    whole = joined("several", common(paths, base), sources)
    whole.passed_over.merge(passed)
    whole.notes += notes
    return whole


def _single(files: Sequence[Path_], base: Path, split: str) -> Listing:
    """Return image files of which some or all lie at addresses."""
    afar = [str(one) for one in files if is_address(one)]
    if len(afar) == len(files):
        return open_addresses(afar, split)
    here = list_paths([one for one in files if not is_address(one)], base, split)
    return joined("several", base, [("", here), ("", open_addresses(afar, split))])


def _open_path(path: Path, split: str, base: Path) -> Listing | ArraySet | FeatureSet:
    given = path
    with readable(given):
        path = path if base == Path.cwd() else base / path
        if not path.exists():
            path = path.expanduser()
        if not path.exists():
            return _open_missing(path, given, split, base)
        if path.is_dir():
            return _open_folder(path, split)
        if not path.is_file():
            raise DataError(f"{path} is neither a file nor a folder; allowed are {_SUPPORTED}")
        with path.open("rb") as file:
            head = file.read(1024)
        return _open_file(path, head, split, base)


def _open_missing(path: Path, given: Path, split: str, base: Path) -> Listing | ArraySet | FeatureSet:
    """Open a pattern, or a column of a table."""
    file, column = split_column(path)
    if column:
        return (
            list_parquet(file, split, column) if file.is_file() and is_column(file, column) else _features(path, split)
        )
    if is_pattern(str(path)) or has_braces(str(path)):
        return _open_sequence([given], split, base)
    if path.is_symlink():
        raise DataError(f"{path} is a link to nothing: what it leads to was moved or removed")
    raise DataError(f"there is no {path}.{suggestion(path)}")


def _open_folder(path: Path, split: str) -> Listing | ArraySet:
    if is_run_folder(path):
        raise DataError(
            f"{path} is a run that ilk wrote, not a folder of images; give the images, or use `ilk report {path}`"
        )
    with os.scandir(path):  # a folder without permission is an error here, not an empty listing
        pass
    found = list_folder(path, split)
    if len(found):
        return found
    if (data := load_dataset(path, split)) is not None:
        data.passed_over = list_folder(path, taken=dataset_files(path)).passed_over
        return data
    return open_shards(path, split) or found


def _open_file(path: Path, head: bytes, split: str, base: Path) -> Listing | ArraySet | FeatureSet:
    ending = extension(path.name)
    if not head:
        raise DataError(f"{path} is an empty file; allowed are {_SUPPORTED}")
    if is_dataset_file(path, head) and (found := load_dataset(path, split)) is not None:
        return found
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
        return list_paths([path], base, split)  # a source of one
    if ending in LIST_ENDINGS:
        return open_list(path, split)
    if ending in _TO_CONVERT:
        raise DataError(f"{path} {_TO_CONVERT[ending].format(shlex.quote(str(path)))}")
    if ending in ARCHIVES:
        raise DataError(f"{path} is a .{ending} archive, which ilk cannot read: unpack it and give the folder")
    raise DataError(f"{path} is of a type that ilk cannot read (.{ending}); allowed are {_SUPPORTED}")


def _features(spec: Path | NDArray[Any], split: str) -> FeatureSet:
    found = load_features(spec)
    if split != "all":
        raise DataError(f"{found.what} holds features without train and test parts: leave out the split {split!r}")
    return found


def _checked(source: Listing | ArraySet | FeatureSet, split: str) -> Listing | ArraySet | FeatureSet:
    """Refuse a source without any image, and say what was seen instead, and how to take it in."""
    if len(source):
        return source
    assert isinstance(source, Listing)
    where = f"{source.root}" if split == "all" else f"{source.root}, split {split!r},"
    notes = "; ".join(source.notes)
    said = source.passed_over.lines()
    what = f"only {'; '.join(said)}" if said else "nothing"
    raise DataError(f"there is no image in {where}: it holds {what}{'; ' + notes if notes else ''}")
