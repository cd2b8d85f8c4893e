"""The losses of SCAN and SimCLR against explicit loops, and the published codes' mistakes behind switches."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from ilk.losses import confident_loss, neighbor_loss, nt_xent, tiled_xent


def draws(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# -- contrast ----------------------------------------------------------------------------------------------------------


def by_hand(first: Tensor, second: Tensor, temperature: float, one_sided: bool) -> float:
    """NT-Xent, one anchor and one row at a time."""
    rows = [row / row.norm() for row in torch.cat([first, second]).double()]
    b, total = len(first), 0.0
    anchors = range(b if one_sided else 2 * b)
    for i in anchors:
        others = sum(math.exp(float(rows[i] @ rows[j]) / temperature) for j in range(2 * b) if j != i)
        total -= math.log(math.exp(float(rows[i] @ rows[(i + b) % (2 * b)]) / temperature) / others)
    return total / len(anchors)


@pytest.mark.parametrize("one_sided", [False, True])
@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_nt_xent_is_the_double_loop(one_sided: bool, temperature: float) -> None:
    first, second = draws(5, 3), draws(5, 3, seed=1)
    found = nt_xent(first, second, temperature, one_sided=one_sided)
    assert float(found) == pytest.approx(by_hand(first, second, temperature, one_sided), rel=1e-5)


@pytest.mark.parametrize(
    ("b", "d", "temperature", "value"), [(8, 16, 0.5, 2.6747122), (5, 3, 0.1, 5.3463869), (64, 128, 0.07, 5.3315601)]
)
def test_nt_xent_is_that_of_a_public_implementation(b: int, d: int, temperature: float, value: float) -> None:
    """The values are what lightly's NTXentLoss gave for these very numbers."""
    assert float(nt_xent(draws(b, d), draws(b, d, seed=1), temperature)) == pytest.approx(value, rel=1e-6)


def test_nt_xent_of_both_sides_is_the_mean_of_each() -> None:
    first, second = draws(6, 4), draws(6, 4, seed=1)
    halves = [nt_xent(first, second, one_sided=True), nt_xent(second, first, one_sided=True)]
    torch.testing.assert_close(nt_xent(first, second), sum(halves) / 2)


def test_nt_xent_has_a_gradient_and_knows_no_length() -> None:
    first = draws(4, 3).requires_grad_()
    second = draws(4, 3, seed=1)
    nt_xent(first, second).backward()
    assert torch.isfinite(first.grad).all()
    assert float((first.grad * first.detach()).sum(1).abs().max()) < 1e-5  # none along the vector itself
    torch.testing.assert_close(nt_xent(first * 7, second), nt_xent(first, second))


def test_nt_xent_falls_where_copies_agree() -> None:
    first = draws(8, 16)
    close, far = first + 0.1 * draws(8, 16, seed=1), draws(8, 16, seed=2)
    assert nt_xent(first, close) < nt_xent(first, far)


def tiled_by_hand(features: Tensor, temperature: float, shift: bool) -> float:
    n, total = len(features), 0.0
    s = [[float(a @ b) / temperature for b in features.double()] for a in features.double()]
    if shift:
        greatest = [max(row) for row in s]
        s = [[s[i][j] - greatest[j] for j in range(n)] for i in range(n)]
    for i in range(n):
        norm = math.log(sum(math.exp(v) for v in s[i]))
        total += sum(norm - s[i][j] for j in range(n) if j % (n // 2) == i % (n // 2))
    return total / n


@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("kernel", [False, True])
def test_loss_of_the_keras_example_is_the_double_loop(shift: bool, kernel: bool) -> None:
    x = draws(6, 4)
    found = tiled_xent(x, 0.5, column_shift=shift, kernel_gradient=kernel)
    assert float(found) == pytest.approx(tiled_by_hand(x, 0.5, shift), rel=1e-5)


def test_floor_and_start_of_the_keras_example() -> None:
    sure = torch.cat([torch.eye(4), torch.eye(4)]) * 9
    assert float(tiled_xent(sure, column_shift=False)) == pytest.approx(2 * math.log(2), abs=1e-4)
    assert float(tiled_xent(torch.zeros(1024, 2))) == pytest.approx(2 * math.log(1024), rel=1e-5)


def test_tensorflows_kernel_gives_p_minus_t() -> None:
    x = draws(4, 3)
    targets = torch.eye(2).tile(2, 2)
    gradients = {}
    for kernel in (True, False):
        logits = (x @ x.T).detach().requires_grad_()
        # the loss as a function of its logits: features whose products are the logits are not needed for that
        rows = torch.linalg.cholesky(logits.detach() + 9 * torch.eye(4)).requires_grad_()
        tiled_xent(rows, 1.0, column_shift=False, kernel_gradient=kernel).backward()
        gradients[kernel] = rows.grad
        p = (rows @ rows.T).softmax(1).detach()
        wanted = (p - targets if kernel else 2 * p - targets) / 4  # mean over four rows
        torch.testing.assert_close(rows.grad, (wanted + wanted.T) @ rows.detach(), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(gradients[True], gradients[False])


# -- neighbours --------------------------------------------------------------------------------------------------------


def scan_by_hand(p: list[list[float]], q: list[list[list[float]]], weight: float, as_logit: bool) -> float:
    pairs = []
    for mine, others in zip(p, q, strict=True):
        for other in others:
            s = sum(a * b for a, b in zip(mine, other, strict=True))
            pairs.append(math.log(1 + math.exp(-s)) if as_logit else -math.log(s))
    mean = [sum(row[c] for row in p) / len(p) for c in range(len(p[0]))]
    entropy = -sum(m * math.log(m) for m in mean)
    return sum(pairs) / len(pairs) - weight * entropy


@pytest.mark.parametrize("as_logit", [False, True])
@pytest.mark.parametrize("weight", [0.0, 1.0, 5.0])
@pytest.mark.parametrize("m", [1, 3])
def test_neighbor_loss_is_the_double_loop_for_every_head(as_logit: bool, weight: float, m: int) -> None:
    anchors, others = draws(5, 2, 4), draws(5, m, 2, 4, seed=1)
    given = others[:, 0] if m == 1 else others
    found = neighbor_loss(anchors, given, weight, similarity_as_logit=as_logit)
    for head in range(2):
        p, q = anchors[:, head].double().softmax(-1).tolist(), others[:, :, head].double().softmax(-1).tolist()
        assert float(found.loss[head]) == pytest.approx(scan_by_hand(p, q, weight, as_logit), rel=1e-5)
    torch.testing.assert_close(found.loss, found.consistency - weight * found.entropy)


def test_the_weight_of_the_entropy_is_applied() -> None:
    anchors, others = draws(5, 1, 4), draws(5, 1, 4, seed=1)
    one, five = (neighbor_loss(anchors, others, weight).loss for weight in (1.0, 5.0))
    torch.testing.assert_close(one - five, 4 * neighbor_loss(anchors, others).entropy)


def test_opposite_certainties_keep_a_finite_loss_and_a_gradient() -> None:
    anchors = torch.tensor([[[60.0, 0.0]]], requires_grad=True)
    found = neighbor_loss(anchors, torch.tensor([[[0.0, 60.0]]]), 0.0)
    found.loss.sum().backward()
    assert float(found.loss.detach()) == pytest.approx(60 - math.log(2), rel=1e-4)
    assert float(anchors.grad.abs().sum()) > 0
    assert float(neighbor_loss(anchors.detach() * 9, torch.tensor([[[0.0, 900.0]]]), 0.0).loss) == 100


def test_gradients_of_the_neighbor_loss() -> None:
    anchors, others = (draws(3, 2, 3, seed=s).requires_grad_() for s in (0, 1))
    found = neighbor_loss(anchors, others, 2.0).loss.sum()
    found.backward()
    step = 1e-2
    moved = anchors.detach().clone()
    moved[1, 0, 2] += step
    back = anchors.detach().clone()
    back[1, 0, 2] -= step
    slope = (neighbor_loss(moved, others, 2.0).loss.sum() - neighbor_loss(back, others, 2.0).loss.sum()) / (2 * step)
    assert float(anchors.grad[1, 0, 2]) == pytest.approx(float(slope.detach()), abs=1e-3)


# -- confidence --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("balance", [False, True])
def test_confident_loss_is_the_loop(balance: bool) -> None:
    target, altered = 4 * draws(20, 3), draws(20, 3, seed=1)
    p = target.softmax(1)
    sure = [i for i in range(20) if float(p[i].max()) > 0.9]
    groups = {i: int(p[i].argmax()) for i in sure}
    counts = [list(groups.values()).count(c) for c in range(3)]
    weights = {i: len(sure) / counts[groups[i]] if balance else 1.0 for i in sure}
    each = {i: -float(altered[i].log_softmax(0)[groups[i]]) for i in sure}
    wanted = sum(weights[i] * each[i] for i in sure) / sum(weights.values())
    found = confident_loss(target, altered, 0.9, balance=balance)
    assert 3 < len(sure) < 20
    assert int(found.confident) == len(sure)
    assert float(found.loss) == pytest.approx(wanted, rel=1e-5)
    if balance:  # the same as the library's, with the same weights
        library = functional.cross_entropy(
            altered[sure], p[sure].argmax(1), torch.tensor([len(sure) / max(c, 1) for c in counts])
        )
        torch.testing.assert_close(found.loss, library)


def test_a_batch_without_a_sure_image_is_worth_nothing_and_no_error() -> None:
    altered = draws(4, 3).requires_grad_()
    found = confident_loss(torch.zeros(4, 3), altered)
    found.loss.backward()
    assert float(found.loss.detach()) == 0
    assert int(found.confident) == 0
    assert float(altered.grad.abs().sum()) == 0


def test_no_gradient_reaches_the_targets() -> None:
    target = (9 * draws(4, 3)).requires_grad_()
    assert not confident_loss(target, draws(4, 3), 0.5).loss.requires_grad


def test_a_pair_has_a_gradient_up_to_where_its_loss_is_cut() -> None:
    for logit, slope in ((95.0, True), (105.0, False)):
        anchors = torch.tensor([[[logit, 0.0]]], requires_grad=True)
        found = neighbor_loss(anchors, torch.tensor([[[0.0, 200.0]]]), 0.0)
        assert float(found.consistency.detach()) == pytest.approx(min(logit, 100.0))
        found.loss.sum().backward()
        assert bool(anchors.grad.abs().sum() > 0.5) == slope
