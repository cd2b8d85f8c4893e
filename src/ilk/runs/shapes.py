"""What the JSON files of a run look like, and where one of them does not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["CLUSTERS", "HEADER", "K_TABLE", "SCORES", "SUGGESTIONS", "UNFINISHED", "UPDATE", "misfit"]

_LARGEST = 2**53  # whole numbers beyond are no counts of anything
_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", dict: "an object"}

# a type; a tuple: one of them; a list of one: a list of such; a mapping: an object with these entries, those that end
# with ? where they are there; {"*": …}: an object of any such entries
Shape = Any

_NUMBERS = {"*": (float, None)}
_SUMMARY: Shape = {
    "run?": str,
    "method?": str,
    "encoder?": (str, None),
    "n_images?": int,
    "n_unreadable?": int,
    "n_duplicates?": int,
    "n_near_duplicates?": int,
    "n_clusters?": int,
    "sizes?": [int],
    "k_table?": [dict],
    "suggested?": ({"*": (int, None)}, None),
    "scores?": (_NUMBERS, None),
    "seconds?": {"*": float},
    "images_per_second?": (float, None),
    "warnings?": [str],
}
_SOURCE: Shape = {
    "spec?": (str, [str], None),
    "folder?": (str, None),
    "passed_over?": {
        "*": {"count": int, "endings?": {"*": int}, "examples?": [str], "cure?": (str, None)},
    },
    "n?": int,
    "split?": (str, None),
    "fingerprint?": (str, None),
    "kind?": (str, None),
    "samples?": {"*": [float]},
}
UNFINISHED: Shape = {"identity?": {"params?": (dict, None), "source?": (dict, None)}}
HEADER: Shape = {
    **UNFINISHED,
    "method": str,
    "params": dict,
    "source": _SOURCE,
    "summary": _SUMMARY,
    "resolved?": (dict, None),
    "labels?": (str, None),
    "versions?": dict,
    "commit?": (str, None),
    "command?": (str, None),
    "created?": str,
    "warnings?": [str],
    "history?": ([dict], None),
    "encoder?": ({"name?": (str, None), "why?": str, "backend?": str, "notes?": [str]}, str, None),
    "device?": (str, None),
    "threads?": (int, None),
    "seconds?": {"*": float},
    "encoded?": ({"*": int}, None),
    "quality?": ({"*": ({"space?": (str, None), "sample?": (int, None)}, None)}, None),
    "near?": (
        {
            "limit?": (float, None),
            "why?": str,
            "copies?": (float, None),
            "n_copies?": int,
            "n?": int,
            "stacked?": bool,
        },
        None,
    ),
    "choice?": ({"why?": (str, None)}, None),
    "checksums?": {"*": str},
    "shards?": (
        {"cache": str, "key": str, "n": int, "n_features": int, "dtype": str, "beside?": (str, None)},
        None,
    ),
    "regrouped?": ({"run?": str, "corrections?": int}, None),
}
UPDATE: Shape = {
    "ilk_update": int,
    "before": int,
    "n": int,
    "source": {**_SOURCE, "prefix": str},
    "created?": str,
    "counts?": {"*": int},
    "versions?": dict,
}
CLUSTERS: Shape = [
    {
        "id": int,
        "name?": (str, int, None),
        "size?": float,
        "exemplars?": [int],
        "borderline?": [int],
        "quality?": (_NUMBERS, None),
        "nearest?": (int, None),
    }
]
SUGGESTIONS: Shape = {
    "*": {
        "k": int,
        "groups": [{"id": int, "size": int, "exemplars": [int], "holds?": [int], "part_of?": (int, None)}],
    }
}
K_TABLE: Shape = [{"k": int, "*": (float, bool, str, list, dict, None)}]
_SCORES: Shape = {
    "labels?": (str, None),
    "n_scored?": int,
    "n_unlabelled?": int,
    "updates?": int,
    "clusters?": {"*": {"class?": (str, float, None), "share?": (float, None), "size?": int}},
    "*": (float, str, list, dict, None),
}
SCORES: Shape = {**_SCORES, "corrected?": ({**_SCORES, "last": int}, None)}


def misfit(value: Any, shape: Shape, path: str = "") -> str | None:
    """Say where `value` is not as `shape` says, and what belongs there; None where all is well.

    >>> misfit({"a": [1, "x"]}, {"a": [int], "b?": str})
    'a/1 is not a whole number'
    >>> misfit({"b": "x"}, {"a": [int], "b?": str})
    'no a'
    """
    if isinstance(shape, tuple):
        found = [misfit(value, one, path) for one in shape]
        return None if None in found else found[0]
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{path or 'it'} is not a list"
        return _first(misfit(one, shape[0], f"{path}/{i}") for i, one in enumerate(value))
    if isinstance(shape, Mapping):
        return _object(value, shape, path)
    if shape is object:
        return None
    if shape is None:
        return None if value is None else f"{path or 'it'} is not null"
    kinds: dict[type, Any] = {float: int | float, int: int}
    wanted: Any = kinds.get(shape, shape)
    fits = isinstance(value, wanted) and (shape is bool or not isinstance(value, bool))
    if fits and isinstance(value, int) and abs(value) > _LARGEST:
        fits = False
    return None if fits else f"{path or 'it'} is not {_WORDS.get(shape, shape.__name__)}"


def _object(value: Any, shape: Mapping[str, Shape], path: str) -> str | None:
    if not isinstance(value, dict):
        return f"{path or 'it'} is not an object"
    known = {key.removesuffix("?"): one for key, one in shape.items() if key != "*"}
    if missing := [key for key in shape if key != "*" and not key.endswith("?") and key not in value]:
        return f"no {f'{path}/' if path else ''}{missing[0]}"
    inner = f"{path}/" if path else ""
    rest = shape.get("*", object)
    return _first(misfit(one, known.get(key, rest), f"{inner}{key}") for key, one in value.items())


def _first(found: Iterable[str | None]) -> str | None:
    return next((one for one in found if one is not None), None)
