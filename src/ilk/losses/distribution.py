"""Losses between distributions: soft assignments and their target, latent Gaussians, mean activations."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["gaussian_kl", "kl_divergence", "sparsity_kl", "student_t", "target_distribution"]


def student_t(codes: Tensor, centers: Tensor, alpha: float = 1.0) -> Tensor:
    """Return soft assignments (b, k) of codes (b, d) to centres (k, d): Student's t kernel, rows sum to 1.

    q ∝ (1 + ‖z − μ‖² / α) ^ −(α + 1) / 2

    References
    ----------
    J. Xie, R. Girshick, A. Farhadi, "Unsupervised Deep Embedding for Clustering Analysis", ICML 2016, equation 1.

    Examples
    --------
    >>> student_t(torch.tensor([[0.0]]), torch.tensor([[0.0], [1.0]])).double().round(decimals=3).tolist()
    [[0.667, 0.333]]
    """
    square = (codes[:, None] - centers).square().sum(2)
    kernel = (1 + square / alpha).pow(-(alpha + 1) / 2)
    return kernel / kernel.sum(1, keepdim=True)


def target_distribution(q: Tensor) -> Tensor:
    """Return the target p (n, k) of soft assignments q (n, k) of all images: p ∝ q² / Σᵢ qᵢ.

    References
    ----------
    As `student_t`, equation 3.

    Examples
    --------
    >>> target_distribution(torch.tensor([[0.8, 0.2], [0.6, 0.4]])).double().round(decimals=3).tolist()
    [[0.873, 0.127], [0.491, 0.509]]
    """
    weight = q.square() / q.sum(0).clamp_min(1e-12)
    return weight / weight.sum(1, keepdim=True)


def kl_divergence(p: Tensor, q: Tensor) -> Tensor:
    """Return the mean over rows of KL(p ‖ q) = Σ p log(p / q), both (b, k).

    Examples
    --------
    >>> kl_divergence(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.5]])).round(decimals=4)
    tensor(0.6931)
    """
    return (torch.xlogy(p, p) - p * q.clamp_min(1e-12).log()).sum(1).mean()


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the mean over rows of KL(N(mean, variance) ‖ N(0, 1)), summed over the columns of (b, d).

    Examples
    --------
    >>> gaussian_kl(torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2))
    tensor(0.5000)
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()


def sparsity_kl(activations: Tensor, target: float) -> Tensor:
    """Return Σ KL(ρ ‖ ρ̂) over units, where ρ̂ is the mean over the batch of activations (b, d) in [0, 1].

    Examples
    --------
    >>> sparsity_kl(torch.full((4, 3), 0.5), 0.5)
    tensor(0.)
    """
    mean = activations.mean(0).clamp(1e-6, 1 - 1e-6)
    rest = torch.as_tensor((1 - target) / (1 - mean)).log() * (1 - target)
    return (target * (target / mean).log() + rest).sum()
