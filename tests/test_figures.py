"""A method's own figures: what is refused by name, what comes back, and that a wrong one never costs a fit."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ilk import _record, runs
from ilk.errors import ArgumentError, RunError
from ilk.runs.figures import load_figures, save_figures

LINES = {"name": "a", "title": "A", "kind": "lines", "x": [1, 2], "series": {"s": [3, 4]}}
SCATTER = {"name": "a", "title": "A", "kind": "scatter", "panels": [{"points": np.zeros((2, 2)), "labels": [0, 1]}]}
IMAGES = {"name": "a", "title": "A", "kind": "images", "rows": [{"images": np.zeros((2, 4, 4), np.uint8)}]}
MATRIX = {"name": "a", "title": "A", "kind": "matrix", "values": np.zeros((2, 3))}

WRONG = [
    ("no dict", "a figure is a dict"),
    ({**LINES, "name": "../a"}, "'../a': a name has"),
    ({**LINES, "name": ""}, "a name has"),
    ({**LINES, "kind": "pie"}, "kind is 'pie'; allowed are lines, bars"),
    ({**LINES, "title": " "}, "title is empty"),
    ({**LINES, "title": 3}, "title must be text, got int"),
    ({**LINES, "colour": "red"}, "no entry colour"),
    ({**LINES, "x": [1, np.inf]}, "x holds values that are not finite"),
    ({**LINES, "x": ["a", "b"]}, "x cannot be read as numbers"),
    ({**LINES, "series": {"s": [1, 2, 3]}}, r"series of 's' has shape \(3,\); \(2,\) is needed"),
    ({**LINES, "series": {"s": [[1, 2]]}}, "shape"),
    ({**LINES, "series": {}}, "at least one name"),
    ({**LINES, "series": {"s": [1, [2]]}}, "cannot be read as numbers"),
    (
        {"name": "a", "title": "A", "kind": "bars", "names": "ab", "values": [1, 2]},
        "names must be a list of names, got str",
    ),
    ({"name": "a", "title": "A", "kind": "bars", "names": [], "values": []}, "names is empty"),
    ({"name": "a", "title": "A", "kind": "bars", "names": ["b"]}, "values is missing"),
    ({**MATRIX, "values": [1, 2]}, r"\(n, n\) is needed"),
    ({**MATRIX, "values": np.zeros((0, 3))}, "shape"),
    ({**MATRIX, "row_names": ["x"]}, r"row_names has 1 entries; values has shape \(2, 3\)"),
    ({**SCATTER, "panels": []}, "at least one dict"),
    ({**SCATTER, "panels": [{"points": np.zeros((2, 3))}]}, r"\(n, 2\) is needed"),
    ({**SCATTER, "panels": [{"points": np.zeros((2, 2)), "labels": [0.5, 1]}]}, "labels of panel 0 are float64"),
    ({**IMAGES, "rows": [{"images": np.zeros((2, 4, 4))}]}, "images of row 0 are float64"),
    ({**IMAGES, "rows": [{"images": np.zeros((2, 4, 4, 4), np.uint8)}]}, "uint8"),
    ({**IMAGES, "rows": [{"images": np.zeros((2, 0, 4), np.uint8)}]}, "shape"),
    ({**IMAGES, "rows": [{"images": np.zeros((70, 1000, 1000), np.uint8)}]}, "take 66 MiB; at most 64"),
]


@pytest.mark.parametrize(("figure", "message"), WRONG, ids=lambda value: value if isinstance(value, str) else "")
def test_an_ill_formed_figure_is_named(figure: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        runs.checked_figure(figure)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    return len(a) == len(b) and all(map(same, a, b)) if isinstance(a, list) else a == b


def test_figures_come_back_as_they_were(tmp_path: Path) -> None:
    told = [LINES | {"series": {"s/0": [1, np.nan], "s": [2, 3]}}, {**MATRIX, "name": "b", "caption": "c"},
            {**SCATTER, "name": "c"}, {**IMAGES, "name": "d"}]  # fmt: skip
    figures = [runs.checked_figure(figure) for figure in told]
    save_figures(tmp_path, figures)
    again = load_figures(tmp_path)
    assert same(figures, again)
    assert again[3]["rows"][0]["images"].dtype == np.uint8
    save_figures(tmp_path, [])
    assert load_figures(tmp_path) == []
    assert not list(tmp_path.iterdir())


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="two figures are named a"):
        save_figures(tmp_path, [runs.checked_figure(LINES), runs.checked_figure(MATRIX)])


@pytest.mark.parametrize("damage", ["figures.json", "figures.safetensors"])
@pytest.mark.parametrize("text", [None, "[{]", '[{"name": "a"}]', '[{"x": {"array": "no"}}]'])
def test_damage_is_named(tmp_path: Path, damage: str, text: str | None) -> None:
    save_figures(tmp_path, [runs.checked_figure(LINES)])
    if text is None:
        (tmp_path / damage).unlink()
    else:
        (tmp_path / damage).write_text(text)
    with pytest.raises(RunError, match=r"figures in .* missing or damaged"):
        load_figures(tmp_path)


def stored(tmp_path: Path, figures: Any) -> tuple[list[str], list[str]]:
    """Names kept and warnings of a model with such a `figures` method."""
    writer = runs.begin(tmp_path / "run", {"warnings": ["old"]})
    _record._figures(writer, SimpleNamespace(figures=figures) if figures else SimpleNamespace())
    writer.close()
    return [f["name"] for f in load_figures(writer.folder)], writer.header["warnings"]


def test_a_wrong_figure_becomes_a_warning(tmp_path: Path) -> None:
    names, warnings = stored(
        tmp_path, lambda: [LINES, {**MATRIX, "name": "b", "values": 3}, {**LINES}, {**MATRIX, "name": "c"}]
    )
    assert names == ["a", "c"]
    assert warnings[0] == "old"
    assert "'b': values has shape ()" in warnings[1]
    assert "another one has this name" in warnings[2]


def test_a_method_that_fails_to_draw_becomes_a_warning(tmp_path: Path) -> None:
    names, warnings = stored(tmp_path, lambda: 1 / 0)
    assert names == []
    assert "ZeroDivisionError" in warnings[1]


def test_a_method_without_figures(tmp_path: Path) -> None:
    assert stored(tmp_path, None) == ([], ["old"])
