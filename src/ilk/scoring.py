"""Scores of a finished run against true labels: the only module, besides `probe`, where labels are looked at."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ilk import files, metrics
from ilk.errors import DataError, RunError, answered
from ilk.files.numbered import misplaced, numbered
from ilk.runs import Run, load_run, source_name, write_json

__all__ = ["evaluate", "score", "score_new", "written"]


@answered
def evaluate(run: Run | str | Path, labels: str | None = None) -> dict[str, Any] | None:
    """Score the groups of `run`, and write ``scores.json`` into it where it says something else.

    Parameters
    ----------
    run
        A finished run or its path.
    labels
        Where the true labels are: "auto", "folder", "prefix", a key of the npz, or a CSV file. None: what the run was
        started with.

    Returns
    -------
    dict or None
        See `score`; None where the source has no labels and `labels` is "auto" or "none". Of a run with corrections
        those of the groups as they are, and as ``uncorrected`` those of the groups as they were found. Images that
        were ignored are scored as a group of their own.

    Raises
    ------
    DataError
        The labels are asked for by name but are not there, or do not fit the images.
    """
    run = run if isinstance(run, Run) else load_run(run)
    sources = run.sources()
    source = sources[0]
    spec = labels or run.header.get("labels", "auto")
    if spec == "none":
        return None
    if source.get("spec") is None:
        if spec == "auto":
            return None
        raise DataError("this run was made from an array in memory: there are no labels to read.")
    by_position = source.get("kind") in (*files.ARRAY_KINDS, "features")
    if spec == "auto" and (not by_position or source["kind"] == "features"):
        return None
    images = files.open_again(source)
    if by_position and images.fingerprint() != source.get("fingerprint"):
        raise DataError(f"the images in {source['spec']} are not those of the run any more: labels no longer fit them.")
    machine, grouping = run.uncorrected(), run.grouping()
    table, names = machine.assignments(), run.images()["path"]
    if isinstance(images, files.Listing) and images.fingerprint() != source.get("fingerprint"):
        _check_rows(run, images, {names[i]: i for i in table["index"]})
    truth = files.truth(spec, images)
    if not truth:
        return None
    truth |= _of_others(sources, spec)
    read = [names[i] for i in table["index"]]
    scores = score(read, table["group"], truth)
    record = {"labels": str(spec), **scores}
    updates = {"updates": len(run.updates)} if run.updates else {}
    if grouping is None or not grouping.count:
        if written(machine) != record:
            write_json(run.path / "scores.json", {**record, **updates})
        return scores
    corrected = score(read, grouping.labels[table["index"]].tolist(), truth)
    last = {**corrected, "last": grouping.last}
    if written(run) != {"labels": str(spec), **corrected, "uncorrected": record}:
        write_json(run.path / "scores.json", {**record, **updates, "corrected": last})
    return {**corrected, "uncorrected": scores}


def _of_others(sources: Sequence[Mapping[str, Any]], spec: str) -> dict[str, files.Label]:
    """Return the labels of images that joined from other sources; none where these have no such labels."""
    found: dict[str, files.Label] = {}
    for record in sources[1:]:
        if record.get("spec") is not None:
            with contextlib.suppress(DataError):
                labels = files.truth(spec, files.open_again(record))
                found |= {record["prefix"] + name: label for name, label in labels.items()}
    return found


def _check_rows(run: Run, images: files.Listing, rows: Mapping[str, int]) -> None:
    """Raise where images that are named by their row in a table are not those of the run any more."""
    if not numbered(images).any():
        return
    known = run.hashes() or []
    moved = misplaced(images, {name: known[row] if known else None for name, row in rows.items()})
    if moved:
        where = source_name(run.header["source"])
        raise DataError(
            f"{len(moved):,} of {len(rows):,} rows of {where} do not hold the images of the run any more (such as "
            f"{moved[0]}): labels no longer fit them."
        )


def written(run: Run) -> dict[str, Any] | None:
    """Return what ``scores.json`` of `run` says; None where there is none, or none that can be read."""
    try:
        return run.scores()
    except RunError:
        return None


def score_new(
    names: Sequence[str], clusters: Sequence[int], source: Any, labels: str = "auto", split: str = "all"
) -> dict[str, Any]:
    """Score predicted `clusters` of images called `names` against the labels of `source`: see `score`.

    Raises
    ------
    DataError
        There are no labels.
    """
    truth = files.truth(labels, source, split=split)
    if not truth:
        raise DataError(f"no labels for {source}: name them with --labels folder, prefix, KEY or FILE.csv.")
    return score(names, clusters, truth)


def score(names: Sequence[str], clusters: Sequence[int], truth: Mapping[str, Any]) -> dict[str, Any]:
    """Score `clusters` against the labels of the images of the same `names`.

    Returns
    -------
    dict
        ``acc, nmi, nmi_geometric, ari, purity`` in [0, 1] (ARI may be negative), ``n_scored``, ``n_unlabelled``, and
        ``clusters``: by group, its most frequent class, that class's share of it, and its size.

    Raises
    ------
    DataError
        None of the images has a label.
    """
    known = [i for i, name in enumerate(names) if name in truth]
    if not known:
        raise DataError(
            f"none of the {len(names)} images has a label: names like {names[0]!r} are not among the labels."
        )
    classes = [truth[names[i]] for i in known]
    groups = np.asarray(clusters, np.int64)[known]
    return {
        **metrics.scores(classes, groups),
        "n_scored": len(known),
        "n_unlabelled": len(names) - len(known),
        "clusters": {str(group): record for group, record in metrics.per_cluster_accuracy(classes, groups).items()},
    }
