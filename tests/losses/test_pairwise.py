"""Every version of the pair selection against a double loop over pairs, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ilk import losses

UPPER, LOWER = 0.8, 0.5


def features(b: int = 12, k: int = 4, seed: int = 0, scale: float = 2.0) -> torch.Tensor:
    """Label features in float64."""
    logits = torch.randn(b, k, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * scale
    return losses.label_features(logits)


def entropy(value: float, positive: bool, epsilon: float) -> float:
    return -math.log(min(max(value if positive else 1 - value, epsilon), 1))


# -- the constraint layer ----------------------------------------------------------------------------------------------


def test_the_constraint_layer_is_softmax_over_its_length() -> None:
    logits = torch.randn(64, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 5
    by_formula = (logits - logits.max(1, keepdim=True).values).exp()
    by_formula /= by_formula.square().sum(1, keepdim=True).sqrt()
    found = losses.label_features(logits)
    torch.testing.assert_close(found, by_formula, rtol=0, atol=1e-14)
    assert found.min() >= 0
    torch.testing.assert_close(found.square().sum(1), torch.ones(64, dtype=torch.float64))


def test_the_constraint_layer_stands_large_logits() -> None:
    assert torch.equal(losses.label_features(torch.tensor([[1000.0, 0.0]])), torch.tensor([[1.0, 0.0]]))
    assert torch.isfinite(losses.label_features(torch.tensor([[-1e4, 1e4]]))).all()


def test_similarities_are_cosines() -> None:
    f = features()
    expected = np.array([[float(a @ b) for b in f] for a in f])
    np.testing.assert_allclose(losses.similarities(f), expected, atol=1e-12)


# -- each version ------------------------------------------------------------------------------------------------------


def test_selected_mean_is_the_sum_over_the_selected_pairs_by_their_number() -> None:
    s = losses.similarities(features())
    total, chosen, positive = 0.0, 0, 0
    for row in s.tolist():
        for value in row:
            if value >= UPPER or value < LOWER:
                total += entropy(value, value >= UPPER, 1e-7)
                chosen += 1
                positive += value >= UPPER
    found = losses.selected_mean(s, UPPER, LOWER)
    assert 12 < positive < chosen < 144
    assert float(found.loss) == pytest.approx(total / chosen, abs=1e-12)
    assert float(found.selected) == pytest.approx(chosen / 144)
    assert float(found.positive) == pytest.approx(positive / 144)


def test_selected_sum_is_the_seeds_formula_on_a_batch_of_128() -> None:
    """Two masks on the batch itself, -log of clipped values, each mean over all entries, added."""
    f = losses.label_features(torch.randn(128, 10, generator=torch.Generator().manual_seed(3)) * 2)
    s = losses.similarities(f)
    upper, lower, eps = 0.95, 0.455, 1e-10
    wide = s.double()
    positive = (wide > upper).double() * -wide.clip(eps, 1).log()
    negative = (wide < lower).double() * -(1 - wide).clip(eps, 1).log()
    expected = float(positive.mean() + negative.mean())
    assert float(losses.selected_sum(s, upper, lower).loss) == pytest.approx(expected, abs=1e-6)
    by_pairs = sum(
        entropy(v, True, eps) * (v > upper) + entropy(v, False, eps) * (v < lower) for v in wide.flatten().tolist()
    )
    assert expected == pytest.approx(by_pairs / 128**2, abs=1e-12)


def test_selected_sum_counts_a_pair_twice_where_the_thresholds_have_crossed() -> None:
    s = torch.full((1, 1), 0.5, dtype=torch.float64)
    found = losses.selected_sum(s, 0.4946, 0.5005)
    assert float(found.loss) == pytest.approx(2 * math.log(2))


@pytest.mark.parametrize("squared", [False, True])
def test_every_pair_counts_once_and_the_reference_decides(squared: bool) -> None:
    s, reference = losses.similarities(features()), losses.similarities(features(seed=5))
    total = 0.0
    for a, b in zip(s.flatten().tolist(), reference.flatten().tolist(), strict=True):
        total += (a - (b > UPPER)) ** 2 if squared else entropy(a, b > UPPER, 1e-7)
    found = losses.every_pair(s, reference, UPPER, squared=squared)
    assert float(found.loss) == pytest.approx(total / 144, abs=1e-12)
    assert float(found.selected) == 1


def test_selected_rows_carries_the_released_extra_factor() -> None:
    s, reference = losses.similarities(features()), losses.similarities(features(seed=5))
    rows, chosen = [0.0] * 12, 0
    for i in range(12):
        for j in range(12):
            r = float(reference[i, j])
            if r > UPPER or r < LOWER:
                rows[i] += entropy(float(s[i, j]), r > (UPPER + LOWER) / 2, 1e-7)
                chosen += 1
    expected = sum(row / chosen for row in rows) / 12  # Keras averages the rows of what is already an average
    found = losses.selected_rows(s, reference, UPPER, LOWER)
    assert float(found.loss) == pytest.approx(expected, abs=1e-12)
    same = losses.selected_rows(s, s.detach(), UPPER, LOWER)
    assert float(losses.selected_mean(s, UPPER, LOWER).loss) == pytest.approx(12 * float(same.loss), rel=1e-9)


def test_all_versions_by_hand() -> None:
    """Three images, two alike: similarities 1, .9 and .1."""
    s = torch.tensor([[1.0, 0.9, 0.1], [0.9, 1.0, 0.1], [0.1, 0.1, 1.0]], dtype=torch.float64)
    alike, apart = -math.log(0.9), -math.log(0.9)
    assert float(losses.selected_mean(s, 0.8, 0.5).loss) == pytest.approx((2 * alike + 4 * apart) / 9)
    assert float(losses.selected_sum(s, 0.8, 0.5).loss) == pytest.approx((2 * alike + 4 * apart) / 9)
    assert float(losses.selected_sum(s, 0.95, 0.5).loss) == pytest.approx(4 * apart / 9)
    assert float(losses.selected_mean(s, 0.95, 0.5).loss) == pytest.approx(4 * apart / 7)
    assert float(losses.every_pair(s, s, 0.8, squared=True).loss) == pytest.approx(6 * 0.1**2 / 9)
    assert float(losses.selected_rows(s, s, 0.95, 0.5).loss) == pytest.approx(4 * apart / 7 / 3)
    assert losses.selected_mean(s, 0.95, 0.5).positive.item() == pytest.approx(3 / 9)


LOSSES = {
    "selected_mean": lambda s: losses.selected_mean(s, UPPER, LOWER).loss,
    "selected_sum": lambda s: losses.selected_sum(s, UPPER, LOWER).loss,
    "squared": lambda s: losses.every_pair(s, s.detach(), UPPER, squared=True).loss,
    "binary": lambda s: losses.every_pair(s, s.detach(), UPPER).loss,
    "rows": lambda s: losses.selected_rows(s, s.detach(), UPPER, LOWER).loss,
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
def test_gradients(loss) -> None:
    """Through the constraint layer. The diagonal is left out: there the clip at 1 has a corner."""
    logits = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2), requires_grad=True)
    mask = torch.eye(6, dtype=torch.bool)

    def of(x: torch.Tensor) -> torch.Tensor:
        return loss(losses.similarities(losses.label_features(x)).masked_fill(mask, 0.9))

    assert torch.autograd.gradcheck(of, (logits,))


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
def test_gradients_are_finite_where_similarities_are_0_or_1(loss) -> None:
    logits = torch.tensor([[200.0, 0.0], [0.0, 200.0], [200.0, 0.0]], requires_grad=True)
    loss(losses.similarities(losses.label_features(logits))).backward()
    assert torch.isfinite(logits.grad).all()


def test_a_wrong_reference_is_not_lost_in_the_clip() -> None:
    """A pair that is the same and should not be: the loss is large, not infinite, and pushes apart."""
    s = torch.full((2, 2), 1.0 - 1e-4, requires_grad=True)
    losses.every_pair(s, torch.zeros(2, 2), 0.5).loss.backward()
    assert (s.grad > 0).all()


# -- an image and its altered copy ------------------------------------------------------------------------------------


def test_cross_entropy_by_hand_and_by_loop() -> None:
    p, t = features(seed=1), features(seed=2)
    expected = np.mean(
        [
            -(b * math.log(a) + (1 - b) * math.log(1 - a))
            for a, b in zip(p.flatten().tolist(), t.flatten().tolist(), strict=True)
        ]
    )
    assert float(losses.cross_entropy(p, t)) == pytest.approx(expected, abs=1e-9)
    assert float(losses.cross_entropy(t, t)) < float(losses.cross_entropy(p, t))
    one = torch.tensor([[1.0, 0.0]])
    assert float(losses.cross_entropy(one, one)) == pytest.approx(0, abs=1e-6)


def test_cross_entropy_gradient() -> None:
    target = features(5, 3, seed=4)
    logits = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(6), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: losses.cross_entropy(losses.label_features(x), target), (logits,))
