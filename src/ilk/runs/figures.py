"""A method's own figures as plain data: checked, stored beside the tables of a run, read back."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk import disk
from ilk.errors import ArgumentError, RunError
from ilk.runs.state import AGAIN, short, write_json

__all__ = ["checked_figure", "load_figures", "save_figures"]

FILES = ("figures.safetensors", "figures.json")
MAX_BYTES = 64 << 20  # of arrays in one figure
_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")

Figure = dict[str, Any]


def checked_figure(figure: Any) -> Figure:
    """Return `figure` with real arrays, after everything about it has been checked.

    Parameters
    ----------
    figure
        {"name": slug, "title": str, "caption": str, "kind": str, …}. Further entries by kind:

        * "lines": "x" (n,), "series" {name: (n,)}, "x_label", "y_label". NaN is a gap.
        * "bars": "names" (n), "values" (n,), "x_label"
        * "matrix": "values" (r, c), "row_names" (r), "column_names" (c)
        * "scatter": "panels" [{"title", "points" (n, 2), "labels" (n,) int}], "x_label", "y_label"; -1 = no group
        * "images": "rows" [{"title", "images" uint8 (m, h, w) or (m, h, w, 3)}]

        Caption, labels and the names of a matrix may be left out.

    Raises
    ------
    ArgumentError
        The figure is ill-formed; the message names the figure and the entry.

    Examples
    --------
    >>> figure = {"name": "sizes", "title": "Sizes", "kind": "bars", "names": ["a", "b"], "values": [3, 4]}
    >>> checked_figure(figure)["values"]
    array([3., 4.])
    >>> checked_figure({**figure, "values": [3]})
    Traceback (most recent call last):
    ilk.errors.ArgumentError: figure 'sizes': values has shape (1,); (2,) is needed.
    """
    if not isinstance(figure, Mapping):
        raise ArgumentError(f"a figure is a dict with name, title, kind and its data, got {type(figure).__name__}.")
    name, kind = figure.get("name"), figure.get("kind")
    if not isinstance(name, str) or not _SLUG.fullmatch(name):
        raise ArgumentError(
            f"figure {name!r}: a name has 1 to 60 small letters, digits, - and _, and starts with a letter or digit."
        )
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ArgumentError(f"figure {name!r}: kind is {kind!r}; allowed are {', '.join(_KINDS)}.")
    try:
        data = _KINDS[kind](figure)
        title = _text(figure, "title")
        if not title:
            raise ArgumentError("title is empty.")
        known = {"name", "kind", "title", "caption", *data}
        if unknown := sorted(str(key) for key in figure if key not in known):
            raise ArgumentError(f"a figure of kind {kind} has no entry {', '.join(unknown)}.")
    except ArgumentError as error:
        raise ArgumentError(f"figure {name!r}: {error}") from None
    if (size := sum(array.nbytes for array in _arrays(data))) > MAX_BYTES:
        raise ArgumentError(f"figure {name!r}: its arrays take {size >> 20} MiB; at most {MAX_BYTES >> 20} are kept.")
    return {"name": name, "kind": kind, "title": title, "caption": _text(figure, "caption"), **data}


def save_figures(folder: Path, figures: Sequence[Figure]) -> None:
    """Write figures that `checked_figure` returned into `folder`; none removes older ones.

    Raises
    ------
    ArgumentError
        Two figures have the same name.
    """
    names = [figure["name"] for figure in figures]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ArgumentError(f"two figures are named {', '.join(twice)}.")
    if not figures:
        for file in FILES:
            (folder / file).unlink(missing_ok=True)
        return
    arrays: dict[str, npt.NDArray[Any]] = {}
    record = [_without_arrays(figure, str(figure["name"]), arrays) for figure in figures]
    disk.write_tensors(folder / FILES[0], arrays)
    write_json(folder / FILES[1], record)


def load_figures(folder: Path) -> list[Figure]:
    """Return what `save_figures` wrote, checked again; an empty list where there is nothing.

    Raises
    ------
    RunError
        A file is missing or damaged.
    """
    if not any((folder / file).exists() for file in FILES):
        return []
    try:
        record = disk.read_json(folder / FILES[1])
        arrays = disk.read_tensors(folder / FILES[0])
        return [checked_figure(_with_arrays(figure, arrays)) for figure in record]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise RunError(f"the figures in {folder} are missing or damaged ({short(error)}). {AGAIN}") from None


def _without_arrays(value: Any, path: str, arrays: dict[str, npt.NDArray[Any]]) -> Any:
    """Move the arrays below `value` into `arrays`, and leave their names instead."""
    if isinstance(value, np.ndarray):
        arrays[path] = np.ascontiguousarray(value)
        return {"array": path}
    if isinstance(value, Mapping):
        # entries are numbered: two names of series may differ in nothing that a name of an array keeps apart
        return {k: _without_arrays(v, f"{path}/{i}", arrays) for i, (k, v) in enumerate(value.items())}
    if isinstance(value, list):
        return [_without_arrays(v, f"{path}/{i}", arrays) for i, v in enumerate(value)]
    return value


def _with_arrays(value: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> Any:
    if isinstance(value, dict):
        if set(value) == {"array"} and isinstance(value["array"], str):
            return arrays[value["array"]]
        return {key: _with_arrays(v, arrays) for key, v in value.items()}
    return [_with_arrays(v, arrays) for v in value] if isinstance(value, list) else value


def _arrays(value: Any) -> list[npt.NDArray[Any]]:
    if isinstance(value, np.ndarray):
        return [value]
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return [array for v in inner for array in _arrays(v)]


# -- the kinds ---------------------------------------------------------------------------------------------------------


def _lines(figure: Mapping[str, Any]) -> Figure:
    x = _numbers(figure, "x", (None,), finite=True)
    series = figure.get("series")
    if not isinstance(series, Mapping) or not series:
        raise ArgumentError("series must be a dict of at least one name and its values.")
    values = {str(name): _numbers({"series": v}, "series", (len(x),), said=str(name)) for name, v in series.items()}
    return {"x": x, "series": values, "x_label": _text(figure, "x_label"), "y_label": _text(figure, "y_label")}


def _bars(figure: Mapping[str, Any]) -> Figure:
    names = _names(figure, "names")
    if not names:
        raise ArgumentError("names is empty.")
    values = _numbers(figure, "values", (len(names),), finite=True)
    return {"names": names, "values": values, "x_label": _text(figure, "x_label")}


def _matrix(figure: Mapping[str, Any]) -> Figure:
    values = _numbers(figure, "values", (None, None))
    names = {}
    for axis, key in enumerate(("row_names", "column_names")):
        names[key] = _names(figure, key) if figure.get(key) is not None else []
        if names[key] and len(names[key]) != values.shape[axis]:
            raise ArgumentError(f"{key} has {len(names[key])} entries; values has shape {values.shape}.")
    return {"values": values, **names}


def _scatter(figure: Mapping[str, Any]) -> Figure:
    panels = []
    for i, panel in enumerate(_list_of_dicts(figure, "panels")):
        points = _numbers(panel, "points", (None, 2), said=f"panel {i}")
        labels = np.asarray(panel.get("labels", np.zeros(len(points), np.int64)))
        if labels.shape != (len(points),) or labels.dtype.kind not in "iu":
            raise ArgumentError(
                f"labels of panel {i} are {labels.dtype} of shape {labels.shape}; "
                f"whole numbers of shape ({len(points)},) are needed."
            )
        panels.append({"title": _text(panel, "title"), "points": points, "labels": labels.astype(np.int64)})
    return {"panels": panels, "x_label": _text(figure, "x_label"), "y_label": _text(figure, "y_label")}


def _images(figure: Mapping[str, Any]) -> Figure:
    rows = []
    for i, row in enumerate(_list_of_dicts(figure, "rows")):
        images = np.asarray(row.get("images"))
        shaped = images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)
        if images.dtype != np.uint8 or not shaped or 0 in images.shape[1:]:
            raise ArgumentError(
                f"images of row {i} are {images.dtype} of shape {images.shape}; "
                "uint8 (m, h, w) or (m, h, w, 3) is needed."
            )
        rows.append({"title": _text(row, "title"), "images": images})
    return {"rows": rows}


_KINDS: dict[str, Callable[[Mapping[str, Any]], Figure]] = {
    "lines": _lines,
    "bars": _bars,
    "matrix": _matrix,
    "scatter": _scatter,
    "images": _images,
}


def _numbers(
    figure: Mapping[str, Any], key: str, shape: tuple[int | None, ...], *, finite: bool = False, said: str = ""
) -> npt.NDArray[np.float64]:
    """Return the entry `key` as float64 of `shape`, where None stands for any length but 0."""
    what = f"{key} of {said!r}" if said else key
    if figure.get(key) is None:
        raise ArgumentError(f"{what} is missing.")
    try:
        array = np.asarray(figure[key])
        if array.dtype.kind not in "iufb":
            raise ValueError(f"{array.dtype} is no number")
    except (ValueError, TypeError) as error:
        raise ArgumentError(f"{what} cannot be read as numbers ({short(error)}).") from None
    fits = array.ndim == len(shape) and all(
        w == s if w is not None else s for w, s in zip(shape, array.shape, strict=False)
    )
    if not fits:
        wanted = ", ".join("n" if w is None else str(w) for w in shape) + ("," if len(shape) == 1 else "")
        raise ArgumentError(f"{what} has shape {array.shape}; ({wanted}) is needed.")
    array = array.astype(np.float64)
    if finite and not np.isfinite(array).all():
        raise ArgumentError(f"{what} holds values that are not finite.")
    return array


def _text(figure: Mapping[str, Any], key: str) -> str:
    value = figure.get(key)
    if value is not None and not isinstance(value, str):
        raise ArgumentError(f"{key} must be text, got {type(value).__name__}.")
    return (value or "").strip()


def _names(figure: Mapping[str, Any], key: str) -> list[str]:
    value = figure.get(key)
    if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray):
        raise ArgumentError(f"{key} must be a list of names, got {type(value).__name__}.")
    return [str(name) for name in value]


def _list_of_dicts(figure: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = figure.get(key)
    if not isinstance(value, list | tuple) or not value or not all(isinstance(v, Mapping) for v in value):
        raise ArgumentError(f"{key} must be a list of at least one dict.")
    return list(value)
