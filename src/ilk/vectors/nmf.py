"""Non-negative factors: coefficients for given components, and factors that keep neighbours together."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ilk import compute
from ilk.errors import DataError
from ilk.vectors.rows import Matrix, Rows

__all__ = ["graph_nmf", "nmf_codes"]

_SWEEPS = 100


def nmf_codes(x: Matrix, components: Tensor, *, sweeps: int = _SWEEPS) -> Tensor:
    """Return W ≥ 0 (n, k) that makes ‖x − W H‖² small for given components H (k, d) ≥ 0.

    Coordinate descent with a fixed number of sweeps: what comes out for a row depends on that row alone. Components of
    length 0 get 0.

    Examples
    --------
    >>> h = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    >>> nmf_codes(torch.tensor([[3.0, 1.0], [1.0, 3.0]]), h).round(decimals=3).tolist()
    [[2.0, 1.0], [0.0, 2.0]]
    """
    rows = Rows.of(x)
    h = components.to(torch.float64)
    gram = h @ h.T
    codes = torch.zeros(len(rows), len(h), dtype=torch.float32)
    for start, stop, block in rows.blocks(rows.step(3 * rows.width, None)):
        codes[start:stop] = _solved(block.to(h) @ h.T, gram, sweeps)
    return codes


def _solved(right: Tensor, gram: Tensor, sweeps: int) -> Tensor:
    w = torch.zeros_like(right)
    diagonal = gram.diagonal().tolist()
    for _ in range(sweeps):
        for j, length in enumerate(diagonal):
            if length > 0:
                w[:, j] = (w[:, j] + (right[:, j] - w @ gram[:, j]) / length).clamp_min_(0)
    return w.float()


def graph_nmf(
    x: npt.NDArray[Any], affinity: Any, n_components: int, *, locality: float = 100.0, steps: int = 200, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Return coefficients (n, k) and components (k, d), both non-negative, that keep neighbours together.

    Minimises ‖X − W H‖² + λ tr(Wᵀ L W) with the Laplacian L of the neighbour graph by multiplicative updates.

    Parameters
    ----------
    x : (n, d), non-negative
    affinity : sparse (n, n), symmetric, non-negative
    locality : float
        λ. With 0 these are the updates of plain non-negative factors.

    Raises
    ------
    DataError
        Negative values.

    References
    ----------
    D. Cai, X. He, J. Han, T. S. Huang, "Graph Regularized Nonnegative Matrix Factorization for Data Representation",
    IEEE TPAMI 33, 2011. D. Lee, H. Seung, "Algorithms for Non-negative Matrix Factorization", NIPS 2000.
    """
    data = torch.from_numpy(np.asarray(x, np.float32))
    if bool((data < 0).any()):
        raise DataError("non-negative factors need values of at least 0.")
    draws, tiny = compute.generator(seed), 1e-9
    n, d = data.shape
    degree = torch.from_numpy(np.asarray(affinity.sum(1), np.float32))
    w = torch.rand(n, n_components, generator=draws) + tiny
    h = torch.rand(n_components, d, generator=draws) + tiny
    for _ in range(steps):
        h *= (w.T @ data) / ((w.T @ w) @ h + tiny)
        near = torch.from_numpy(np.asarray(affinity @ w.numpy(), np.float32))
        w *= (data @ h.T + locality * near) / (w @ (h @ h.T) + locality * degree * w + tiny)
    length = torch.linalg.vector_norm(h, dim=1, keepdim=True).clamp_min(tiny)
    return w * length.T, h / length
