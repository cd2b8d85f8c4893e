"""Benchmarks: every result in the one format, every command that a page names there, each measurement tried small."""

from __future__ import annotations

import argparse
import io
import json
import re
import runpy
import shlex
import sys
import tarfile
from pathlib import Path
from typing import Any

import fastjsonschema
import numpy as np
import pytest
from PIL import Image

from ilk import bench

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / "benchmarks"
RESULTS = sorted((HOME / "results").rglob("*.json"))
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    *HOME.glob("*.toml"),
    ROOT / "Makefile",
    HOME / "archive" / "README.md",
]


@pytest.fixture
def recipes(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = runpy.run_path(str(HOME / "run.py"))["RECIPES"]
    return found


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    """Give the command line of a script in this process, and return the JSON it prints."""
    monkeypatch.syspath_prepend(str(HOME))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def called(script: str, *words: object) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", [str(HOME / script), *map(str, words)])
        capsys.readouterr()
        runpy.run_path(str(HOME / script), run_name="__main__")
        found: dict[str, Any] = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
        return found

    return called


# -- results -----------------------------------------------------------------------------------------------------------


def test_every_result_has_the_one_format() -> None:
    fits = fastjsonschema.compile(json.loads((HOME / "result.schema.json").read_text("utf-8")))
    assert len(RESULTS) > 250
    for path in RESULTS:
        result = json.loads(path.read_text("utf-8"))
        try:
            fits(result)
        except fastjsonschema.JsonSchemaValueException as error:
            pytest.fail(f"{path}: {error.message}")
        assert result["name"] == f"{path.parent.name}/{path.stem}"


def test_every_result_can_be_measured_anew(recipes: dict[str, dict[str, str]]) -> None:
    """By a recipe, by `make fuzz`, or by a script that the archive names."""
    archive = (HOME / "archive" / "README.md").read_text("utf-8")
    for folder in {path.parent for path in RESULTS}:
        known = folder.name in recipes or folder.name == "fuzz" or (HOME / f"{folder.name}.toml").exists()
        assert known or f"(../results/{folder.name})" in archive, folder.name


def test_what_was_flat_is_in_the_format_and_no_figure_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = runpy.run_path(str(HOME / "run.py"))
    flat = {
        "recipe": "kills",
        "seed": 3,
        "ratio": 0.1,
        "note": "n",
        "command": "c",
        "commit": "0" * 12,
        "hardware": "2 cores",
    }
    (tmp_path / "kills").mkdir()
    path = tmp_path / "kills" / "kills.json"
    path.write_text(json.dumps(flat), "utf-8")
    monkeypatch.setitem(script["convert"].__globals__, "RESULTS", tmp_path)
    for _ in range(2):  # the second time there is nothing to do
        script["convert"]()
    found = json.loads(path.read_text("utf-8"))
    fastjsonschema.compile(json.loads((HOME / "result.schema.json").read_text("utf-8")))(found)
    assert (found["name"], found["seeds"], found["note"]) == ("kills/kills", [3], "n")
    assert found["values"] == {"seed": 3, "ratio": 0.1}


# -- commands ----------------------------------------------------------------------------------------------------------


class Parsed(Exception):
    """The arguments were understood."""


def understood(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """Parse the arguments of `python benchmarks/…`, and go no further."""

    def parse(self: argparse.ArgumentParser, *_: Any) -> None:
        self.parse_known_args()
        if rest := self.parse_known_args()[1]:
            pytest.fail(f"{command}: {rest}")
        raise Parsed

    words = shlex.split(command)[1:]
    monkeypatch.syspath_prepend(str(HOME))
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr("ilk.layout.map_2d", None)  # probes.py leaves out pictures; put back afterwards
    for name in ("write_plots", "write_report"):
        monkeypatch.setattr(f"ilk.report.{name}", None)
    with pytest.raises(Parsed):
        runpy.run_path(str(ROOT / words[0]), run_name="__main__")


def test_the_recipes_give_commands_that_exist(
    recipes: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for commands in recipes.values():
        for command in commands.values():
            if command.startswith("python "):
                understood(monkeypatch, command)


def test_what_the_pages_name_is_there(recipes: dict[str, dict[str, str]]) -> None:
    for page in PAGES:
        text = page.read_text("utf-8")
        for name in re.findall(r"benchmarks/([\w-]+\.(?:py|toml|json|md))", text):
            assert (HOME / name).exists() or name == "NAME.py", f"{page.name}: {name}"
        for name in re.findall(r"benchmarks/run\.py ([a-z]\w*)", text):
            assert name in {*recipes, "short"}, f"{page.name}: {name}"
        for script, command in re.findall(r"benchmarks/(system|engine|training|placing)\.py ([a-z][\w-]*)", text):
            assert f'"{command}"' in (HOME / f"{script}.py").read_text("utf-8") or command in (
                "speed", "dec", "graphs", "dac-port",
            ), f"{page.name}: {script} {command}"  # fmt: skip


@pytest.mark.parametrize("path", sorted(HOME.glob("*.toml")), ids=lambda path: path.stem)
def test_recipes_are_read(path: Path) -> None:
    recipe = bench.load_recipe(path)
    names = [cell.name for cell in recipe.cells()]
    assert names
    assert len(set(names)) == len(names)
    assert all(row.name in bench.markdown(recipe) for row in recipe.rows)


# -- each of them, small -----------------------------------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A tar of 24 pictures of four kinds."""
    path, rng = tmp_path / "photos.tar", np.random.default_rng(0)
    kinds = rng.integers(0, 256, (4, 3, 3, 3), np.uint8)
    with tarfile.open(path, "w") as tar:
        for i in range(24):
            pixels = np.asarray(Image.fromarray(kinds[i % 4]).resize((48, 40)), np.int16) + rng.integers(
                -9, 10, (40, 48, 1)
            )
            data = io.BytesIO()
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(data, "JPEG")
            info = tarfile.TarInfo(f"kind{i % 4}/{i:02}.jpg")
            info.size = len(data.getvalue())
            tar.addfile(info, io.BytesIO(data.getvalue()))
    return path


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    """Pictures of three kinds, 90 to train on and 30 to test on."""
    rng, kept = np.random.default_rng(0), {}
    shapes = rng.integers(0, 256, (3, 28, 28))
    for name, n in (("train", 90), ("test", 30)):
        kept[f"y_{name}"] = np.arange(n) % 3
        noise = rng.normal(0, 30, (n, 28, 28))
        kept[f"x_{name}"] = np.clip(shapes[kept[f"y_{name}"]] + noise, 0, 255).astype(np.uint8)
    np.savez(tmp_path / "set.npz", **kept)
    return tmp_path / "set.npz"


def test_system_counts_and_exports(call: Any, photos: Path) -> None:
    found = call("system.py", "decode", photos)
    assert (found["n"], found["readable"], found["unreadable"]) == (24, 24, 0)
    found = call("system.py", "export", 200)["exports"]
    assert (found["link"]["added"], found["link again"]["unchanged"], found["a tenth moved"]["moved"]) == (200, 200, 20)
    assert found["copy"]["added"] == found["imagefolder"]["n_images"] == 200


def test_system_asks_for_one_image(call: Any, photos: Path, no_report: None, no_map: None) -> None:
    found = call("system.py", "one-image", photos, "none", "--encoder", "classic", "--k", 4, "--rounds", 1)
    assert found["threads_agree"]
    assert (found["photos"], found["asked"]) == (24, 5)


def test_engine_measures_the_clustering_phase(call: Any) -> None:
    found = call("engine.py", "phase", "--n", 400, "--d", 64, "--k", 8, "--rounds", 1)
    assert [row["n"] for row in found["by_n"]] == [100, 200, 400]
    assert [row["k"] for row in found["by_k"]] == [2, 4, 8]


@pytest.mark.slow
def test_placing_asks_about_images_of_no_group(call: Any, npz: Path) -> None:
    shares = call("placing.py", "unknown", npz, npz, "-k", 3)
    assert shares["mnist"]["known"] < 0.2 < shares["mnist"]["uniform_noise"]
    assert shares["digits_8x8"]["uniform_noise"] > 0.5


def test_a_training_beside_itself(call: Any) -> None:
    words = ("speed", "autoencoder", "--images", 128, "--batch", 64, "--seconds", 0, "--preset", "tiny")
    found = call("training.py", *words, "--beside", ROOT / "src")
    assert found["images_per_second"].keys() == {"ilk", "beside"}
    assert found["turns"] >= 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("system.py", "start", "--rounds", 3),
        ("system.py", "second-run", "--rounds", 1),
        ("system.py", "order", "PHOTOS", "--k", 4, "--seeds", 1),
        ("system.py", "predict", "none", "--encoder", "classic", "--n", 40, "--known", 40),
        ("system.py", "encode", "PHOTOS", "--images", 40, "--plain-images", 40, "--rounds", 1),
        ("system.py", "report", 300),
        ("system.py", "resume-training", "--methods", "autoencoder", "--trials", 1),
        ("engine.py", "kscan", "PHOTOS", "none", "NPZ", "--encoder", "classic", "--rounds", 1),
        ("placing.py", "heldout", "NPZ", "-k", 3),
        ("gallery.py", "bars", 400, "--clients", 3, "--frames", 20),
        ("gallery.py", "kills", 2, "--images", 400),
        ("training.py", "dec", "--images", 512, "--batch", 128, "--seconds", 0, "--precision", "fp32"),
        ("natural_k.py", ".", "--only", "digits, 5 classes", "--seeds", 0),
        ("corrections.py", ".", "--only", "digits", "--seeds", 0),
        ("words.py", ".", "--only", "digits, pixels", "--seeds", 1),
    ],
    ids=lambda words: f"{words[0]} {words[1]}",
)
def test_the_others_run(call: Any, photos: Path, npz: Path, words: tuple[Any, ...]) -> None:
    files = {"PHOTOS": photos, "NPZ": npz}
    assert call(words[0], *(files.get(word, word) for word in words[1:]))
