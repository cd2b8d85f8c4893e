"""Corrections count: others follow, what the features do not know is said, and the queue asks where it teaches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from blobs import Points, blobs

from ilk import regroup
from ilk.corrections import Action
from ilk.corrections.actions import parsed
from ilk.errors import ArgumentError


@pytest.fixture
def mixed(tmp_path: Path) -> tuple[Points, np.ndarray]:
    """Four kinds in three groups: the third holds kinds 2 and 3, and the second a fifth of kind 0."""
    features, kind = blobs([40, 40, 40, 40])
    labels = np.minimum(kind, 2)
    labels[:8] = 1
    return Points(tmp_path / "run", features, labels), kind


def test_without_corrections_nothing_moves(mixed: tuple[Points, np.ndarray]) -> None:
    run, _ = mixed
    found = regroup.preview(run)
    assert (found.count, found.moves, found.flows, found.held_out) == (0, {}, [], None)
    assert "no corrections" in found.problems[-1]
    with pytest.raises(ArgumentError, match="nothing would move: no corrections"):
        regroup.accept(run, found)
    run.corrections.rename(0, "zero")
    assert "no correction says where an image belongs" in regroup.preview(run).problems[-1]


def test_others_follow_what_a_few_were_told(mixed: tuple[Points, np.ndarray]) -> None:
    run, kind = mixed
    run.corrections.new(np.flatnonzero(kind == 3)[:4].tolist(), "three")
    run.corrections.move([0, 1], to=0)
    found = regroup.preview(run)
    assert {flow[:2] for flow in found.flows} == {(2, 3), (1, 0)}
    regroup.accept(run, found)
    assert run.corrections.grouping().labels.tolist() == kind.tolist()
    assert all(set(rows) <= set(np.flatnonzero(kind == to)) for to, rows in found.moves.items())


def test_a_preview_of_before_is_refused(mixed: tuple[Points, np.ndarray]) -> None:
    run, kind = mixed
    run.corrections.new(np.flatnonzero(kind == 3)[:4].tolist())
    found, tree = regroup.preview(run), regroup.tree(run)
    run.corrections.rename(0, "zero")
    with pytest.raises(ArgumentError, match="corrected meanwhile"):
        regroup.accept(run, found)
    with pytest.raises(ArgumentError, match="corrected meanwhile"):
        tree.take(run, tree.now + 1)


def test_images_of_a_split_do_not_flow_back(tmp_path: Path) -> None:
    features, kind = blobs([30, 30], spread=0.1)
    run = Points(tmp_path / "run", features, np.zeros(60, int))
    half = {"group": 0, "to": 1, "images": run.corrections.keys()[20:], "examples": []}  # ten of the other kind with it
    with open(tmp_path / "run" / "corrections.jsonl", "ab") as file:
        file.write(Action(1, "", "split", half).line())
    run.corrections.confirm([0, 1, 2])
    assert run.corrections.grouping().apart == [(0, 1)]
    assert regroup.preview(run).count == 0
    run.corrections.merge(0, 1)  # the person says otherwise, and opens a group of its own
    run.corrections.new(np.flatnonzero(kind == 1)[:6].tolist())
    assert regroup.preview(run).moves == {2: list(range(36, 60))}


def test_problems_are_named(tmp_path: Path) -> None:
    features, kind = blobs([30, 30, 30])
    features[5] = np.nan
    run = Points(tmp_path / "run", features, kind)
    run.corrections.move(np.flatnonzero(kind == 2).tolist(), to=0)
    said = " ".join(regroup.preview(run).problems)
    assert "group 2 is empty" in said
    assert "1 image has no features" in said


def test_features_that_do_not_know_are_called_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 400)
    knows, kind = blobs([100] * 4)
    for name, features, truth, known in (
        ("noise", rng.normal(size=(400, 12)), labels, False),
        ("blobs", knows, kind, True),
    ):
        given = np.where(rng.random(400) < 0.2, (truth + rng.integers(1, 4, 400)) % 4, truth)
        run = Points(tmp_path / name, features, given)
        for group in range(4):
            run.corrections.move(np.flatnonzero((given != truth) & (truth == group))[:10].tolist(), to=group)
        found = regroup.preview(run)
        assert found.held_out is not None
        assert (found.held_out > 0.9) == known
        assert any("features do not know" in problem for problem in found.problems) != known


def test_the_queue_asks_about_parts_first(mixed: tuple[Points, np.ndarray]) -> None:
    run, _ = mixed
    queue = regroup.queue(run)
    assert queue.won == {"answered": 0, "moved": 0, "followed": 0}
    kinds = [item["kind"] for item in queue.items]
    assert kinds == sorted(kinds)  # part, then pair
    wrong = next(item for item in queue.items if item["a"] == 1)
    assert wrong["b"] == 0
    assert {*wrong["images"]} <= {*range(8)}
    assert queue.left >= len(wrong["images"])
    run.corrections.move(wrong["images"], to=0)
    after = regroup.queue(run)
    assert after.won == {"answered": len(wrong["images"]), "moved": len(wrong["images"]), "followed": 0}
    assert after.left < queue.left
    assert not any({*item["images"]} & {*wrong["images"]} for item in after.items)
    assert len(regroup.queue(run, limit=1).items) <= 1


def test_the_tree_joins_and_parts(mixed: tuple[Points, np.ndarray]) -> None:
    run, kind = mixed
    tree = regroup.tree(run)
    assert (tree.low, tree.now, tree.suggested) == (2, 3, {"natural": 3})
    assert tree.high <= 50
    labels = run.corrections.grouping().labels
    now = tree.cut(3)
    assert sorted(sorted(rows) for rows, _ in now) == sorted(np.flatnonzero(labels == g).tolist() for g in range(3))
    assert [origin for _, origin in now] == [{0: 32}, {1: 48}, {2: 80}]
    four = tree.cut(4)
    assert {frozenset(kind[rows]) for rows, _ in four if len(rows) == 40} >= {frozenset({2}), frozenset({3})}
    for k in range(tree.low, tree.high):  # each within the next
        finer = [set(rows) for rows, _ in tree.cut(k + 1)]
        assert len(finer) == k + 1
        assert all(any(part <= set(rows) for rows, _ in tree.cut(k)) for part in finer)
    with pytest.raises(ArgumentError, match="choose from 2 to"):
        tree.cut(1)
    with pytest.raises(ArgumentError, match="what there is now"):
        tree.take(run, 3)
    action = tree.take(run, 4)
    assert (action.do, action.arguments["new"]) == ("regroup", [3])
    assert sorted(run.corrections.grouping().sizes().values()) == [32, 40, 40, 48]
    assert run.corrections.grouping().apart == []  # no person split them


def test_new_images_go_to_groups_as_they_are(mixed: tuple[Points, np.ndarray]) -> None:
    run, kind = mixed
    run.corrections.new(np.flatnonzero(kind == 3)[:4].tolist(), "three")
    run.corrections.move([0, 1], to=0)
    regroup.accept(run, regroup.preview(run))
    fresh, truth = blobs([20, 20, 20, 20], seed=7)
    fresh[3] = np.nan
    groups, proba = regroup.placer(run)(fresh)
    assert groups.tolist() == [0, 1, 2, 3]
    assert proba[3].tolist() == [0, 0, 0, 0]
    read = np.arange(80) != 3
    assert proba[read].argmax(1).tolist() == truth[read].tolist()
    assert proba[read].sum(1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ('"to": [1], "images": [["a"]]', None),
        ('"to": [], "images": [], "new": [7], "gone": [[1, 2]]', None),
        ('"to": [1, 1], "images": [["a"], ["b"]]', "to is no list"),
        ('"to": [1], "images": [["a"], ["b"]]', "not as many groups"),
        ('"to": [1], "images": ["a"]', "images is no list"),
        ('"to": [1], "images": [["a"]], "new": [-1]', "new is no list"),
        ('"to": [1], "images": [["a"]], "gone": [[1]]', "gone is no list of pairs"),
        ('"images": [["a"]]', "no to"),
    ],
)
def test_the_line_of_the_journal_is_checked(given: str, wrong: str | None) -> None:
    line = f'{{"n": 1, "at": "", "do": "regroup", {given}}}'.encode()
    if wrong is None:
        assert parsed(parsed(line).line()).arguments == parsed(line).arguments
        return
    with pytest.raises(ValueError, match=wrong):
        parsed(line)


def test_what_a_line_names_that_is_not_there_is_passed_over(tmp_path: Path) -> None:
    features, kind = blobs([10, 10, 10])
    run = Points(tmp_path / "run", features, kind)
    run.corrections.move([0], to=1)
    keys = run.corrections.keys()
    gone = {"to": [1, 9], "images": [[keys[1], "unknown"], [keys[2]]], "new": [0, 4], "gone": [[1, 2], [2, 0], [8, 0]]}
    with open(tmp_path / "run" / "corrections.jsonl", "ab") as file:
        file.write(Action(2, "", "regroup", gone).line())
    now = run.corrections.grouping()
    assert now.labels[:3].tolist() == [1, 1, 0]
    assert (sorted(now.names), now.merged) == ([0, 1, 4], {2: 0})
    (problem,) = now.problems
    for text in (
        "there is a group 0 already",
        "no group 9",
        "group 1 holds images that were put there by hand",
        "no group 8",
    ):
        assert text in problem
    run.corrections.undo()
    assert (sorted(run.corrections.grouping().names), run.corrections.grouping().merged) == ([0, 1, 2], {})
    assert run.corrections.next_group() == 5  # no number is given twice
