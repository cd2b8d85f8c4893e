"""The examples run, in a folder of their own, and say what they promise."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
NOTEBOOK = EXAMPLES / "a_folder_in_a_notebook.ipynb"
SAYS = {
    "folder_to_groups": ["300 images in 10 groups", "least sure of", "300 images sorted into"],
    "own_encoder": ["ink: ", "gradients: ", "group of the first image:"],
    "own_features": ["images by group: [", "groups of three rows of noise: [-1, -1, -1]"],
    "own_method": ["K-medoids", "K-means", "placed as grouped: 1.0"],
    "compare_and_update": ["agreement: ARI", "of 200 images moved", "joined: {"],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, with the examples beside each other as they import each other."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_every_example_is_tried_and_listed() -> None:
    scripts = {path.stem for path in EXAMPLES.glob("*.py")}
    assert scripts == {*SAYS, "digits_folder"}
    readme = (EXAMPLES / "README.md").read_text("utf-8")
    assert all(f"]({path.name})" in readme for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb"))


@pytest.mark.parametrize("name", SAYS)
def test_an_example(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = EXAMPLES / f"{name}.py"
    assert len(path.read_text("utf-8").splitlines()) <= 60
    monkeypatch.setattr(sys, "argv", [path.name])
    runpy.run_path(str(path), run_name="__main__")
    said = capsys.readouterr().out
    assert all(words in said for words in SAYS[name]), said
    assert [one.name for one in folder.iterdir() if one.name != "cache"] == ["ilk-examples"]


def test_the_notebook(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notebook = json.loads(NOTEBOOK.read_text("utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell.get("outputs") for cell in notebook["cells"])  # pictures of it are large, and soon old
    names: dict[str, Any] = {"__name__": "__main__"}
    for i, code in enumerate(cells):
        exec(compile(code, f"cell {i}", "exec"), names)
    said = capsys.readouterr().out
    assert "300 rows with" in said
    run, found = names["run"], names["found"]
    assert "<" in run._repr_html_()
    assert "the largest" in {group["name"] for group in run.clusters()}
    named = {row["path"]: row["group_name"] for row in run.table().rows()}
    assert all(
        named[row["path"]] == "the largest" for row in names["doubtful"][:3]
    )  # moved by hand, also after grouping
    assert len(found.names) == 20
    assert (folder / "ilk-notebook" / "sorted" / "groups.csv").is_file()
