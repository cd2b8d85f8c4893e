"""Scores of a finished run against true labels: the only place, besides `probe`, where labels are looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ilk import files, metrics
from ilk.errors import DataError
from ilk.runs import Run, load_run, write_json

__all__ = ["evaluate", "score", "score_new"]


def evaluate(run: Run | str | Path, labels: str | None = None) -> dict[str, Any] | None:
    """Score the groups of `run`, and write ``scores.json`` into it.

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
        See `score`; None where the source has no labels and `labels` is "auto" or "none".

    Raises
    ------
    DataError
        The labels are asked for by name but are not there, or do not fit the images.
    """
    run = run if isinstance(run, Run) else load_run(run)
    source = run.header["source"]
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
    if isinstance(images, files.Listing) and images.fingerprint() != source.get("fingerprint"):
        _same_rows(run, images)
    truth = files.truth(spec, images)
    if not truth:
        return None
    table, names = run.assignments(), run.images()["path"]
    scores = score([names[i] for i in table["index"]], table["cluster"], truth)
    write_json(run.path / "scores.json", {"labels": str(spec), **scores})
    return scores


def _same_rows(run: Run, images: files.Listing) -> None:
    """Refuse tables whose rows are other images than they were: their names are numbers, and labels go by these.

    Only a table that was written anew is looked at, and read as far as the first difference.
    """
    hashes = dict(zip(run.images()["path"], run.hashes() or [], strict=False))
    for name, i in files.rows_of_tables(images):
        known = hashes.get(name)
        if known is None:
            continue
        try:
            same = files.content_hash(images.read(i)).hex() == known
        except OSError:
            same = False
        if not same:
            raise DataError(
                f"row {name} of {images.root} is not the image that it was in the run: the table was written anew, and "
                "its labels no longer fit."
            )


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
        "clusters": {str(group): told for group, told in metrics.per_cluster_accuracy(classes, groups).items()},
    }
