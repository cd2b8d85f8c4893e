"""One whole job: images in, a finished run folder out."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import shlex
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ilk import _record, _versions, disk, methods, report, runs, scoring, showing
from ilk.errors import ArgumentError, DataError, IlkError, Interrupted, RunError, answered
from ilk.files import Samples, is_address, local_only, public
from ilk.jobs import asking, gathering, naming
from ilk.jobs.standing import beside, finished

__all__ = ["cluster", "default_run"]

OnEvent = Callable[[dict[str, Any]], bool | None]

_HERE = ("cache", "verbose")  # arguments that say nothing of what is found


@answered
def cluster(
    source: Any,
    out: str | Path | None = None,
    *,
    method: str = "transfer",
    options: Mapping[str, Any] | None = None,
    features: Any = None,
    split: str = "all",
    labels: str = "auto",
    names: bool = True,
    words: str | Path | Sequence[str] | None = None,
    overwrite: bool = False,
    command: str | None = None,
    max_seconds: float | None = None,
    start_from: Path | None = None,
    by_content: bool = False,
    engine: Any = None,
    copies: bool | None = None,
    verbose: bool | None = None,
    on_event: OnEvent | None = None,
) -> runs.Run:
    """Group the images of `source` and leave a finished run folder.

    Parameters
    ----------
    source
        Folder, archive, list of paths, npz, npy, Parquet, "digits", or a uint8 array; several of these (see
        `ilk.open_images`); or features without images, as a float array (n, d) or ``.npy``.
    out
        The run folder; by default ``ilk-runs/<source>-<method>-<hash of all settings>``.
    method
        A short name (see `ilk.methods`), a class name or ``package.module:Class``.
    options
        Constructor arguments, preset keys and encoder settings of the method, in one flat mapping; ``features`` may
        stand here as well.
    features
        Features of the user's own for the images of `source`, instead of an encoder's: see `ilk.open_images`.
    split
        "all", "train" or "test", where the source has such parts.
    labels
        Where true labels are, for the scores that are computed after the run is finished; "none" for no scores.
    names
        Whether to say of each group what its images look like, as far as a classifier of ImageNet's classes knows.
    words
        A text file with one word a line, or the words: the only ones to choose from.
    overwrite
        Replace a finished or unfinished run of the same name.
    command
        The command line to show in the report.
    max_seconds
        A slice of the job: a training stops at the end of the last epoch that fits into this time (one is always
        trained), decoding and encoding after it. `Interrupted` is raised, and the same call goes on from there.
    start_from
        Folder of a checkpoint of this very job, made elsewhere (``<RUN>.partial/checkpoint``): a run that has none
        of its own goes on from there.
    by_content
        Whether these are the images of an earlier run, and what is known of a file, is decided by reading every file,
        and not by its name, size and time of the last change.
    engine
        Who encodes the images in the place of this process, such as `ilk.scale.Ray`: machines that share a cache. The
        run is the same as without.
    copies
        Whether the run gets copies of features and thumbnails. False: it names where they are in the cache, which it
        needs from then on (`ilk.gather` copies them in later). None: copies of fewer than a million images.
    verbose
        Whether to show how far it is. None: in notebooks and on terminals, unless there is an `on_event`.
    on_event
        Called with what happens; a true answer while encoding or at the end of an epoch stops the job, which the same
        call later goes on with.

    Returns
    -------
    Run
        ``run.header["summary"]`` is the JSON object of the command line. A finished run of the very same job is
        returned as it is, with an ``already`` event; its scores are those of the labels as they are now.

    Raises
    ------
    IlkError
        Everything that can be wrong with the input, by name. Nothing is left behind then.
    Interrupted
        Stopped by `max_seconds` or `on_event`.
    """
    local_only(out, "out")
    with showing.watching(verbose, on_event) as hook:
        return _cluster(
            source, out, method, dict(options or {}), features, split, labels, names, words, overwrite, command,
            max_seconds, start_from, by_content, engine, copies, hook or (lambda event: None),
        )  # fmt: skip


def _cluster(
    source: Any,
    out: str | Path | None,
    method: str,
    options: dict[str, Any],
    features: Any,
    split: str,
    labels: str,
    names: bool,
    words: str | Path | Sequence[str] | None,
    overwrite: bool,
    command: str | None,
    max_seconds: float | None,
    start_from: Path | None,
    by_content: bool,
    engine: Any,
    copies: bool | None,
    notify: OnEvent,
) -> runs.Run:
    begin = time.perf_counter()
    # what can be refused is refused before torch and the rest are loaded
    features = asking.given(options.pop("features", features))
    reading = {key: options.pop(key) for key in ("range", "bands") if key in options}
    methods.check_names(method, options)
    opened, k = asking.opened(source, split, by_content), options.get("n_clusters", "auto")
    if opened is not None:
        labels = asking.checked(opened, labels, k)
    chosen = naming.words_of(words) if names else None
    seconds = {"list": time.perf_counter() - begin}
    from ilk.data import open_images

    model, renamed = _model(method, options)
    given, part = (source, split) if opened is None else (opened, "all")
    images = open_images(given, part, features=features, **reading)
    if engine is not None:
        _use(engine, model, images, method)
    labels = asking.checked(images, labels, k)
    header = _header(images, source, split, method, model, labels, command)
    header["identity"] |= naming.identity(names, chosen)
    path = Path(out).expanduser() if out is not None else default_run(source, method, header["identity"])
    known = [] if out is not None else beside(path, header)
    notify(_found(images, seconds["list"], path, [*renamed, *known]))
    if (run := finished(path, header, images, overwrite)) is not None:
        return _again(run, model, images, labels, notify)
    writer = runs.begin(path, header, overwrite=overwrite)
    if writer.resumed:
        notify({"event": "resumed", "run": str(path)})
    with _released(writer, path):
        checkpoint = runs.Checkpoint(writer.folder, begin, max_seconds, start=start_from)
        _fit(model, images, writer, checkpoint, notify)
        notify({"event": "write", "run": str(path)})
        cache = (options or {}).get("cache") or writer.folder / "cache"
        name = naming.Namer(model, images, chosen, cache, notify, str(path)) if names else None
        score, stages = _Scorer(labels), seconds | checkpoint.stages
        _record.write(writer, model, images, source, stages, begin - checkpoint.seconds, name, score, copies)
        notify({"event": "finishing", "run": str(path)})
        run = runs.load_run(writer.finish())
    score.check(run)
    notify({"event": "done", "run": str(path), "summary": run.header["summary"], "scores": run.scores()})
    return run


def _again(run: runs.Run, model: Any, images: Any, labels: str, notify: OnEvent) -> runs.Run:
    """Return the finished run of this very job: with what it needs of a cache, and scored where that is asked for."""
    run = gathering.mend(run, model, images, notify)
    notify({"event": "already", "run": str(run.path)})
    return _scored(run, labels, images) if _to_score(run, labels) else run


@contextlib.contextmanager
def _released(writer: runs.RunWriter, path: Path) -> Iterator[None]:
    """Let go of an unfinished run where something stops the block: kept where the same command may go on from it."""
    try:
        yield
    except OSError as error:
        writer.close()
        raise RunError(f"cannot write {path}: {error.strerror or error}. The same command goes on from here.") from None
    except IlkError as error:
        (writer.close if writer.resumed or _goes_on(error) else writer.discard)()
        raise
    except BaseException:
        writer.close()
        raise


def _use(engine: Any, model: Any, images: Any, method: str) -> None:
    """Have `engine` encode; what stands against it is said before anything is done."""
    if not hasattr(model, "use"):
        raise ArgumentError(f"method {method} is one of your own and reads its images itself: leave --engine out.")
    engine.check(images)
    model.use(engine)


def _found(images: Any, seconds: float, path: Path, renamed: list[str]) -> dict[str, Any]:
    """Return the event that says what there is to group."""
    notes, passed = [*renamed, *asking.notes(images)], asking.passed_over(images).lines()
    entry = {"event": "found", "n": len(images), "what": asking.what(images), "notes": notes, "passed": passed}
    return {**entry, "seconds": seconds, "run": str(path)}


def _model(method: str, options: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """Return the estimator, its options checked, and a line for each option that was called by an old name.

    A method that keeps nothing between runs is given no cache.
    """
    cls = methods.find(method)
    known = {key: value for key, value in options.items() if key != "cache" or "cache" in cls._get_param_names()}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DeprecationWarning)
        model = cls.from_options(known)
        model.resolved()
    return model, list(dict.fromkeys(str(one.message) for one in caught))


def _fit(model: Any, images: Any, writer: runs.RunWriter, checkpoint: runs.Checkpoint, notify: OnEvent) -> None:
    """Fit `model`, from the checkpoint where there is one."""
    notes: list[str] = []
    if (cache := getattr(model, "cache", "none")) is None or (cache != "none" and _cannot_be_made(cache, notes)):
        model.cache = writer.folder / "cache"  # without a cache, the unfinished run is where a kill resumes
    resume = checkpoint.load()
    if resume is not None:
        notify({"event": "stage", "stage": "resume", "notes": checkpoint.notes})

    def hook(record: dict[str, Any], state: Callable[[], dict[str, Any]]) -> bool:
        stop = notify({"event": "stage", **_pictured(record, writer.folder)})
        return checkpoint.take(record, state, bool(stop))

    model.fit(images, on_epoch=hook, resume=resume)
    if getattr(model, "stopped_", False):
        raise Interrupted(f"{checkpoint.where()}; the same command goes on from there")
    model.notes_ += [*notes, *checkpoint.notes]


def _cannot_be_made(cache: str | Path, notes: list[str]) -> bool:
    """Whether there is no cache, nor can there be one; then that is noted. One that is there can be read at least."""
    folder = Path(cache).expanduser()
    if folder.is_dir() or (why := disk.unwritable(folder)) is None:
        return False
    notes.append(
        f"the cache {cache} cannot be made ({why}): nothing is kept for later runs; choose another with --cache DIR"
    )
    return True


def _pictured(record: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Turn the thumbnails of first groups, where there are any, into a picture that can be opened meanwhile."""
    if "thumbs" not in record:
        return record
    record = dict(record)
    thumbs, groups = record.pop("thumbs"), record["groups"]
    if not record["left"] or not any(map(len, thumbs)):
        return record  # the final groups are as soon there; or there are no pictures
    path = folder / _record.FIRST
    with contextlib.suppress(OSError):  # what matters more will report a full disk
        report.write_first(path, [f"{group['id']}: {group['size']} of {record['n']}" for group in groups], thumbs)
        record["picture"] = str(path)
    return record


def _goes_on(error: IlkError) -> bool:
    """Whether the same command may go on from where `error` stopped it: it was interrupted, or the disk refused."""
    return isinstance(error, Interrupted) or isinstance(error.__context__, OSError)


def _to_score(run: runs.Run, labels: str) -> bool:
    """Whether a finished run is scored (again): labels are no part of what makes a job, and may have changed since.

    Labels that lie in the source by themselves do not displace those that somebody has named since.
    """
    before = scoring.written(run) or {"labels": "auto"}
    return labels != "none" and (labels != "auto" or before.get("labels") in ("auto", None))


class _Scorer:
    """Scores a run. Labels that were asked for and cannot be used are an error, found ones only a note."""

    def __init__(self, labels: str) -> None:
        self._labels = labels
        self._error: DataError | None = None

    def __call__(self, run: runs.Run) -> tuple[Mapping[str, Any] | None, str | None]:
        """Return the scores, or why there are none."""
        try:
            return scoring.evaluate(run, self._labels), None
        except DataError as error:
            self._error = error
            return None, str(error) if self._labels == "auto" else None

    def check(self, run: runs.Run) -> None:
        """Raise where labels were asked for and could not be used; the run itself is kept."""
        if self._error is not None and self._labels != "auto":
            raise DataError(
                f"the run is finished and kept in {run.path}, but not scored: {self._error} "
                f"Score it with: ilk evaluate {shlex.quote(str(run.path))} --labels …"
            ) from None


def _scored(run: runs.Run, labels: str, images: Any) -> runs.Run:
    """Score a `run` of before. It is written into only where that says something new."""
    before, score = scoring.written(run), _Scorer(labels)
    scores, why = score(run)
    score.check(run)
    if why is not None:
        _record.not_scored(run, why)
    elif scores is not None and (scoring.written(run) != before or run.header["summary"]["scores"] is None):
        _record.add_scores(run, scores, images)
    return run


def default_run(source: Any, method: str, identity: Mapping[str, Any]) -> Path:
    """Return ``ilk-runs/<source>-<method>-<8 hex digits of everything that makes this job this job>``."""
    digest = hashlib.blake2b(json.dumps(identity, sort_keys=True, default=str).encode(), digest_size=4).hexdigest()
    clean = "".join(c if c.isalnum() or c in "-_." else "-" for c in asking.stem(source)).strip("-.") or "images"
    return Path("ilk-runs") / f"{clean[:60]}-{method.rpartition(':')[2].lower()}-{digest}"


def _header(
    images: Any, source: Any, split: str, method: str, model: Any, labels: str, command: str | None
) -> dict[str, Any]:
    params = {key: _plain(value) for key, value in model.get_params(deep=False).items() if key not in _HERE}
    spec = asking.spec(source, images)
    described = {"spec": spec, "split": split, "n": len(images), "fingerprint": images.fingerprint()}
    from ilk.data import OwnFeatures

    if isinstance(images, OwnFeatures):
        described["features"] = images.as_record()
    elif samples := getattr(images, "samples", Samples()).as_record():
        described["samples"] = samples
    return {
        "method": method,
        "params": params,
        "resolved": {key: _plain(value) for key, value in model.resolved().items()},
        "seed": params.get("random_state"),
        "labels": labels,
        "source": {
            **described,
            "kind": getattr(images, "kind", "array"),
            "folder": str(Path.cwd()) if getattr(images, "kind", "") in ("list", "several") else None,
            "passed_over": asking.passed_over(images).as_record(),
        },
        "identity": {"method": method, "params": params, "source": described},
        "versions": _versions.versions(),
        "commit": _versions.commit(),
        "command": command,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "warnings": asking.notes_on_samples(images),
    }


def _plain(value: Any) -> Any:
    if callable(value):  # an encoder of the user's own: its address in memory names nothing
        from ilk.encoders import name_of

        return name_of(value)
    value = list(value) if isinstance(value, tuple) else public(value) if is_address(value) else value
    return value if isinstance(value, str | int | float | bool | dict | list | None) else str(value)
