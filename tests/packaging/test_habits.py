"""The files for contributors agree with the project: versions of Python, commands, checks, links, what is pinned."""

from __future__ import annotations

import re
import runpy
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
PAGES = (
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "docs/install.md",
    "docs/releasing.md",
    ".github/pull_request_template.md",
)


def parsed(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


def recipe(target: str) -> str:
    """The lines of a target of the Makefile."""
    return re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)[1]


def steps() -> list[tuple[str, dict[str, Any]]]:
    jobs = parsed(".github/workflows/checks.yml")["jobs"]
    return [(name, step) for name, job in jobs.items() for step in job["steps"]]


def test_the_workflow_tries_what_the_metadata_claims() -> None:
    claimed = [name.rpartition(" ")[2] for name in PROJECT["project"]["classifiers"] if "Python :: 3." in name]
    jobs = parsed(".github/workflows/checks.yml")["jobs"]
    assert jobs["test"]["strategy"]["matrix"]["python"] == claimed
    assert jobs["test"]["strategy"]["matrix"]["os"] == ["ubuntu-latest", "macos-latest", "windows-latest"]
    assert PROJECT["project"]["requires-python"] == f">={claimed[0]}"
    assert f"py{claimed[0].replace('.', '')}" == PROJECT["tool"]["ruff"]["target-version"]
    tried = {str(step["with"]["python-version"]) for _, step in steps() if "python-version" in step.get("with", {})}
    assert tried <= {*claimed, "${{ matrix.python }}"}


@pytest.mark.parametrize("name", [".github/workflows/checks.yml", "CONTRIBUTING.md", "docs/releasing.md", ".ci/run"])
def test_every_command_of_make_is_one(name: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    named = re.findall(r"(?:^|`|run: )make ((?:[a-z]+ ?)+)", (ROOT / name).read_text("utf-8"), re.MULTILINE)
    assert named
    assert {word for words in named for word in words.split()} - {"docs"} <= targets  # docs comes with the site


def test_extras_that_are_named_exist() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    files = [ROOT / name for name in ("Makefile", "CONTRIBUTING.md", ".github/workflows/checks.yml")]
    named = {extra for file in files for extra in re.findall(r"-e '?\.\[([a-z]+)\]", file.read_text("utf-8"))}
    assert {"test", "dev"} <= named <= set(extras)


def test_hooks_run_what_make_check_runs() -> None:
    (local,) = parsed(".pre-commit-config.yaml")["repos"]
    hooks = {hook["entry"].split()[0] for hook in local["hooks"]}
    assert hooks == {f".venv/bin/{word}" for word in re.findall(r"\$\(BIN\)/(\w+)", recipe("check"))}


def test_lowest_versions_are_exact_and_belong_to_releases() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "lowest.py"))
    extras = list(PROJECT["project"]["optional-dependencies"])
    requirements = tool["named"](extras)
    assert {"torch", "pytest", "ray", "mypy"} <= {requirement.name for requirement in requirements}
    for requirement in requirements:
        lowest = Requirement(tool["pinned"](requirement))
        (pin,) = lowest.specifier
        assert pin.operator == "=="
        assert (lowest.name, str(lowest.marker)) == (requirement.name, str(requirement.marker))
        assert Version(pin.version) in requirement.specifier
    with pytest.raises(SystemExit, match="no lower bound"):
        tool["pinned"](Requirement("numpy<3"))


def test_what_is_pinned_lies_within_the_bounds() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()[1:]
    pins = {canonicalize_name(line.partition("==")[0]): Version(line.partition("==")[2]) for line in lines}
    direct = [Requirement(line) for line in PROJECT["project"]["dependencies"]]
    assert {canonicalize_name(requirement.name) for requirement in direct} <= pins.keys()
    for lines in PROJECT["project"]["optional-dependencies"].values():
        direct += [Requirement(line) for line in lines]
    pinned = [requirement for requirement in direct if canonicalize_name(requirement.name) in pins]
    assert [str(one) for one in pinned if pins[canonicalize_name(one.name)] not in one.specifier] == []


def test_the_citation_says_what_the_package_says() -> None:
    citation = parsed("CITATION.cff")
    assert {"cff-version", "message", "title", "authors", "license"} <= citation.keys()
    assert citation["license"] == PROJECT["project"]["license"]
    assert [author["name"] for author in citation["authors"]] == [one["name"] for one in PROJECT["project"]["authors"]]
    assert "version" not in citation, "the version stands in no file"


@pytest.mark.parametrize("name", ["bug.yml", "idea.yml"])
def test_forms_of_issues_are_forms(name: str) -> None:
    form = parsed(f".github/ISSUE_TEMPLATE/{name}")
    assert {"name", "description", "body"} <= form.keys()
    inputs = [part for part in form["body"] if part["type"] != "markdown"]
    assert len({part["id"] for part in inputs}) == len(inputs)
    assert all(part["attributes"]["label"] for part in inputs)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / page).read_text("utf-8")):
        assert (ROOT / page).parent.joinpath(target).exists(), f"{page} links to {target}"


def test_the_changelog_has_one_form() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    versions = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert versions[0] == "Unreleased"
    dated = [re.fullmatch(r"(\d+\.\d+\.\d+) \((\d{4}-\d\d-\d\d)\)", version) for version in versions[1:]]
    assert all(dated), "a version is written: ## 1.2.3 (2027-01-31)"
    found = [(Version(one[1]), date.fromisoformat(one[2])) for one in dated]
    assert found == sorted(found, reverse=True)
    kinds = ["Added", "Changed", "Deprecated", "Removed", "Fixed"]
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        named = re.findall(r"^### (.*)$", part, re.MULTILINE)
        assert named == [kind for kind in kinds if kind in named]


def test_the_container_runs_as_somebody_without_a_home() -> None:
    text = (ROOT / "Containerfile").read_text("utf-8")
    assert re.search(r"^USER (?!0|root)\d+:\d+$", text, re.MULTILINE)
    assert "HOME=/nonexistent" in text
    assert re.search(r"^FROM python:3\.(\d+)-slim$", text, re.MULTILINE)
