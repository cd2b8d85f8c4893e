"""Soft assignments, their target and the divergences against NumPy, by hand and by autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from ilk import losses


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("alpha", [0.5, 1.0, 9.0])
def test_soft_assignments_are_students_kernel(alpha: float) -> None:
    codes, centers = draws(7, 3), draws(4, 3, seed=1)
    found = losses.student_t(codes, centers, alpha).numpy()
    for i, code in enumerate(codes.numpy()):
        kernel = [(1 + ((code - mu) ** 2).sum() / alpha) ** (-(alpha + 1) / 2) for mu in centers.numpy()]
        np.testing.assert_allclose(found[i], np.array(kernel) / sum(kernel), rtol=1e-12)


def test_target_divides_by_the_size_of_each_group() -> None:
    q = losses.student_t(draws(20, 2), draws(3, 2, seed=1)).numpy()
    weight = q**2 / q.sum(0)
    expected = weight / weight.sum(1, keepdims=True)
    np.testing.assert_allclose(losses.target_distribution(torch.from_numpy(q)).numpy(), expected, rtol=1e-12)
    assert (expected.max(1) > q.max(1) - 0.05).mean() > 0.9  # sharper, but for what the sizes of the groups change


def test_divergence_is_that_of_numpy_and_least_at_the_target() -> None:
    q = losses.student_t(draws(20, 2), draws(3, 2, seed=1))
    p = losses.target_distribution(q)
    expected = (p.numpy() * np.log(p.numpy() / q.numpy())).sum(1).mean()
    assert losses.kl_divergence(p, q).item() == pytest.approx(expected, rel=1e-12)
    assert losses.kl_divergence(p, p).item() == pytest.approx(0, abs=1e-12)
    hard = torch.tensor([[1.0, 0.0]])
    assert losses.kl_divergence(hard, torch.tensor([[0.25, 0.75]])).item() == pytest.approx(np.log(4))


def test_gradients_reach_codes_and_centers_but_not_the_target() -> None:
    codes, centers = draws(6, 2).requires_grad_(), draws(3, 2, seed=1).requires_grad_()
    p = losses.target_distribution(losses.student_t(codes, centers)).detach()
    assert torch.autograd.gradcheck(lambda z, mu: losses.kl_divergence(p, losses.student_t(z, mu)), (codes, centers))


def test_divergences_of_latents_and_activations_are_those_of_torch() -> None:
    mean, log_variance = draws(9, 4), draws(9, 4, seed=1)
    own = Normal(mean, (0.5 * log_variance).exp())
    expected = kl_divergence(own, Normal(torch.zeros(9, 4), torch.ones(9, 4))).sum(1).mean()
    torch.testing.assert_close(losses.gaussian_kl(mean, log_variance), expected)
    active = torch.rand(30, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rho = torch.full((5,), 0.05, dtype=torch.float64)
    expected = kl_divergence(Bernoulli(rho), Bernoulli(active.mean(0))).sum()
    torch.testing.assert_close(losses.sparsity_kl(active, 0.05), expected)
