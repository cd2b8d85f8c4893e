"""A gallery of the finished run of 36 images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import browser
import numpy as np
import pytest
from asking import Browser
from viewing import View, looking

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


@pytest.fixture
def placed(finished_copy: Path) -> Path:
    """A run of 36 images in 3 groups, on a map where image i is at (i mod 6, i div 6)."""
    spots = np.arange(36)
    np.save(finished_copy / "map.npy", np.column_stack([spots % 6, spots // 6]).astype(np.float32))
    return finished_copy


@pytest.fixture
def on_map(chromium: browser.Browser, placed: Path) -> Iterator[View]:
    for view in looking(chromium, placed):
        view.open("m", ".map-window[data-ready=true]")
        yield view
