"""`ilk regroup`, `Run.regroup`, and what readers of a run see of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from trial import Ilk, refused, tree

import ilk as package
from ilk.runs import Run

# of the fixture: 36 images in 3 groups, `0_0000.png` is of pattern 0 and so on; each pattern is a group


@pytest.fixture
def run(finished_copy: Path) -> Run:
    """Two groups are merged, and of one of the patterns in it four images are a new group: the others belong there."""
    run = package.load_run(finished_copy)
    paths, labels = run.images()["path"], run.labels()
    first, second = (int(labels[[path.startswith(one) for path in paths]][0]) for one in "01")
    run.corrections.merge(first, second)
    run.corrections.new([path for path in paths if path.startswith("1_")][:4], "ones")
    return run


def ones(run: Run) -> list[int]:
    return [row for row, path in enumerate(run.images()["path"]) if path.startswith("1_")]


def test_from_python(run: Run) -> None:
    preview = run.regroup(preview=True)
    assert preview.moves == {3: ones(run)[4:]}
    found = run.uncorrected().labels()
    action = run.regroup()
    assert action.do == "regroup"
    assert np.flatnonzero(run.labels() == 3).tolist() == ones(run)
    table = run.assignments()
    for row in preview.moves[3]:
        at = table["index"].index(row)
        assert [table[name][at] for name in ("confidence", "distance", "silhouette")] == [None] * 3
        assert table["second"][at] == run.corrections.grouping().merged.get(int(found[row]), int(found[row]))
    assert [group["size"] for group in run.clusters() if group["name"] == "ones"] == [12]
    run.corrections.undo()
    assert (run.labels() == 3).sum() == 4


def test_the_command(run: Run, ilk: Ilk) -> None:
    before = tree(run.path)
    said = ilk("regroup", run.path, "--dry-run")
    assert said.code == 0, said.err
    assert "8 of 36 images would move" in said.out
    assert "group 3 (ones)" in said.out
    assert tree(run.path) == before
    assert "without --dry-run this is done" in said.out
    old = ilk("regroup", run.path, "--preview")
    assert (old.out, tree(run.path)) == (said.out, before)
    assert old.err == "note     --preview is now --dry-run; the old name goes with ilk 0.3\n"
    wrong = ilk("regroup", run.path, "--dry-run", "-o", "new")
    assert (wrong.code, "leave -o out" in wrong.err) == (2, True)
    found = json.loads(ilk("regroup", run.path, "--json").out)
    assert (found["count"], found["n"], found["out"]) == (8, 3, None)
    assert [(flow["to"], flow["count"]) for flow in found["flows"]] == [(3, 8)]
    assert "regrouped" not in ilk("correct", run.path).err
    assert "regroup" in ilk("correct", run.path).out
    assert "nothing would move" in ilk("regroup", run.path).out
    assert "3: 12 -> 4" in ilk("correct", run.path, "--undo").out.replace("group 3 (ones)", "3")


def test_a_new_run(run: Run, ilk: Ilk, photos: Path) -> None:
    run.corrections.ignore(0)
    before = tree(run.path)
    said = ilk("regroup", run.path, "-o", "new")
    assert said.code == 0, said.err
    assert tree(run.path) == before
    new = package.load_run("new")
    run.regroup()
    assert new.uncorrected().labels().tolist() == new.labels().tolist() == run.labels().tolist()
    assert {g["id"]: g["name"] for g in new.clusters()} == {g["id"]: g["name"] for g in run.clusters()}
    grouping = new.corrections.grouping()
    assert ((grouping.said > 0) == (run.corrections.grouping().said > 0)).all()  # what was said stays said
    assert Path("new/report.html").stat().st_size > 10_000
    assert new.scores() is None
    assert json.loads(ilk("compare", run.path, "new", "--json").out)["pairs"][0]["ari"] == 1
    placed = package.predict(new, photos)
    assert placed.group.tolist() == new.labels().tolist()
    refused(ilk("regroup", run.path, "-o", "new"), "holds a finished run")


def test_predict_knows_the_groups_as_they_are(run: Run, photos: Path, tmp_path: Path) -> None:
    from PIL import Image

    found = package.predict(run.uncorrected(), photos)
    run.regroup()
    run.corrections.ignore(0)
    placed = package.predict(run, photos)  # copies go where the image is now
    assert placed.group.tolist() == run.labels().tolist()
    assert placed.group[0] == -1
    assert {*placed.second.tolist()} <= {*run.corrections.grouping().names, -1}
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    for path in sorted(photos.glob("*.png")):
        pixels = np.asarray(Image.open(path)).astype(int)
        Image.fromarray(np.clip(pixels + 3, 0, 255).astype(np.uint8)).save(fresh / path.name)
    new = package.predict(run, fresh)
    expected = run.labels()
    expected[0] = next(
        label for label, path in zip(expected[1:], new.names[1:], strict=True) if path[0] == new.names[0][0]
    )
    assert new.group.tolist() == expected.tolist()
    assert new.rows()[ones(run)[0]]["group_name"] == "ones"
    again = package.predict(run.uncorrected(), photos)
    assert np.array_equal(again.confidence, found.confidence)  # to the bit
    assert again.group.tolist() == found.group.tolist()


def test_a_run_without_corrections_is_told_so(finished_copy: Path, ilk: Ilk) -> None:
    said = ilk("regroup", finished_copy)
    assert said.code == 0
    assert "no corrections: there is nothing to learn from" in said.out
    assert not (finished_copy / "corrections.jsonl").exists()
    shutil.rmtree(finished_copy / "thumbs", ignore_errors=True)  # it needs none
    assert ilk("regroup", finished_copy, "--json").code == 0
