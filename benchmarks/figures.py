"""Numbers in the text of a page, taken from the committed results.

``<!-- figure: mnist/mnist-transfer-* scores.acc mean score -->.978<!-- /figure -->`` is the mean of ``scores.acc`` over
those files of ``benchmarks/results``. Behind the files and the path stand, where wanted, how several values become one
(`HOW`) and how the number is written: ``score`` (.978) or a format of Python's (``.1f``). A path may be a quotient,
``seconds.total/n_images``, and ``*100`` behind it makes a per cent of it. ``scale/million:whole`` is the last line of
``scale/million.jsonl`` whose command says ``whole``. ``python benchmarks/table.py --write`` fills
all of them in; a test compares.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterator
from typing import Any

from rows import RESULTS, lines, read, short

MARK = re.compile(r"(<!-- figure: (.*?) -->)(.*?)(<!-- /figure -->)", re.DOTALL)
MADE = re.compile(r"<!-- [^>]*: made by .*?<!-- end of .*?-->", re.DOTALL)
# code, addresses, tags and comments: what is no text
ASIDE = re.compile(r"^```.*?^```|`[^`\n]*`|(?<=\])\([^)]*\)|<[^>]*>|\bhttps?://\S+", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"(?<![\w.,-])[+−-]?(?:\d+(?:[.,]\d+)*|\.\d+)(?![\w])")
HOW: dict[str, Callable[[list[float]], float]] = {
    "mean": statistics.fmean,
    "median": statistics.median,
    "min": min,
    "max": max,
    "sum": sum,
    "count": len,
}


def at(record: Any, path: str) -> float:
    """Return the number at a path such as ``scores.acc`` or ``rounds.0.ratio``."""
    for key in path.split("."):
        record = record[int(key)] if isinstance(record, list) else record[key]
    return float(record)


def values(files: str, path: str) -> list[float]:
    """Return the number at `path` of all results that the pattern `files` names."""
    if ":" in files:
        name, word = files.split(":")
        found = [record for record in lines(name) if word in record["command"].split()][-1:]
    else:
        found = [read(file) for file in sorted(RESULTS.glob(f"{files}.json"))]
    if not found:
        raise LookupError(f"no result is called {files}")
    path, _, factor = path.partition("*")
    above, _, below = path.partition("/")
    numbers = [at(record, above) / (at(record, below) if below else 1) for record in found]
    return [number * float(factor or 1) for number in numbers]


def figure(spec: str) -> str:
    """Return the text of one figure."""
    files, path, *rest = spec.split()
    numbers = values(files, path)
    if rest and rest[0] in HOW:
        numbers = [HOW[rest.pop(0)](numbers)]
    form = rest[0] if rest else "g"
    return " ".join(short(number) if form == "score" else f"{number:{form}}" for number in numbers)


def written(text: str) -> str:
    """Return a page with its figures as the results have them."""
    return MARK.sub(lambda found: f"{found[1]}{figure(found[2])}{found[4]}", text)


def loose(text: str, allowed: tuple[str, ...] = ()) -> Iterator[tuple[int, str]]:
    """Yield line and number for every number of a page that is neither marked nor in a made table, nor `allowed`.

    Code, the targets of links and the marks of lists are not looked at. `allowed` are patterns of text with numbers
    that no measurement stands behind, such as the version of Python that is needed.
    """

    def blank(found: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", found[0])

    for pattern in (MADE, MARK, ASIDE, re.compile(r"^ *\d+\. ", re.MULTILINE), *map(re.compile, allowed)):
        text = pattern.sub(blank, text)
    for number, line in enumerate(text.splitlines(), 1):
        for found in NUMBER.finditer(line):
            yield number, found[0]
