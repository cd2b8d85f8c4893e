"""What the interactive map holds: a fair share of every group, and nothing that a file name could break."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import numpy as np
from report_run import HOSTILE, Make, N

from ilk.report import further, interactive
from ilk.report.facts import gather


def told(made: interactive.Interactive) -> dict[str, Any]:
    return dict(json.loads(gzip.decompress(base64.b64decode(made.data))))


def test_every_point_says_what_the_run_says(make_run: Make) -> None:
    run = make_run()
    facts = gather(run)
    made = interactive.interactive(run, facts, {i for i in range(N) if i % 2})
    assert made is not None
    data = told(made)
    placed = [i for i in range(N) if facts.labels[i] >= -1]
    assert made.n_points == made.n_placed == len(placed) == len(data["x"])
    for row, i in enumerate(placed):
        assert data["groups"][data["group"][row]]["id"] == facts.labels[i]
        assert data["confidence"][row] == round(100 * facts.confidence[i])
        assert data["thumb"][row] == (i if i % 2 else -1)
    assert made.n_thumbs == sum(i % 2 for i in placed)
    layout = run.map()
    assert layout is not None
    order = np.argsort(layout[placed, 0], kind="stable")
    assert (np.diff(np.asarray(data["x"])[order]) >= 0).all()
    assert data["name"][placed.index(10)] == "photo\\u202egpj.exe"
    assert data["name"][placed.index(3)] == HOSTILE[3]
    assert made.has_confidence


def test_the_label_of_a_group_smaller_than_it_stands_above(make_run: Make) -> None:
    run = make_run()
    facts = gather(run)
    steps = np.random.default_rng(0).uniform(0, interactive.GRID, (N, 2))
    placed = np.ones(N, bool)
    wide, tiny = (next(group for group in facts.groups if group.id == k) for k in (0, 1))
    steps[tiny.members] = 5000
    assert not interactive._group(wide, steps, placed, True)["above"]
    assert interactive._group(tiny, steps, placed, True)["above"]
    assert not interactive._group(tiny, steps, placed, False)["above"]  # it has no label


def test_the_payload_has_no_character_of_markup(make_run: Make) -> None:
    run = make_run()
    facts = gather(run)
    made = interactive.interactive(run, facts)
    assert made is not None
    for text in (made.data, made.plotly):
        assert base64.b64decode(text, validate=True)
    assert "</script" not in made.script.lower()
    assert "<!--" not in made.script


def test_without_thumbnails_or_confidence(make_run: Make) -> None:
    run = make_run(no_thumbs=True)
    facts = gather(run)
    facts.confidence[:] = np.nan
    made = interactive.interactive(run, facts)
    assert made is not None
    data = told(made)
    assert not made.has_confidence
    assert set(data["confidence"]) == set(data["thumb"]) == {-1}
    assert made.n_thumbs == 0
    run.map = lambda: None  # type: ignore[method-assign]
    assert interactive.interactive(run, facts) is None


def test_a_sample_keeps_the_share_of_every_group(make_run: Make) -> None:
    run = make_run(n=4000, bad={})
    facts = gather(run)
    placed = np.ones(4000, bool)
    placed[:100] = False
    thumbs = [i for i in further.chosen(facts, 310) if placed[i]]
    assert len(set(thumbs)) == len(thumbs) <= 310
    counts = np.bincount(facts.labels[thumbs] + 1)
    assert counts.min() >= 70  # an even share: four groups, 77 each
    points = interactive.chosen_points(facts, placed, thumbs, 1000)
    assert set(thumbs) <= set(points)
    assert len(set(points)) == len(points) <= 1000
    assert min(points) >= 100
    for label in (-1, 0, 1, 2):
        share = np.mean(facts.labels[points] == label)
        assert abs(share - np.mean(facts.labels[100:] == label)) < 0.01
    assert points == interactive.chosen_points(facts, placed, thumbs, 1000)
    assert len(interactive.chosen_points(facts, placed, thumbs, 320)) <= 320


def test_thumbnails_are_central_doubtful_and_others(make_run: Make) -> None:
    facts = gather(make_run(n=3000, bad={}, noise=False))
    chosen = set(further.chosen(facts, 300))
    for group in facts.groups:
        near = group.members[np.argsort(facts.distance[group.members])][:40]
        doubtful = group.members[np.argsort(facts.silhouette[group.members])][:30]
        assert chosen >= {*near.tolist(), *doubtful.tolist()}
        assert len(chosen & set(group.members.tolist())) == 100
