"""K-means and silhouettes from inner products: the same as from the rows, and as scikit-learn's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import metrics
from sklearn.cluster import KMeans

from ilk.errors import ArgumentError, DataError, NotEnoughImages
from ilk.vectors import Gram, gram, gram_kmeans, gram_matrix, kmeans, silhouettes


def rows(n: int = 150, d: int = 700, groups: int = 6, seed: int = 0, apart: float = 0.6) -> np.ndarray:
    """Overlapping blobs far from the origin, as raw features are: float32 (n, d)."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) + apart * rng.normal(size=(groups, d))[rng.integers(0, groups, n)] + 4).astype("f4")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "memmap", "tensor"])
def test_inner_products_are_those_of_centred_rows(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gram, "_TILE", 16)
    monkeypatch.setattr(gram, "_COLUMN_BYTES", 40 * 7 * 8)  # a few columns at a time, the last ones fewer
    x: np.ndarray = rows(40, 100).astype("f2" if kind in ("float16", "memmap") else kind if "f" in kind else "f4")
    centred = x.astype(np.float64) - x.astype(np.float64).mean(0)
    given: np.ndarray | torch.Tensor = torch.from_numpy(x) if kind == "tensor" else x
    if kind == "memmap":
        np.save(tmp_path / "x.npy", x)
        given = np.load(tmp_path / "x.npy", mmap_mode="r", allow_pickle=False)
    found = gram_matrix(given)
    np.testing.assert_allclose(found.inner, centred @ centred.T, atol=1e-9 if kind == "float64" else 2e-3)
    assert torch.equal(found.inner, found.inner.T)
    assert torch.equal(found.square, found.inner.diagonal())
    distance = metrics.pairwise.euclidean_distances(centred, squared=True)
    np.testing.assert_allclose(found.to(torch.tensor([3, 0])), distance[[3, 0]], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("k", [1, 2, 6, 40, 149, 150])
def test_groups_are_those_of_the_direct_computation(k: int) -> None:
    x = rows()
    labels, inertia = gram_kmeans(gram_matrix(x), k, n_init=3, generator=generator())
    direct = kmeans(x, k, n_init=3, generator=generator())
    # the two add up in another order: with few rows a group, a row on an edge may fall to the other side
    assert metrics.adjusted_rand_score(labels, direct.labels) > 0.98
    assert inertia == pytest.approx(direct.inertia, rel=1e-4, abs=0.1)
    assert len(torch.unique(labels)) == k


@pytest.mark.parametrize("k", [2, 6, 30])
def test_groups_are_as_good_as_those_of_scikit_learn(k: int) -> None:
    x = rows(300, 500)
    _, inertia = gram_kmeans(gram_matrix(x), k, n_init=10, generator=generator())
    assert inertia <= 1.01 * KMeans(k, n_init=10, random_state=0).fit(x).inertia_


def test_a_result_rests_and_its_inertia_is_that_of_its_means() -> None:
    x = rows(200, 300).astype(np.float64)
    labels, inertia = gram_kmeans(gram_matrix(x), 7, generator=generator(3))
    means = np.stack([x[labels.numpy() == g].mean(0) for g in range(7)])
    distance = metrics.pairwise.euclidean_distances(x, means, squared=True)
    assert np.array_equal(distance.argmin(1), labels)
    assert inertia == pytest.approx(distance.min(1).sum())


def test_more_starts_are_never_worse_and_the_same_call_gives_the_same() -> None:
    found = gram_matrix(rows(200, 300))
    few, many, again = (gram_kmeans(found, 12, n_init=n, generator=generator()) for n in (1, 8, 8))
    assert many[1] <= few[1]
    assert torch.equal(many[0], again[0])


def test_no_group_is_empty_where_rows_coincide() -> None:
    x = np.repeat(rows(5, 20), 4, 0)
    labels, inertia = gram_kmeans(gram_matrix(x), 9, generator=generator())
    assert torch.bincount(labels, minlength=9).min() == 1
    assert inertia == pytest.approx(0, abs=1e-2)


def test_an_empty_group_gets_the_farthest_row() -> None:
    x = torch.tensor([[0.0, 0], [1, 0], [2, 0], [9, 0]], dtype=torch.float64)
    found = gram_matrix(x)
    start = torch.tensor([1, 1])  # twice the same centre: all rows join the first
    labels = gram._assign(found, found.inner[start], torch.ones_like(start), found.square[start])
    assert labels.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("source", ["gram", "rows", "halves"])
def test_silhouettes_of_many_groupings_are_those_of_scikit_learn(source: str) -> None:
    x = rows(300, 400).astype(np.float16 if source == "halves" else np.float32)
    grid = [2, 3, 6, 50, 299]
    labelings = [kmeans(x, k, generator=generator()).labels for k in grid]
    found = silhouettes(gram_matrix(x) if source == "gram" else x, labelings)
    for labels, samples in zip(labelings, found, strict=True):
        np.testing.assert_allclose(samples, metrics.silhouette_samples(x.astype(np.float64), labels), atol=1e-4)
        assert float(samples.mean()) == pytest.approx(metrics.silhouette_score(x.astype(np.float64), labels), abs=1e-5)


def test_silhouettes_do_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    x = rows(90, 30).astype(np.float64)
    labels = [torch.arange(90) % 4, (torch.arange(90) % 7) * 3]  # numbers may have gaps
    whole = silhouettes(x, labels)
    monkeypatch.setattr(gram, "_QUERIES", 16)
    monkeypatch.setattr(gram, "_DISTANCE_BYTES", 16 * 8 * 11)
    for given in (x, gram_matrix(x)):
        for a, b in zip(whole, silhouettes(given, labels), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.parametrize(
    ("labels", "hint"),
    [
        (torch.zeros(20, dtype=torch.int64), "at least 2"),
        (torch.arange(20), "fewer than rows"),
        (torch.arange(20) % 3 - 1, "negative"),
        (torch.arange(19), "20 integers"),
    ],
)
def test_labels_that_make_no_silhouette_are_named(labels: torch.Tensor, hint: str) -> None:
    for given in (rows(20, 30), gram_matrix(rows(20, 30))):
        with pytest.raises(ArgumentError, match=hint):
            silhouettes(given, [labels])


def test_what_cannot_be_grouped_is_named() -> None:
    x = rows(10, 20)
    with pytest.raises(NotEnoughImages, match="at least 11"):
        gram_kmeans(gram_matrix(x), 11)
    for option in ({"n_clusters": 0}, {"n_clusters": 2, "n_init": 0}, {"n_clusters": 2, "max_iter": 0}):
        with pytest.raises(ArgumentError, match="must be an integer"):
            gram_kmeans(gram_matrix(x), **option)
    x[4, 7] = np.nan
    with pytest.raises(DataError, match="row 4"):
        gram_matrix(x)


def test_gram_keeps_no_rows() -> None:
    found = gram_matrix(rows(30, 5000))
    assert isinstance(found, Gram)
    assert len(found) == 30
    assert found.inner.shape == (30, 30)


_FRUGAL = """
import resource, sys, numpy as np, torch
from ilk.describe import describe
from ilk.methods import TransferClustering
from ilk.methods.transfer.raw_features import group_raw
from ilk.vectors import fit_pca
torch.set_num_threads(2)
x = np.load(sys.argv[1], mmap_mode="r+", allow_pickle=False)
small = TransferClustering.presets["raw_features"].replace(k_grid=[2, 3], n_init=1)
group_raw(x[:20, :30], small, None, 0), fit_pca(x[:20, :30], 2)  # libraries take what they need for themselves
used = next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (used + int(sys.argv[2]), -1))
raw = group_raw(x, small, None, 0)
space = fit_pca(x, 8, normalize=True).transform(x).numpy()
describe(x, space, raw.labels[0], np.ones(len(x), np.float32))
print("done")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of the kind are Linux's")
@pytest.mark.parametrize("share", [0.7, 0.1])
def test_long_rows_in_a_file_are_never_in_memory_as_a_whole(share: float, tmp_path: Path) -> None:
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float16, (650, 94_080))
    x[:] = np.random.default_rng(0).integers(0, 9, x.shape[1])
    x[np.arange(650), np.arange(650)] = np.arange(650)
    x.flush()
    limit = str(int(share * x.size * 4))  # of the matrix in single precision
    command = [sys.executable, "-c", _FRUGAL, str(tmp_path / "x.npy"), limit]
    # glibc keeps freed blocks of up to 32 MiB for itself, more or less of them by chance: what is freed shall be free
    env = {**os.environ, "OMP_NUM_THREADS": "2", "MALLOC_MMAP_THRESHOLD_": str(1 << 20)}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert (done.returncode == 0) == (share > 0.5), done.stderr[-500:]  # the limit works
