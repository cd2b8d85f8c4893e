"""Turning what was typed into what the library takes."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ilk import disk
from ilk.errors import ArgumentError

if TYPE_CHECKING:
    from ilk.runs import Run

NO_HOME = "note     there is no home folder: nothing is kept for later runs; name a folder for that with --cache DIR"

_WORDS = {"true": True, "false": False, "none": None}


def value(text: str) -> Any:
    """Return `text` as the plain value it reads like.

    >>> [value(t) for t in ("3", "0.5", "true", "none", "crop", "2,4,8")]
    [3, 0.5, True, None, 'crop', [2, 4, 8]]
    """
    if "," in text:
        return [value(part) for part in text.split(",") if part]
    if text.lower() in _WORDS and text.lower() != "none":
        return _WORDS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None if text == "none" else text


def method_options(
    k: str,
    encoder: str,
    weights: str | None,
    settings: list[str],
    seed: int,
    device: str,
    precision: str,
    cache: Path | None,
    near_duplicates: str = "keep",
) -> dict[str, Any]:
    """Return the flat options of a method from the options of ``ilk cluster``.

    Raises
    ------
    ArgumentError
        K is neither a number nor "auto", or a ``--set`` is not ``KEY=VALUE``.
    """
    chosen: dict[str, Any] = {
        "n_clusters": k,
        "random_state": seed,
        "cache": cache,
    }
    # what nobody asked for is not passed: a method that trains a network has no encoder to choose
    named = {"encoder": encoder, "device": device, "precision": precision}
    chosen |= {name: given for name, given in named.items() if given != "auto"}
    if weights is not None:
        chosen["weights"] = weights
    if near_duplicates != "keep":
        chosen["near_duplicates"] = near_duplicates
    if k != "auto":
        try:
            chosen["n_clusters"] = int(k)
        except ValueError:
            chosen["n_clusters"] = 0
        if chosen["n_clusters"] < 2:
            raise ArgumentError(f"-k {k}: give a whole number of at least 2, or auto.")
    for text in settings:
        key, equals, given = text.partition("=")
        if not equals or not key:
            raise ArgumentError(f"--set {text}: write it as KEY=VALUE, for example --set preset=kmeans.")
        # "none" is a word of some settings (reducer=none) and "nothing" for the others
        chosen[key] = "none" if key == "reducer" and given == "none" else value(given)
    return chosen


def own_encoder(name: Any) -> Any:
    """Return `name` as it is; a module of the folder one works in can be found from now on, where one is named."""
    if isinstance(name, str) and ":" in name and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    return name


def seconds(minutes: float | None, option: str = "--slice") -> float | None:
    """Return the seconds of an option that takes minutes."""
    if minutes is not None and not minutes > 0:
        raise ArgumentError(f"{option} {minutes:g}: give minutes above 0.")
    return None if minutes is None else 60 * minutes


def two_counts(text: str | None) -> tuple[int, int] | None:
    """Return "5000,2000" as two numbers.

    >>> two_counts("5000,2000"), two_counts(None)
    ((5000, 2000), None)
    """
    if text is None:
        return None
    found = value(text)
    if not isinstance(found, list) or len(found) != 2 or not all(isinstance(n, int) and n > 0 for n in found):
        raise ArgumentError(f"--images {text}: give two numbers, for training and testing, such as 5000,2000.")
    return found[0], found[1]


def cache(given: Path | None, none: bool) -> Path | None:
    """Return the cache folder: the one given, no cache, or ``$XDG_CACHE_HOME/ilk``; none where there is no home."""
    if none and given is not None:
        raise ArgumentError("--cache and --no-cache exclude each other.")
    if none:
        return None
    if given is not None:
        return given.expanduser()
    if (home := default_cache()) is None:
        print(NO_HOME, file=sys.stderr)
    return home


def engine(name: str | None, address: str | None, workers: int | None) -> Any:
    """Return who encodes, None for this process.

    Raises
    ------
    ArgumentError
        An option of an engine without one, or with a value outside of what is allowed.
    """
    if name is None:
        for option, given in (("--address", address), ("--workers", workers)):
            if given is not None:
                raise ArgumentError(f"{option} {given} is one of an engine: add --engine ray.")
        return None
    from ilk.scale import Ray

    return Ray(address or "auto", workers)


def default_cache() -> Path | None:
    """Return ``$XDG_CACHE_HOME/ilk``, or that in the home; None where there is none."""
    home = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(home) if home else Path.home() / ".cache") / "ilk"
    except RuntimeError:  # no $HOME, and a user whom the system does not know
        return None


def cache_state(clear: bool) -> dict[str, Any]:
    """Return path, bytes (in all, and by kind) and whether the default cache was just emptied."""
    from ilk import encoders

    folder = default_cache()
    if folder is None:
        raise ArgumentError("there is no home folder, and so no cache. Set XDG_CACHE_HOME to a folder to have one.")
    before, needing = encoders.cache_size(folder), encoders.cache_needed_by(folder)
    if clear:
        encoders.clear_cache(folder)
    return {
        "path": str(folder),
        "bytes": sum(before.values()),
        "kinds": before,
        "cleared": clear,
        "needed_by": list(map(str, needing)),
    }


def sources(given: list[str]) -> str | list[str]:
    """Return the one source that was given, or several.

    >>> sources(["photos"]), sources(["a.jpg", "b.jpg"])
    ('photos', ['a.jpg', 'b.jpg'])
    """
    return given[0] if len(given) == 1 else given


def named(source: str | list[str] | None) -> str | None:
    """Return how sources are called in a message."""
    if source is None:
        return None
    from ilk import files

    every = source if isinstance(source, list) else [source]
    return files.without_secrets(", ".join(every[:3])) + (" …" if len(every) > 3 else "")


def table_path(path: Path | None) -> Path | None:
    """Return where to write a table; raise unless that can be: before the work, not after it."""
    if path is None:
        return None
    from ilk import files

    files.local_only(path, "-o")
    path = path.expanduser()
    if not path.suffix and disk.is_special(path):  # /dev/stdout, a pipe: CSV
        return path
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise ArgumentError(f"-o {path}: give a name that ends in .csv or .parquet.")
    if not path.parent.is_dir():
        raise ArgumentError(f"-o {path}: there is no folder {path.parent}.")
    if path.is_dir():
        raise ArgumentError(f"-o {path} is a folder: give the name of a file.")
    return path


def is_stdout(path: Path | None) -> bool:
    """Whether an output goes where people read: what they are to see goes to stderr then."""
    return disk.is_stdout(path)


def command_line() -> str:
    """Return the command as it was typed, quoted for a shell; without passwords and signatures of addresses."""
    from ilk import files

    return shlex.join(["ilk", *map(files.without_secrets, sys.argv[1:])])


def opened_run(path: Path, uncorrected: bool, fetch: bool = False) -> Run:
    """Return the run at `path`, with its corrections or without; `fetch`: its addresses may be asked."""
    from ilk import runs

    run = runs.load_run(path, uncorrected=uncorrected)
    if fetch:
        let_fetch(run)
    return run


def let_fetch(run: Run | Path) -> None:
    """Let the addresses be asked that a run says its images are at; a run from elsewhere may name any."""
    from ilk import files, runs

    opened = runs.load_run(run) if isinstance(run, Path) else run
    for record in opened.sources():
        spec = record.get("spec")
        files.allow(str(one) for one in (spec if isinstance(spec, list) else [spec]) if files.is_address(one))


def scores_of(
    run: Run,
    source: str | list[str] | None,
    labels: str,
    split: str,
    features: str | None,
    method: str | None,
    on_event: Callable[[dict[str, Any]], Any],
) -> dict[str, Any]:
    """Score `run` itself, or its predictions for `source`, which may come with `features`."""
    from ilk import scoring
    from ilk.errors import DataError

    nothing = DataError(
        f"no labels for {named(source) or run.path}: name them with --labels folder, prefix, KEY or FILE.csv."
    )
    if source is None:
        if features is not None:
            raise ArgumentError("--features are those of new images: give these as SOURCE too.")
        scores = scoring.evaluate(run, None if labels == "auto" else labels)
        if scores is None:
            raise nothing
        return scores
    from ilk import files, jobs

    truth = files.truth(labels, source, split=split)
    if not truth:
        raise nothing
    found = jobs.predict(
        run, source, split=split, features=features, cls=method, cache=cache(None, False), on_event=on_event
    )
    seen = [i for i, status in enumerate(found.status) if status != "unreadable"]
    return scoring.score([found.names[i] for i in seen], found.group[seen].tolist(), truth)
