"""The model of a corrected run knows the groups as they were found, and says so where the run has others by now."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

import ilk as package
from ilk.errors import IlkWarning

# that it places by them: test_readers.py, test_predictions


def test_it_says_so_where_images_are_in_other_groups(finished_copy: Path, photos: Path) -> None:
    """A warning that is not expected is an error in these tests."""
    run = package.load_run(finished_copy)
    run.model()
    run.corrections.rename(0, "first")
    run.model()
    run.corrections.merge(1, 2)
    with pytest.warns(IlkWarning, match="as they were found"):
        run.model()
    run.uncorrected().model()
    assert len(run.similar(photos / "0_0000.png", 3)) == 3
    Image.new("RGB", (12, 12), "red").save("red.png")
    assert len(run.similar("red.png", 3)) == 3  # encoded, by the model
    run.corrections.undo()
    run.model()


def test_so_does_that_of_a_run_with_groups_of_another_one(finished_copy: Path, no_report: None) -> None:
    run = package.load_run(finished_copy)
    run.corrections.merge(1, 2)
    from ilk import runs

    other = runs.with_other_groups(run, "other", lambda copy: None)
    with pytest.warns(IlkWarning, match="as they were found"):
        other.model()
