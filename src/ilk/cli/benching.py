"""``ilk bench``: runs what is missing of a recipe, then shows its table."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ilk.cli.show import Screen

__all__ = ["bench"]

_INTERRUPTED = 130


def bench(
    path: Path,
    only: list[str],
    budget: float | None,
    max_seconds: float | None,
    table: bool,
    again: bool,
    folder: Path | None,
    device: str,
    cache: Path | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Run and show; return the exit code: 0 all there, 1 something failed, 130 the time was over."""
    from ilk import bench, disk
    from ilk.bench.picture import draw

    variables = {"CACHE": str(cache)} | {name: str(Path(value).absolute()) for name, value in os.environ.items()}
    recipe = bench.load_recipe(path, variables)
    with Screen(as_json, quiet=quiet, verbose=verbose) as screen:
        outcome = bench.Outcome()
        if not table:
            outcome = bench.run_recipe(
                recipe, only=only, budget=budget, max_seconds=max_seconds, again=again, device=device, cache=cache,
                folder=folder, on_event=lambda event: _show(screen, event),
            )  # fmt: skip
        text = bench.markdown(recipe)
        asked = {cell.data.name for cell in recipe.cells(only, budget)} if only else ()
        found = bench.results_of(recipe)
        picture = draw(recipe, recipe.results / f"{path.stem}.png") if found else None
        if found:
            disk.write_bytes(recipe.results / "table.md", text.encode())
        screen.json({"recipe": str(path), **vars(outcome), "results": found, "picture": str(picture or "") or None})
        screen.line()
        screen.result(f"{len(found):,} results: {recipe.results / 'table.md'}")
        for line in (bench.markdown(recipe, asked) if asked else text).splitlines():
            screen.line(line)
        if picture:
            screen.line(f"picture  {picture}")
        for name, why in outcome.failed.items():
            screen.note(f"{name} failed: {why}")
        if outcome.stopped:
            screen.note(f"stopped: {outcome.stopped}. The same command goes on from here.")
    return _INTERRUPTED if outcome.stopped else int(bool(outcome.failed))


def _show(screen: Screen, event: dict[str, Any]) -> bool | None:
    """Show one event: of a cell, or of the run that it is."""
    if event["event"] != "cell":
        return None if event.get("stage") == "first" else screen.event(event)
    where, name = f"{event['number']}/{event['of']}", event["name"]
    if event["state"] == "run":
        screen.line(f"{where:<8} {name}", "title")
    elif event["state"] == "there":
        screen.line(f"{where:<8} {name}: there already")
    elif event["state"] == "no data":
        screen.line(f"{where:<8} {name}: no data at {event['source']}. {event['get']}".rstrip())
    elif event["state"] == "done" and event["scores"]:
        five = event["scores"]
        screen.line(f"         ACC {five['acc']:.3f}   NMI {five['nmi_geometric']:.3f}   ARI {five['ari']:.3f}")
    elif event["state"] == "failed":
        screen.note(f"failed: {event['why']}")
    return None
