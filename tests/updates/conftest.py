"""A run, and images that are to join it."""

from __future__ import annotations

from pathlib import Path

import pytest
from small import OPTIONS
from trial import write_images

import ilk as package
from ilk.runs import Run


@pytest.fixture
def source(home: Path) -> Path:
    """Images of 3 patterns, to be changed."""
    return write_images(home / "source", 30)


@pytest.fixture
def run(source: Path) -> Run:
    return package.cluster(source, "run", options=OPTIONS, names=False)


@pytest.fixture
def more(home: Path) -> Path:
    """Other images of the same patterns."""
    return write_images(home / "more", 9, seed=7)
