"""A gallery of the finished run of 36 images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import Browser

from ilk.gallery import Served, serving


@pytest.fixture
def served(finished_copy: Path) -> Iterator[Served]:
    """A gallery of a copy of the run, which answers."""
    with serving(finished_copy) as found:
        yield found


@pytest.fixture
def page(served: Served) -> Browser:
    """Somebody who was let in."""
    return Browser(served)
