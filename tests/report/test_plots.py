"""The plots have the expected names, show something, and stay bounded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from older import write_sheets
from PIL import Image
from report_run import HOSTILE, Make, N, pixels_of

from ilk import files
from ilk.files.thumbs import squares
from ilk.report import plots, sheets, write_plots
from ilk.report.facts import borderline, central, gather
from ilk.report.map import draw_map


def ink(path: Path) -> int:
    """Number of distinct colours, of a picture that must be a PNG of a sensible size."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert min(image.size) > 100
        return len(image.convert("RGB").getcolors(image.width * image.height) or [])


def test_names_and_content(make_run: Make) -> None:
    run = make_run()
    written = write_plots(run)
    assert {p.name for p in written} == {
        *(f"contact-{i}.png" for i in (0, 1, 2, -1)),
        *("sizes.png", "silhouette-per-k.png", "silhouettes.png", "map.png"),
    }
    assert all(p.parent == run.path / "plots" and ink(p) > 20 for p in written)


def test_without_map_and_k_table(make_run: Make) -> None:
    names = {p.name for p in write_plots(make_run(no_map=True, no_k_table=True, noise=False))}
    assert names == {"contact-0.png", "contact-1.png", "contact-2.png", "sizes.png", "silhouettes.png"}


def test_source_sharpens_the_sheets_of_an_older_run(make_run: Make) -> None:
    """Its thumbnails have 48 pixels; those of today need no source."""
    run = make_run(noise=False)
    (run.path / "thumbs" / "00000.bin").unlink()
    write_sheets(run.path / "thumbs", squares(list(pixels_of(N)), 48))
    source = files.ArraySet("array", pixels_of(N), [HOSTILE.get(i, f"{i:05d}.jpg") for i in range(N)])
    before = ink(next(p for p in write_plots(run) if p.name == "contact-0.png"))
    after = ink(next(p for p in write_plots(run, source) if p.name == "contact-0.png"))
    assert after != before


def test_a_label_does_not_cover_a_group_that_is_smaller(make_run: Make) -> None:
    facts = gather(make_run(noise=False))
    layout = np.random.default_rng(0).uniform(0, 10, (N, 2)).astype(np.float32)
    tiny = next(group for group in facts.groups if group.id == 1)
    layout[tiny.members] = 5.0
    figure = draw_map(facts, layout)
    assert figure is not None
    axes = figure.axes[0]
    figure.canvas.draw()
    box = next(text for text in axes.texts if "sleeves" in text.get_text()).get_window_extent()
    x, y = axes.transData.transform((5.0, 5.0))
    assert box.x0 < x < box.x1  # above its group, not beside it
    assert box.y0 > y


def test_many_groups_are_bounded(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "MAX_SHEETS", 5)
    monkeypatch.setattr(plots, "MAX_BARS", 6)
    written = write_plots(make_run(n=400, k=80, bad={}, noise=False))
    assert sum(p.name.startswith("contact-") for p in written) == 5
    with Image.open(next(p for p in written if p.name == "sizes.png")) as image:
        assert image.height < 600


def test_order_of_members(make_run: Make) -> None:
    facts = gather(make_run())
    group = next(g for g in facts.groups if g.id == 1)
    first = central(facts, group, 12)
    assert first[:3] == [1, 4, 10]  # the exemplars but for a duplicate, then by distance
    rest = facts.distance[first[3:]]
    assert (np.diff(rest) >= 0).all()
    assert not facts.duplicate[first].any()
    last = borderline(facts, group, 10, first)
    assert last == group.edge
    assert not set(first) & set(last)
    group.edge = []
    last = borderline(facts, group, 5, first)
    assert 0 < len(last) <= group.size // 4
    assert (np.diff(facts.silhouette[last]) >= 0).all()


def test_text_that_the_font_lacks_is_replaced() -> None:
    assert plots.fitting("ä 日本 $x$\n") == "ä □□ $x$\\n"
