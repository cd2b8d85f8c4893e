"""A run and new images in, predictions out."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk import _record, disk, runs
from ilk.errors import ArgumentError, RunError, answered
from ilk.files import Samples, local_only
from ilk.jobs import asking
from ilk.jobs.models import give_training_images, model_of

__all__ = ["Placed", "Prediction", "assigned", "predict"]

OnEvent = Callable[[dict[str, Any]], bool | None]

_NEAREST = 5
_UNREADABLE = -2
_ALMOST_NOTHING = np.float32(1e-6)


@dataclass(frozen=True)
class Prediction:
    """Groups of new images, one row per file of the source.

    Attributes
    ----------
    names, status, reasons : list
        File names; "ok", "duplicate" or "unreadable"; why not.
    group, second : (n,) int64
        Group and second-best group; -1 = none of these.
    confidence : (n,) float32
        Probability of the best group.
    known : (n,) float64
        Sum of the probabilities of all groups, which is what the threshold tests: below it, group is -1.
    threshold : float
        0 where the method refuses no image.
    group_names : dict
        Name of every group of the run, by number: what a person called it, else ``group 3``.
    looks_like : dict
        Words guessed for what every group shows.
    captions : dict
        Name and guessed words of every group, in one line.
    duplicate_of : list
        For a duplicate, the file it equals; else None.
    fine : (n,) int64 or None
        Fine cluster, -1 = unreadable; None where the method has one level only.
    nearest : list or None
        For every image the images of the run most like it, the most similar first: dicts of path, similarity (cosine of
        the features, at most 1) and group. Empty where the image is unreadable; None where it was not asked for.
    notes : list of str
        What to know of the answers.
    """

    names: list[str]
    status: list[str]
    reasons: list[str | None]
    group: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float32]
    known: npt.NDArray[np.float64]
    threshold: float
    group_names: dict[int, str]
    looks_like: dict[int, list[str]]
    captions: dict[int, str]
    duplicate_of: list[str | None]
    fine: npt.NDArray[np.int64] | None = None
    nearest: list[list[dict[str, Any]]] | None = None
    notes: list[str] = field(default_factory=list)

    def rows(self) -> list[dict[str, Any]]:
        """Return one dict per image: what `columns` has of it, and nearest where that was asked for."""
        columns: dict[str, list[Any]] = self.columns()
        if self.nearest is not None:
            columns["nearest"] = self.nearest
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    def columns(self) -> dict[str, list[Any]]:
        """Return the columns of the table ``predictions`` (`ilk.runs.COLUMNS`) as lists, None where empty."""
        read = [status != "unreadable" for status in self.status]

        def of_read(values: Iterable[Any]) -> list[Any]:
            return [value if there else None for value, there in zip(values, read, strict=True)]

        groups = self.group.tolist()
        words = {number: ", ".join(words) or None for number, words in self.looks_like.items()}
        columns = {
            "path": self.names,
            "group": of_read(groups),
            "group_name": of_read(self.group_names.get(group, runs.plain_name({"id": -1})) for group in groups),
            "looks_like": of_read(words.get(group) for group in groups),
            "confidence": of_read(round(float(one), 4) for one in self.confidence),
            "known": of_read(self.known.tolist()),
            "second": [group if group >= 0 else None for group in self.second.tolist()],
            "status": self.status,
            "duplicate_of": self.duplicate_of,
            "reason": self.reasons,
        }
        return columns if self.fine is None else {**columns, "fine": of_read(self.fine.tolist())}

    @property
    def cluster(self) -> npt.NDArray[np.int64]:
        """Former name of `group`."""
        warnings.warn("Prediction.cluster is now Prediction.group.", DeprecationWarning, stacklevel=2)
        return self.group

    def write(self, path: str | Path) -> list[str]:
        """Write a ``.csv`` or ``.parquet`` table; a reader never sees half of it. Return what to know of the table."""
        local_only(path, "path")
        _record.write_table(Path(path), self.columns())
        as_text = Path(path).suffix.lower() != ".parquet"
        return disk.formula_note([*self.names, *self.group_names.values()]) if as_text else []


@answered
def predict(
    run: runs.Run | str | Path,
    source: Any,
    *,
    split: str = "all",
    threshold: float | None = None,
    nearest: int | None = None,
    cls: type[Any] | str | None = None,
    device: str = "auto",
    cache: str | Path | None = None,
    encoder: Any = None,
    features: Any = None,
    by_content: bool = False,
    model: Any = None,
    on_event: OnEvent | None = None,
) -> Prediction:
    """Place the images of `source` into the groups of `run`.

    Parameters
    ----------
    run
        A run, or its folder; the images it was made from are not needed. Where it was corrected, new images go to the
        groups as they are now, and exact copies of its images where these are.
    source
        As in `cluster`, or a single image file.
    split
        "all", "train" or "test", where the source has such parts.
    threshold
        In [0, 1]: an image whose probabilities of all groups sum to less belongs to none of them. None: the run's own.
    nearest
        How many of the run's images to name for every new one. None: 5 where there are up to 8 new images, else none.
    cls : class or str, optional
        The method's class, or ``module:Class``, where the run was made with one of your own.
    device
        "auto", "cpu" or "cuda".
    encoder
        The user's own encoder the run was made with, again: an object or ``module:function``. A run never loads code.
    features
        Features of the images, where the run was made from features of the user's own: see `ilk.open_images`.
    by_content
        Read every file, whatever is known of its name, size and time of the last change.
    model
        What ``run.model()`` returned, to ask it again; it is loaded anew otherwise. Corrections count all the same.
    cache, on_event
        Where features are kept (None: nowhere); called with what happens.

    Raises
    ------
    ArgumentError
        A threshold outside of [0, 1], or for a method that has none; a run of a method that is not one of ilk's;
        features that are missing, or not wanted.
    RunError
        The run is damaged, or its encoder's weights are not those it was made with.
    """
    report: OnEvent = on_event or (lambda event: None)
    if threshold is not None and not 0 <= threshold <= 1:
        raise ArgumentError(f"threshold={threshold!r}: give a number from 0 (no image is refused) to 1.")
    if nearest is not None and nearest < 0:
        raise ArgumentError(f"nearest={nearest!r}: give a number of images, or 0.")
    run = run if isinstance(run, runs.Run) else runs.load_run(run)
    images = _images(run, source, split, features, by_content, report)
    from ilk.data import FEW

    if nearest is None:
        nearest = _NEAREST if len(images) <= FEW else 0
    model = model or model_of(run, cls=cls, device=device, cache=cache, encoder=encoder)
    if threshold is not None:
        model = _with_threshold(model, run, threshold)
    encoded = model.encode(
        images,
        on_progress=lambda done, total: report({"event": "stage", "stage": "encode", "done": done, "total": total}),
    )
    placed = assigned(run, model, encoded)
    like = _nearest(run, model, encoded, nearest) if nearest else None
    return Prediction(
        images.names(),
        list(encoded.status),
        list(encoded.reasons),
        placed.group,
        placed.second,
        placed.confidence,
        placed.known,
        float(getattr(model, "threshold", 0)),
        *_called(run),
        _originals(images.names(), encoded),
        model.fine_of(encoded) if hasattr(model, "fine_of") else None,
        like,
        placed.notes,
    )


@dataclass(frozen=True)
class Placed:
    """Where new images go, as in `Prediction`; `found`: the groups that the model alone gives them."""

    group: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float32]
    known: npt.NDArray[np.float64]
    found: npt.NDArray[np.int64]
    notes: list[str]


def assigned(run: runs.Run, model: Any, encoded: Any) -> Placed:
    """Return where `model`, which is that of `run`, and the corrections of `run` put what was `encoded`.

    Raises
    ------
    RunError
        The model is damaged.
    """
    proba = model.proba_of(encoded)
    if not np.isfinite(proba).all():
        raise RunError(f"the model in {run.path} is damaged: it gives no numbers (NaN). {runs.AGAIN}")
    found, known = model.decide(proba), model.known_of(proba)
    decided, proba, ids, notes = _corrected(run, encoded, found.copy(), proba)
    order = np.argsort(-proba, axis=1, kind="stable")
    second = ids[order[:, 1]] if proba.shape[1] > 1 else np.full(len(proba), -1)
    second = np.where(encoded.position >= 0, second, -1).astype(np.int64)
    return Placed(decided, second, proba.max(1).astype(np.float32), known, found, notes)


def _with_threshold(model: Any, run: runs.Run, threshold: float) -> Any:
    """Return `model` with another threshold; that of the caller keeps its own."""
    if "threshold" not in model.get_params():
        raise ArgumentError(f"threshold={threshold!r}: method {run.header['method']} refuses no image.")
    return copy.copy(model).set_params(threshold=threshold)


def _called(run: runs.Run) -> tuple[dict[int, str], dict[int, list[str]], dict[int, str]]:
    """Return names, guessed words and captions of the groups, by number."""
    groups = run.clusters()
    return (
        {int(g["id"]): disk.printable(runs.plain_name(g)) for g in groups},
        {int(g["id"]): runs.looks_like(g) for g in groups},
        {int(g["id"]): disk.printable(runs.shown_name(g)) for g in groups},
    )


def _corrected(
    run: runs.Run, encoded: Any, decided: npt.NDArray[np.int64], proba: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.int64], list[str]]:
    """Return groups and probabilities with the corrections of the run, the group of each column, and notes.

    Where all that was done is merging, the probabilities of the model are summed. Where images are in other groups than
    they were found in, new ones go by a head that learned from them (`ilk.regroup.placer`).
    """
    found = np.arange(proba.shape[1])
    grouping, regrouped = run.grouping(), bool(run.header.get("regrouped"))
    if grouping is None and not regrouped:
        return decided, proba, found, []
    merged = {} if grouping is None else grouping.merged
    before = run.uncorrected().labels()
    brought = np.array([merged.get(group, group) for group in before.tolist()], np.int64)
    labels = run.labels()
    if regrouped or (labels != brought).any():
        from ilk import regroup

        ids, of_distinct = regroup.placer(run)(encoded.features)
        placed = np.zeros((len(proba), len(ids)), np.float32)
        read = encoded.position >= 0
        placed[read] = of_distinct[encoded.position[read]]
        decided = np.where(decided < 0, -1, ids[placed.argmax(1)] if len(ids) else -1)
        notes = ["placed by the groups as they are now, by what was corrected and the features of all images"]
        return *_copies(run, encoded, labels, decided, placed, ids), ids, notes
    now = np.array([merged.get(group, group) for group in found.tolist()], np.int64)
    ids = np.unique(now)
    if len(ids) < len(found):
        proba = np.stack([proba[:, now == group].sum(1) for group in ids.tolist()], axis=1)
        decided = np.where(decided < 0, -1, ids[proba.argmax(1)])
    elif not (grouping is not None and grouping.said.any()):
        return decided, proba, found, []  # names and notes only
    return *_copies(run, encoded, labels, decided, proba.copy(), ids), ids, []


def _copies(
    run: runs.Run,
    encoded: Any,
    labels: npt.NDArray[np.int64],
    decided: npt.NDArray[np.int64],
    proba: npt.NDArray[np.float32],
    ids: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return both with exact copies of images of the run where these are now."""
    known = {key: row for row, key in enumerate(run.hashes() or []) if key is not None and labels[row] > _UNREADABLE}
    for i, content in enumerate(encoded.hashes):
        row = known.get(content.hex()) if content and encoded.position[i] >= 0 else None
        if row is None:
            continue
        decided[i] = labels[row]
        if labels[row] in ids:
            proba[i] *= _ALMOST_NOTHING  # what comes second stays
            proba[i, np.searchsorted(ids, labels[row])] = 1
    return decided, proba


def _images(run: runs.Run, source: Any, split: str, features: Any, by_content: bool, report: OnEvent) -> Any:
    """Open what is to be grouped, and say what it is."""
    opened, features = asking.opened(source, split, by_content), asking.given(features)
    from ilk.data import open_images  # torch, which a wrong path is not worth

    given, part = (source, split) if opened is None else (opened, "all")
    images = open_images(given, part, features=features, samples=Samples.of_run(run.header))
    passed = asking.passed_over(images).lines()
    record = {"n": len(images), "what": asking.what(images), "notes": asking.notes(images), "passed": passed}
    report({"event": "found", **record})
    return images


def _originals(names: list[str], encoded: Any) -> list[str | None]:
    """Return for every duplicate the name of the image it equals."""
    rows = zip(encoded.position.tolist(), encoded.status, strict=True)
    return [names[int(encoded.rows[at])] if status == "duplicate" else None for at, status in rows]


def _nearest(run: runs.Run, model: Any, encoded: Any, count: int) -> list[list[dict[str, Any]]]:
    """Return for every image the images of the run most like it."""
    give_training_images(model, run)
    rows, similarity = model.nearest_of(encoded, count)
    names, labels = run.images()["path"], run.labels()
    return [
        [
            {"path": names[row], "similarity": round(like, 4), "group": int(labels[row])}
            for row, like in zip(mine, likes, strict=True)
            if row >= 0
        ]
        for mine, likes in zip(rows.tolist(), similarity.tolist(), strict=True)
    ]
