"""Runs of the same images with copies and without."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from twice import Place, made


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Not to be changed."""
    return made(tmp_path_factory.mktemp("shards"))


@pytest.fixture
def place(first: Place, tmp_path: Path) -> Place:
    """A copy of all of it, at another place: the run finds the cache beside it."""
    shutil.copytree(first.home, tmp_path / "moved")
    return Place(tmp_path / "moved")


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `alone` is put back from: a command is the same command at the same place only."""
    home = tmp_path_factory.mktemp("alone") / "home"
    home.mkdir()
    made(home)
    shutil.copytree(home, home.with_name("pristine"))
    return home.with_name("pristine")


@pytest.fixture
def alone(pristine: Path) -> Place:
    """Images, cache and runs where they were made, as they were made, to be harmed."""
    home = pristine.with_name("home")
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(pristine, home)
    return Place(home)
