"""Merging on a directed graph against a loop over all pairs of rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ilk.vectors import Linkage, chains, neighbor_weights, neighbors

Merges = list[tuple[int, int, float]]


def start(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    x = torch.from_numpy(np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32))
    index, distance = neighbors(x, x, 6, exclude_self=True)
    return neighbor_weights(index.numpy(), distance.numpy()), chains(index.numpy())


def affinity(w: np.ndarray, a: list[int], b: list[int]) -> float:
    """A(a, b), one path of two edges after the other."""
    out_and_back = sum(w[i, j] * w[j, k] for i in a for j in b for k in a)
    other = sum(w[j, i] * w[i, k] for j in b for i in a for k in b)
    return float(out_and_back / len(a) ** 2 + other / len(b) ** 2)


def by_loop(w: np.ndarray, labels: np.ndarray, target: int, local: int, limit: int) -> Merges:
    groups = {g: list(np.flatnonzero(labels == g)) for g in range(labels.max() + 1)}
    merges: Merges = []
    while len(groups) > target:
        found = []
        for a in groups:
            near = sorted(((affinity(w, groups[a], groups[b]), -b) for b in groups if b != a), reverse=True)
            best, partner = near[0]
            if best > 0:
                others = [v for v, _ in near[1:local]] if len(groups) > limit else []
                others += [0.0] * (local - 1 - len(others)) if len(groups) > limit else []
                found.append((-best - sum(best - v for v in others) / max(local - 1, 1), a, -partner))
        if not found:
            break
        _, a, b = min(found)
        a, b = (b, a) if len(groups[b]) > len(groups[a]) else (a, b)
        merges.append((a, b, affinity(w, groups[a], groups[b])))
        groups[a] += groups.pop(b)
    return merges


@pytest.mark.parametrize(
    ("seed", "local", "limit"), [(0, 5, 0), (1, 5, 6), (2, 1, 6), (3, 2, 8), (4, 5, 100), (5, 4, 7)]
)
def test_every_merge_is_that_of_the_loop(seed: int, local: int, limit: int) -> None:
    """With the neighbours of a group in view, and from `limit` groups on by the affinity alone."""
    weights, labels = start(40, seed)
    assert labels.max() + 1 > 8
    linkage = Linkage(weights, labels, local, limit)
    linkage.merge_to(2)
    expected = by_loop(weights.toarray(), labels, 2, local, limit)
    assert [merge[:2] for merge in linkage.merges] == [merge[:2] for merge in expected]
    np.testing.assert_allclose([m[2] for m in linkage.merges], [m[2] for m in expected], rtol=1e-9)


def test_the_limit_changes_what_is_merged() -> None:
    weights, labels = start(400, 1)
    ends = [Linkage(weights, labels, 5, limit) for limit in (0, 30, 400)]
    for linkage in ends:
        linkage.merge_to(2)
    first, crossed, plain = ([merge[:2] for merge in linkage.merges] for linkage in ends)
    above = int(labels.max()) + 1 - 30
    assert crossed[:above] == first[:above] != plain[:above]
    assert crossed != first


def test_affinities_of_what_is_left_are_kept_right() -> None:
    weights, labels = start(60, 5)
    linkage = Linkage(weights, labels)
    linkage.merge_to(4)
    groups = linkage.groups()
    left = [list(members) for members in linkage.members if len(members)]
    assert sorted(map(len, left)) == sorted(np.bincount(groups))
    names = [linkage.labels[rows[0]] for rows in left]
    for a, rows in zip(names, left, strict=True):
        for b, others in zip(names, left, strict=True):
            if a != b:
                assert linkage.affinity(a, b) == pytest.approx(affinity(weights.toarray(), rows, others), abs=1e-12)


def test_groups_that_share_no_edges_are_not_merged() -> None:
    index = np.array([[1], [0], [3], [2]])
    linkage = Linkage(neighbor_weights(index, np.ones((4, 1))), np.arange(4))
    assert linkage.merge_to(2)
    assert linkage.groups().tolist() == [0, 0, 1, 1]
    assert not linkage.merge_to(1)
    assert linkage.left().tolist() == [0, 2]
    assert linkage.isolated(0)
    linkage.join(*np.unique(linkage.labels).tolist())
    assert linkage.groups().tolist() == [0, 0, 0, 0]
