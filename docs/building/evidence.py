"""A page for each folder of benchmarks/results: what was run, when, on what; its table and its picture."""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
HIDDEN = "---\nsearch:\n  exclude: true\nhide: [navigation, toc]\n---\n"


def cell(text: object) -> str:
    """Return a text as a cell of a table."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def folder(path: Path) -> str:
    """Return the page of one folder of results."""
    lines = [f"{HIDDEN}# Results: {path.name}", ""]
    lines += [f"`benchmarks/results/{path.name}`: what was measured, each with the command that measures it again.", ""]
    lines += ["| result | command | seeds | date | commit | machine |", "|---|---|---|---|---|---|"]
    machines: list[str] = []
    for file in sorted(path.rglob("*.json")):
        record = json.loads(file.read_text("utf-8"))
        name = file.relative_to(path).with_suffix("").as_posix()
        machine = record.get("hardware") or "not recorded"
        if machine not in machines:
            machines.append(machine)
        cells = (
            f"[{name}]({file.relative_to(path).as_posix()})",  # as from the folder: `links` rewrites it
            f"`{record['command']}`" if record.get("command") else "",
            " ".join(map(str, record.get("seeds") or [])),
            record.get("date") or "",
            f"`{record['commit']}`" if record.get("commit") else "",
            chr(ord("A") + machines.index(machine)),
        )
        lines.append(f"| {' | '.join(map(cell, cells))} |")
    lines += ["", *(f"* {chr(ord('A') + i)}: {machine}" for i, machine in enumerate(machines))]
    for table in sorted(path.glob("*.md")):
        lines += ["", *deeper(table.read_text("utf-8"))]
    return "\n".join(lines) + "\n"


def deeper(text: str) -> list[str]:
    """Return the lines of a page with its headings one level deeper."""
    return ["#" * line.startswith("#") + line for line in text.splitlines()]


def pages() -> dict[str, str]:
    """Return address on the site -> text, for every folder of results and for the list of them."""
    folders = [path for path in sorted(RESULTS.iterdir()) if path.is_dir()]
    lines = [f"{HIDDEN}# Every result", "", "One folder for each measurement; a file in it has one run.", ""]
    lines += ["| folder | results | newest |", "|---|---|---|"]
    for path in folders:
        files = sorted(path.rglob("*.json"))
        newest = max((json.loads(file.read_text("utf-8")).get("date") or "" for file in files), default="")
        lines.append(f"| [{path.name}]({path.name}.md) | {len(files)} | {newest} |")
    found = {"results/evidence/index.md": "\n".join(lines) + "\n"}
    return found | {f"results/evidence/{path.name}.md": folder(path) for path in folders}
