"""Fixtures of the report's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_run import Make, runs_in


@pytest.fixture
def make_run(tmp_path: Path) -> Make:
    """Build a run; keyword arguments change one thing about it."""
    return runs_in(tmp_path)
