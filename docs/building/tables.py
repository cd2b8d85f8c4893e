"""The page of settings: every method with its presets and every setting, read off the dataclasses."""

from __future__ import annotations

import runpy
from pathlib import Path

from ilk import methods

ROOT = Path(__file__).resolve().parents[2]
HEAD = """# Settings of the methods

Every setting of every method, read off the classes. `ilk methods NAME` prints the same. Given with `--set KEY=VALUE`,
or as `settings={"KEY": VALUE}` in Python; `--set preset=NAME` takes the values of the last column.
"""


def first_line(name: str) -> str:
    """Return what the class of a method says of itself in one line."""
    return (getattr(methods, name).__doc__ or "").strip().splitlines()[0]


def about(short: str) -> str:
    """Return the page of a method: the one that has its table."""
    for page in sorted((ROOT / "docs" / "methods").glob("*.md")):
        if f"<!-- settings: {short} -->" in page.read_text("utf-8"):
            return page.name
    raise LookupError(f"no page in docs/methods has the settings of {short}")


def page() -> str:
    """Return the whole page."""
    table = runpy.run_path(str(ROOT / "docs" / "generate.py"))["table"]
    parts = [HEAD]
    for short, name in methods.short_names().items():
        presets = ", ".join(f"`{preset}`" for preset in methods.find(short).presets)
        more = f"Presets: {presets}. More: [its page](../methods/{about(short)}). In Python: `ilk.{name}`."
        parts.append(f"## {short}\n\n{first_line(name)}\n\n{more}\n\n{table(short)}")
    return "\n".join(parts)
