"""What is seen of a training of DAC without labels: figures, alarms, scores of restarts, pictures."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from dac_parts import settings_of, training

from ilk import losses
from ilk.methods.dac import diagnostics
from ilk.methods.dac.training_step import label_features

STAR = settings_of("released_star", 28)


# -- what is watched ---------------------------------------------------------------------------------------------------


def test_measured_by_hand() -> None:
    features = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.6, 0.8, 0.0]])
    labels, told = diagnostics.measured(features, np.array([5, 5, 6, 6]))
    assert labels.tolist() == [0, 0, 1, 1]
    assert told == {
        "active": 2,
        "largest": 0.5,
        "confidence": pytest.approx((3 + 0.8 / 1.4) / 4, abs=1e-4),
        "agreement": 1,
    }


@pytest.mark.parametrize(
    ("active", "positive", "words"),
    [
        (1, 1.0, ["one group", "bn_affine=false", "upper_threshold= and lower_threshold=", "n_trials=3"]),
        (7, 0.2, ["only 7 of 10", "bn_affine=false", "fewer groups", "n_trials=3"]),
        (10, 1 / 128, ["threshold is above", "upper_threshold= and lower_threshold="]),
    ],
)
def test_alarms_name_the_cure(active: int, positive: float, words: list[str]) -> None:
    text = diagnostics.alarm(active, positive, 10, 128, STAR)
    assert text is not None
    assert all(word in text for word in words)
    assert diagnostics.alarm(10, 0.1, 10, 128, STAR) is None


def test_no_cure_is_named_that_is_taken_already_or_that_nothing_reads() -> None:
    port = settings_of("keras_port", 28, n_trials=4)  # fixed scales, thresholds of its own
    texts = [diagnostics.alarm(active, 1 / 128, 10, 128, port) for active in (1, 7, 10)]
    texts.append(diagnostics.merged([0.1, 0.3], port))
    unwanted = ("affine", "upper_threshold=", "n_trials=3")
    assert not any(word in str(text) for word in unwanted for text in texts)
    assert ["n_trials=8" in str(text) for text in texts] == [True, True, False, True]


def test_groups_that_run_together_raise_the_alarm() -> None:
    """The shares are those of a real training whose ACC fell from .957 to .694 while no group was lost."""
    shares = [0.1144, 0.1159, 0.1204, 0.1231, 0.1563, 0.1565, 0.1947, 0.2009]
    assert [diagnostics.merged(shares[:n], STAR) is None for n in range(9)] == [True] * 7 + [False] * 2
    text = str(diagnostics.merged(shares, STAR))
    assert "from 11 % of the images (epoch 1) to 20 %" in text
    assert "epochs=6" in text  # the last epoch before


def test_a_collapsed_training_raises_the_alarm() -> None:
    """One group only: what a loss of almost 0 hides."""
    made = training()
    with torch.no_grad():
        for parameter in made.network.head[-2 if isinstance(made.network.head[-1], torch.nn.ReLU) else -1].parameters():
            parameter.copy_(torch.tensor([9.0, 0.0, 0.0]))
    made.recalibrate()
    _, found = diagnostics.measured(label_features(made.network, made.dataset, False), None)
    assert found["active"] == 1
    assert "one group" in str(diagnostics.alarm(1, 1.0, 3, 32, made.settings))


def test_score_is_the_pair_loss_of_all_images() -> None:
    features = losses.label_features(torch.randn(30, 3, generator=torch.Generator().manual_seed(0)))
    similarity = features @ features.T
    expected = losses.every_pair(similarity, similarity, 0.8).loss
    told = diagnostics.score(features, 0.8, 0)
    assert told["pair_loss"] == pytest.approx(float(expected), abs=1e-6)
    pure = torch.eye(3).repeat(10, 1)
    assert diagnostics.score(pure, 0.8, 0) == {
        "pair_loss": pytest.approx(0, abs=1e-6),
        "active": 3,
        "entropy": pytest.approx(1),
    }


def test_groups_that_a_training_has_put_together_are_said() -> None:
    taught = np.repeat(np.arange(5), 20)
    assert diagnostics.joined(taught, (taught + 2) % 5) == []
    mixed = np.where(np.arange(100) % 3 == 0, (taught + 1) % 5, taught)  # a third of each is elsewhere
    assert diagnostics.joined(taught, mixed) == []
    (note,) = diagnostics.joined(taught, np.array([0, 1, 1, 3, 4])[taught])
    assert note.startswith("2 of the 5 groups that the training began with have ended in 1:")
    (note,) = diagnostics.joined(taught, np.array([0, 1, 1, 0, 4])[taught])
    assert note.startswith("4 of the 5 groups that the training began with have ended in 2:")


def test_groups_that_share_a_group_are_counted_and_given_entries_of_their_own() -> None:
    rng = np.random.default_rng(0)
    for k in (2, 3, 5):
        taught, found = rng.integers(0, k, 60), rng.integers(0, k, 60)
        at = diagnostics.entries(taught, found, k)
        most = max(sum(np.array(to)[taught] == found) for to in itertools.permutations(range(k)))
        assert sum(at[taught] == found) == most
        assert sorted(at) == list(range(k))
    taught = np.repeat(np.arange(5), 20)
    assert diagnostics.sharing(taught, np.array([0, 1, 1, 3, 4])[taught]) == (2, 1)
    assert diagnostics.sharing(taught, np.array([0, 1, 1, 0, 1])[taught]) == (5, 2)
    assert diagnostics.sharing(taught, (taught + 2) % 5) == (0, 0)
    assert diagnostics.entries(np.array([0, 0]), np.array([3, 3]), 4).tolist()[0] == 3, "groups without images too"


def test_the_best_training_has_all_groups_then_the_least_loss_then_the_others_agreement() -> None:
    def told(loss: float, active: int = 3, entropy: float = 1.0) -> dict[str, float]:
        return {"pair_loss": loss, "active": active, "entropy": entropy}

    a, b, c = np.arange(60) % 3, np.arange(60) // 20, np.random.default_rng(0).integers(0, 3, 60)
    assert diagnostics.best([told(0.3), told(0.2), told(0.4)], [a, b, c], 3) == 1
    assert diagnostics.best([told(0.3), told(0.1, active=2), told(0.4)], [a, b, c], 3) == 0
    assert diagnostics.best([told(0.3), told(0.1, entropy=0.5), told(0.4)], [a, b, c], 3) == 0
    assert diagnostics.best([told(0.3, active=2), told(0.2, active=2)], [a, b], 3) == 1
    assert diagnostics.best([told(0.2), told(0.2), told(0.2)], [c, a, (a + 1) % 3], 3) in (1, 2)  # two that agree


def test_corners_and_figures() -> None:
    at = diagnostics.corners(10)
    np.testing.assert_allclose(np.linalg.norm(at, axis=1), 1, rtol=1e-6)
    turn = np.degrees(np.arccos((at[:-1] * at[1:]).sum(1)))
    np.testing.assert_allclose(turn, 36, rtol=1e-4)
    stages = np.stack([np.full((4, 3), 1 / 3), np.eye(3)[[0, 1, 2, 0]], np.eye(3)[[0, 1, 2, 0]]])
    scatter, matrix = diagnostics.figures(stages, ["a", "b", "c"], np.array([0, 1, 2, 0]), np.eye(3, dtype=np.float32))
    assert (scatter["kind"], matrix["kind"]) == ("scatter", "matrix")
    assert [panel["title"] for panel in scatter["panels"]] == ["a", "b", "c"]
    np.testing.assert_allclose(scatter["panels"][0]["points"], 0, atol=1e-6)  # undecided: in the middle
    np.testing.assert_allclose(scatter["panels"][2]["points"], diagnostics.corners(3)[[0, 1, 2, 0]], atol=1e-6)
    assert matrix["values"].shape == (3, 3)
