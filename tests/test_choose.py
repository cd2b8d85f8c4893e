"""The number of groups: the evidence equals scikit-learn's, and the choice follows from the evidence."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
import torch
from clouds import blobs, no_group
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs

from ilk.choose import CRITERIA, KChoice, candidates, choose_k, criteria, scan, spaces
from ilk.choose import sketch as sketches
from ilk.choose.scan import Scan, split
from ilk.choose.spaces import Coordinates, Fit, Pairs, Space, open_space
from ilk.cli.show import Screen
from ilk.errors import ArgumentError, DataError, NotEnoughImages
from ilk.vectors import Rows


def space(x: np.ndarray) -> Space:
    return open_space(Rows.of(torch.from_numpy(x)))


BOTH = pytest.mark.parametrize("d", [6, 300], ids=["coordinates", "inner products"])

# -- the evidence ------------------------------------------------------------------------------------------------------


@BOTH
def test_criteria_equal_scikit_learn_for_every_k(d: int) -> None:
    x = blobs(spread=4, d=d)
    where = space(x)
    assert isinstance(where, Pairs if d > spaces.WIDE else Coordinates)
    table = choose_k(x, k_grid=range(2, 41), n_init=1, random_state=3).table
    assert [row["k"] for row in table] == list(range(2, 41))
    fits = Scan(where, 1, 3)
    for row in table:
        labels = fits.fit(row["k"]).labels.numpy()
        assert len(np.unique(labels)) == row["k"]
        assert row["silhouette"] == pytest.approx(sklearn.metrics.silhouette_score(x, labels), abs=6e-5)
        assert row["davies_bouldin"] == pytest.approx(sklearn.metrics.davies_bouldin_score(x, labels), abs=6e-5)
        assert row["calinski_harabasz"] == pytest.approx(sklearn.metrics.calinski_harabasz_score(x, labels), rel=2e-5)


def test_far_from_the_origin_and_in_any_unit() -> None:
    x = blobs(spread=3).astype(np.float64)
    table = choose_k(x, k_max=9).table
    for other in (x + 1e6, x * 1e-25, x * 1e15):
        assert choose_k(other, k_max=9).table == table


@BOTH
def test_silhouette_of_every_row_in_blocks(d: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = blobs(n=300, d=d, spread=5)
    kept = choose_k(x, k_grid=[2, 7, 150, 299], sample_size=None).table
    monkeypatch.setattr(criteria, "MOST_PAIRS", 100)  # keep no distances
    monkeypatch.setattr(criteria, "_BLOCK", 70)
    assert choose_k(x, k_grid=[2, 7, 150, 299], sample_size=None).table == kept
    assert [row["k"] for row in kept] == [2, 7, 150, 299]  # up to n - 1


def test_a_sample_reaches_every_group_and_is_close() -> None:
    far = np.concatenate(
        [blobs(n=2980, spread=4), np.full((20, 6), 300) + np.random.default_rng(0).normal(size=(20, 6))]
    )
    exact = choose_k(far, k_grid=range(2, 9), sample_size=None)
    sampled = choose_k(far, k_grid=range(2, 9), sample_size=200)
    assert exact.table != sampled.table
    for one, other in zip(exact.table, sampled.table, strict=True):
        assert one["silhouette"] == pytest.approx(other["silhouette"], abs=0.05)
    assert (
        exact.table[0]["silhouette"] > 0.8
    )  # the far group of 20, which 200 rows drawn at random have once on average


def test_weights_of_a_sample_make_it_whole_again() -> None:
    labels = torch.tensor([0] * 900 + [1] * 95 + [2] * 5)
    index, weight = criteria.stratified(Fit(labels, torch.zeros(1000), 3), 100, torch.Generator().manual_seed(0))
    assert torch.bincount(labels[index]).tolist() == [90, 10, 5]
    assert torch.zeros(3).index_add_(0, labels[index], weight).tolist() == [900, 95, 5]


@pytest.mark.parametrize("seed", range(3))
def test_agreement_is_the_adjusted_rand_index(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.integers(0, 7, 200), rng.integers(0, 4, 200)
    other[:90] = one[:90] % 4
    found = criteria.agreement(torch.from_numpy(one), torch.from_numpy(other))
    assert found == pytest.approx(sklearn.metrics.adjusted_rand_score(one, other))
    assert criteria.agreement(torch.zeros(5, dtype=torch.int64), torch.zeros(5, dtype=torch.int64)) == 1


@BOTH
def test_halves_agree_on_groups_that_are_there(d: int) -> None:
    table = {row["k"]: row for row in choose_k(blobs(5, 400, d=d), k_grid=[4, 5, 6, 9]).table}
    assert table[5]["stability"] == 1.0
    assert max(table[6]["stability"], table[9]["stability"]) < 0.97
    assert max(row["stability"] for row in choose_k(no_group("normal", d), k_grid=[4, 5, 6, 9]).table) < 0.75


@BOTH
def test_a_half_labels_all_rows_by_its_nearest_means(d: int) -> None:
    x = blobs(4, 120, d=d, spread=9)
    where, half, rows = space(x), torch.arange(60), torch.arange(50, 120)
    few = where.take(half)
    labels = few.fresh(4, torch.Generator().manual_seed(0)).labels
    means = np.stack([x[:60][labels.numpy() == k].mean(0) for k in range(4)])
    expected = ((x[50:, None] - means) ** 2).sum(2).argmin(1)
    assert few.assign(labels, 4, where.seen(half, rows)).tolist() == expected.tolist()


# -- the scan ----------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("n_init", [1, 10])
def test_inertia_is_that_of_scikit_learn_or_less(d: int, n_init: int) -> None:
    x = blobs(12, 600, d=d, spread=5, seed=4)
    fits = Scan(space(x), n_init, 0)
    scale = float(((x - x.mean(0)).astype(np.float64) ** 2).sum()) / len(x)
    tried = range(2, 31) if n_init == 1 else range(2, 31, 4)  # ten starts of scikit-learn take their time
    ratio = [fits.fit(k).inertia * scale / KMeans(k, n_init=n_init, random_state=0).fit(x).inertia_ for k in tried]
    assert np.mean(ratio) < 1.001
    assert max(ratio) < (1.02 if n_init > 1 else 1.06)


@BOTH
def test_warm_start_is_no_worse_than_a_cold_one_on_blobs(d: int) -> None:
    where = space(blobs(15, 450, d=d))
    warm = Scan(where, 1, 0)
    for k in range(2, 16):
        warm.fit(k)
    cold = [where.fresh(15, torch.Generator().manual_seed(seed)).inertia for seed in range(5)]
    assert warm.fits[15].inertia <= min(cold) * 1.0001


def test_without_splitting_a_single_start_is_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    where = space(blobs(40, 800))

    def reached() -> float:
        fits = Scan(where, 1, 0)
        return [fits.fit(k) for k in range(2, 41)][-1].inertia

    warm = reached()
    monkeypatch.setattr(scan, "split", lambda *_: None)
    assert reached() > 1.2 * warm


@BOTH
def test_the_worst_group_is_cut_along_its_axis(d: int) -> None:
    x = blobs(3, 90, d=d)
    where = space(x)
    two = Fit(where.lloyd(torch.from_numpy(KMeans(2, n_init=5, random_state=0).fit(x).labels_).long(), 2).labels,
              torch.ones(90), 2)  # fmt: skip
    two = where.lloyd(two.labels, 2)
    three = split(where, two, 3)
    truth = make_blobs(90, d, centers=np.random.default_rng(0).normal(0, 12, (3, d)), random_state=0)[1]
    assert sklearn.metrics.adjusted_rand_score(truth, three) == 1
    many = split(where, two, 40)
    assert torch.bincount(many).min() >= 1
    assert len(torch.unique(many)) == 40


def test_inner_products_and_coordinates_find_the_same() -> None:
    x = torch.from_numpy(blobs(7, 300, d=300, spread=6))
    x = (x - x.mean(0)) / 100
    ids = torch.arange(300)
    start = Pairs(x @ x.T, ids).fresh(9, torch.Generator().manual_seed(0)).labels
    start[:100] = torch.arange(100) % 9
    one, other = Coordinates(x, ids).lloyd(start, 9), Pairs(x @ x.T, ids).lloyd(start, 9)
    assert (one.labels == other.labels).float().mean() > 0.99
    assert one.inertia == pytest.approx(other.inertia, rel=1e-4)
    assert Coordinates(x, ids).total() == pytest.approx(Pairs(x @ x.T, ids).total(), rel=1e-5)
    assert torch.allclose(Coordinates(x, ids).between(one), Pairs(x @ x.T, ids).between(other), atol=1e-4)


def test_the_winner_among_the_sketches_comes_to_rest_among_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    x = blobs(12, 500, d=300, spread=30, seed=2).astype(np.float64)
    raced: list[np.ndarray] = []
    race = sketches.Sketch.race

    def seen(*given: Any) -> tuple[torch.Tensor, torch.Tensor]:
        found = race(*given)
        raced.append(found[0].numpy().copy())
        return found

    def nearest(labels: np.ndarray) -> np.ndarray:
        means = np.stack([x[labels == k].mean(0) for k in range(len(np.unique(labels)))])
        return ((x[:, None] - means) ** 2).sum(2).argmin(1)

    monkeypatch.setattr(sketches.Sketch, "race", seen)
    fits = Scan(space(x.astype(np.float32)), 10, 0)
    scale = float(((x - x.mean(0)) ** 2).sum()) / len(x)
    for k in (5, 12, 25):
        fit = fits.fit(k)
        assert fit.inertia * scale <= 1.01 * KMeans(k, n_init=10, random_state=0).fit(x).inertia_
        assert np.array_equal(nearest(fit.labels.numpy()), fit.labels.numpy())
    monkeypatch.setattr(sketches, "WIDTH", 3)  # too few for 12 groups: much is left to do among the rows
    labels = Scan(space(x.astype(np.float32)), 10, 0).fit(12).labels.numpy()
    assert not np.array_equal(nearest(raced[-1]), raced[-1])
    assert np.array_equal(nearest(labels), labels)


def test_many_rows_come_to_rest_on_a_sample_first(monkeypatch: pytest.MonkeyPatch) -> None:
    x = blobs(8, 800, spread=6)
    whole = space(x).fresh(8, torch.Generator().manual_seed(0)).inertia
    monkeypatch.setattr(spaces, "MANY", 500)
    assert space(x).fresh(8, torch.Generator().manual_seed(0)).inertia < 1.05 * whole
    assert len(space(x).fresh(400, torch.Generator().manual_seed(0)).labels.unique()) == 400


@pytest.mark.parametrize(("n", "k_max"), [(0, 50), (2, 50), (3, 50), (13, 50), (1000, 50), (10**6, 500), (1000, 2)])
def test_candidates_rise_in_steps_of_a_quarter(n: int, k_max: int) -> None:
    grid, top = candidates(n, k_max), min(k_max, n - 1)
    assert grid == sorted(set(grid))
    assert not grid or (grid[0], grid[-1]) == (2, top)
    assert all(b <= max(a + 1, 1.25 * a + 1) for a, b in itertools.pairwise(grid))
    assert bool(grid) == (top >= 2)


def test_numbers_between_the_best_are_tried_too() -> None:
    table = [row["k"] for row in choose_k(blobs(15, 300, d=8)).table]
    assert {14, 15, 16} <= set(table)
    assert 15 not in candidates(300)
    assert set(candidates(300)) < set(table) < set(range(2, 51))


# -- odd data ----------------------------------------------------------------------------------------------------------


@BOTH
def test_only_distinct_rows_count(d: int) -> None:
    x = blobs(n=4, d=d).repeat(30, 0)
    assert [row["k"] for row in choose_k(x).table] == [2, 3]
    assert [row["k"] for row in choose_k(x, k_grid=[50, 3, 4, 2, 2]).table] == [2, 3]
    for few in (x[:1], x[:60], np.zeros((40, d))):
        with pytest.raises(NotEnoughImages, match=r"\d distinct"):
            choose_k(few)
    with pytest.raises(NotEnoughImages, match="at least 51"):
        choose_k(x, k_grid=[50])


@BOTH
@pytest.mark.parametrize("n", [3, 4, 5, 9])
def test_a_handful_of_rows_gives_numbers(n: int, d: int) -> None:
    for x in (no_group("normal", d, n), np.concatenate([no_group("normal", d, n)] * 2), blobs(n, 7 * n, d=d).round()):
        for row in choose_k(x).table:
            assert all(math.isfinite(value) for value in row.values())
            assert row["k"] < len(np.unique(x, axis=0))
            assert abs(row["silhouette"]) <= 1
            assert row["davies_bouldin"] >= 0


@BOTH
def test_arrays_of_other_kinds(d: int, tmp_path: Path) -> None:
    x = blobs(spread=3, d=d)
    table = choose_k(x, k_max=8).table
    for other in (x.astype(np.float64), torch.from_numpy(x), x.tolist(), np.asfortranarray(x)):
        for row, same in zip(choose_k(other, k_max=8).table, table, strict=True):
            assert row == pytest.approx(same, rel=1e-4)  # float32 sums of another order differ in the last digits
    np.save(tmp_path / "x.npy", x.astype(np.float16))
    half = choose_k(np.load(tmp_path / "x.npy", mmap_mode="r"), k_max=8).table
    assert [row["silhouette"] for row in half] == pytest.approx([row["silhouette"] for row in table], abs=0.01)
    assert {row["k"] for row in choose_k(np.arange(30).reshape(10, 3)).table} == set(range(2, 10))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"k_grid": [1, 3]}, "k_grid=1"),
        ({"k_grid": [2.5]}, r"k_grid=2\.5"),
        ({"k_max": 1}, "k_max=1"),
        ({"n_init": 0}, "n_init=0"),
        ({"sample_size": 1}, "sample_size=1"),
        ({"criteria": ["silhouete"]}, "did you mean.*silhouette|silhouette"),
        ({"criteria": []}, "criteria is empty"),
        ({"random_state": -1}, "-1"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], error: str) -> None:
    with pytest.raises(ArgumentError, match=error):
        choose_k(blobs(), **options)


def test_missing_values_are_named() -> None:
    x = blobs()
    x[7, 2] = np.nan
    with pytest.raises(DataError, match="features holds NaN or infinite values, first in row 7"):
        choose_k(x)


@BOTH
def test_same_seed_same_choice_and_the_rows_are_not_changed(d: int) -> None:
    x = blobs(spread=9, d=d)
    before = x.copy()
    x.flags.writeable = False
    one = choose_k(x, k_max=8, random_state=1)
    assert one == choose_k(x, k_max=8, random_state=1)
    assert one != choose_k(x, k_max=8, random_state=2)
    assert np.array_equal(x, before)


# -- on the screen -----------------------------------------------------------------------------------------------------


def shown(choice: KChoice, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    told = {"k_table": choice.table, "suggested": choice.suggested(), "clear": choice.clear, "why": choice.why}
    Screen(False).event({"event": "stage", "stage": "choose", **told})
    return capsys.readouterr().out


def test_the_table_a_person_sees(capsys: pytest.CaptureFixture[str]) -> None:
    choice = choose_k(blobs(7, 400, spread=3), k_max=30)
    text = shown(choice, capsys)
    lines = text.splitlines()
    assert lines[0].split("  ")[0] == "groups"
    assert all(word in lines[0] for word in ("silhouette", "Calinski", "Davies", "stability", "modul.", "ranks"))
    assert max(len(line) for line in lines if not line.startswith("because")) <= 80
    table = {int(line.split()[0]): line for line in lines[1:] if line.split()[0].isdigit()}
    for name, k in choice.suggested().items():
        assert k is None or table[k].endswith(name)
    best = min(choice.table, key=lambda row: row["rank_sum"])
    assert f"{best['rank_sum']:.1f}*" in table[choice.natural]
    assert f"{max(row['silhouette'] for row in choice.table):.3f}*" in text
    assert f"taking   {choice.natural} groups" in text
    assert f"because  {choice.why}" in text
    assert f"another  -k {choice.coarse} (coarse)" in text


def test_no_clear_number_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    choice = choose_k(no_group("long normal", 3), k_max=30, criteria=CRITERIA)
    text = shown(choice, capsys)
    assert f"note     {choice.why}" in text
    assert "because" not in text
    assert "ranks" in shown(choose_k(blobs(), criteria="silhouette"), capsys)
