"""Running the cells of a recipe, one after another; what was done before is not done again."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ilk import compute, jobs, runs, scoring
from ilk.bench import results
from ilk.bench.recipe import Cell, Recipe
from ilk.bench.subset import subset
from ilk.errors import Diverged, IlkError, Interrupted

__all__ = ["Outcome", "run_recipe"]

OnEvent = Callable[[dict[str, Any]], bool | None]


@dataclass
class Outcome:
    """What became of the cells that were asked for, by their names.

    Attributes
    ----------
    done, there_already, no_data : list of str
    failed : dict name -> message
    stopped : str
        Why not all cells were looked at; empty where they were.
    """

    done: list[str] = field(default_factory=list)
    there_already: list[str] = field(default_factory=list)
    no_data: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    stopped: str = ""


def run_recipe(
    recipe: Recipe,
    *,
    only: Iterable[str] = (),
    budget: float | None = None,
    max_seconds: float | None = None,
    again: bool = False,
    device: str = "auto",
    cache: Path | None = None,
    folder: Path | None = None,
    on_event: OnEvent | None = None,
) -> Outcome:
    """Run what is missing of a recipe.

    Parameters
    ----------
    recipe : Recipe
    only, budget
        See `Recipe.cells`.
    max_seconds : float, optional
        A slice: what is not finished by then goes on with the next call. A method that has no epochs is not begun after
        it, but not cut short either.
    again : bool
        Run anew what is there already. Where a slice stops such a run, it goes on without `again`.
    device : str
        "auto", "cpu" or "cuda".
    cache : Path, optional
    folder : Path, optional
        Where the runs are kept; ``runs/<recipe>`` beside the recipe by default.
    on_event : callable
        Gets the events of `jobs.cluster`, and ``{"event": "cell", "name", "number", "of", "state"}``.

    Raises
    ------
    ArgumentError
        A name in `only` that fits nothing.
    """
    begin = time.perf_counter()
    report: OnEvent = on_event or (lambda event: None)
    folder = folder or recipe.path.parent / "runs" / recipe.path.stem
    cells, outcome = recipe.cells(only, budget), Outcome()
    for number, cell in enumerate(cells, 1):
        entry: dict[str, Any] = {"event": "cell", "name": cell.name, "number": number, "of": len(cells)}
        if results.read(recipe, cell) is not None and not again:
            outcome.there_already.append(cell.name)
            report({**entry, "state": "there"})
            continue
        if not cell.data.here():
            outcome.no_data.append(cell.name)
            report({**entry, "state": "no data", "source": cell.data.source, "get": cell.data.get})
            continue
        left = None if max_seconds is None else max_seconds - (time.perf_counter() - begin)
        if left is not None and left <= 0:
            outcome.stopped = f"the time is over before {cell.name}"
            break
        report({**entry, "state": "run"})
        results.forget(recipe, cell)
        try:
            record = _run(recipe, cell, folder, device, cache, left, again, report)
        except Interrupted as error:
            outcome.stopped = f"{cell.name}: {error}"
            break
        except Diverged as error:  # a result as any other: a table without it would flatter the method
            record = {"data": cell.data.name, "row": cell.row.name, "seed": cell.seed, "scores": None,
                      "error": str(error), "device": device, "hardware": results.hardware(),
                      "commit": jobs.commit(), "budget": cell.budget, "job": cell.job(),
                      "command": results.command_of(recipe, cell)}  # fmt: skip
        except Exception as error:  # whatever a method does wrong, the other cells are run
            why = str(error) if isinstance(error, IlkError) else f"{type(error).__name__}: {error}"
            outcome.failed[cell.name] = why
            report({**entry, "state": "failed", "why": why})
            continue
        results.write(recipe, cell, record)
        outcome.done.append(cell.name)
        report({**entry, "state": "done", "scores": record["scores"]})
    return outcome


def _run(
    recipe: Recipe,
    cell: Cell,
    folder: Path,
    device: str,
    cache: Path | None,
    left: float | None,
    again: bool,
    report: OnEvent,
) -> dict[str, Any]:
    """Run one cell and return its result."""
    source, location = cell.data.source, folder / f"{cell.name}-{cell.digest()}"
    if again and (location / "run.json").is_file():
        shutil.rmtree(location)  # or the old run would be taken where the new one is stopped
    if cell.images is not None:
        source = str(subset(source, cell.images, folder / "parts"))
    options: dict[str, Any] = {**recipe.options(cell), "cache": cache}
    if device != "auto":
        options["device"] = device
    events: set[str] = set()

    def forward(event: dict[str, Any]) -> bool | None:
        events.add(str(event.get("event")))
        return report(event)

    compute.forget_peak()
    run = jobs.cluster(
        source,
        location,
        method=cell.row.method,
        options=options,
        split=cell.data.split,
        labels=cell.data.labels,
        overwrite=again,
        command=results.command_of(recipe, cell),
        max_seconds=left,
        start_from=recipe.path.parent / "checkpoints" / recipe.path.stem / cell.name,
        on_event=forward,
    )
    # what was finished before took its memory in another process
    peak = None if "already" in events else compute.peak_memory()
    return results.record_of(recipe, cell, run, _scores(cell, run, source, cache), peak)


def _scores(cell: Cell, run: runs.Run, source: str, cache: Path | None) -> Mapping[str, Any] | None:
    """Return the five scores of a finished run: on its own images, or on the part that is kept for scoring."""
    if cell.data.score_split is None:
        scores: Mapping[str, Any] | None = run.header["summary"]["scores"]
        return scores
    own = cell.row.method if ":" in cell.row.method else None  # the recipe may name code, a run may not
    found = jobs.predict(run, source, split=cell.data.score_split, cls=own, cache=cache)
    seen = [i for i, status in enumerate(found.status) if status != "unreadable"]
    names, clusters = [found.names[i] for i in seen], found.group[seen].tolist()
    scored = scoring.score_new(names, clusters, source, cell.data.labels, cell.data.score_split)
    return {name: scored[name] for name in ("acc", "nmi", "nmi_geometric", "ari", "purity")}
