"""`ilk predict`: new images into the groups of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from ilk.cli import options as parse
from ilk.cli.arguments import (
    ByContent,
    Cache,
    Debug,
    Device,
    Features,
    Json,
    NoCache,
    Own,
    OwnEncoder,
    Quiet,
    RunPath,
    Split,
    Uncorrected,
    Verbose,
)
from ilk.cli.words import count, few

if TYPE_CHECKING:
    from ilk.cli.show import Screen
    from ilk.jobs import Prediction

__all__ = ["predict"]

_NONE = "none of these"
_SINGLY = 8  # images up to which each is shown by itself


def predict(
    run: RunPath,
    source: Annotated[
        list[str], typer.Argument(metavar="SOURCE…", help="As in `ilk cluster`; a single photo.jpg too.")
    ],
    out: Annotated[
        Optional[Path], typer.Option("-o", "--out", metavar="FILE", help="Table to write: .csv or .parquet.")
    ] = None,
    threshold: Annotated[
        Optional[float],
        typer.Option(
            metavar="X", help="0 to 1: the higher, the more images are in none of the groups. [default: the run's]"
        ),
    ] = None,
    nearest: Annotated[
        Optional[int],
        typer.Option(metavar="N", help="Name N images of the run like each. [default: 5 for up to 8 images or --json]"),
    ] = None,
    method: Own = None,
    split: Split = "all",
    encoder: OwnEncoder = None,
    features: Features = None,
    device: Device = "auto",
    cache: Cache = None,
    no_cache: NoCache = False,
    by_content: ByContent = False,
    uncorrected: Uncorrected = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Place the images of SOURCE into the groups of RUN; what fits none of them says so. `ilk update` keeps them."""
    from ilk.cli.mistakes import typed
    from ilk.cli.show import Screen

    out, given = parse.table_path(out), parse.sources(source)
    with Screen(json, quiet=quiet, verbose=verbose, aside=parse.is_stdout(out)) as screen:
        from ilk import jobs

        found = jobs.predict(
            parse.opened_run(run, uncorrected), given, split=split, threshold=threshold,
            nearest=5 if json and nearest is None else nearest, cls=method, device=device,
            cache=parse.cache(cache, no_cache), encoder=parse.own_encoder(encoder),
            features=features, by_content=by_content, on_event=screen.event,
        )  # fmt: skip
        notes = [] if out is None else found.write(out)
        _placed(screen, found, run, out)
        for note in (*found.notes, *notes):
            screen.note(note)
        if features is None and any(status != "unreadable" for status in found.status):
            screen.line(f"keep     {typed(['update', str(run), *source])} lets them join the run", "aside")


def _placed(screen: Screen, found: Prediction, run: Path, out: Path | None) -> None:
    """Show where new images went: a few one by one, more by the size of the groups."""
    sizes = dict.fromkeys([*found.captions.values(), _NONE], 0)
    n = len(found.names)
    rows = found.rows() if screen.as_json or n <= _SINGLY else []
    seen = [status != "unreadable" for status in found.status]
    read = [found.captions.get(group, _NONE) for group, ok in zip(found.group.tolist(), seen, strict=True) if ok]
    for name in read:
        sizes[name] += 1
    confidence, known = (float(values[seen].mean()) if read else None for values in (found.confidence, found.known))
    n_unreadable = n - len(read)
    screen.json(
        {
            "run": str(run),
            "n_images": len(read),
            "n_unreadable": n_unreadable,
            "sizes": sizes,
            "out": str(out) if out else None,
            "mean_confidence": confidence,
            "mean_known": known,
            "threshold": found.threshold,
            "images": rows,
        }
    )
    lost = few([name for name, there in zip(found.names, seen, strict=True) if not there])
    placed = f"{count(len(read), 'image')}" + (f"; {lost} could not be read" if n_unreadable else "")
    screen.line(f"placed   {placed}")
    screen.result(f"{placed}: {out}" if out is not None else placed)
    if screen.verbose:
        _aside(screen, found)
    if n <= _SINGLY:
        for row in rows:
            _one(screen, row, found)
    else:
        screen.table(("group", "images"), [(name, f"{size:,}") for name, size in sizes.items()], right="images")
    if found.threshold and n > _SINGLY:
        screen.line(
            f"none of these: known below {found.threshold:g}; known is the sum of the probabilities of all groups, "
            "confidence that of the best",
            "aside",
        )
    if out is not None:
        screen.line(f"table    {out}")
    elif not screen.as_json and n > _SINGLY:
        screen.line("add -o FILE.csv to keep one row per image")


def _aside(screen: Screen, found: Prediction) -> None:
    """Say what decided, and which files could not be read."""
    screen.line(f"refused  where known is below {found.threshold:g}" if found.threshold else "refused  none")
    for path, status, reason in zip(found.names, found.status, found.reasons, strict=True):
        if status == "unreadable":
            screen.line(f"unread   {path}: {reason}")


def _one(screen: Screen, row: dict[str, Any], found: Prediction) -> None:
    """Show one image: its group, with what confidence, how much of it is known, and what of the run is like it."""
    names = found.captions
    screen.line()
    screen.line(row["path"], "title")
    if row["status"] == "unreadable":
        screen.line(f"         could not be read: {row['reason']}")
        return
    second = f"; next best: {names[row['second']]}" if row["second"] in names else ""
    known = f", known {row['known']:.2g}" if found.threshold else ""
    screen.line(f"group    {names.get(row['group'], _NONE)}, confidence {row['confidence']:.2f}{known}{second}")
    if near := row.get("nearest"):
        shown = [(f"{one['similarity']:.2f}", names.get(one["group"], "none"), one["path"]) for one in near]
        screen.table(("similarity", "group", "nearest images of the run"), shown, right="similarity")
