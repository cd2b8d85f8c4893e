"""What a cell came to, one JSON file each."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ilk import disk
from ilk.bench.recipe import Cell, Recipe
from ilk.errors import RunError
from ilk.runs import Run, write_json

__all__ = ["forget", "hardware", "read", "record_of", "results_of", "write"]


def path_of(recipe: Recipe, cell: Cell) -> Path:
    """Return where the result of `cell` is kept."""
    return recipe.results / f"{cell.name}.json"


def read(recipe: Recipe, cell: Cell) -> dict[str, Any] | None:
    """Return the result of `cell`, or None where there is none, or one of other settings."""
    path = path_of(recipe, cell)
    if not path.exists():
        return None
    try:
        record: dict[str, Any] = disk.read_json(path, follow=True)
        return record if record["job"] == cell.job() else None
    except (OSError, ValueError, KeyError, TypeError):
        raise RunError(f"{path} is no result of a benchmark. Remove it, or put it back as it was.") from None


def write(recipe: Recipe, cell: Cell, record: Mapping[str, Any]) -> Path:
    """Keep the result of `cell`."""
    path = path_of(recipe, cell)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, record)
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
        "command": f"ilk bench {recipe.path.parent.name}/{recipe.path.name} {cell.asked}",
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
