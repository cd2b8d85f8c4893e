"""`ilk regroup`: what would move with the corrections, and moving it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from ilk.cli.arguments import Debug, Json, OldPreview, Quiet, RunPath, Verbose, either

if TYPE_CHECKING:
    from ilk.cli.show import Screen
    from ilk.regroup import Preview
    from ilk.runs import Run

__all__ = ["regroup"]

_SHOWN = 20  # flows

Out = Annotated[
    Optional[Path],
    typer.Option("-o", "--out", metavar="NEW", help="Write a new run with these groups; RUN stays as it is."),
]
Only = Annotated[bool, typer.Option("--dry-run", help="Say what would move; change nothing.")]


def regroup(
    run: RunPath,
    dry_run: Only = False,
    preview: OldPreview = False,
    out: Out = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Group the images of RUN again, with what was corrected by hand: seconds, by the features that RUN holds.

    Images that you moved, confirmed or ignored stay where they are, merged groups stay one, split ones two. Names and
    numbers stay. Undo it with `ilk correct RUN --undo`.
    """
    preview = either(dry_run, preview, "--preview")
    if preview and out is not None:
        raise typer.BadParameter("--dry-run writes nothing: leave -o out.")
    from ilk import regroup as again
    from ilk import runs
    from ilk.cli.show import Screen

    screen, opened = Screen(json, quiet=quiet, verbose=verbose), runs.load_run(run)
    found = again.preview(opened)
    action, written = None, None
    if out is not None:
        written = runs.with_other_groups(opened, out, lambda copy: found.count and again.accept(copy, found))
        _draw(written)
    elif found.count and not preview:
        action = again.accept(opened, found)
    n = None if action is None else action.n
    screen.json({"run": str(run), **found.summary(), "n": n, "out": str(written.path) if written else None})
    _shown(screen, opened, found, "would move" if preview else "moved")
    if preview:
        screen.line("dry      nothing was changed; without --dry-run this is done")
    if action is not None:
        screen.line(f"undo     ilk correct {run} --undo", "aside")
    if written is not None:
        screen.line(f"report   {written.path / 'report.html'}")
        screen.line(f"compare  ilk compare {run} {written.path}", "aside")


def _draw(run: Run) -> None:
    from ilk.report import write_plots, write_report

    write_plots(run)
    write_report(run)


def _shown(screen: Screen, run: Run, found: Preview, word: str) -> None:
    """Show what moves from where to where."""
    names = run.corrections.grouping().names
    paths = run.images()["path"]

    def called(group: int) -> str:
        name = names.get(group, "")
        return "not assigned" if group < 0 else f"group {group} ({name})" if name else f"group {group}"

    total = sum(label >= 0 for label in run.labels().tolist())
    if found.count:
        screen.line(f"{found.count:,} of {total:,} images {word}")
        screen.result(f"{found.count:,} of {total:,} images {word}")
        rows = [
            (called(one), called(other), f"{count:,}", paths[examples[0]] if examples else "")
            for one, other, count, examples in found.flows[: screen.at_most(_SHOWN)]
        ]
        screen.table(("from", "to", "images", "such as"), rows, right="images")
        if len(found.flows) > screen.at_most(_SHOWN):
            screen.line(f"and {len(found.flows) - _SHOWN:,} smaller ones (--verbose and --json list all)")
    if found.held_out is not None and found.chance is not None:
        screen.line(
            f"of images that you moved, {100 * found.held_out:.0f} % are predicted when left out "
            f"({100 * found.chance:.0f} % by guessing)"
        )
    for problem in found.problems:
        screen.note(problem)
