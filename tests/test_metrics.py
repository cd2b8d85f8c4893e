import itertools
import subprocess
import sys

import numpy as np
import pytest
from sklearn import metrics as oracle

from ilk.errors import ArgumentError, DataError
from ilk.metrics import (
    accuracy,
    agreement,
    ari,
    contingency,
    nmi,
    per_cluster_accuracy,
    purity,
    scores,
)

SHAPES = [(5, 5), (3, 8), (8, 3), (1, 4), (4, 1), (1, 1), (40, 40)]


def draw(classes, clusters, n=300, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, n)
    labels = np.where(rng.random(n) < 0.5, truth % clusters, rng.integers(0, clusters, n))
    return truth, labels


def best_match(truth, labels):
    """Accuracy by trying every one-to-one match."""
    classes, clusters = sorted(set(truth)), sorted(set(labels) - {-1})
    classes = classes + [None] * max(0, len(clusters) - len(classes))
    return max(
        np.mean(
            [
                dict(zip(clusters, chosen, strict=True)).get(b, "nothing") == a
                for a, b in zip(truth, labels, strict=True)
            ]
        )
        for chosen in itertools.permutations(classes, len(clusters))
    )


@pytest.mark.parametrize(("classes", "clusters"), SHAPES)
def test_nmi_and_ari_against_scikit_learn(classes, clusters):
    for seed in range(3):
        truth, labels = draw(classes, clusters, seed=seed)
        for average in ("arithmetic", "geometric"):
            expected = oracle.normalized_mutual_info_score(truth, labels, average_method=average)
            assert nmi(truth, labels, average) == pytest.approx(expected, abs=1e-12)
        assert ari(truth, labels) == pytest.approx(oracle.adjusted_rand_score(truth, labels), abs=1e-12)
        np.testing.assert_array_equal(
            contingency(truth, labels).dense(), oracle.cluster.contingency_matrix(truth, labels)
        )


@pytest.mark.parametrize(("classes", "clusters"), [(3, 3), (2, 5), (5, 2), (1, 3), (4, 1)])
def test_accuracy_against_every_match(classes, clusters):
    for seed in range(4):
        truth, labels = draw(classes, clusters, n=40, seed=seed)
        labels[::9] = -1
        assert accuracy(truth, labels) == pytest.approx(best_match(truth.tolist(), labels.tolist()))


def test_accuracy_against_the_dense_hungarian():
    from scipy.optimize import linear_sum_assignment

    truth, labels = draw(60, 90, n=3_000)
    table = contingency(truth, labels).dense()
    assert accuracy(truth, labels) == table[linear_sum_assignment(-table)].sum() / 3_000


def test_accuracy_is_not_greedy():
    # greedy takes the cell of 5 and ends with 5 + 0; the best match is 4 + 4
    truth = ["a"] * 9 + ["b"] * 4
    labels = [0] * 5 + [1] * 4 + [0] * 4
    assert accuracy(truth, labels) == 8 / 13


def test_not_assigned_is_wrong_for_accuracy_and_purity_and_a_group_for_the_rest():
    truth, labels = np.array([0, 0, 1, 1, 2, 2]), np.array([5, 5, 7, -1, -1, -1])
    assert accuracy(truth, labels) == 3 / 6
    assert purity(truth, labels) == 3 / 6
    assert nmi(truth, labels) == pytest.approx(oracle.normalized_mutual_info_score(truth, labels))
    assert ari(truth, labels) == pytest.approx(oracle.adjusted_rand_score(truth, labels))
    assert accuracy(truth, np.full(6, -1)) == 0.0
    assert purity(truth, np.full(6, -1)) == 0.0
    assert per_cluster_accuracy(truth, np.full(6, -1)) == {}


def test_purity_and_share_by_hand():
    truth = ["cat", "cat", "dog", "dog", "dog", "cow"]
    labels = [0, 0, 0, 4, 4, -1]
    assert purity(truth, labels) == 4 / 6
    assert per_cluster_accuracy(truth, labels) == {
        0: {"class": "cat", "share": 2 / 3, "size": 3},
        4: {"class": "dog", "share": 1.0, "size": 2},
    }
    assert per_cluster_accuracy(["b", "a"], [0, 0])[0]["class"] == "b"
    assert per_cluster_accuracy(np.array(["b", "a"]), [0, 0])[0]["class"] == "a"


def test_perfect_labels_score_exactly_one_under_any_names():
    truth = ["x", "y", "z"] * 11
    labels = [7, 2, 5] * 11
    assert scores(truth, labels) == {"acc": 1.0, "nmi": 1.0, "nmi_geometric": 1.0, "ari": 1.0, "purity": 1.0}
    assert agreement(labels, [1, 0, 3] * 11) == {"ari": 1.0, "nmi": 1.0, "same": 1.0}


def test_scores_are_the_single_functions():
    truth, labels = draw(6, 4)
    labels[:20] = -1
    assert scores(truth, labels) == {
        "acc": accuracy(truth, labels),
        "nmi": nmi(truth, labels),
        "nmi_geometric": nmi(truth, labels, "geometric"),
        "ari": ari(truth, labels),
        "purity": purity(truth, labels),
    }


def test_any_hashable_truth_gives_the_same_scores():
    truth, labels = draw(4, 5)
    expected = scores(truth, labels)
    words = [("class", int(value)) for value in truth]
    for kind in (truth.tolist(), truth.astype(str), truth.astype(object), truth.astype(float), words, tuple(words)):
        assert scores(kind, labels) == pytest.approx(expected, abs=1e-12)
    assert len(contingency([1, "1", None], [0, 0, 0]).classes) == 3
    order = np.random.default_rng(1).permutation(len(truth))
    assert scores(truth[order], labels[order]) == pytest.approx(expected, abs=1e-12)


def test_agreement_is_symmetric_and_treats_not_assigned_alike_on_both_sides():
    a, b = draw(5, 5)
    a[:30], b[20:60] = -1, -1
    there, back = agreement(a, b), agreement(b, a)
    assert there == pytest.approx(back)
    assert there["same"] <= 1 - 60 / 300
    assert agreement([-1, 0, 0], [-1, 1, 1])["same"] == 2 / 3


def test_large_counts_do_not_overflow():
    truth = np.repeat([0, 1], 1_500_000)
    labels = np.tile([0, 1], 1_500_000)
    assert ari(truth, labels) == pytest.approx(0.0, abs=1e-5)
    assert accuracy(truth, labels) == 0.5


def test_as_many_groups_as_images_takes_no_square_of_memory():
    truth, labels = np.arange(20_000) // 2, np.arange(20_000)
    assert accuracy(truth, labels) == 0.5


def test_refusals():
    with pytest.raises(DataError, match="truth has 2 entries, labels have 3"):
        accuracy([0, 1], [0, 1, 2])
    with pytest.raises(DataError, match="empty"):
        scores([], [])
    with pytest.raises(ArgumentError, match="labels must be integers"):
        purity([0, 1], [0.5, 1.5])
    with pytest.raises(ArgumentError, match="labels must be integers"):
        purity([0, 1], [[0], [1]])
    with pytest.raises(ArgumentError, match="one dimension"):
        purity(np.zeros((2, 2)), [0, 1])
    with pytest.raises(ArgumentError, match="hashable"):
        ari([[1], [2]], [0, 1])
    with pytest.raises(ArgumentError, match=r"average='geometrical'.*Did you mean 'geometric'"):
        nmi([0, 1], [0, 1], "geometrical")


def test_neither_torch_nor_scikit_learn_is_imported():
    code = (
        "import sys; from ilk.metrics import scores; assert 'scipy' not in sys.modules; scores([0, 1], [0, 0]);"
        "assert not {'torch', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
