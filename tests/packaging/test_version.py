"""The version is that of the tag: in a checkout, an archive of git, a source distribution, an installed package."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from packaging.version import Version

import ilk
from ilk import _versions

ROOT = Path(__file__).resolve().parents[2]


def asked(tree: Path) -> str:
    """What this copy says of itself. The file is loaded alone, as setuptools does."""
    spec = importlib.util.spec_from_file_location("asked", tree / "src" / "ilk" / "_versions.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.version()


def git(tree: Path, *words: str) -> bytes:
    """Run git as somebody, whatever the machine's settings are."""
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false")
    return subprocess.run(["git", *who, *words], cwd=tree, check=True, capture_output=True).stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with what the version is made of, and nothing that says it."""
    (tmp_path / "src" / "ilk").mkdir(parents=True)
    for name in ("src/ilk/_versions.py", ".gitattributes", ".git_archival.txt"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def checkout(tree: Path) -> Path:
    if shutil.which("git") is None:
        pytest.skip("git is not here")
    git(tree, "init", "-q")
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "one")
    return tree


def archived(checkout: Path, folder: Path) -> Path:
    """Unpack what `git archive` makes of the newest commit."""
    with tarfile.open(fileobj=io.BytesIO(git(checkout, "archive", "HEAD"))) as tar:
        tar.extractall(folder, filter="data")
    return folder


def test_a_checkout_asks_git_each_time(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "--short=9", "HEAD").decode().strip()
    assert asked(checkout) == f"0.1.0.dev1+g{commit}"
    git(checkout, "tag", "numbers-before")  # not a version
    assert asked(checkout) == f"0.1.0.dev1+g{commit}"
    git(checkout, "tag", "v0.2.0")
    assert asked(checkout) == "0.2.0"
    git(checkout, "commit", "-q", "--allow-empty", "-m", "two")
    assert re.fullmatch(r"0\.2\.1\.dev1\+g[0-9a-f]+", asked(checkout))
    git(checkout, "tag", "v0.3.0rc1")
    assert asked(checkout) == "0.3.0rc1"


def test_versions_sort_as_their_commits_do() -> None:
    tags = "v0.1.0-0-gab v0.1.0-3-gab v0.1.0-12-gab v0.1.1-0-gab v0.2.0rc1-0-gab v0.2.0rc1-1-gab v0.2.0-0-gab"
    found = [Version(_versions._released(tag)) for tag in tags.split()]
    assert found == sorted(found)
    assert [str(version) for version in found][1] == "0.1.1.dev3+gab"
    assert Version("0.1.0.dev817+gab") < found[0]
    assert [_versions._released(tag) for tag in ("numbers-before", "v1-beta", "", "$Format:%(describe)$")] == [None] * 4


def test_an_archive_of_git_carries_it(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    commit = git(checkout, "rev-parse", "--short", "HEAD").decode().strip()
    assert asked(archived(checkout, tmp_path_factory.mktemp("untagged"))) == f"0.1.0.dev0+g{commit}"
    git(checkout, "tag", "v0.2.0")
    assert asked(archived(checkout, tmp_path_factory.mktemp("tagged"))) == "0.2.0"


def test_a_source_distribution_carries_it(tree: Path) -> None:
    (tree / "PKG-INFO").write_text("Metadata-Version: 2.4\nName: ilk\nVersion: 4.5.6\n\nVersion: 7\n")
    assert asked(tree) == "4.5.6"


def test_what_is_installed_is_asked_last(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: {"ilk": "8.9"}[name])
    assert asked(tree) == "8.9"

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert asked(tree) == "0+unknown"


def test_ilk_says_it() -> None:
    assert ilk.__version__ == _versions.version() == _versions.versions()["ilk"]
    assert Version(ilk.__version__) >= Version("0.1.0.dev0")
