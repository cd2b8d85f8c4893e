"""Corrections that go beyond what was found, grouping again, and runs made of runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from trial import Ilk, tree, write_images

import ilk as package
from ilk.errors import ArgumentError, RunError
from ilk.runs import Run

pytestmark = pytest.mark.usefixtures("no_report", "no_map")


def mine(run: Run, prefix: str) -> dict[str, int]:
    return {p: n for p, n in zip(run.images()["path"], run.labels().tolist(), strict=True) if p.startswith(prefix)}


@pytest.fixture
def halved(run: Run) -> Run:
    """The images of pattern 0 are in a group that was made by hand."""
    zeros = [path for path in run.images()["path"] if path.startswith("0_")]
    run.corrections.new(zeros, "mine")
    return run


def test_new_images_go_to_groups_made_by_hand(halved: Run, more: Path) -> None:
    placed = package.predict(halved, more)
    dry = package.update(halved, more, dry=True)
    done = package.update(halved, more)
    assert placed.group.tolist() == dry.group.tolist() == done.group.tolist()
    now = package.load_run("run")
    assert mine(now, "more/") == dict(zip(done.names, placed.group.tolist(), strict=True))
    assert {path: group == 3 for path, group in mine(now, "more/").items()} == {
        path: path.startswith("more/0_") for path in done.names
    }
    found = mine(now.uncorrected(), "more/")
    assert found == dict(zip(done.names, package.predict(now.uncorrected(), more).group.tolist(), strict=True))
    assert [one.do for one, _ in now.corrections.actions()] == ["new"]  # an update is no correction
    now.corrections.undo()  # the group itself: what would be in it is where it was found
    assert mine(now, "more/") == found
    with pytest.raises(ArgumentError, match="nothing to undo"):
        now.corrections.undo()
    now.corrections.redo()
    assert mine(now, "more/") == dict(zip(done.names, placed.group.tolist(), strict=True))
    assert now.corrections.notes() == []


def test_undo_leaves_an_update_alone(halved: Run, more: Path) -> None:
    before = halved.labels().tolist()
    halved.corrections.rename(0, "zero")
    done = package.update(halved, more)
    now = package.load_run("run")
    now.corrections.move(done.names[:1], to=1)
    for _ in range(2):  # the move, and the name: what was done before the update, too
        now.corrections.undo()
    assert mine(now, "more/") == dict(zip(done.names, done.group.tolist(), strict=True))
    for _ in range(2):
        now.corrections.redo()
    assert mine(now, "more/") == dict(zip(done.names, [1, *done.group.tolist()[1:]], strict=True))
    assert now.labels()[:30].tolist() == before
    assert now.grouping().count == 3


def test_a_dry_update_says_what_the_update_does(halved: Run, source: Path, more: Path) -> None:
    """Copies of images that were moved, split off or ignored, and new images, alone and twice."""
    names = halved.images()["path"]
    rest = [path for path in names if not path.startswith("0_")]
    halved.corrections.move(rest[0], to="mine")
    halved.corrections.ignore(rest[1])
    sizes = halved.corrections.grouping().sizes()
    halved.corrections.split(max((group for group in sizes if group >= 0), key=sizes.__getitem__))
    for i, path in enumerate([rest[0], rest[1], *names[:2], *rest[2:12]]):
        shutil.copy(source / path, more / f"copy{i}.png")
    first = min(more.glob("0_*.png"))
    shutil.copy(first, more / "twice.png")
    (more / "broken.png").write_text("none")
    dry, done = package.update(halved, more, dry=True), package.update(halved, more)
    assert dry.group.tolist() == done.group.tolist()
    assert dry.sizes() == done.sizes()
    assert dry.status == done.status
    assert len(set(done.group.tolist())) > 3


def test_groups_of_one_name_are_counted_together(halved: Run, more: Path) -> None:
    first = int(package.predict(halved, more).group.max())
    for group in {*package.predict(halved, more).group.tolist()} - {3}:
        halved.corrections.rename(group, "the others")
    done = package.update(halved, more)
    assert first == 3
    assert done.sizes() == {"the others": 6, "mine": 3}


def test_a_journal_that_somebody_else_holds_leaves_the_run_as_it_was(halved: Run, more: Path, home: Path) -> None:
    before, other = tree(home / "run"), package.load_run("run").corrections
    with other, pytest.raises(RunError, match="another process"):
        package.update(halved, more)
    assert tree(home / "run") == before


def test_group_again_afterwards(ilk: Ilk, run: Run, source: Path, more: Path) -> None:
    to = (run.labels()[0] + 1) % 3
    some = [row for row, path in enumerate(run.images()["path"]) if path.startswith("0_")]
    run.corrections.move(some[:6], to=int(to))
    said = ilk("update", "run", more, "--regroup", "--json")
    assert said.code == 0, said
    now = package.load_run("run")
    assert len(now.labels()) == 39
    assert now.labels()[some[:6]].tolist() == [to] * 6  # obeyed, and where anything moves it is a correction
    last = now.corrections.actions()[-1][0]
    assert (said.json["regrouped"] is None) == (last.do != "regroup" or last.n != said.json["regrouped"])
    assert ilk("update", "run", "--regroup").code == 0


def test_a_run_that_was_grouped_again_elsewhere(ilk: Ilk, halved: Run, source: Path, more: Path) -> None:
    package.update(halved, more)
    assert ilk("regroup", "run", "-o", "again").code == 0
    again = package.load_run("again")
    assert again.uncorrected().labels().tolist() == again.labels().tolist()
    assert len(again.labels()) == 39
    assert {*mine(again, "more/0_").values()} == {3}
    write_images(source, 36)
    done = package.update("again")
    assert len(done.names) == 6
    assert {path[0]: group for path, group in mine(package.load_run("again"), "0_").items()} == {"0": 3}
    assert {name for name, group in zip(done.names, done.group.tolist(), strict=True) if group == 3} == {
        "0_0030.png",
        "0_0033.png",
    }
