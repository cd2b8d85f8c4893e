"""The loss of TEMI against an explicit loop, at its limits, and what its weights and its marginal are for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ilk.losses import pair_weights, pointwise_loss, update_marginal


def draws(*shape: int, seed: int = 0, scale: float = 2.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch(b: int = 6, h: int = 3, k: int = 4) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Logits of the student, probabilities of the teacher, and a marginal that is not even."""
    logits = [draws(b, h, k, seed=seed) for seed in range(4)]
    return logits[0], logits[1], logits[2].softmax(-1), logits[3].softmax(-1), draws(h, k, seed=9, scale=1).softmax(-1)


def sure(labels: list[int], k: int, h: int = 1) -> tuple[Tensor, Tensor]:
    """Logits and probabilities of heads that are sure of these groups."""
    one_hot = torch.nn.functional.one_hot(torch.tensor(labels), k).float()[:, None].expand(-1, h, -1)
    return 200 * one_hot, one_hot


def by_hand(s: Tensor, s2: Tensor, t: Tensor, t2: Tensor, marginal: Tensor, beta: float, weighted: bool) -> np.ndarray:
    """One pair, one head and one group at a time, as the paper writes it."""
    p, p2 = (x.double().softmax(-1).numpy() for x in (s, s2))
    q, q2, m = (x.double().numpy() for x in (t, t2, marginal))
    b, h, k = p.shape
    loss = np.zeros(h)
    for i in range(b):
        w = sum(q[i, a, c] * q2[i, a, c] for a in range(h) for c in range(k)) / h if weighted else 1.0
        for a in range(h):
            there = math.log(sum((p[i, a, c] * q2[i, a, c]) ** beta / m[a, c] for c in range(k)))
            back = math.log(sum((p2[i, a, c] * q[i, a, c]) ** beta / m[a, c] for c in range(k)))
            loss[a] -= w * (there + back) / 2 / b
    return loss


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("beta", [0.55, 0.6, 1.0])
def test_it_is_the_double_loop(beta: float, weighted: bool) -> None:
    given = batch()
    found = pointwise_loss(*given, beta=beta, weighted=weighted)
    np.testing.assert_allclose(found.loss.numpy(), by_hand(*given, beta, weighted), rtol=1e-5)
    np.testing.assert_allclose(-found.information.numpy(), by_hand(*given, beta, False), rtol=1e-5)


def test_it_is_symmetric_in_image_and_neighbour() -> None:
    s, s2, t, t2, m = batch()
    torch.testing.assert_close(pointwise_loss(s, s2, t, t2, m).loss, pointwise_loss(s2, s, t2, t, m).loss)
    assert not torch.allclose(pointwise_loss(s, s2, t, t2, m).loss, pointwise_loss(s, s2, t2, t, m).loss)


@pytest.mark.parametrize("k", [2, 10])
def test_knowing_nothing_is_worth_0_and_agreement_the_logarithm_of_k(k: int) -> None:
    even = torch.full((1, k), 1 / k)
    nothing = torch.zeros(k, 1, k)
    found = pointwise_loss(nothing, nothing, nothing.softmax(-1), nothing.softmax(-1), even, beta=1.0)
    torch.testing.assert_close(found.information, torch.zeros(1), atol=1e-6, rtol=0)
    torch.testing.assert_close(found.weight, torch.tensor(1 / k))
    logits, one_hot = sure(list(range(k)), k)
    for beta in (0.6, 1.0):
        found = pointwise_loss(logits, logits, one_hot, one_hot, even, beta=beta)
        torch.testing.assert_close(found.loss, torch.tensor([-math.log(k)]))
        less = pointwise_loss(nothing, nothing, nothing.softmax(-1), nothing.softmax(-1), even, beta=beta)
        torch.testing.assert_close(less.information, torch.tensor([(2 - 2 * beta) * math.log(k)]), atol=1e-6, rtol=1e-5)


def test_a_student_sure_of_another_group_than_its_teacher_still_has_a_gradient() -> None:
    """Its probability of the teacher's group is 1e-26: squared or multiplied it would be 0 in single precision."""
    student = (60 * torch.eye(3)[:, None]).requires_grad_()
    teacher = torch.eye(3).roll(1, 1)[:, None]
    pointwise_loss(student, student, teacher, teacher, torch.full((1, 3), 1 / 3), weighted=False).loss.sum().backward()
    torch.testing.assert_close(student.grad, 0.6 / 3 * (torch.eye(3)[:, None] - teacher), atol=1e-4, rtol=0)


def test_gradients_are_finite_whatever_is_0() -> None:
    logits, one_hot = sure([0, 1, 2], 3)
    student = logits.clone().requires_grad_()
    unused = torch.tensor([[0.5, 0.5, 0.0]])  # a group that the teacher never uses
    found = pointwise_loss(student, student.roll(1, 0), one_hot.roll(1, 1), one_hot, unused, weighted=False)
    found.loss.sum().backward()
    assert torch.isfinite(found.loss).all()
    assert torch.isfinite(student.grad).all()


def test_the_teacher_and_the_marginal_get_no_gradient() -> None:
    s, s2, *rest = batch()
    s.requires_grad_()
    t, t2, m = (x.clone().requires_grad_() for x in rest)
    pointwise_loss(s, s2, t, t2, m).loss.sum().backward()
    assert float(s.grad.abs().sum()) > 0
    assert [x.grad for x in (t, t2, m)] == [None] * 3


def test_pairs_on_which_the_teacher_disagrees_pull_less() -> None:
    """Two pairs alike for the student; for the teacher the second one is false. Only weights see that."""
    k, h = 3, 2
    _, first = sure([0, 0], k, h)
    _, neighbors = sure([0, 1], k, h)
    student = torch.zeros(2, h, k, requires_grad=True)
    even = torch.full((h, k), 1 / k)

    def pull(weighted: bool) -> Tensor:
        loss = pointwise_loss(student, student, first, neighbors, even, weighted=weighted).loss.sum()
        return torch.autograd.grad(loss, student)[0].abs().sum((1, 2))

    with_weights, without = pull(True), pull(False)
    assert float(with_weights[0]) > 0.1
    assert float(with_weights[1]) == 0.0
    assert float(without[1]) > 0.1


def test_one_weight_for_all_heads() -> None:
    """Every head's pairs are weighed by the mean of all heads: one head alone has another loss than among others."""
    given = batch()
    alone = torch.cat([pointwise_loss(*(x[..., i : i + 1, :] for x in given)).loss for i in range(3)])
    assert not torch.allclose(pointwise_loss(*given).loss, alone, rtol=1e-2)
    weights = pair_weights(given[2], given[3])
    torch.testing.assert_close(weights, (given[2] * given[3]).sum(2).mean(1))
    assert float(weights.min()) >= 0
    assert float(weights.max()) <= 1


def test_without_the_marginal_one_group_for_all_would_be_as_good() -> None:
    """All in one group, and two even groups: equal but for the marginal, which makes the first worth nothing."""
    one_logits, one = sure([0, 0, 0, 0], 2)
    two_logits, two = sure([0, 0, 1, 1], 2)
    start = torch.full((1, 2), 0.5)
    collapsed = pointwise_loss(one_logits, one_logits, one, one, update_marginal(start, one, 0.0))
    even = pointwise_loss(two_logits, two_logits, two, two, update_marginal(start, two, 0.0))
    torch.testing.assert_close(collapsed.loss, torch.zeros(1), atol=1e-6, rtol=0)
    torch.testing.assert_close(even.loss, torch.tensor([-math.log(2)]))


def test_a_rare_group_draws_images() -> None:
    """A student that knows nothing and a teacher unsure of two groups: the step leads to the rarer one."""
    student = torch.zeros(1, 1, 2, requires_grad=True)
    teacher = torch.full((1, 1, 2), 0.5)
    pointwise_loss(student, student, teacher, teacher, torch.tensor([[0.9, 0.1]])).loss.sum().backward()
    assert float(student.grad[0, 0, 1]) < 0 < float(student.grad[0, 0, 0])


def test_marginals_are_a_moving_mean() -> None:
    teacher, start = batch()[2], torch.full((3, 4), 0.25)
    found = update_marginal(update_marginal(start, teacher), teacher)
    torch.testing.assert_close(found, 0.81 * start + 0.19 * teacher.mean(0))
    torch.testing.assert_close(found.sum(1), torch.ones(3))
    torch.testing.assert_close(update_marginal(start, teacher, 0.0), teacher.mean(0))
    assert start.eq(0.25).all()  # not in place


def test_half_precision_is_computed_in_single() -> None:
    s, s2, t, t2, m = batch()
    halves = pointwise_loss(s.half(), s2.half(), t.half(), t2.half(), m)
    assert halves.loss.dtype == torch.float32
    torch.testing.assert_close(halves.loss, pointwise_loss(s, s2, t, t2, m).loss, rtol=5e-3, atol=5e-3)
