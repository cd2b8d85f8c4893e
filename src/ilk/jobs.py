"""Whole jobs: images in, a finished run folder out; a run and new images in, predictions out."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk import _record, methods, report, runs, scoring
from ilk.data import open_images
from ilk.errors import ArgumentError, DataError, IlkError, Interrupted, NotEnoughImages, RunError, nearest

__all__ = ["Prediction", "cluster", "commit", "default_run", "predict"]

commit = _record.commit

OnEvent = Callable[[dict[str, Any]], bool | None]


def cluster(
    source: Any,
    out: str | Path | None = None,
    *,
    method: str = "transfer",
    options: Mapping[str, Any] | None = None,
    split: str = "all",
    labels: str = "auto",
    overwrite: bool = False,
    command: str | None = None,
    max_seconds: float | None = None,
    on_event: OnEvent | None = None,
) -> runs.Run:
    """Group the images of `source` and leave a finished run folder.

    Parameters
    ----------
    source
        Folder, archive, list of paths, npz, npy, Parquet, "digits", or a uint8 array.
    out
        The run folder; by default ``ilk-runs/<source>-<method>-<hash of all settings>``.
    method
        A short name (see `ilk.methods`), a class name or ``package.module:Class``.
    options
        Constructor arguments, preset keys and encoder settings of the method, in one flat mapping.
    split
        "all", "train" or "test", where the source has such parts.
    labels
        Where true labels are, for the scores that are computed after the run is finished; "none" for no scores.
    overwrite
        Replace a finished or unfinished run of the same name.
    command
        The command line to show in the report.
    max_seconds
        A slice of the job: a training stops at the end of the last epoch that fits into this time (one is always
        trained), decoding and encoding after it. `Interrupted` is raised, and the same call goes on from there.
    on_event
        Called with what happens; a true answer while encoding or at the end of an epoch stops the job, which the same
        call later goes on with.

    Returns
    -------
    Run
        ``run.header["summary"]`` is the JSON object of the command line. A finished run of the very same job is
        returned as it is, with an ``already`` event.

    Raises
    ------
    IlkError
        Everything that can be wrong with the input, by name. Nothing is left behind then.
    Interrupted
        Stopped by `max_seconds` or `on_event`.
    """
    begin = time.perf_counter()
    tell: OnEvent = on_event or (lambda event: None)
    model = _model(method, options or {})
    images = open_images(source, split)
    labels = _checked_labels(labels, getattr(images, "kind", "array"))
    _check_count(len(images), getattr(model, "n_clusters", "auto"))
    seconds = {"list": time.perf_counter() - begin}
    header = _header(images, source, split, method, model, labels, command)
    path = Path(out).expanduser() if out is not None else default_run(source, method, header["identity"])
    notes = _notes(images, source)
    tell(
        {
            "event": "found",
            "n": len(images),
            "what": _what(images),
            "notes": notes,
            "seconds": seconds["list"],
            "run": str(path),
        }
    )
    run = _finished(path, header) if not overwrite else None
    if run is not None:
        tell({"event": "already", "run": str(path)})
        return run if labels in ("auto", "none", run.header.get("labels")) else _scored(run, labels, images)
    writer = runs.begin(path, header, overwrite=overwrite)
    if writer.resumed:
        tell({"event": "resumed", "run": str(path)})
    try:
        checkpoint = runs.Checkpoint(writer.folder, begin, max_seconds)
        _fit(model, images, writer, checkpoint, tell)
        tell({"event": "write", "run": str(path)})
        _record.write(writer, model, images, source, seconds | checkpoint.stages, begin - checkpoint.seconds)
        tell({"event": "finishing", "run": str(path)})
        run = runs.load_run(writer.finish())
    except OSError as error:
        writer.close()
        raise RunError(f"cannot write {path}: {error.strerror or error}. The same command goes on from here.") from None
    except IlkError as error:
        (writer.close if writer.resumed or _goes_on(error) else writer.discard)()
        raise
    except BaseException:
        writer.close()
        raise
    run = _scored(run, labels, images)
    tell({"event": "done", "run": str(path), "summary": run.header["summary"], "scores": run.scores()})
    return run


def _model(method: str, options: Mapping[str, Any]) -> Any:
    """Return the estimator, its options checked. A method that keeps nothing between runs is given no cache."""
    cls = methods.find(method)
    known = {key: value for key, value in options.items() if key != "cache" or "cache" in cls._get_param_names()}
    model = cls.from_options(known)
    model.resolved()
    return model


def _fit(model: Any, images: Any, writer: runs.RunWriter, checkpoint: runs.Checkpoint, tell: OnEvent) -> None:
    """Fit `model`, from the checkpoint where there is one."""
    if getattr(model, "cache", "none") is None:
        model.cache = writer.folder / "cache"  # without a cache, the unfinished run is where a kill resumes
    resume = checkpoint.load()
    if resume is not None:
        tell({"event": "stage", "stage": "resume", "notes": checkpoint.notes})

    def hook(record: dict[str, Any], state: Callable[[], dict[str, Any]]) -> bool:
        stop = tell({"event": "stage", **_pictured(record, writer.folder)})
        return checkpoint.take(record, state, bool(stop))

    model.fit(images, on_epoch=hook, resume=resume)
    if getattr(model, "stopped_", False):
        raise Interrupted(f"{checkpoint.where()}; the same command goes on from there")
    model.notes_ += checkpoint.notes


def _pictured(record: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Turn the thumbnails of first groups into a picture that can be opened while the job goes on."""
    if "thumbs" not in record:
        return record
    record = dict(record)
    thumbs, groups = record.pop("thumbs"), record["groups"]
    path = folder / _record.FIRST
    with contextlib.suppress(OSError):  # a full disk will be told by what matters more
        report.write_first(path, [f"{group['id']}: {group['size']} of {record['n']}" for group in groups], thumbs)
        record["picture"] = str(path)
    return record


def _goes_on(error: IlkError) -> bool:
    """Whether the same command may go on from where `error` stopped it: it was interrupted, or the disk refused."""
    return isinstance(error, Interrupted) or isinstance(error.__context__, OSError)


def _scored(run: runs.Run, labels: str, images: Any) -> runs.Run:
    """Score the finished `run`. Labels that were asked for and cannot be used are an error, found ones only a note."""
    try:
        scores = scoring.evaluate(run, labels)
    except DataError as error:
        if labels != "auto":
            raise DataError(
                f"the run is finished and kept in {run.path}, but not scored: {error} "
                f"Score it with: ilk evaluate {shlex.quote(str(run.path))} --labels …"
            ) from None
        _record.add_warning(run, f"not scored: {error}")
    else:
        if scores is not None:
            _record.add_scores(run, scores, images)
    return run


def default_run(source: Any, method: str, identity: Mapping[str, Any]) -> Path:
    """Return ``ilk-runs/<source>-<method>-<8 hex digits of everything that makes this job this job>``."""
    digest = hashlib.blake2b(json.dumps(identity, sort_keys=True, default=str).encode(), digest_size=4).hexdigest()
    stem = _place(source).stem if isinstance(source, str | Path) else "array"
    clean = "".join(c if c.isalnum() or c in "-_." else "-" for c in stem).strip("-.") or "images"
    return Path("ilk-runs") / f"{clean[:60]}-{method.rpartition(':')[2].lower()}-{digest}"


def _header(
    images: Any, source: Any, split: str, method: str, model: Any, labels: str, command: str | None
) -> dict[str, Any]:
    params = {key: _plain(value) for key, value in model.get_params(deep=False).items() if key != "cache"}
    built_in = source if isinstance(source, str) else None
    spec = str(_place(source)) if _is_path(source) else built_in
    described = {"spec": spec, "split": split, "n": len(images), "fingerprint": images.fingerprint()}
    return {
        "method": method,
        "params": params,
        "resolved": {key: _plain(value) for key, value in model.resolved().items()},
        "seed": params.get("random_state"),
        "labels": labels,
        "source": {**described, "kind": getattr(images, "kind", "array")},
        "identity": {"method": method, "params": params, "source": described},
        "versions": _record.versions(),
        "commit": _record.commit(),
        "command": command,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "warnings": [],
    }


def _is_path(source: Any) -> bool:
    return isinstance(source, Path) or (isinstance(source, str) and source != "digits")


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | dict | list | None) else str(value)


def _place(source: str | Path) -> Path:
    path = Path(source)
    return (path if path.exists() else path.expanduser()).resolve()


def _what(images: Any) -> str:
    return "image file" if hasattr(images, "listing") else "image"


def _notes(images: Any, source: Any = None) -> list[str]:
    notes = list(getattr(images, "notes", []))
    if isinstance(source, str) and source == "digits" and Path(source).exists():
        notes.append("these are the built-in handwritten digits; for the folder of that name say ./digits")
    return notes


_NAMED_LABELS = ("folder", "prefix")


def _checked_labels(labels: str, kind: str) -> str:
    """Return `labels`, a file with its whole path. What cannot be right is said before an hour of work, unopened.

    >>> _checked_labels("prefix", "folder")
    'prefix'
    """
    if Path(labels).suffix.lower() in (".csv", ".tsv"):
        file = _place(labels)
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


def _check_count(n: int, k: Any) -> None:
    """Raise where `n` files can never make `k` groups; how many of them are distinct shows later."""
    least = 2 if isinstance(k, str) else int(k)
    if n < least:
        what = "1 image is" if n == 1 else f"{n} images are"
        raise NotEnoughImages(f"{what} too few for {least} groups. Ask for fewer groups (-k) or give more images.")


def _finished(path: Path, header: dict[str, Any]) -> runs.Run | None:
    """Return the finished run at `path` where it is this very job; None where nothing stands there."""
    if not (path / "run.json").is_file():
        return None
    run = runs.load_run(path)
    other = runs.difference(run.header, header)
    if other:
        raise RunError(f"{path} holds a finished run of {other}. Choose another place with -o, or add --overwrite.")
    return run


# -- predict ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prediction:
    """Groups of new images, one row per file of the source.

    Attributes
    ----------
    names, status, reasons : list
        File names; "ok", "duplicate" or "unreadable"; why not.
    cluster, second : (n,) int64
        Group and next-best group; -1 = none of these.
    confidence : (n,) float32
    group_names : dict
        Name of every group of the run.
    """

    names: list[str]
    status: list[str]
    reasons: list[str | None]
    cluster: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float32]
    group_names: dict[int, str]

    def columns(self) -> dict[str, list[Any]]:
        """Return path, cluster, group, confidence, second, status, reason as lists."""
        return {
            "path": self.names,
            "cluster": self.cluster.tolist(),
            "group": [self.group_names.get(int(c), "none of these") for c in self.cluster],
            "confidence": [round(float(c), 4) for c in self.confidence],
            "second": self.second.tolist(),
            "status": self.status,
            "reason": [reason or "" for reason in self.reasons],
        }

    def write(self, path: str | Path) -> None:
        """Write a ``.csv`` or ``.parquet`` table; a reader never sees half of it."""
        _record.write_table(Path(path), self.columns())


def predict(
    run: runs.Run | str | Path,
    source: Any,
    *,
    split: str = "all",
    threshold: float | None = None,
    device: str = "auto",
    cache: str | Path | None = None,
    on_event: OnEvent | None = None,
) -> Prediction:
    """Place the images of `source` into the groups of `run`.

    Parameters
    ----------
    run
        A run, or its folder; the images it was made from are not needed.
    source
        As in `cluster`.
    split
        "all", "train" or "test", where the source has such parts.
    threshold
        In [0, 1]: an image whose probabilities of all groups sum to less belongs to none of them. None: the run's own.
    device
        "auto", "cpu" or "cuda".
    cache, on_event
        Where features are kept (None: nowhere); called with what happens.

    Raises
    ------
    ArgumentError
        A threshold outside of [0, 1], or for a method that has none.
    RunError
        The run is damaged, or its encoder's weights are not those it was made with.
    """
    tell: OnEvent = on_event or (lambda event: None)
    if threshold is not None and not 0 <= threshold <= 1:
        raise ArgumentError(f"threshold={threshold!r}: give a number from 0 (no image is refused) to 1.")
    run = run if isinstance(run, runs.Run) else runs.load_run(run)
    images = open_images(source, split)
    tell({"event": "found", "n": len(images), "what": _what(images), "notes": _notes(images)})
    try:
        model = methods.find(run.header["method"]).from_state(
            run.state(), weights_file=_record.weights_of(run), device=device, cache=cache
        )
    except (KeyError, TypeError) as error:
        raise RunError(f"the model in {run.path} is damaged ({error}). {runs.AGAIN}") from None
    if threshold is not None:
        if "threshold" not in model.get_params():
            raise ArgumentError(f"threshold={threshold!r}: method {run.header['method']} refuses no image.")
        model.set_params(threshold=threshold)
    encoded = model.encode(
        images,
        on_progress=lambda done, total: tell({"event": "stage", "stage": "encode", "done": done, "total": total}),
    )
    proba = model.proba_of(encoded)
    order = np.argsort(-proba, axis=1, kind="stable")
    second = order[:, 1] if proba.shape[1] > 1 else np.full(len(proba), -1)
    read = encoded.position >= 0
    return Prediction(
        images.names(),
        list(encoded.status),
        list(encoded.reasons),
        model.decide(proba),
        np.where(read, second, -1).astype(np.int64),
        proba.max(1).astype(np.float32),
        {int(g["id"]): str(g["name"]) for g in run.clusters()},
    )
