"""Write what is read off the classes of the methods: `make names`.

* the tables of settings in docs/methods, between ``<!-- settings: NAME -->`` and the next marker
* src/ilk/methods/options.json, by which a command refuses a wrong name before anything heavy is loaded
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ilk import methods
from ilk.methods import names

PAGES = Path(__file__).parent / "methods"
BLOCK = re.compile(r"(<!-- settings: (\w+) -->\n).*?(<!-- /settings -->)", re.DOTALL)


def word(value: Any) -> str:
    """Return a value as it is typed behind ``--set KEY=``."""
    if isinstance(value, list | tuple):
        return ",".join(map(word, value))
    return (
        str(value).lower()
        if isinstance(value, bool | None)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def table(name: str) -> str:
    """Return the table of the method called `name`."""
    presets = methods.find(name).presets
    first = next(iter(presets))
    rows = [f"| setting | `{first}` | allowed | what it is | other presets |", "|---|---|---|---|---|"]
    for key, option in presets[first].options().items():
        value, others = presets[first][key], dict[str, list[str]]()
        for preset, settings in presets.items():
            if settings[key] != value:
                others.setdefault(word(settings[key]), []).append(preset)
        also = "; ".join(f"{other}: {', '.join(f'`{p}`' for p in where)}" for other, where in others.items())
        what = option.what[:1].upper() + option.what[1:] + (f". None: {option.none}" if option.none else "")
        cells = (f"`{key}`", word(value), option.range(), what, also)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def written(text: str) -> str:
    """Return a page with its tables as they must be."""
    return BLOCK.sub(lambda found: found[1] + table(found[2]) + found[3], text)


def options() -> str:
    """Return options.json."""
    parts = []
    for name in methods.__all__:
        entry = names.described(getattr(methods, name))
        lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in entry.items())
        parts.append(f" {json.dumps(name)}: {{\n{lines}\n }}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    """Write all pages, and the file."""
    names.FILE.write_text(options(), "utf-8")
    for page in sorted(PAGES.glob("*.md")):
        text = page.read_text("utf-8")
        page.write_text(written(text), "utf-8")


if __name__ == "__main__":
    main()
