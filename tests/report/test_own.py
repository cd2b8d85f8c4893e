"""A method's own figures and histories are drawn and shown by their kind alone."""

from __future__ import annotations

import numpy as np
import pytest
from report_run import Make, figures_of_all_kinds, history_of
from test_page import read
from test_plots import ink

from ilk import runs
from ilk.report import curves, embedded, own, write_plots, write_report

OWN = {f"own-{figure['name']}.png" for figure in figures_of_all_kinds()}


def test_every_figure_is_a_plot_of_its_own_name(make_run: Make) -> None:
    run = make_run(rich=True)
    written = {p.name: p for p in write_plots(run)}
    assert set(written) >= OWN | {"history.png", "similarity.png"}
    assert all(ink(written[name]) > 20 for name in OWN | {"history.png"})
    (run.path / "figures.json").unlink()
    (run.path / "figures.safetensors").unlink()
    write_plots(run)
    assert not list((run.path / "plots").glob("own-*"))  # of an older run of the same folder


@pytest.mark.parametrize("plots_first", [True, False])
def test_the_page_shows_them(make_run: Make, plots_first: bool) -> None:
    run = make_run(rich=True)
    if plots_first:
        write_plots(run)
    page = read(write_report(run))
    shown = [a for a in page.all("img") if (a["src"] or "").startswith("data:image/") and "height" in a]
    assert len(shown) == 1 + 5 + 1 + 2  # map, own, history, silhouettes and similarity
    assert page.text.count("</script><img src=x onerror=alert(1)> $x^$ \\u202e") == 2  # title and caption
    assert "History of the training" in page.text
    assert "The images show no clear number. Criteria <b>disagree</b>." in page.text
    assert not (run.path / "plots").exists() or plots_first


def test_what_is_too_large_is_named(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(rich=True)
    monkeypatch.setattr(embedded, "BUDGET", 100_000)
    page = read(write_report(run))
    assert "plots/own-views.png" in page.text


def test_a_damaged_plot_is_drawn_anew(make_run: Make) -> None:
    run = make_run(rich=True)
    write_plots(run)
    whole = write_report(run).read_bytes()
    (run.path / "plots" / "history.png").write_bytes(b"no picture")
    assert write_report(run).read_bytes() == whole


def test_histories_by_key_and_stage() -> None:
    found = curves.histories(history_of(3))
    assert found == {
        "loss": {"train": [(0, 1), (1, 0.5), (2, 1 / 3)], "tune": [(0, 0.1), (1, 0.1), (2, 0.1)]},
        "moved": {"tune": [(0, 5)]},
    }
    assert curves.histories([{"stage": "encode", "seconds": 3.0}, {"epoch": "one", "loss": 2}, "odd"]) == {}


@pytest.mark.parametrize("value", [0.0, -3.0, 1e-12, 1e30])
def test_odd_numbers_are_drawn(value: float) -> None:
    flat = {"lines": {"x": [value], "series": {"s": [value]}}, "bars": {"names": ["a"], "values": [value]},
            "matrix": {"values": [[value]]}, "scatter": {"panels": [{"points": [[value, value]]}]}}  # fmt: skip
    for kind, data in flat.items():
        figure = runs.checked_figure({"name": "a", "title": "A", "kind": kind, **data})
        assert embedded.as_png(own.draw_own(figure))[:4] == b"\x89PNG"


def test_much_is_bounded() -> None:
    rng = np.random.default_rng(0)
    much = {
        "lines": {"x": np.arange(500), "series": {str(i): rng.random(500) for i in range(60)}},
        "bars": {"names": [str(i) for i in range(500)], "values": rng.random(500)},
        "matrix": {"values": rng.random((300, 200)), "row_names": [str(i) for i in range(300)]},
        "scatter": {"panels": [{"points": rng.normal(size=(3000, 2))}] * 30},
        "images": {"rows": [{"images": rng.integers(0, 256, (60, 8, 8), dtype=np.uint8)}] * 80},
    }
    for kind, data in much.items():
        figure = runs.checked_figure({"name": "a", "title": "A", "kind": kind, **data})
        assert len(embedded.as_png(own.draw_own(figure))) < 3_000_000
