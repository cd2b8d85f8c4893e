"""What follows from the evidence for a number of groups: rank sums, suggestions, and when none is clear."""

from __future__ import annotations

import numpy as np
import pytest
from clouds import blobs, no_group
from sklearn.datasets import load_digits

from ilk.choose import CRITERIA, advise, choose_k, ranking, stability

# -- what follows ------------------------------------------------------------------------------------------------------

FOUR = CRITERIA[:4]  # without the modularity, which needs a graph

BY_HAND = [
    {"k": 2, "silhouette": 0.9, "calinski_harabasz": 50.0, "davies_bouldin": 0.5, "stability": 1.0},  # 1 4 2 1.5
    {"k": 3, "silhouette": 0.8, "calinski_harabasz": 90.0, "davies_bouldin": 0.4, "stability": 1.0},  # 2 1 1 1.5
    {"k": 6, "silhouette": 0.7, "calinski_harabasz": 80.0, "davies_bouldin": 0.9, "stability": 0.5},  # 3 2 3.5 4
    {"k": 9, "silhouette": 0.6, "calinski_harabasz": 70.0, "davies_bouldin": 0.9, "stability": 0.6},  # 4 3 3.5 3
]


def test_rank_sum_by_hand() -> None:
    ranked = ranking.rank(BY_HAND, FOUR)
    assert [row["rank_sum"] for row in ranked] == [8.5, 5.5, 12.5, 13.5]
    suggested, best = ranking.suggest(ranked, FOUR)
    assert suggested == {"coarse": 2, "natural": 3, "fine": 6}
    assert best == {"silhouette": 2, "calinski_harabasz": 3, "davies_bouldin": 3, "stability": 2}
    inside, _ = ranking.suggest(ranked, FOUR, range(5, 20))  # natural is one of the allowed numbers
    assert inside == {"coarse": 3, "natural": 6, "fine": 9}
    assert ranking.suggest(ranked, FOUR, range(50, 60))[0]["natural"] == 3  # none of them was tried


def test_natural_is_the_rank_sums_and_not_one_criterions(monkeypatch: pytest.MonkeyPatch) -> None:
    x = load_digits().data
    found = choose_k(x, k_grid=range(2, 21), n_init=1, criteria=FOUR)
    by_variance = found.best["calinski_harabasz"]
    assert by_variance < 5 < found.natural
    assert found.natural == min(found.table, key=lambda row: (row["rank_sum"], row["k"]))["k"]
    for name, sign in zip(FOUR, (-1, -1, 1, -1), strict=True):
        assert found.best[name] == min(found.table, key=lambda row: (sign * row[name], row["k"]))["k"]
    monkeypatch.setattr(
        ranking, "rank", lambda rows, _: [{**row, "rank_sum": -row["calinski_harabasz"]} for row in rows]
    )
    assert choose_k(x, k_grid=range(2, 21), n_init=1, criteria=FOUR).natural == by_variance


@pytest.mark.parametrize("k", [2, 3, 5, 8])
@pytest.mark.parametrize("seed", [0, 1])
def test_obvious_groups_are_counted_and_clear(k: int, seed: int) -> None:
    found = choose_k(blobs(k, seed=seed), k_max=14, random_state=seed)
    assert (found.natural, found.clear) == (k, True), found.why
    assert found.why.startswith(f"{k} is best ")


@pytest.mark.parametrize("d", [2, 3, 10, 200])
@pytest.mark.parametrize("kind", ["normal", "cube", "long normal", "long cube"])
def test_one_cloud_has_no_clear_number(kind: str, d: int) -> None:
    found = choose_k(no_group(kind, d, n=300), k_max=30, n_init=1)
    assert not found.clear
    assert found.why.startswith("no clear number of groups: ")


def test_both_questions_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two halves agree where to cut a long cloud, and a round one is cut into groups as far apart as any."""
    assert "cloud without groups" in choose_k(no_group("long normal", 2), k_max=20, criteria=FOUR).why
    assert "halves of the images agree too little" in choose_k(no_group("normal", 10), k_max=20).why
    monkeypatch.setattr(advise, "clouds", lambda *_, **__: stability.Cloud(-1.0, 0.0))
    monkeypatch.setattr(stability.Halves, "stability", lambda *_: 1.0)
    why = choose_k(no_group("normal", 10), k_max=20, criteria=FOUR).why
    assert "the criteria disagree (best: silhouette" in why or "about as good as" in why


def verdict(
    best: list[int],
    natural: int = 6,
    stable: float = 1.0,
    cloud: float = 0.0,
    cloud_stable: float = 0.0,
    rival: float = 20.0,
) -> tuple[bool, str]:
    ks = (2, 4, 5, 6, 8, 9, 20)
    rows = [{"k": k, "silhouette": 0.5, "stability": stable, "rank_sum": 10.0 if k == natural else rival} for k in ks]
    null = stability.Cloud(cloud, cloud_stable)
    return ranking.verdict(rows, natural, dict(zip(CRITERIA, best, strict=False)), null)


def test_verdict_by_hand() -> None:
    assert verdict([6, 6, 6, 6, 6]) == (
        True,
        "6 is best by all five measures; two halves of the images agree on the groups (1.00)",
    )
    assert verdict([2, 5, 6, 8])[0]
    assert verdict([2, 4, 6, 8]) == (
        False,
        "no clear number of groups: the criteria disagree "
        "(best: silhouette 2, Calinski-Harabasz 4, Davies-Bouldin 6, stability 8)",
    )
    assert not verdict([2, 6, 6, 9])[0]  # 9 is no neighbour of 6: it would be fine
    assert "stability 0.74" in verdict([6] * 4, stable=0.74)[1]
    assert verdict([6] * 4, stable=0.75)[0]
    assert "the cloud 0.46" in verdict([6] * 4, cloud=0.46)[1]
    assert verdict([6] * 4, cloud=0.45)[0]
    assert "agree about as well" in verdict([6] * 4, stable=0.94, cloud_stable=0.89)[1]
    assert verdict([6] * 4, stable=0.95, cloud_stable=0.89)[0]
    assert "2 groups are about as good as 6" in verdict([6] * 4, rival=11.0)[1]
    assert verdict([6] * 4, rival=11.5)[0]
    assert "20 is the largest number tried" in verdict([20] * 4, natural=20)[1]
    assert verdict([6, 6]) == (False, "only silhouette and Calinski-Harabasz was looked at; nothing confirms it")


def test_coarse_and_fine_lie_a_factor_away() -> None:
    rng = np.random.default_rng(0)
    far, near = rng.normal(0, 100, (3, 1, 4)), rng.normal(0, 12, (3, 3, 4))
    x = np.repeat((far + near).reshape(9, 4), 20, 0) + rng.normal(0, 1, (180, 4))  # three groups of three
    found = choose_k(x, k_max=12)
    assert {3, 9} <= {found.coarse, found.natural, found.fine}
    assert found.suggested() == {"coarse": found.coarse, "natural": found.natural, "fine": found.fine}
    for k in (found.coarse, found.fine):
        assert k is None or max(k, found.natural) >= 1.5 * min(k, found.natural)


def test_only_what_is_asked_for_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advise, "Halves", lambda *_: pytest.fail("stability was not asked for"))
    found = choose_k(blobs(), criteria="silhouette", k_max=9)
    assert found.table[0].keys() == {"k", "silhouette", "rank_sum"}
    assert (found.natural, found.best, found.clear) == (5, {"silhouette": 5}, False)
    assert choose_k(blobs(), criteria=["davies_bouldin", "silhouette"], k_max=9).best.keys() == {
        "silhouette",
        "davies_bouldin",
    }
