"""What a cell came to, one JSON file each, in the one format of all results: benchmarks/result.schema.json."""

from __future__ import annotations

import datetime
import os
import platform
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ilk import disk
from ilk.bench.recipe import Cell, Recipe
from ilk.errors import RunError
from ilk.runs import Run, write_json

__all__ = ["command_of", "flat", "forget", "framed", "hardware", "read", "record_of", "results_of", "write"]

FORMAT = 1
_FACTS = ("hardware", "device", "versions", "job", "note")  # of a result, beside name, command, commit, date and seeds


def framed(record: Mapping[str, Any], name: str, date: str | None = None) -> dict[str, Any]:
    """Return a flat record in the format of all results: how it came about, and below "values" what was measured.

    Parameters
    ----------
    record
        Figures by name, with command, commit, hardware and the like among them.
    name
        Folder and stem of its file.
    date
        ``YYYY-MM-DD``; today in UTC by default.

    Examples
    --------
    >>> made = framed({"seed": 1, "acc": 0.9, "hardware": "2 cores"}, "demo/digits-1", "2026-01-31")
    >>> made["seeds"], made["values"], flat(made)["hardware"]
    ([1], {'seed': 1, 'acc': 0.9}, '2 cores')
    """
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    facts = {key: record[key] for key in _FACTS if record.get(key) is not None}
    command = str(record.get("command") or "")
    given = re.search(r"--seeds[ =](\d+(?:[ ,]\d+)*)", command)
    seeds = {int(word) for word in re.split("[ ,]", given[1])} if given else set(_seeds(record))
    return {
        "format": FORMAT,
        "name": name,
        "command": command,
        "commit": record.get("commit"),
        "date": date or today,
        "seeds": sorted(seeds),
        **facts,
        "values": {key: value for key, value in record.items() if key not in (*_FACTS, "command", "commit", "recipe")},
    }


def flat(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of a result and what it says of itself on one level; one of before that format is so."""
    if "values" not in result:
        return dict(result)
    return {**{key: value for key, value in result.items() if key != "values"}, **result["values"]}


def _seeds(found: Any) -> Iterator[int]:
    """Whatever is called a seed, at any depth."""
    if isinstance(found, Mapping):
        for key, value in found.items():
            if key == "seed" and isinstance(value, int):
                yield value
            elif key == "seeds" and isinstance(value, list | int):
                yield from value if isinstance(value, list) else range(value)
            elif key != "job":
                yield from _seeds(value)
    elif isinstance(found, list):
        for value in found:
            yield from _seeds(value)


def command_of(recipe: Recipe, cell: Cell) -> str:
    """Return what runs `cell` alone."""
    return f"ilk bench {recipe.path.parent.name}/{recipe.path.name} {cell.asked}"


def path_of(recipe: Recipe, cell: Cell) -> Path:
    """Return where the result of `cell` is kept."""
    return recipe.results / f"{cell.name}.json"


def read(recipe: Recipe, cell: Cell) -> dict[str, Any] | None:
    """Return the result of `cell`, or None where there is none, or one of other settings."""
    path = path_of(recipe, cell)
    if not path.exists():
        return None
    try:
        record = flat(disk.read_json(path, follow=True))
        return record if record["job"] == cell.job() else None
    except (OSError, ValueError, KeyError, TypeError):
        raise RunError(f"{path} is no result of a benchmark. Remove it, or put it back as it was.") from None


def write(recipe: Recipe, cell: Cell, record: Mapping[str, Any]) -> Path:
    """Keep the result of `cell`."""
    path = path_of(recipe, cell)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, framed(record, f"{recipe.path.stem}/{cell.name}"))
    return path


def forget(recipe: Recipe, cell: Cell) -> None:
    """Remove the result of `cell`: it is about to be made anew."""
    path_of(recipe, cell).unlink(missing_ok=True)


def results_of(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """Return the results that there are, by the name of their cell; those of budgets included."""
    budgets = {None, *(float(entry["minutes"]) for row in recipe.rows for entry in row.budgets)}
    cells = {cell.name: cell for budget in budgets for cell in recipe.cells(budget=budget)}
    found = {name: read(recipe, cell) for name, cell in cells.items()}
    return {name: record for name, record in found.items() if record is not None}


def record_of(
    recipe: Recipe, cell: Cell, run: Run, scores: Mapping[str, Any] | None, peak: int | None
) -> dict[str, Any]:
    """Return the result of a finished run that held `peak` bytes at most, in the form of docs/benchmarks.md."""
    header, summary = run.header, run.header["summary"]
    epochs = [record["epoch"] for record in header.get("history") or [] if "epoch" in record]
    part = "" if cell.images is None else f", a random part of {cell.images:,}"
    names = {"all": "all images", "train": "the training images", "test": "the test images"}
    fit_on = names[cell.data.split] + part
    return {
        "data": cell.data.name,
        "row": cell.row.name,
        "n_images": summary["n_images"],
        "method": cell.row.method,
        "preset": cell.row.preset,
        "settings": dict(cell.row.settings),
        "seed": cell.seed,
        "n_clusters": summary["n_clusters"],
        "scores": scores,
        "fit_on": fit_on,
        "score_on": names[cell.data.score_split] if cell.data.score_split else fit_on,
        "epochs": max(epochs) if epochs else None,
        "seconds": summary["seconds"],
        "images_per_second": summary["images_per_second"],
        "peak_rss_mib": peak and round(peak / 2**20),
        "budget": dict(cell.budget) if cell.budget else None,
        "encoder": summary["encoder"],
        "warnings": summary["warnings"],
        "device": header.get("device"),
        "hardware": hardware(str(header.get("device"))),
        "versions": header["versions"],
        "commit": header["commit"],
        "command": command_of(recipe, cell),
        "job": cell.job(),
    }


def hardware(device: str = "cpu") -> str:
    """Return processor, cores and memory in words, and the GPU where one did the work."""
    from ilk import compute

    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text("utf-8", "replace").splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    memory = ""
    if hasattr(os, "sysconf"):
        memory = f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    units = " with bf16" if compute.has_bf16() else ""  # processors of one name differ in it, and by half in speed
    entry = f"{model}, {os.cpu_count()} cores{units}{memory}"
    if device.startswith("cuda"):
        import torch

        # a run that was trained on another machine can be finished and read on one without a GPU
        gpu = torch.cuda.get_device_name(device) if torch.cuda.is_available() else "a GPU elsewhere"
        entry = f"{gpu} beside {entry}"
    return entry
