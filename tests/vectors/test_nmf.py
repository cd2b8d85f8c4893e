"""Non-negative factors against scikit-learn and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from scipy.sparse import csr_matrix
from sklearn.decomposition import NMF

from ilk.errors import DataError
from ilk.vectors import graph_nmf, nmf_codes


def data(n: int = 40, d: int = 12, k: int = 3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.random((n, k)) @ rng.random((k, d)) + 0.01 * rng.random((n, d))).astype(np.float32)


def test_coefficients_are_the_non_negative_least_squares() -> None:
    x = data()
    h = np.random.default_rng(1).random((4, 12)).astype(np.float32)
    found = nmf_codes(x, torch.from_numpy(h)).numpy()
    expected = np.stack([nnls(h.T.astype(float), row.astype(float))[0] for row in x])
    np.testing.assert_allclose(found, expected, atol=1e-3)
    alone = np.concatenate([nmf_codes(row[None], torch.from_numpy(h)).numpy() for row in x])
    np.testing.assert_allclose(found, alone, atol=1e-6)


def test_without_locality_the_factors_fit_as_well_as_those_of_scikit_learn() -> None:
    x = data()
    nothing = csr_matrix((len(x), len(x)))
    w, h = graph_nmf(x, nothing, 3, locality=0.0, steps=3000)
    ours = np.linalg.norm(x - (w @ h).numpy())
    theirs = NMF(3, init="nndsvda", solver="mu", max_iter=3000, tol=0).fit(x).reconstruction_err_
    assert ours < 1.1 * theirs
    assert min(w.min(), h.min()) >= 0
    np.testing.assert_allclose(torch.linalg.vector_norm(h, dim=1).numpy(), 1, atol=1e-5)


def test_locality_brings_neighbours_together() -> None:
    x = data()
    near = np.zeros((40, 40), np.float32)
    near[np.arange(0, 40, 2), np.arange(1, 40, 2)] = near[np.arange(1, 40, 2), np.arange(0, 40, 2)] = 1
    apart = {}
    for locality in (0.0, 100.0):
        w, _ = graph_nmf(x, csr_matrix(near), 3, locality=locality, steps=500)
        apart[locality] = float((w[::2] - w[1::2]).norm() / w.norm())
    assert apart[100.0] < 0.5 * apart[0.0]


def test_negative_values_are_refused() -> None:
    with pytest.raises(DataError, match="at least 0"):
        graph_nmf(-data(), csr_matrix((40, 40)), 2)
