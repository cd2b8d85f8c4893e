import numpy as np
import pytest
import torch
from sklearn import decomposition

from ilk.errors import ArgumentError, DataError, NotEnoughImages
from ilk.vectors import fit_pca, l2_normalize


def skewed(n, d, seed=0, mean=0.0):
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(d, d, generator=torch.Generator().manual_seed(9), dtype=torch.float64))[0]
    return (x * torch.logspace(1, -1, d)) @ turn + mean


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("shape", [(500, 12), (12, 12), (15, 60)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_against_scikit_learn(shape, whiten, dtype):
    x = skewed(*shape, mean=2.0)
    k = 6
    ours = fit_pca(x.to(dtype), k, whiten=whiten)
    theirs = decomposition.PCA(k, whiten=whiten, svd_solver="full").fit(x.numpy())
    tolerance = {"rtol": 1e-3, "atol": 2e-4} if dtype == torch.float32 else {"rtol": 1e-8, "atol": 1e-8}
    # scikit-learn's signs: since 1.5 the largest entry of each component is positive, as here
    np.testing.assert_allclose(ours.components, theirs.components_, **tolerance)
    np.testing.assert_allclose(ours.mean, theirs.mean_, **tolerance)
    np.testing.assert_allclose(ours.explained_variance, theirs.explained_variance_, **tolerance)
    np.testing.assert_allclose(ours.explained_variance_ratio, theirs.explained_variance_ratio_, **tolerance)
    np.testing.assert_allclose(ours.transform(x.to(dtype)), theirs.transform(x.numpy()), rtol=1e-3, atol=5e-3)
    assert ours.components.dtype == dtype


def test_whitened_coordinates_have_variance_one_and_no_correlation():
    x = skewed(800, 10).float()
    z = fit_pca(x, 5, whiten=True).transform(x)
    torch.testing.assert_close(torch.cov(z.T), torch.eye(5), rtol=1e-3, atol=1e-3)


def test_chunks_do_not_change_the_result():
    x = skewed(700, 12, mean=5.0).float()
    whole = fit_pca(x, 4)
    for chunk_bytes in (50, 3_000, 2**28):
        part = fit_pca(x, 4, chunk_bytes=chunk_bytes)
        torch.testing.assert_close(part.components, whole.components, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(
            whole.transform(x, chunk_bytes=chunk_bytes), whole.transform(x), rtol=1e-4, atol=1e-4
        )


def test_far_from_the_origin_and_sorted_by_size():
    x = skewed(600, 8).float()
    moved = fit_pca(x + 500, 3)
    torch.testing.assert_close(moved.explained_variance, fit_pca(x, 3).explained_variance, rtol=1e-3, atol=1e-3)
    order = x[:, 0].argsort()
    torch.testing.assert_close(fit_pca(x[order], 3, chunk_bytes=2_000).components, fit_pca(x, 3).components)


def test_without_centering_is_the_svd_of_the_rows():
    for n in (300, 6):
        x = skewed(n, 9, mean=3.0)
        ours = fit_pca(x, 4, center=False)
        _, s, vt = torch.linalg.svd(x, full_matrices=False)
        torch.testing.assert_close((ours.components * vt[:4]).sum(1).abs(), torch.ones(4, dtype=torch.float64))
        torch.testing.assert_close(ours.explained_variance, s[:4] ** 2 / (n - 1))
        assert (ours.mean == 0).all()


def test_normalize_reads_a_memmap_of_halves_on_the_fly(tmp_path):
    for n in (400, 10):
        x = (skewed(n, 16, mean=1.0) * 3).half().numpy()
        np.save(tmp_path / "x.npy", x)
        memmap = np.load(tmp_path / "x.npy", mmap_mode="r")
        unit = l2_normalize(torch.from_numpy(x).float())
        ours, theirs = fit_pca(memmap, 3, normalize=True), fit_pca(unit, 3)
        torch.testing.assert_close(ours.components, theirs.components)
        torch.testing.assert_close(ours.transform(memmap), theirs.transform(unit))


def test_components_are_orthonormal_even_without_variance():
    for x in (torch.ones(30, 5), torch.ones(4, 9), skewed(5, 20).float(), skewed(3, 3).float()[:, [0, 0, 0]]):
        for whiten in (False, True):
            pca = fit_pca(x, min(x.shape), whiten=whiten)
            eye = torch.eye(min(x.shape))
            torch.testing.assert_close(pca.components @ pca.components.T, eye, rtol=1e-4, atol=1e-4)
            assert torch.isfinite(pca.transform(x)).all()
            assert (pca.explained_variance >= 0).all()
    assert fit_pca(torch.ones(30, 5), 2, whiten=True).transform(torch.ones(3, 5)).abs().max() == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("normalize", [False, True])
def test_what_the_components_lose(dtype, normalize):
    x = skewed(300, 8, mean=1.0).to(dtype)
    rows = l2_normalize(x) if normalize else x
    some = fit_pca(x, 3, normalize=normalize)
    direct = (rows - some.mean) - some.transform(x) @ some.components
    torch.testing.assert_close(some.lost(x), direct.norm(dim=1), rtol=1e-3, atol=1e-5)
    new = skewed(200, 8, seed=1, mean=1.0).to(dtype)
    assert not fit_pca(x, 8, normalize=normalize).lost(new).any()  # all of them lose nothing, not even rounding
    flat = torch.cat([new, torch.zeros(200, 4, dtype=dtype)], 1)
    plane = fit_pca(flat[:100], 8, normalize=normalize)
    assert not plane.lost(flat[100:]).any()
    flat[:, 8] = 0.01
    assert (plane.lost(flat) > 0).all()


def test_same_bits_each_time():
    x = skewed(300, 20).float()
    assert torch.equal(fit_pca(x, 5).components, fit_pca(x, 5).components)


def test_l2_normalize():
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1e-3, 0.0]])
    torch.testing.assert_close(l2_normalize(x), torch.tensor([[0.6, 0.8], [0.0, 0.0], [1.0, 0.0]]))
    assert l2_normalize(x.half()).dtype == torch.float32


def test_refusals():
    x = skewed(20, 6)
    with pytest.raises(ArgumentError, match="n_components=0"):
        fit_pca(x, 0)
    with pytest.raises(ArgumentError, match="n_components=7: must be at most 6"):
        fit_pca(x, 7)
    with pytest.raises(NotEnoughImages, match="needs at least 5 rows, x has 3"):
        fit_pca(x[:3], 5)
    with pytest.raises(NotEnoughImages, match="needs at least 2 rows"):
        fit_pca(x[:1], 1)
    with pytest.raises(ArgumentError, match="5 columns, this PCA was fitted on 6"):
        fit_pca(x, 2).transform(x[:, :5])
    bad = x.clone()
    bad[13, 3] = torch.inf
    for rows in (bad, bad[10:15]):
        with pytest.raises(DataError, match="NaN or infinite"):
            fit_pca(rows, 2)
    with pytest.raises(DataError, match="NaN or infinite"):
        fit_pca(x, 2).transform(bad)
    with pytest.raises(DataError, match="too large"):
        fit_pca(torch.randn(9, 2, generator=torch.Generator().manual_seed(0)) * 1e30, 1)
