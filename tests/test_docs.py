"""The documentation runs: every `$ ilk …` line and every Python block of the pages, in order, on real digits."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.main import get_command

import ilk
import ilk.methods
from ilk.cli import main
from ilk.cli.commands import app

ROOT = Path(__file__).resolve().parents[1]


def blocks(page: str) -> list[tuple[str, str]]:
    """Return (language, text) of the fenced blocks of a page that can be executed."""
    found = re.findall(r"^```(console|python)\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [(language, text) for language, text in found]


SIGNATURES = ("docs/architecture.md",)  # their blocks are no programs
PAGES = [
    page
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if blocks(page := path.relative_to(ROOT).as_posix()) and page not in SIGNATURES
]


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
def test_what_a_page_says_works(
    page: str, user_folder: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    if page.startswith("docs/methods/"):  # they are about groups
        request.getfixturevalue("no_report")
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
    assert {"README.md", "docs/index.md", "docs/guide.md", "docs/adding-a-method.md", "docs/methods/scan.md"} <= {
        *PAGES
    }


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


def test_example_writes_the_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["digits_folder.py", str(tmp_path / "digits")])
    runpy.run_path(str(ROOT / "examples" / "digits_folder.py"), run_name="__main__")
    assert len(list((tmp_path / "digits").glob("*.png"))) == 1797


def test_the_first_page_shows_what_the_first_command_prints(
    user_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Line by line, numbers and gaps apart; … stands for lines left out."""
    text = (ROOT / "README.md").read_text("utf-8")
    command, shown = re.findall(
        r"\$ ilk (cluster digits .*?)\n```.*?^```\n(found .*?)^```", text, re.DOTALL | re.MULTILINE
    )[0]
    assert main(shlex.split(command)) == 0
    printed = capsys.readouterr()

    def plain(lines: str) -> list[str]:
        return [re.sub(r"[ \d.,/%]+", " ", line).strip() for line in lines.splitlines() if line.strip()]

    there = iter(plain(printed.err + printed.out))
    for line in plain(shown):
        assert line == "…" or line in there, f"{line!r} is not printed, or not there"


def test_pages_on_the_number_of_groups_show_what_is_printed_today() -> None:
    from ilk.choose.ranking import CRITERIA
    from ilk.showing.ktable import k_table

    titles, *_ = k_table([{"k": 2, "rank_sum": 1.0, **dict.fromkeys(CRITERIA, 0.5)}], {})
    page = (ROOT / "docs" / "how-many-groups.md").read_text("utf-8")
    header = next(line for line in page.splitlines() if line.startswith("groups  "))
    assert header.split() == " ".join(titles).split()
    number = {4: "four", 5: "five", 6: "six"}[len(CRITERIA)]
    assert f"in {number} ways" in page
    assert f"in {number} ways" in (ROOT / "docs" / "guide.md").read_text("utf-8")


def test_what_the_first_pages_do_in_python_follows_corrections() -> None:
    """`run.model()` knows the groups as they were found: a first page uses what the commands use."""
    for page in ("README.md", "docs/index.md", "docs/api/index.md"):
        assert not [text for _, text in blocks(page) if ".model()" in text], page
