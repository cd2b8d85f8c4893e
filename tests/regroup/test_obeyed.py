"""Whatever is corrected, grouping again obeys it to the last image, and undo brings back what was there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blobs import Points, blobs

from ilk import regroup
from ilk.corrections import Grouping
from ilk.errors import ArgumentError


def random_run(path: Path, rng: np.random.Generator) -> Points:
    """Some groups that are partly wrong, with copies, unreadable files, images in no group and without features."""
    counts = rng.integers(8, 30, rng.integers(2, 6)).tolist()
    features, kind = blobs(counts, int(rng.integers(1000)), spread=float(rng.uniform(0.2, 3)))
    n = len(kind)
    labels = np.where(rng.random(n) < 0.3, rng.integers(0, len(counts), n), kind)
    labels[rng.random(n) < 0.05] = -1
    keys = [f"{i:032x}" for i in range(n)]
    for copy, first in rng.choice(n, (3, 2), replace=False).tolist():
        keys[copy], features[copy], labels[copy] = keys[first], features[first], labels[first]
    for row in rng.choice(n, 2, replace=False).tolist():
        same = [i for i in range(n) if keys[i] == keys[row]]
        features[same], labels[same] = np.nan, -2
    features[rng.integers(n)] = np.inf  # readable, for all one knows
    return Points(path, features, labels, keys)


def correct(run: Points, rng: np.random.Generator, times: int) -> None:
    """Do what comes to mind; what cannot be done is refused, and that is all."""
    made, n = run.corrections, len(run.corrections.keys())
    for _ in range(times):
        now = made.grouping()
        here = [group for group, size in now.sizes().items() if size and group >= 0]
        rows = rng.choice(n, rng.integers(1, 5), replace=False).tolist()
        group, other = int(rng.choice(here)), int(rng.choice(here))
        mine = np.flatnonzero(now.labels == group)[:2].tolist()
        verbs: list[Any] = [
            lambda rows=rows, group=group: made.move(rows, to=group),
            lambda rows=rows: made.confirm(rows),
            lambda rows=rows: made.ignore(rows),
            lambda rows=rows: made.new(rows, "of mine"),
            lambda group=group, other=other: made.merge(group, other),
            lambda group=group: made.split(group),
            lambda group=group, mine=mine: made.split(group, mine),
            lambda group=group: made.rename(group, "called"),
            lambda group=group: made.note(group, "look"),
            made.undo,
            made.redo,
            lambda: regroup.accept(run, regroup.preview(run)),
        ]
        try:
            verbs[rng.integers(len(verbs))]()
        except ArgumentError:
            continue


def books(grouping: Grouping) -> list[Any]:
    return [
        grouping.labels.tolist(), grouping.said.tolist(), grouping.names, grouping.merged, grouping.parents,
        grouping.apart, grouping.notes,
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(25))
def test_every_correction_is_obeyed_and_undo_brings_all_back(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    run = random_run(tmp_path / "run", rng)
    correct(run, rng, 12)
    before = run.corrections.grouping()
    preview = regroup.preview(run)
    assert run.corrections.grouping().last == before.last  # a look changes nothing
    if not preview.count:
        assert preview.problems
        return
    action = regroup.accept(run, preview)
    after = run.corrections.grouping()
    said = before.said != 0
    assert after.labels[said].tolist() == before.labels[said].tolist()
    assert after.said.tolist() == before.said.tolist()
    assert (after.names, after.notes, after.merged) == (before.names, before.notes, before.merged)
    assert not {*after.merged} & {*after.labels.tolist()}  # what was merged stays together: there is no other to go to
    for one, other in before.apart:
        for here, there in ((one, other), (other, one)):
            assert not ((before.labels == here) & (after.labels == there)).any()
    assert ((before.labels < 0) == (after.labels < 0)).all()
    keys = np.array(run.corrections.keys())
    assert all(len(set(after.labels[keys == key])) == 1 for key in keys)
    changed = np.flatnonzero(before.labels != after.labels)
    assert sorted(row for rows in preview.moves.values() for row in rows) == changed.tolist()
    assert preview.count == len(changed) == sum(flow[2] for flow in preview.flows)
    assert set(before.labels[before.labels >= 0]) == set(after.labels[after.labels >= 0])  # no group is emptied
    assert run.corrections.undo().n == action.n + 1
    assert books(run.corrections.grouping()) == books(before)
    run.corrections.redo()
    assert books(run.corrections.grouping()) == books(after)


@pytest.mark.parametrize("seed", range(12))
def test_so_does_every_cut_of_the_tree(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    run = random_run(tmp_path / "run", rng)
    correct(run, rng, 8)
    before = run.corrections.grouping()
    tree = regroup.tree(run)
    assert tree.low <= tree.now <= tree.high
    pinned = (before.said != 0) & (before.labels >= 0)
    for k in {tree.low, int(rng.integers(tree.low, tree.high + 1)), tree.high} - {tree.now}:
        tree.take(run, k)
        after = run.corrections.grouping()
        assert after.labels[pinned].tolist() == before.labels[pinned].tolist()
        assert after.problems == before.problems
        assert not {*after.merged} & {*after.labels.tolist()}
        here = {group: set(np.flatnonzero(after.labels == group)) for group in set(after.labels.tolist()) if group >= 0}
        cut = tree.cut(k)
        seen = {row for rows, _ in cut for row in rows}
        if not pinned.any():  # images without features stay where they are
            found = [sorted({*rows} & seen) for rows in here.values()]
            assert sorted(filter(None, found)) == sorted(sorted(rows) for rows, _ in cut)
        for one, other in before.apart:
            joined = set(after.labels[before.labels == one]) & set(after.labels[before.labels == other])
            assert not joined
        run.corrections.undo()
        assert books(run.corrections.grouping()) == books(before)
        tree = regroup.tree(run)
