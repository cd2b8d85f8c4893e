"""The docs site: what is read off the code is whole, no link is dead, and it works without a server and a net."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import browser
import pytest
from typer.main import get_command

import ilk
from ilk import methods
from ilk.cli.commands import app

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def building(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The package docs/building."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    for name in ("commands", "evidence", "links", "tables"):
        importlib.import_module(f"building.{name}")
    return importlib.import_module("building")


def test_no_link_is_dead(building: Any) -> None:
    assert not (wrong := building.links.dead([*building.links.sources(), "README.md"])), "\n".join(wrong)


def test_a_dead_link_is_found(building: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building.links, "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "b.md").write_text("# One `two`, three\n## A [link](a.md)\n")
    good = "[b](b.md#one-two-three) [c](b.md#a-link) [here](#top) `[no](link.md)`\n# Top\n```\n[no](link.md)\n```\n"
    (tmp_path / "docs" / "a.md").write_text(good)
    assert not building.links.dead(["docs/a.md"])
    (tmp_path / "docs" / "a.md").write_text('[x](c.md) [y](b.md#four) [z](#none) ![p](p.png) <img src="q.png">')
    assert len(building.links.dead(["docs/a.md"])) == 5


def test_links_out_of_the_docs_lead_to_their_copies(building: Any) -> None:
    text = "[a](../benchmarks/results/demo) [b](../CHANGELOG.md) [c](guide.md#1-group) "
    text += "[d](../src/ilk/__init__.py) `[e](../x)`"
    assert building.links.rewritten(text, "report.md") == (
        "[a](results/evidence/demo.md) [b](project/changes.md) [c](guide.md#1-group) "
        "[d](files/src/ilk/__init__.py.txt) `[e](../x)`"
    )
    page = "[a](results/mnist) [b](../docs/guide.md#1-group) [c](archive/README.md)"
    assert building.links.rewritten(page, "results/index.md") == (
        "[a](evidence/mnist.md) [b](../guide.md#1-group) [c](answered.md)"
    )


def test_the_commands_are_all_there(building: Any) -> None:
    page = building.commands.page()
    for name, command in get_command(app).commands.items():
        part = page.partition(f"\n## ilk {name}\n")[2].partition("\n## ")[0]
        assert part, name
        assert f"$ ilk {name}" in part, f"no page has an example of `ilk {name}`"
        assert name in building.commands.MORE, f"name the page that says more of `ilk {name}`"
        rows = [line for line in part.splitlines() if line.startswith("| `")]
        for parameter in command.params:
            if parameter.param_type_name == "argument":
                word = (parameter.metavar or parameter.name.upper()).strip("[]")
                assert any(f"| `{word}` |" in row for row in rows), parameter.name
                continue
            if parameter.hidden:
                continue
            spellings = [*parameter.opts, *parameter.secondary_opts]
            row = next(row for row in rows if all(f"`{one}`" in row for one in spellings))
            plain = parameter.default if isinstance(parameter.default, str | int | float) else None
            if plain not in (None, False, True, "") and "[default:" not in (parameter.help or ""):
                assert f"| `{plain}` |" in row, (name, parameter.name)


def test_the_settings_are_all_there(building: Any) -> None:
    page = building.tables.page()
    for short, name in methods.short_names().items():
        part = page.partition(f"\n## {short}\n")[2].partition("\n## ")[0]
        for key in next(iter(getattr(methods, name).presets.values())):
            assert f"| `{key}` |" in part, f"{short}: {key}"


def test_every_public_name_is_documented() -> None:
    shown = set()
    for page in (ROOT / "docs" / "api").glob("*.md"):
        shown |= set(re.findall(r"^::: ([\w.]+)", page.read_text("utf-8"), re.MULTILINE))
    found = []
    for path in shown:
        module, _, name = path.rpartition(".")
        value = getattr(importlib.import_module(module), name)
        assert (value.__doc__ or "").strip(), f"{path} says nothing of itself"
        with pytest.raises(ModuleNotFoundError):  # a module of the same name would be shown in its stead
            importlib.import_module(path)
        found.append(value)
    for name in ilk.__all__:
        if name != "__version__":
            assert any(getattr(ilk, name) is value for value in found), f"no page of docs/api has ilk.{name}"
    inside = {"nearest", "meant", "answered", "refuse_arguments"}  # how messages are worded
    for module in ("metrics", "errors"):
        package = importlib.import_module(f"ilk.{module}")
        assert {*package.__all__} - inside <= {path.rpartition(".")[2] for path in shown}


def test_every_page_is_in_the_navigation(building: Any) -> None:
    named = set(re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[2]))
    there = {building.links.uri_of(path) for path in building.links.sources()}
    assert there < named
    assert {page for page in named - there if building.links.is_there(page)} == {
        *("reference/cli.md", "reference/settings.md", "results/evidence/index.md")
    }


SMALL = """
INHERIT: {config}
docs_dir: {docs}
site_dir: {site}
hooks: []
nav: [one.md, two.md]
plugins: [offline, search]
"""


def test_the_search_works_without_a_server_and_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    """Of a site of two pages with the settings of the real one: its theme, its colours, its search."""
    if browser.find() is None:
        pytest.skip("no Chromium")
    docs, site = tmp_path / "docs", tmp_path / "site"
    (docs / "assets").mkdir(parents=True)
    for file in (ROOT / "docs" / "assets").iterdir():
        (docs / "assets" / file.name).write_bytes(file.read_bytes())
    (docs / "one.md").write_text("# First\n\n```console\n$ ilk cluster photos\n```\n")
    (docs / "two.md").write_text("# Second\n\nA quagga is grouped with zebras.\n")
    config = tmp_path / "mkdocs.yml"
    config.write_text(SMALL.format(config=ROOT / "mkdocs.yml", docs=docs, site=site))
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-f", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    with browser.browser() as tab:
        colours = []
        for scheme in ("light", "dark"):
            tab.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            tab.open(site / "one.html")
            colours.append(tab.run("getComputedStyle(document.body).backgroundColor"))
        assert colours[0] != colours[1]
        tab.run("document.querySelector('.md-search__input').focus()")
        for letter in "quagga":  # the search listens to keys
            tab.key(letter)
        tab.wait("document.querySelectorAll('.md-search-result__link').length > 0")
        assert "two.html" in tab.run("document.querySelector('.md-search-result__link').href")
        assert not tab.problems
        assert tab.requests
        assert all(address.startswith("file:") for address in tab.requests)
