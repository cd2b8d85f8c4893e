"""The PNG plots of a run: what there is to draw, by name."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from ilk import disk
from ilk.report.curves import draw_history, draw_k
from ilk.report.facts import NOISE, Facts, gather
from ilk.report.map import draw_map
from ilk.report.marks import LIGHT, Theme, fitting, framed, rendered
from ilk.report.own import draw_own
from ilk.report.pictures import Pictures, Source
from ilk.report.shape import draw_silhouettes, draw_similarity
from ilk.report.sheets import write_sheets
from ilk.report.words import counted, share, shortened
from ilk.runs import Run

MAX_BARS = 60
DPI = 144


def write_plots(run: Run, source: Source = None) -> list[Path]:
    """Write the plots of a finished run into ``<run>/plots/``.

    Parameters
    ----------
    run
        A finished run, from `ilk.runs.load_run`.
    source
        Where the images are, or the opened source: contact sheets are then made from the images themselves instead of
        their 48 px thumbnails. May be missing or gone.

    Returns
    -------
    list of Path
        As far as the run has what they show: ``contact-<group id>.png`` for the 60 largest groups, ``sizes.png``,
        ``silhouette-per-k.png`` (every criterion for every number of groups tried), ``silhouettes.png`` (of every
        image, by group), ``similarity.png`` (of the groups), ``map.png``, ``history.png`` (what the method recorded
        each epoch), and ``own-<name>.png`` for each of the method's own figures.

    Raises
    ------
    RunError
        A table of the run is missing or damaged.

    Notes
    -----
    At most 480 images are decoded. About 3 s for 70,000 images in 10 groups on one core.
    """
    facts = gather(run)
    folder = run.path / "plots"
    disk.own_folder(folder)
    for old in (p for p in folder.glob("*.png") if p.name.startswith(("own-", "contact-"))):
        old.unlink(missing_ok=True)
    pictures = Pictures(run, facts, source)
    written = write_sheets(folder, facts, pictures) if facts.groups and pictures.there else []
    for name, draw in drawings(run, facts).items():
        drawn = draw()
        if drawn is not None:
            disk.write_bytes(folder / f"{name}.png", as_png(drawn))
            written.append(folder / f"{name}.png")
    return written


def drawings(run: Run, facts: Facts, theme: Theme = LIGHT) -> dict[str, Callable[[], Figure | Image.Image | None]]:
    """Return every plot but the contact sheets by name; calling one draws it, or gives None where there is nothing."""
    own = {f"own-{figure['name']}": partial(draw_own, figure, theme) for figure in run.figures()}
    return {
        "sizes": partial(draw_sizes, facts, theme),
        "silhouette-per-k": lambda: draw_k(facts, run.k_table(), theme),
        "silhouettes": partial(draw_silhouettes, facts, theme),
        "similarity": partial(draw_similarity, run, facts, theme),
        "map": lambda: None if (layout := run.map()) is None else draw_map(facts, np.asarray(layout), theme),
        "history": lambda: draw_history(facts.header.get("history") or [], theme),
        **own,
    }


def as_png(drawn: Figure | Image.Image) -> bytes:
    """Return a drawing as a PNG file."""
    buffer = io.BytesIO()
    if isinstance(drawn, Image.Image):
        drawn.save(buffer, "PNG", compress_level=4)
    else:
        rendered(drawn, DPI).save(buffer, "PNG", dpi=(DPI, DPI))
    return buffer.getvalue()


def draw_sizes(facts: Facts, theme: Theme = LIGHT) -> Figure | None:
    """Return horizontal bars, one per group, the largest on top; None for a run without groups."""
    shown, rest = facts.groups[:MAX_BARS], facts.groups[MAX_BARS:]
    if not shown:
        return None
    figure, axes = framed(8, 1.2 + 0.27 * (len(shown) + bool(rest)), theme)
    names = [fitting(shortened(g.caption, 48)) for g in shown]
    sizes = [g.size for g in shown]
    axes.barh(range(len(shown)), sizes, color=[theme.grey if g.id == NOISE else theme.bar for g in shown], height=0.74)
    for y, group in enumerate(shown):
        label = f" {counted(group.size, 'image')} · {share(group.size, facts.n_readable)}"
        axes.text(group.size, y, label, va="center", ha="left", fontsize=8.5, color=theme.ink)
    if rest:
        n = sum(g.size for g in rest)
        label = f"and {counted(len(rest), 'smaller group')} with {counted(n, 'image')} together (all in report.html)"
        axes.text(0, len(shown) - 0.1, label, va="center", fontsize=8.5, color=theme.quiet)
    axes.set_yticks(range(len(shown)), names, fontsize=8.5, parse_math=False)
    axes.set_ylim(len(shown) - 0.4 + bool(rest), -0.6)
    axes.set_xlim(0, 1.25 * max(sizes))
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    title = f"{counted(facts.n_readable, 'image')} in {counted(facts.n_groups, 'group')}"
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=theme.ink)
    return figure
