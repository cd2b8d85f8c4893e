"""A source of a run, looked at again: which of its sources it is, what is in it, and what each image is known by."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ilk import files, runs
from ilk.errors import ArgumentError
from ilk.files import FeatureSet, Listing, Samples
from ilk.jobs import asking
from ilk.jobs.joining import free_name

__all__ = ["Seen", "look"]

OnEvent = Callable[[dict[str, Any]], bool | None]


@dataclass
class Seen:
    """A source as it is now.

    Attributes
    ----------
    images : ImageSource
    names : list of str
        As the run has them or will have them.
    contents : list of (str or None)
    record : dict
        What an update keeps of it: ``source`` of run.json, with ``prefix``.
    mine : list of int
        Rows of the run that came from it.
    there : set of str or None
        All names of the source, where `images` are some of them.
    before : list of str
        Paths of the run.
    """

    images: Any
    names: list[str]
    contents: list[str | None]
    record: dict[str, Any]
    mine: list[int]
    there: set[str] | None
    before: Sequence[str]
    notes: list[str] = field(default_factory=list)


def look(
    run: runs.Run,
    known: Sequence[str | None],
    source: Any,
    split: str | None,
    features: Any,
    cache: str | Path | None,
    by_content: bool,
    notify: OnEvent,
) -> Seen:
    """Open `source`, or that of the run, and find out what its images are known by.

    Raises
    ------
    DataError, ArgumentError, Interrupted
        See `ilk.update`.
    """
    records, paths = run.sources(), run.images()["path"]
    opened, record, there = _opened(records, source, split, by_content)
    from ilk.data import OwnFeatures, contents, open_images  # torch, which a wrong path is not worth

    features = asking.given(_features(run, features) if source is None else features)
    images = open_images(opened, features=features, samples=Samples.of_run(run.header))
    passed, notes = asking.passed_over(images).lines(), list[str]()
    entry = {"event": "found", "n": len(images), "what": asking.what(images), "notes": asking.notes(images)}
    notify({**entry, "passed": passed})
    notify({"event": "stage", "stage": "look", "begin": True})

    def progress(done: int, total: int) -> bool:
        return bool(notify({"event": "stage", "stage": "look", "step": done, "steps": total}))

    found = [one.hex() or None for one in contents(images, cache=cache, on_progress=progress)]
    kept: dict[str, Any] = dict(record or {})
    if record is None:
        old = _moved(records, paths, known, found, notes)
        kept = {"spec": asking.spec(source, images), "split": split or "all", "prefix": old and old["prefix"]}
        if old is None:
            kept["prefix"] = _prefix(source, images, paths)
    mine = _rows_of(kept["prefix"], records, paths) if kept["prefix"] in {one["prefix"] for one in records} else []
    if there is None:
        kept |= {"n": len(images), "fingerprint": images.fingerprint(), "kind": getattr(images, "kind", "array")}
        kept["passed_over"] = asking.passed_over(images).as_record()
        if record is None:
            kept["folder"] = str(Path.cwd()) if kept["kind"] in ("list", "several") else None
    if isinstance(images, OwnFeatures):
        kept["features"] = images.as_record()
    names = [kept["prefix"] + name for name in images.names()]
    whole = None if there is None else {kept["prefix"] + name for name in there}
    return Seen(images, names, found, kept, mine, whole, paths, notes)


def _opened(
    records: Sequence[Mapping[str, Any]], source: Any, split: str | None, by_content: bool
) -> tuple[Any, Mapping[str, Any] | None, set[str] | None]:
    """Return the source, which of those of the run it is, and all names of that where it is a part of it."""
    if source is None:
        record = records[0]
        if record.get("spec") is None:
            raise ArgumentError(
                "this run was made from images in memory, which it cannot find again: give the images with SOURCE."
            )
        return _again(record, split, by_content), record, None
    given = asking.opened(source, split or "all", by_content)
    if given is None:
        return source, None, None
    spec = asking.spec(source, given)
    for record in records:
        if spec is not None and record.get("spec") == spec and (split or "all") == (record.get("split") or "all"):
            return _again(record, split, by_content), record, None
    if isinstance(given, Listing) and (found := _inside(records, given, by_content)) is not None:
        return found
    return given, None, None


def _again(record: Mapping[str, Any], split: str | None, by_content: bool) -> Any:
    found = files.open_again(record, split)
    if not isinstance(found, FeatureSet):
        found.by_content = by_content
    return found


def _inside(
    records: Sequence[Mapping[str, Any]], given: Listing, by_content: bool
) -> tuple[Listing, Mapping[str, Any], set[str]] | None:
    """Return the images `given` as part of the folder of the run in which all of them lie; None where there is none."""
    paths = [given.path(i) for i in range(len(given))]
    for record in records:
        spec = record.get("spec")
        if record.get("kind") != "folder" or not isinstance(spec, str) or not Path(spec).is_dir():
            continue
        root = os.path.realpath(spec)
        names = [_below(path, root) for path in paths]
        if None in names:
            continue
        whole = _again(record, None, by_content)
        at = {name: i for i, name in enumerate(whole.names)}
        if all(name in at for name in names):
            return whole.take(sorted(at[name] for name in names)), record, set(whole.names)
    return None


def _below(path: str | None, root: str) -> str | None:
    """Return the name of a file below `root`; None where it is not there."""
    if path is None:
        return None
    whole = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))  # noqa: PTH118, PTH119, PTH120
    start = root.rstrip(os.sep) + os.sep
    return whole[len(start) :].replace(os.sep, "/") if whole.startswith(start) else None


def _features(run: runs.Run, features: Any) -> Any:
    """Return the features of the images of the run, from where they were, if they are of the user's own."""
    record = {} if run.header["source"].get("kind") == "features" else run.header["source"].get("features") or {}
    return record.get("file") if features is None and not record.get("columns") else features


def _moved(
    records: Sequence[Mapping[str, Any]],
    paths: Sequence[str],
    known: Sequence[str | None],
    found: Sequence[str | None],
    notes: list[str],
) -> Mapping[str, Any] | None:
    """Return the source of the run that lies elsewhere now: it is not where it was, and its images are here."""
    here = {content for content in found if content is not None}
    for record in records:
        spec = record.get("spec")
        if not isinstance(spec, str) or record.get("kind") == "digits" or files.is_address(spec) or Path(spec).exists():
            continue  # of an address one cannot say unasked that it is gone
        if any(known[row] in here for row in _rows_of(record["prefix"], records, paths)):
            notes.append(f"{spec} is not there any more: this is taken for it, and looked at from now on")
            return record
    return None


def _prefix(source: Any, images: Any, paths: Sequence[str]) -> str:
    """Return what is to stand before the names of a source that is new to the run."""
    whole = isinstance(source, str | Path) and getattr(images, "kind", "") not in ("list", "digits")
    name = asking.path_of(source).name if whole else str(source) if getattr(images, "kind", "") == "digits" else "added"
    tops = {path.partition("/")[0] for path in paths}
    return f"{free_name(files.printable(name) or 'added', tops)}/"


def _rows_of(prefix: str, records: Sequence[Mapping[str, Any]], paths: Sequence[str]) -> list[int]:
    """Return the rows whose images came from the source with that prefix."""
    others = tuple(one for record in records if len(one := record["prefix"]) > len(prefix))
    return [
        row for row, path in enumerate(paths) if path.startswith(prefix) and not (others and path.startswith(others))
    ]
