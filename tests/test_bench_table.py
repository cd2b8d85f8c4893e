"""Tables and pictures of a recipe's results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from recipes import RECIPE

from ilk import bench
from ilk.bench.picture import draw

pytestmark = pytest.mark.usefixtures("home", "no_report", "no_map")


# -- showing -----------------------------------------------------------------------------------------------------------


def put(recipe: bench.Recipe, name: str, acc: float, **more: Any) -> None:
    """Write a result by hand."""
    budget = more.pop("minutes", None)
    cell = next(cell for cell in recipe.cells(budget=budget) if cell.name == name)
    scores = {"acc": acc, "nmi_geometric": acc / 2, "nmi": 0.1, "ari": -0.01, "purity": 1.0}
    record = {"data": cell.data.name, "row": cell.row.name, "seed": cell.seed, "scores": scores, "job": cell.job()}
    record |= {
        "seconds": {"total": 90.0},
        "device": "cpu",
        "hardware": "a machine",
        "commit": "0",
        "budget": cell.budget,
    }
    recipe.results.mkdir(parents=True, exist_ok=True)
    (recipe.results / f"{name}.json").write_text(json.dumps({**record, **more}))


def test_the_table_by_hand(recipe: bench.Recipe) -> None:
    put(recipe, "small-Toy-tiny-0", 0.8)
    put(recipe, "small-Toy-tiny-1", 0.9, peak_rss_mib=2560)
    put(recipe, "small-transfer-tiny-5min-0", 0.7, minutes=5)
    put(recipe, "small-Toy-tiny-images30-0", 0.2, device="cuda")
    lines = bench.markdown(recipe).splitlines()
    assert lines[0] == "# A test"
    assert lines[2] == "## small: 90 images"
    assert lines[4] == "| method | ACC | published | NMI | published | ARI | published | seeds | minutes | GiB | note |"
    assert lines[6] == ("| Toy | .850 ± .071 | .900 | .425 ± .035 | .800 | -.010 ± .000 |  | 2 | 1.5 | 2.5 | a note |")
    assert lines[7] == (
        "| K-means | .700 | .500 | .350 |  | -.010 |  | 1 | 1.5 |  | "
        "published: copied from another paper; reduced to 5 minutes: 30 images, n_init = 1 |"
    )
    assert lines[8].startswith("| Sweep (images 30) | .200 |")
    assert lines[8].endswith("30 images; on a GPU |")
    assert 'not run yet (`--only "Sweep"`)' in lines[9]
    assert "`ilk bench b/test.toml --only ROW`" in "".join(lines[-2:])
    gone = next(line for line in lines if "data not available here" in line)
    assert "download it from somewhere" in gone
    assert "* a note of the recipe" in lines
    assert "* Hardware: a machine." in lines


def test_a_table_of_some_of_the_data(recipe: bench.Recipe) -> None:
    put(recipe, "small-Toy-tiny-0", 0.8)
    text = bench.markdown(recipe, only=["small"])
    assert "## small" in text
    assert "## parts" not in text
    assert "* a note of the recipe" in text


def test_whole_results_win_over_reduced_ones(recipe: bench.Recipe) -> None:
    put(recipe, "small-transfer-tiny-5min-0", 0.7, minutes=5)
    put(recipe, "small-transfer-tiny-0", 0.6)
    line = next(line for line in bench.markdown(recipe).splitlines() if line.startswith("| K-means"))
    assert "| .600 |" in line
    assert "reduced" not in line


def test_the_best_three_are_bold(recipe: bench.Recipe, home: Path) -> None:
    rows = "".join(f'\n[[row]]\nname = "R{i}"\nid = "r{i}"\nmethod = "toy:Toy"\ndata = ["small"]\n' for i in range(5))
    (home / "b" / "test.toml").write_text(RECIPE + rows)
    many = bench.load_recipe(home / "b" / "test.toml")
    for i in range(5):
        put(many, f"small-Toy-r{i}-0", 0.1 * (i + 1))
    lines = [line for line in bench.markdown(many).splitlines() if line.startswith("| R")]
    assert [line.split("|")[2].strip() for line in lines] == [".100", ".200", "**.300**", "**.400**", "**.500**"]


def test_the_picture(recipe: bench.Recipe) -> None:
    assert draw(recipe, recipe.results / "none.png") is None
    put(recipe, "small-Toy-tiny-0", 0.8)
    put(recipe, "small-Toy-tiny-1", 0.9)
    for n in (30, 60):
        put(recipe, f"small-Toy-tiny-images{n}-0", n / 100)
    path = draw(recipe, recipe.results / "test.png")
    assert path is not None
    with Image.open(path) as picture:
        assert picture.size[0] > 800
