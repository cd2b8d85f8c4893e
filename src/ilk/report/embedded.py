"""Plots inside the page: those that `write_plots` left in the run folder, drawn now where they are missing."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

from PIL import Image

from ilk import disk
from ilk.report.curves import histories
from ilk.report.facts import Facts
from ilk.report.marks import DARK, LIGHT
from ilk.report.plots import as_png, drawings
from ilk.report.words import shortened
from ilk.runs import Run

BUDGET = 3_000_000  # bytes of plots in the page, light and dark
HEAVY = 200_000  # bytes from which a plot is packed more tightly
MAX_FILE = 32 << 20  # bytes of a plot that is taken from the run folder
MAX_PIXELS = 60_000_000  # of a plot: 180 MB of memory

APART = {
    "silhouettes": (
        "Silhouette of every image, in the features",
        "One block per group, as high as the group is large; what reaches far to the right is far from other groups.",
    ),
    "similarity": (
        "Which groups are alike",
        "The lighter a square, the more alike two groups are on average; light squares are the first candidates for a "
        "merge.",
    ),
}

View = dict[str, Any]


def plot_views(run: Run, facts: Facts) -> dict[str, Any]:
    """Return the plots of two parts of the page: how far groups are apart, and what the method itself has to show."""
    history = {}
    if histories(facts.header.get("history") or []):
        caption = "Each figure that the method recorded, by epoch."
        history["history"] = ("History of the training", caption)
    own = {f"own-{figure['name']}": (figure["title"], figure["caption"]) for figure in run.figures()}
    draws, room = (
        {theme: drawings(run, facts, colours) for theme, colours in (("light", LIGHT), ("dark", DARK))},
        BUDGET,
    )
    found: dict[str, list[View]] = {}
    for part, plots in (("own", {**history, **own}), ("apart", APART)):
        found[part] = []
        for name, (title, caption) in plots.items():
            # those of the groups in the run folder are of the groups as they were found
            anew = part == "apart" and facts.n_corrections > 0
            view = _view(run, name, draws, room, anew)
            if view is not None:
                room -= len(view["uri"] or "") + len(view["dark"] or "")
                found[part].append({**view, "title": shortened(title, 200), "caption": shortened(caption, 1000)})
    return found


def _view(run: Run, name: str, draws: Mapping[str, Mapping[str, Any]], room: int, anew: bool) -> View | None:
    """Return one plot as ``data:`` addresses, or without where that exceeds `room`; None where there is nothing.

    For a dark page it is drawn too, unless only the light one fits.
    """
    png = None if anew else _existing(run, name)
    if png is None:
        drawn = draws["light"][name]()
        if drawn is None:
            return None
        png = as_png(drawn)
    uri, width, height = _address(png)
    dark = None
    if len(uri) <= room and (drawn := draws["dark"][name]()) is not None:
        dark = _address(as_png(drawn))[0]
    shown = {"uri": uri if len(uri) <= room else None, "dark": dark if dark and len(uri) + len(dark) <= room else None}
    return {"file": f"plots/{name}.png", "width": width, "height": height, **shown}


def _address(png: bytes) -> tuple[str, int, int]:
    """Return a plot as a ``data:`` address, its width and its height."""
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        kind, data = ("png", png) if len(png) <= HEAVY else ("webp", _tight(image))
        return f"data:image/{kind};base64,{base64.b64encode(data).decode()}", *image.size


def _existing(run: Run, name: str) -> bytes | None:
    """Return a plot of the run folder; None where it is missing, damaged, or larger than any plot of ours."""
    try:
        data = disk.read_bytes(disk.within(run.path, "plots", f"{name}.png"), MAX_FILE)
        if not 0 < _pixels(data) <= MAX_PIXELS:  # before anything is unpacked
            return None
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            image.verify()
        if len(data) > HEAVY:  # it will be packed anew: its pixels must be there too
            with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
                image.load()
    except (OSError, SyntaxError, ValueError):  # ValueError: texts inside that unpack to more than is allowed
        return None
    return data


def _pixels(png: bytes) -> int:
    """Return how many pixels a PNG claims to have; 0 where it is none."""
    if not png.startswith(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"):
        return 0
    return int.from_bytes(png[16:20], "big") * int.from_bytes(png[20:24], "big")


def _tight(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "WEBP", quality=80, method=3)
    return buffer.getvalue()
