"""What is handed out: a source distribution as git has the project, and a wheel of all of src/ilk that runs alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*command: object, cwd: Path, **env: str) -> str:
    """Return what the command prints; a failure shows all of it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_", "COVERAGE"))}
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=kept | env, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tracked() -> set[str]:
    """Every file that git has, or will have: new ones that are not ignored count too."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout: there is no list of files to hold the packages to")
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    return {name for name in listed.split("\0") if name and (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The two packages, built as `make dist` does from an archive that git made of the tag v1.2.3."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("dist")
    for name in tracked():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tree / name)
    (tree / ".git_archival.txt").write_text("describe: v1.2.3-0-g0123abc\ncommit: 0123abc\n")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, cwd=tree)
    (source,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return source, wheel


def test_the_source_distribution_is_the_project(packages: tuple[Path, Path]) -> None:
    with tarfile.open(packages[0]) as tar:
        inside = {member.name.partition("/")[2] for member in tar if member.isfile()}
    made = {"PKG-INFO", "setup.cfg", "src/ilk.egg-info/SOURCES.txt"}
    assert inside - tracked() <= made | {name for name in inside if name.startswith("src/ilk.egg-info/")}
    assert tracked() - inside == set()


def test_the_wheel_is_the_whole_package(packages: tuple[Path, Path]) -> None:
    ours = {name.removeprefix("src/") for name in tracked() if name.startswith("src/ilk/")}
    with zipfile.ZipFile(packages[1]) as wheel:
        inside = {name for name in wheel.namelist() if ".dist-info/" not in name}
        assert inside == ours
        assert {name for name in ours if wheel.read(name) != (ROOT / "src" / name).read_bytes()} == set()
        needed = {"ilk/py.typed", "ilk/methods/options.json", "ilk/gallery/static/index.html"}
        assert needed | {"ilk/gallery/static/views/map.js", "ilk/report/templates/report.html"} <= inside
        facts = message_from_bytes(wheel.read("ilk-1.2.3.dist-info/METADATA"))
        assert wheel.read("ilk-1.2.3.dist-info/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert (facts["Version"], facts["License-Expression"]) == ("1.2.3", "Apache-2.0")
    assert facts["Description-Content-Type"] == "text/markdown"


@pytest.fixture
def installed(packages: tuple[Path, Path], tmp_path: Path) -> Path:
    """The folder of commands of an environment that has this wheel, and nothing of this checkout.

    What ilk depends on is lent by the environment of the tests: as a plain line of a .pth file, so that what is
    installed there for editing stays out.
    """
    home = tmp_path / "empty"
    venv.create(home, symlinks=os.name != "nt")
    commands = home / ("Scripts" if os.name == "nt" else "bin")
    python = commands / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    lent = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "lent.pth").write_text("\n".join(lent), "utf-8")
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    run(*pip, "install", "--no-deps", "--no-index", "--force-reinstall", packages[1], cwd=tmp_path)
    return commands


def test_it_runs_in_an_environment_of_its_own(installed: Path, tmp_path: Path) -> None:
    where = run(installed / "python", "-c", "import ilk; print(ilk.__file__)", cwd=tmp_path).strip()
    assert Path(where).is_relative_to(installed.parent)
    assert run(installed / "ilk", "--version", cwd=tmp_path) == "ilk 1.2.3\n"
    command = ("cluster", "digits", "-k", "10", "-o", "run", "--cache", "cache", "--json")
    facts = json.loads(run(installed / "ilk", *command, cwd=tmp_path))
    assert (facts["n_images"], facts["n_clusters"], facts["encoder"]) == (1797, 10, "gradients")
    assert facts["scores"]["acc"] > 0.9
    assert json.loads((tmp_path / "run" / "run.json").read_bytes())["versions"]["ilk"] == "1.2.3"
    assert (tmp_path / "run" / "report.html").stat().st_size > 100_000
