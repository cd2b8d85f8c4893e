"""`ilk update`: new images join a run, and what is gone from its source is marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import typer

from ilk.cli import options as parse
from ilk.cli.arguments import (
    ByContent,
    Cache,
    Debug,
    Device,
    Features,
    Fetch,
    Json,
    NoCache,
    OldDry,
    Own,
    OwnEncoder,
    Quiet,
    RunPath,
    Verbose,
    either,
)
from ilk.cli.words import count, few

if TYPE_CHECKING:
    from ilk.cli.show import Screen
    from ilk.jobs import Updated

__all__ = ["update"]

_SHOWN = 3  # paths of a kind
_LISTED = 100  # paths of a kind in the JSON object
_KINDS = {
    "moved": "moved or renamed: same images, same groups",
    "back": "there again",
    "changed": "other content under the same name: a new image each; the old one is marked as gone",
    "gone": "gone from the source: marked; they keep group and corrections",
}


def update(
    run: RunPath,
    source: Annotated[
        Optional[list[str]],
        typer.Argument(metavar="[SOURCE…]", help="As in `ilk cluster`. [default: what the run was made from]"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would join; change nothing.")] = False,
    dry: OldDry = False,
    regroup: Annotated[
        bool, typer.Option("--regroup", help="Group all images again afterwards, by your corrections.")
    ] = False,
    method: Own = None,
    split: Annotated[
        Optional[Literal["all", "train", "test"]],
        typer.Option(help="Part of a source that has train and test parts. [default: the run's]"),
    ] = None,
    encoder: OwnEncoder = None,
    features: Features = None,
    device: Device = "auto",
    cache: Cache = None,
    no_cache: NoCache = False,
    by_content: ByContent = False,
    fetch: Fetch = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Let new images of SOURCE join RUN, placed by its model. Nothing else moves; what is gone is marked."""
    from ilk.cli.show import Screen

    if fetch:
        parse.let_fetch(run)
    with Screen(json, quiet=quiet, verbose=verbose) as screen:
        from ilk import jobs

        done = jobs.update(
            run, parse.sources(source) if source else None, split=split, features=features, cls=method, device=device,
            cache=parse.cache(cache, no_cache), encoder=parse.own_encoder(encoder), by_content=by_content,
            regroup=regroup, dry=either(dry_run, dry, "--dry"), on_event=screen.event,
        )  # fmt: skip
        screen.stop()
        _shown(screen, done)


def _shown(screen: Screen, done: Updated) -> None:
    counts = {status: done.status.count(status) for status in ("ok", "duplicate", "unreadable")}
    lists = {kind: getattr(done, kind) for kind in _KINDS}
    path = done.run.path
    screen.json(
        {
            "run": str(path),
            "dry": done.dry,
            "update": done.number,
            "n_before": done.before,
            "n_new": counts["ok"],
            "n_copies": counts["duplicate"],
            "n_unreadable": counts["unreadable"],
            **{f"n_{kind}": len(paths) for kind, paths in lists.items()},
            "sizes": done.sizes(),
            "images": _rows(done),
            **{kind: paths[:_LISTED] for kind, paths in lists.items()},
            "regrouped": None if done.regrouped is None else done.regrouped.n,
            "notes": done.notes,
        }
    )
    for note in done.notes:
        screen.note(note)
    if done.nothing:
        nothing = f"nothing  new: the run has all {count(done.before, 'image')}, and they are where they were"
        screen.line(nothing)
        screen.result(nothing)
    else:
        _said(screen, done, counts, lists)
    if done.regrouped is not None:
        screen.line(f"regroup  done: correction {done.regrouped.n} (ilk correct {path} --undo takes it back)")
    if done.dry:
        screen.line("dry      nothing was changed; without --dry-run this is done")
    elif done.number is not None:
        screen.line(f"report   {path / 'report.html'}")


def _said(screen: Screen, done: Updated, counts: dict[str, int], lists: dict[str, list[str]]) -> None:
    """Say what joined, and what became of the others."""
    if done.names:
        read = counts["ok"] + counts["duplicate"]
        lost = [name for name, status in zip(done.names, done.status, strict=True) if status == "unreadable"]
        more = [f"{counts['duplicate']:,} exact copies, which go with their image"] * bool(counts["duplicate"])
        more += [f"{few(lost)} could not be read"] * bool(lost)
        what = "would join" if done.dry else "joined"
        new = f"new      {count(read, 'image')} {what}{''.join(f'; {one}' for one in more)}"
        screen.line(new)
        screen.result(new)
    for kind, paths in lists.items():
        if paths:
            shown = screen.at_most(_SHOWN)
            some = ", ".join(paths[:shown]) + (" …" if len(paths) > shown else "")
            screen.line(f"{kind:<8} {count(len(paths), 'file')}, {_KINDS[kind]} ({some})")
            screen.result(f"{kind:<8} {count(len(paths), 'file')}")
    if sizes := done.sizes():
        screen.table(("group", "new images"), [(name, f"{size:,}") for name, size in sizes.items()], right="images")


def _rows(done: Updated) -> list[dict[str, Any]]:
    rows = zip(done.names, done.group.tolist(), done.confidence.tolist(), done.status, done.reasons, strict=True)
    return [
        {
            "path": path,
            "group": None if group == -2 else group,
            "confidence": None if group < -1 or certain != certain else round(certain, 4),
            "status": status,
            "reason": why,
        }
        for path, group, certain, status, why in rows
    ]
