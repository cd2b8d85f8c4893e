"""Recipes: what is wrong with one, what is run, what is resumed, and what the table says."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import fastjsonschema
import numpy as np
import pytest
from recipes import RECIPE
from toy import Toy
from trial import Ilk

from ilk import bench
from ilk.bench.subset import subset
from ilk.errors import ArgumentError, DataError, Diverged

SCHEMA = Path(__file__).resolve().parents[1] / "benchmarks" / "result.schema.json"

pytestmark = pytest.mark.usefixtures("home", "no_report", "no_map")


def changed(home: Path, old: str, new: str) -> bench.Recipe:
    assert old in RECIPE
    (home / "b" / "test.toml").write_text(RECIPE.replace(old, new, 1))
    return bench.load_recipe(home / "b" / "test.toml")


# -- reading -----------------------------------------------------------------------------------------------------------


def test_cells_and_their_names(recipe: bench.Recipe) -> None:
    assert [cell.name for cell in recipe.cells()] == [
        *(f"{data}-Toy-tiny-{seed}" for data in ("small", "parts", "gone") for seed in (0, 1)),
        "small-transfer-tiny-0",
        "small-Toy-tiny-images30-0",
        "small-Toy-tiny-images60-0",
    ]
    assert len(recipe.cells(["Toy"])) == 6
    assert len(recipe.cells(["toy:toy"])) == 8
    assert len(recipe.cells(["small-*-0"])) == 4
    assert len(recipe.cells(["parts", "K-means"])) == 3
    assert recipe.cells(["K-means"])[0].options() == {
        "random_state": 0, "encoder": "pixels", "n_clusters": 3, "preset": "tiny",
    }  # fmt: skip
    with pytest.raises(ArgumentError, match=r"--only K-maens.*Did you mean 'K-means'"):
        recipe.cells(["K-maens"])


def test_budgets_take_the_largest_reduction_that_fits(recipe: bench.Recipe) -> None:
    for budget, images_, name in (
        (None, None, ""),
        (0.5, 12, "1min-"),  # the smallest, where none fits: never all of it without a word
        (1, 12, "1min-"),
        (3, 12, "1min-"),
        (9, 30, "5min-"),
    ):
        cell = recipe.cells(["K-means"], budget)[0]
        assert (cell.images, cell.name) == (images_, f"small-transfer-tiny-{name}0")
    assert recipe.cells(["K-means"], 9)[0].options()["n_init"] == 1
    assert recipe.cells(["K-means"], 9)[0].asked == "--only small-transfer-tiny-5min-0 --budget 5"
    assert recipe.cells(["K-means"])[0].asked == "--only small-transfer-tiny-0"


def test_a_sweep_has_published_figures_of_its_own(recipe: bench.Recipe, home: Path) -> None:
    old = 'sweep = { key = "images", values = [30, 60] }'
    found = changed(home, old, f"{old}\npublished.small = {{ acc = [0.1, 0.2], ari = 0.3 }}")
    assert [cell.row.published["small"] for cell in found.cells(["Sweep"])] == [
        {"acc": 0.1, "ari": 0.3}, {"acc": 0.2, "ari": 0.3},
    ]  # fmt: skip
    with pytest.raises(ArgumentError, match="3 published figures of acc for 2 values"):
        changed(home, old, f"{old}\npublished.small = {{ acc = [0.1, 0.2, 0.3] }}")


def test_sources(recipe: bench.Recipe, home: Path) -> None:
    assert recipe.data["small"].source == str(home / "b" / "sets" / "small.npz")
    long = {"NVIDIA_REQUIRE": "brand=tesla,driver>=570 " * 400}  # no file can be called so
    other = bench.load_recipe(recipe.path, {"SETS": "/elsewhere", **long})
    assert other.data["small"].source == "/elsewhere/small.npz"
    assert [data.here() for data in recipe.data.values()] == [True, True, False]


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ("title =", "titel =", "no key 'titel'. Did you mean 'title'"),
        ("seeds = [0, 1]", "seed = [0, 1]", "row 'Toy' has no key 'seed'. Did you mean 'seeds'"),
        ('method = "transfer"\n', "", "row 'K-means' lacks 'method'"),
        ('data = ["small"]', 'data = ["smal"]', "is on 'smal'.*Did you mean 'small'"),
        ("[data.gone]\nsource", "[data.gone]\nsuorce", "no key 'suorce'"),
        ("acc = 0.9", "ac = 0.9", "published.small has no key 'ac'"),
        ("minutes = 1, images", "minuts = 1, images", "minut"),
        ('key = "images", values', 'kye = "images", values', "sweep has no key 'kye'"),
        ('title = "A test"', 'title = "A test"\nscores = ["accuracy"]', "no score 'accuracy'"),
        ('name = "Sweep"', 'name = "Toy 2"\nimages = 3', ""),
    ],
)
def test_what_is_wrong_is_named(recipe: bench.Recipe, home: Path, old: str, new: str, hint: str) -> None:
    if hint:
        with pytest.raises(ArgumentError, match=hint):
            changed(home, old, new)
    else:
        changed(home, old, new)


def test_two_rows_of_one_name_for_their_results(recipe: bench.Recipe, home: Path) -> None:
    with pytest.raises(ArgumentError, match=r"two rows would write small-Toy-tiny-0\.json; give one of them an id"):
        changed(home, 'sweep = { key = "images", values = [30, 60] }', "")
    changed(home, 'sweep = { key = "images", values = [30, 60] }', 'id = "again"')


def test_what_is_no_recipe(home: Path) -> None:
    (home / "no.toml").write_text("title = ")
    for name, hint in (("no.toml", "is no recipe"), ("nowhere.toml", "cannot read")):
        with pytest.raises(DataError, match=hint):
            bench.load_recipe(home / name)


# -- running -----------------------------------------------------------------------------------------------------------


def kept(recipe: bench.Recipe, name: str) -> dict[str, Any]:
    """The result of a cell, as its file has it."""
    found: dict[str, Any] = json.loads((recipe.results / f"{name}.json").read_text("utf-8"))
    return found


def test_all_cells_are_run_once(recipe: bench.Recipe) -> None:
    outcome = bench.run_recipe(recipe)
    assert len(outcome.done) == 7
    assert outcome.no_data == ["gone-Toy-tiny-0", "gone-Toy-tiny-1"]
    assert (outcome.failed, outcome.stopped) == ({}, "")
    fastjsonschema.compile(json.loads(SCHEMA.read_text("utf-8")))(kept(recipe, "small-Toy-tiny-1"))
    record = kept(recipe, "small-Toy-tiny-1")["values"]
    assert record.keys() >= {"data", "n_images", "method", "preset", "seed", "scores", "fit_on", "score_on", "epochs",
                             "seconds", "budget", "peak_rss_mib"}  # fmt: skip
    assert (record["n_images"], record["seed"], record["epochs"], record["fit_on"]) == (90, 1, 2, "all images")
    assert set(record["scores"]) == {"acc", "nmi", "nmi_geometric", "ari", "purity"}
    parts = kept(recipe, "parts-Toy-tiny-0")["values"]
    if sys.platform.startswith("linux"):
        assert 50 < record["peak_rss_mib"] < 20_000
    assert (parts["n_images"], parts["fit_on"], parts["score_on"]) == (60, "the training images", "the test images")
    assert parts["scores"]["acc"] > 0.5
    assert kept(recipe, "small-Toy-tiny-images30-0")["values"]["n_images"] == 30
    again = bench.run_recipe(recipe)
    assert (again.done, len(again.there_already)) == ([], 7)
    assert bench.run_recipe(recipe, only=["K-means"], again=True).done == ["small-transfer-tiny-0"]


def test_other_settings_are_another_result(recipe: bench.Recipe, home: Path) -> None:
    bench.run_recipe(recipe, only=["K-means"])
    other = changed(home, 'settings = { encoder = "pixels" }', 'settings = { encoder = "pixels", n_init = 3 }')
    assert bench.results_of(other) == {}
    assert bench.run_recipe(other, only=["K-means"]).done == ["small-transfer-tiny-0"]
    assert len(list((home / "b" / "runs" / "test").glob("small-transfer-tiny-0-*"))) == 2


def test_a_slice_goes_on(recipe: bench.Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Toy, "pause", 0.01)
    whole = bench.run_recipe(recipe, only=["small-Toy-tiny-0"], folder=Path("other"))
    assert whole.done
    expected = kept(recipe, "small-Toy-tiny-0")["values"]["scores"]
    (recipe.results / "small-Toy-tiny-0.json").unlink()
    first = bench.run_recipe(recipe, only=["Toy"], max_seconds=1e-3)
    assert first.done == []
    assert "small-Toy-tiny-0" in first.stopped
    for _ in range(3):
        if bench.run_recipe(recipe, only=["small-Toy-tiny-0"], max_seconds=0.5).done:
            break
    assert kept(recipe, "small-Toy-tiny-0")["values"]["scores"] == expected


def test_again_starts_anew_and_goes_on(recipe: bench.Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.run_recipe(recipe, only=["small-Toy-tiny-0"])
    monkeypatch.setattr(Toy, "pause", 0.01)
    assert bench.run_recipe(recipe, only=["small-Toy-tiny-0"], again=True, max_seconds=1e-3).stopped
    assert bench.results_of(recipe) == {}
    events: list[dict[str, Any]] = []
    assert bench.run_recipe(recipe, only=["small-Toy-tiny-0"], on_event=events.append).done
    assert [event["epoch"] for event in events if "epoch" in event] == [2]


def test_a_finished_run_without_its_result(recipe: bench.Recipe) -> None:
    bench.run_recipe(recipe, only=["K-means"])
    (recipe.results / "small-transfer-tiny-0.json").unlink()
    events: list[dict[str, Any]] = []
    bench.run_recipe(recipe, only=["K-means"], on_event=events.append)
    assert "already" in [event["event"] for event in events]
    assert kept(recipe, "small-transfer-tiny-0")["values"]["peak_rss_mib"] is None
    assert (recipe.results / "small-transfer-tiny-0.json").exists()


def test_one_failure_stops_no_other(recipe: bench.Recipe, home: Path) -> None:
    bad = changed(home, 'settings = { encoder = "pixels" }', 'settings = { encoder = "pixle" }')
    outcome = bench.run_recipe(bad, only=["K-means", "Sweep"])
    assert list(outcome.failed) == ["small-transfer-tiny-0"]
    assert len(outcome.done) == 2


def test_an_error_of_a_method_stops_no_other(recipe: bench.Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Any, *_: Any, **__: Any) -> Any:
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(Toy, "fit", fail)
    outcome = bench.run_recipe(recipe, only=["small-Toy-tiny-0", "K-means"])
    assert outcome.failed == {"small-Toy-tiny-0": "RuntimeError: shapes cannot be multiplied"}
    assert outcome.done == ["small-transfer-tiny-0"]


def test_a_seed_that_diverged_is_a_result(recipe: bench.Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(self: Any, *_: Any, **__: Any) -> Any:
        raise Diverged("the loss is nan in epoch 2")

    bench.run_recipe(recipe, only=["small-Toy-tiny-0"])
    monkeypatch.setattr(Toy, "fit", diverge)
    assert bench.run_recipe(recipe, only=["small-Toy-tiny-1"]).done == ["small-Toy-tiny-1"]
    line = next(line for line in bench.markdown(recipe).splitlines() if line.startswith("| Toy"))
    assert "seed 1: no score (the loss is nan" in line
    fastjsonschema.compile(json.loads(SCHEMA.read_text("utf-8")))(kept(recipe, "small-Toy-tiny-1"))


def test_a_result_of_before_the_format_is_read(recipe: bench.Recipe) -> None:
    bench.run_recipe(recipe, only=["K-means"])
    path, table = recipe.results / "small-transfer-tiny-0.json", bench.markdown(recipe)
    found = json.loads(path.read_text("utf-8"))
    flat = {key: value for key, value in found.items() if key not in ("values", "format", "date")} | found["values"]
    path.write_text(json.dumps(flat), "utf-8")
    assert bench.run_recipe(recipe, only=["K-means"]).there_already == ["small-transfer-tiny-0"]
    assert bench.markdown(recipe) == table


# -- parts -------------------------------------------------------------------------------------------------------------


def test_a_part_keeps_labels_with_their_images(tmp_path: Path) -> None:
    x = np.arange(100, dtype=np.uint8).reshape(100, 1, 1)
    np.savez(
        tmp_path / "a.npz", x_train=x[:70], y_train=np.arange(70), x_test=x[70:], y_test=np.arange(70, 100), names="k"
    )
    path = subset(str(tmp_path / "a.npz"), 40, tmp_path / "parts")
    os.utime(tmp_path / "a.npz", (1e9, 1e9))
    assert subset(str(tmp_path / "a.npz"), 40, tmp_path / "parts") == path
    (tmp_path / "b").mkdir()
    np.savez(tmp_path / "b" / "a.npz", x_train=255 - x[:70])
    assert subset(str(tmp_path / "b" / "a.npz"), 40, tmp_path / "parts") != path
    with np.load(path) as part:
        assert len(part["x_train"]) + len(part["x_test"]) == 40
        assert 5 < len(part["x_test"]) < 20
        for end in ("train", "test"):
            assert np.array_equal(part[f"x_{end}"].ravel(), part[f"y_{end}"])
    for n in (0, 101):
        with pytest.raises(ArgumentError, match="has 100 images"):
            subset(str(tmp_path / "a.npz"), n, tmp_path / "parts")
    with pytest.raises(ArgumentError, match=r"only a part of an \.npz"):
        subset("digits", 3, tmp_path / "parts")


# -- the command line --------------------------------------------------------------------------------------------------


def test_the_command(ilk: Ilk, recipe: bench.Recipe) -> None:
    said = ilk("bench", recipe.path, "--only", "K-means", "--budget", "5")
    assert said.code == 0, said.err
    assert "1/1      small-transfer-tiny-5min-0" in said.out
    assert "| K-means | " in said.out
    assert "## small" in said.out
    assert "## parts" not in said.out, "data that nobody asked for"
    assert (recipe.results / "test.png").exists()
    assert (recipe.results / "table.md").read_text() == bench.markdown(recipe)
    told = ilk("bench", recipe.path, "--only", "K-means", "--budget", "5", "--json").json
    assert told["there_already"] == ["small-transfer-tiny-5min-0"]
    assert list(told["results"]) == ["small-transfer-tiny-5min-0"]
    assert "| K-means | " in ilk("bench", recipe.path, "--table").out
    assert ilk("bench", recipe.path, "--only", "nothing").code == 1
    assert ilk("bench", "nowhere.toml").code == 1


def test_what_fails_is_said_at_once_and_at_the_end(ilk: Ilk, home: Path, recipe: bench.Recipe) -> None:
    bad = changed(home, 'settings = { encoder = "pixels" }', 'settings = { encoder = "pixle" }')
    said = ilk("bench", bad.path, "--only", "K-means", "--only", "Sweep")
    assert said.code == 1
    first, last = said.out.index("failed: "), said.out.index("small-transfer-tiny-0 failed: ")
    assert said.out.index("1/3 ") < first < said.out.index("2/3 ") < last


def test_the_command_in_slices(ilk: Ilk, recipe: bench.Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Toy, "pause", 0.05)
    said = ilk("bench", recipe.path, "--only", "small-Toy-tiny-0", "--minutes", "0.0001")
    assert said.code == 130
    assert "same command goes on from here" in said.out
    for _ in range(4):
        said = ilk("bench", recipe.path, "--only", "small-Toy-tiny-0", "--minutes", "0.02")
        if said.code == 0:
            break
    assert said.code == 0


def test_variables_of_a_recipe_named_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe's own are meant from its folder, the caller's from where the caller is; neither is prefixed twice."""
    (tmp_path / "recipes" / "sets").mkdir(parents=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "recipes" / "test.toml").write_text(RECIPE, "utf-8")
    monkeypatch.chdir(tmp_path)
    own = bench.load_recipe("recipes/test.toml").data["small"].source
    assert Path(own).resolve() == tmp_path / "recipes" / "sets" / "small.npz"
    given = bench.load_recipe("recipes/test.toml", {"SETS": "mine"}).data["small"].source
    assert Path(given).resolve() == tmp_path / "mine" / "small.npz"


def test_variables_stand_for_files_in_settings_too(home: Path) -> None:
    file = home / "more.toml"
    file.write_text(RECIPE.replace('encoder = "pixels" }', 'encoder = "m", weights = "$SETS/w.bin" }'))
    recipe = bench.load_recipe(file)
    cell = next(cell for cell in recipe.cells(["K-means"]))
    assert recipe.options(cell)["weights"] == str(home / "sets" / "w.bin")
    assert cell.job()["options"]["weights"] == "$SETS/w.bin"  # results know no folder of one machine
    elsewhere = bench.load_recipe(file, {"SETS": "/elsewhere"})
    assert elsewhere.options(cell)["weights"] == "/elsewhere/w.bin"
