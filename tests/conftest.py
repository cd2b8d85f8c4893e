"""Fixtures for all tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import browser
import numpy as np
import pytest
from recipes import RECIPE, images
from trial import SMALL, Ilk, Said, write_images

from ilk import bench, cli


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the measuring data beside the repository; tests that need it are skipped where it is missing."""
    folder = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the measuring data is not at {folder}")
    return folder


# -- the command line --------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, with the cache elsewhere; nothing of the user's own is read or written."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("COLUMNS", "100")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def ilk(home: Path, capsys: pytest.CaptureFixture[str]) -> Ilk:
    """The command line, in this process and in the folder `home`."""

    def run(*arguments: object) -> Said:
        capsys.readouterr()
        code = cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return run


@pytest.fixture
def ilk_process(home: Path) -> Ilk:
    """The command line, in a process of its own; `first` is code to run in it before."""

    def run(*arguments: object, first: str = "", env: dict[str, str] | None = None) -> Said:
        code = f"import sys\n{first}\nfrom ilk.cli import main\nsys.exit(main())"
        command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, timeout=120, env={**os.environ, **(env or {})})
        return Said(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 readable images of 3 patterns, named by pattern; not to be changed."""
    return write_images(tmp_path_factory.mktemp("photos") / "photos", 36)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Path:
    """A finished run of `photos` with 3 groups; not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "xdg"))
        assert cli.main(["cluster", str(photos), "-o", str(folder / "run"), "-k", "3", *SMALL]) == 0
    return folder / "run"


@pytest.fixture
def finished_copy(home: Path, finished: Path) -> Path:
    """The finished run, to be damaged: ``home/run``."""
    return shutil.copytree(finished, home / "run")


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the report, which takes most of the time of a small run."""
    monkeypatch.setattr("ilk.report.write_plots", lambda run, source=None: [])
    monkeypatch.setattr("ilk.report.write_report", lambda run, out=None, source=None: run.path / "report.html")


@pytest.fixture(scope="session")
def vit_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import timm
    from safetensors.torch import save_file

    path = tmp_path_factory.mktemp("weights") / "vit.safetensors"
    save_file(timm.create_model("test_vit").state_dict(), path)
    return path


# -- recipes -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_map(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time is spent on a 2-D map."""
    monkeypatch.setattr("ilk.layout.map_2d", lambda space, **_: space[:, :2])


@pytest.fixture
def recipe(home: Path) -> bench.Recipe:
    """The recipe of `recipes` with its images, below `home`."""
    (home / "b" / "sets").mkdir(parents=True)
    x, y = images(90)
    np.savez(home / "b" / "sets" / "small.npz", x=x, y=y)
    (a, b), (c, d) = images(60), images(30, seed=1)
    np.savez(home / "b" / "sets" / "parts.npz", x_train=a, y_train=b, x_test=c, y_test=d)
    (home / "b" / "test.toml").write_text(RECIPE)
    return bench.load_recipe(home / "b" / "test.toml")


@pytest.fixture(scope="module")
def chromium() -> Iterator[browser.Browser]:
    """A tab; without a browser the tests are skipped, or fail where ILK_NEED_BROWSER is set (as in CI)."""
    if browser.find() is None:
        message = "no Chromium is installed (Debian, Ubuntu: apt install chromium)"
        if os.environ.get("ILK_NEED_BROWSER"):
            pytest.fail(message)
        pytest.skip(message)
    with browser.browser() as tab:
        yield tab
