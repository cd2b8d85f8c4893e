"""The documentation runs: every `$ ilk …` line and every Python block of the pages, in order, on real digits."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.main import get_command

import ilk
import ilk.methods
from ilk.cli import main
from ilk.cli.commands import app

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *("README.md", "docs/guide.md", "docs/sources.md", "docs/encoders.md", "docs/run-folder.md", "docs/report.md"),
    *("docs/corrections.md", "docs/gallery.md", "docs/near-duplicates.md", "docs/update.md"),
    *(
        "docs/how-many-groups.md",
        "docs/methods/transfer.md",
        "docs/methods/hierarchical.md",
        "docs/methods/dac.md",
        "docs/methods/scan.md",
        "docs/methods/deepcluster.md",
        "docs/methods/classical.md",
        "docs/methods/autoencoders.md",
        "docs/methods/gan.md",
        "docs/methods/dec.md",
        "docs/methods/jule.md",
        "docs/methods/turtle.md",
        "docs/export.md",
        "docs/compare.md",
        "docs/methods/temi.md",
        "docs/adding-a-method.md",
    ),
]


def blocks(page: str) -> list[tuple[str, str]]:
    """Return (language, text) of the fenced blocks of a page that can be executed."""
    found = re.findall(r"^```(console|python)\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [(language, text) for language, text in found]


@pytest.fixture
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the pages suppose it: photos, some new images, and caches of its own."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    for name, rows in [("photos", range(150)), ("new", range(150, 180))]:
        (tmp_path / name).mkdir()
        for i in rows:
            pixels = np.round(digits.images[i] * 255 / 16).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{digits.target[i]}_{i:04}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_says_works(page: str, user_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for language, text in blocks(page):
        if language == "python" and (name := re.match(r"# (\w+\.py)\n", text)):  # a part of that file
            with (user_folder / name[1]).open("a") as file:
                file.write(text + "\n\n")
            continue
        if language == "python":
            exec(compile(text, page, "exec"), {"__name__": "__page__"})
            continue
        for line in text.splitlines():
            if line.startswith("$ ilk "):
                code = main(shlex.split(line.removeprefix("$ ilk "), comments=True))
                assert code == 0, f"{page}: {line}\n{capsys.readouterr().err}"


def test_pages_have_something_to_run() -> None:
    assert sum(text.count("$ ilk ") for page in PAGES for language, text in blocks(page)) >= 12


@pytest.mark.parametrize(
    "page", [*PAGES, "docs/architecture.md", "docs/decisions.md", "docs/benchmarks.md", "CHANGELOG.md", "SECURITY.md"]
)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text("utf-8")):
        assert (ROOT / page).parent.joinpath(target).exists(), f"{page} links to {target}"


def test_every_command_and_option_is_documented() -> None:
    pages = "".join((ROOT / page).read_text("utf-8") for page in [*PAGES, "docs/benchmarks.md"])
    commands = [command.name or command.callback.__name__ for command in app.registered_commands]
    assert commands
    for name in commands:
        assert f"ilk {name}" in pages, f"no page mentions `ilk {name}`"
    options = {
        (
            name,
            *(parameter.secondary_opts if parameter.default is True else parameter.opts),
        )  # that which changes something
        for name, command in get_command(app).commands.items()
        for parameter in command.params
        if parameter.param_type_name == "option" and not parameter.hidden
    }
    assert ("probe", "--no-supervised") in options
    for name, *spellings in options:
        said = any(re.search(rf"(?<![\w-]){re.escape(one)}(?![\w-])", pages) for one in spellings)
        assert said, f"no page mentions `ilk {name} {' or '.join(spellings)}`"


def test_every_setting_of_every_method_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods"]) == 0
    listed = capsys.readouterr().out
    for short, name in ilk.methods.short_names().items():
        cls = getattr(ilk.methods, name)
        assert any(line.startswith(f"{short} ") for line in listed.splitlines())
        assert main(["methods", short]) == 0
        printed = capsys.readouterr().out
        for key in [*next(iter(cls.presets.values())), *cls.presets, *cls.other_settings, *cls._get_param_names()]:
            assert key in printed or key in ("settings", "verbose")  # the latter is no option of a job


def test_pages_and_recipes_name_settings_as_they_are_called_now() -> None:
    now, before = {"preset", "range", "bands"}, set[str]()
    for name in [*ilk.methods.__all__, "SimCLR"]:
        cls = getattr(ilk, name)
        now |= cls.known_settings() | set(cls._get_param_names())
        before |= cls.known_settings(old=True) | set(cls.renamed_arguments)
    wrong = []
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.toml")]:
        text = path.read_text("utf-8")
        named = re.findall(r"--set[ =](\w+)=", text)
        if path.suffix == ".toml":
            named += [key for row in re.findall(r"settings = \{([^}]*)\}", text) for key in re.findall(r"(\w+) =", row)]
        wrong += [f"{path.name}: {key}" for key in named if key in before - now]
    assert not wrong, wrong


def test_tables_of_settings_are_those_of_the_classes() -> None:
    written = runpy.run_path(str(ROOT / "docs" / "generate.py"))["written"]
    shown = ""
    for page in sorted((ROOT / "docs" / "methods").glob("*.md")):
        text = page.read_text("utf-8")
        assert written(text) == text, "run: make names"
        shown += text
    for short in ilk.methods.short_names():
        assert f"<!-- settings: {short} -->" in shown, f"no page has the settings of {short}"


def test_public_names_resolve_and_are_documented() -> None:
    for name in ilk.__all__:
        value = getattr(ilk, name)
        assert isinstance(value, str) or (value.__doc__ or "").strip(), name


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What benchmarks/table.py defines; it takes rows from the file beside it."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return runpy.run_path(str(ROOT / "benchmarks" / "table.py"))


def test_table_of_the_readme_is_that_of_the_results(table: dict[str, Any]) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    shown = readme.partition(table["BEGIN"])[2].partition(table["END"])[0].strip()
    assert shown == table["table"]().strip(), "run: python benchmarks/table.py --write"


def test_table_of_the_paper_is_that_of_the_results(table: dict[str, Any]) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    shown = readme.partition(table["T2_BEGIN"])[2].partition(table["T2_END"])[0].strip()
    assert "JULE" in shown
    assert shown == table["table2"]().strip(), "run: python benchmarks/table.py --write"


def test_table_of_natural_numbers_is_that_of_the_results(table: dict[str, Any]) -> None:
    if table["load"]("natural_k"):
        page = table["K_PAGE"].read_text("utf-8")
        shown = page.partition(table["K_BEGIN"])[2].partition(table["K_END"])[0].strip()
        assert shown == table["k_table"]().strip(), "run: python benchmarks/table.py --write"


def test_table_of_the_words_is_that_of_the_results(table: dict[str, Any]) -> None:
    page = table["W_PAGE"].read_text("utf-8")
    shown = page.partition(table["W_BEGIN"])[2].partition(table["W_END"])[0].strip()
    assert shown == table["words_table"]().strip(), "run: python benchmarks/table.py --write"


def test_example_writes_the_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["digits_folder.py", str(tmp_path / "digits")])
    runpy.run_path(str(ROOT / "examples" / "digits_folder.py"), run_name="__main__")
    assert len(list((tmp_path / "digits").glob("*.png"))) == 1797
