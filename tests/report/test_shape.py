"""How far groups are apart, and the evidence for their number: checked by hand and by a double loop."""

from __future__ import annotations

import numpy as np
import pytest
from report_run import Make

from ilk.report import curves, shape
from ilk.report.facts import NOISE, gather


def test_centres_are_those_of_a_double_loop(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(rich=True)
    facts = gather(run)
    monkeypatch.setattr(shape, "STEP_BYTES", 7 * 20)  # blocks of 7 rows
    found = shape.centres(run, facts)
    assert found is not None
    groups, middle = found
    assert [g.id for g in groups] == [g.id for g in facts.groups if g.id != NOISE]
    features = np.asarray(run.features(), np.float64)
    for group, centre in zip(groups, middle, strict=True):
        total = np.zeros(5)
        for i in group.members:
            total += features[i] / np.sqrt((features[i] ** 2).sum())
        np.testing.assert_allclose(centre, total / np.sqrt((total**2).sum()), atol=1e-5)


def test_centres_of_a_sample_are_close(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(n=3000, bad={}, rich=True)
    facts = gather(run)
    whole = shape.centres(run, facts)
    monkeypatch.setattr(shape, "MAX_VALUES", 5 * 600)
    part = shape.centres(run, facts)
    assert whole is not None
    assert part is not None
    assert ((whole[1] * part[1]).sum(axis=1) > 0.999).all()
    assert not np.array_equal(whole[1], part[1])


def test_no_features_no_similarity(make_run: Make) -> None:
    run = make_run()
    assert shape.draw_similarity(run, gather(run)) is None


def test_alike_groups_stand_side_by_side() -> None:
    angles = np.radians([0, 90, 2, 180, 92])
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    order = shape.leaf_order(x @ x.T)
    assert sorted(order) == [0, 1, 2, 3, 4]
    assert abs(order.index(0) - order.index(2)) == 1
    assert abs(order.index(1) - order.index(4)) == 1
    assert shape.leaf_order(np.eye(2)) == [0, 1]


def test_best_of_each_criterion() -> None:
    table = [
        {"k": 2, "silhouette": 0.5, "davies_bouldin": 0.9, "rank_sum": 4.0, "other": 1},
        {"k": 3, "silhouette": 0.5, "davies_bouldin": 0.7, "rank_sum": 3.0, "other": 2},
        {"k": 5, "silhouette": 0.1, "davies_bouldin": None, "rank_sum": 9.0, "stability": float("nan")},
    ]
    found = curves.criteria(table)
    assert list(found) == ["silhouette", "davies_bouldin", "rank_sum", "other"]
    assert found["davies_bouldin"] == [(2, 0.9), (3, 0.7)]
    assert {name: curves.best(name, points) for name, points in found.items()} == {
        "silhouette": 2,
        "davies_bouldin": 3,
        "rank_sum": 3,
        "other": None,
    }


def test_a_panel_for_each_criterion(make_run: Make) -> None:
    facts = gather(make_run())
    table = [{"k": k, "silhouette": k / 9, "stability": 1 / k, "davies_bouldin": k} for k in (2, 3, 4)]
    figure = curves.draw_k(facts, table)
    assert figure is not None
    assert [axes.get_title("left") for axes in figure.axes] == ["Silhouette", "Stability", "Davies-Bouldin"]
    assert curves.draw_k(facts, [{"k": 3, "silhouette": None}]) is None


def test_silhouettes_of_many_images_cost_as_much_as_of_few(make_run: Make) -> None:
    facts = gather(make_run(n=5000, bad={}))
    figure = shape.draw_silhouettes(facts)
    assert figure is not None
    outlines = [path.vertices for c in figure.axes[0].collections for path in c.get_paths()]
    assert sum(map(len, outlines)) < 3 * 2 * 3 * shape.PROFILE
    facts.silhouette[:] = np.nan
    assert shape.draw_silhouettes(facts) is None
