import numpy as np
import pytest
import torch
from sklearn import metrics
from sklearn.datasets import load_digits

from ilk.errors import ArgumentError, DataError
from ilk.vectors import kmeans, silhouette_samples, silhouette_score, simplified_silhouette


def some(n=300, d=5, k=4, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=g, dtype=torch.float64), torch.randint(0, k, (n,), generator=g)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_against_scikit_learn(dtype):
    x, labels = some(700)
    x[labels == 1] += 3
    labels[5] = 17  # a gap in the numbers, and a single member
    ours = silhouette_samples(x.to(dtype), labels)
    np.testing.assert_allclose(
        ours, metrics.silhouette_samples(x, labels), atol=1e-5 if dtype == torch.float32 else 1e-12
    )
    assert ours[5] == 0
    assert silhouette_score(x, labels) == pytest.approx(metrics.silhouette_score(x, labels), rel=1e-9)


def test_far_from_the_origin():
    x, labels = some()
    expected = metrics.silhouette_samples(x, labels)
    np.testing.assert_allclose(silhouette_samples((x + 1_000).float(), labels), expected, atol=2e-3)


def test_chunks_permutation_scale():
    x, labels = some(600)
    whole = silhouette_samples(x, labels)
    for chunk_bytes in (30_000, 200_000, 2**28):
        torch.testing.assert_close(silhouette_samples(x[:600], labels, chunk_bytes=chunk_bytes), whole)
    order = torch.randperm(600, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(silhouette_samples(x[order], labels[order]), whole[order])
    torch.testing.assert_close(silhouette_samples(x * 7, 3 - labels), whole)


def test_noise_is_ignored():
    x, labels = some()
    labels[::7] = -1
    kept = labels >= 0
    samples = silhouette_samples(x, labels)
    torch.testing.assert_close(samples[kept], silhouette_samples(x[kept], labels[kept]))
    assert (samples[~kept] == 0).all()
    assert silhouette_score(x, labels) == pytest.approx(float(samples[kept].mean()))


def test_duplicates():
    x = torch.tensor([[0.1, 0.7]] * 5 + [[2.0, 1.0]] * 5)
    labels = torch.arange(10) // 5
    torch.testing.assert_close(silhouette_samples(x, labels), torch.ones(10), atol=1e-3, rtol=0)
    assert silhouette_samples(torch.zeros(6, 2), torch.arange(6) % 2).abs().max() == 0


def test_a_sample_estimates_the_score_and_keeps_two_of_each_cluster():
    x = torch.from_numpy(load_digits().data)
    labels = kmeans(x, 10).labels
    labels[:3] = 10  # a small cluster that few samples would hit
    exact = silhouette_score(x, labels)
    found = [
        silhouette_score(x, labels, sample_size=600, generator=torch.Generator().manual_seed(seed)) for seed in range(5)
    ]
    assert np.mean(found) == pytest.approx(exact, abs=0.02)
    assert len(set(found)) == 5
    assert silhouette_score(x, labels, sample_size=600) == silhouette_score(x, labels, sample_size=600)
    assert silhouette_score(x, labels, sample_size=5_000) == exact
    silhouette_score(x, labels, sample_size=25)  # two of each of 11 clusters: would be refused with one of each


def test_a_sample_counts_clusters_by_their_true_size():
    # tight cluster of 990, two loose ones of 5: a sample of 2 + 2 + 2 rows must still see mostly the tight one
    g = torch.Generator().manual_seed(0)
    x = torch.cat([torch.randn(990, 2, generator=g) * 0.01, torch.randn(10, 2, generator=g) + 3])
    labels = torch.cat([torch.zeros(990), torch.ones(5), torch.full((5,), 2)]).long()
    assert silhouette_score(x, labels, sample_size=6) == pytest.approx(silhouette_score(x, labels), abs=0.02)


def test_every_row_against_a_sample():
    # 20 rows to a cluster: 32 of each stand for it, so a sample is all of them, and the row itself counts once
    x, labels = some(80)
    labels = torch.arange(80) % 4
    exact = silhouette_samples(x, labels)
    torch.testing.assert_close(silhouette_samples(x, labels, sample_size=4), exact)


def test_a_sample_estimates_every_row():
    x = torch.from_numpy(load_digits().data)
    labels = kmeans(x, 10).labels
    labels[:3] = 10
    labels[5] = 11  # alone
    exact = torch.from_numpy(metrics.silhouette_samples(x.numpy(), labels.numpy()))
    drawn = [torch.Generator().manual_seed(seed) for seed in range(8)]
    found = torch.stack([silhouette_samples(x, labels, sample_size=400, generator=one) for one in drawn])
    assert float((found - exact).abs().mean()) < 0.03
    assert float((found - exact).mean().abs()) < 0.004  # a row that was drawn is not measured to itself
    assert not found[:, 5].any()
    assert not torch.equal(found[0], found[1])
    torch.testing.assert_close(silhouette_samples(x, labels, sample_size=400), found[0], atol=0, rtol=0)
    torch.testing.assert_close(silhouette_samples(x, labels, sample_size=400, chunk_bytes=9_000), found[0])
    labels[7:20] = -1
    assert not silhouette_samples(x, labels, sample_size=500)[7:20].any()


def test_simplified_against_loops():
    x, _ = some(120)
    result = kmeans(x, 5)
    labels = result.labels.clone()
    labels[3] = -1
    ours = simplified_silhouette(x, labels, result.centers, chunk_bytes=3_000)
    for i in range(120):
        if i == 3:
            assert ours[i] == 0
            continue
        distance = [float((x[i] - center).norm()) for center in result.centers]
        own = distance.pop(int(labels[i]))
        assert float(ours[i]) == pytest.approx((min(distance) - own) / max(own, min(distance)))
    alone = simplified_silhouette(
        torch.tensor([[0.0], [0.1], [5.0]]), torch.tensor([0, 0, 1]), torch.tensor([[0.0], [5.0]])
    )
    assert alone[2] == 0
    assert alone[0] == 1


def test_refusals():
    x, labels = some(20)
    with pytest.raises(ArgumentError, match="make 1 cluster"):
        silhouette_samples(x, torch.zeros(20, dtype=torch.int64))
    with pytest.raises(ArgumentError, match="make 0 cluster"):
        silhouette_score(x, torch.full((20,), -1))
    with pytest.raises(ArgumentError, match="20 clusters of 20 rows"):
        silhouette_score(x, torch.arange(20))
    with pytest.raises(ArgumentError, match="20 integers"):
        silhouette_samples(x, labels[:10])
    with pytest.raises(ArgumentError, match="20 integers"):
        silhouette_samples(x, labels.float())
    for function in (silhouette_samples, silhouette_score):
        with pytest.raises(ArgumentError, match="sample_size=1"):
            function(x, labels, sample_size=1)
    bad = x.clone()
    bad[2] = torch.nan
    for function in (silhouette_samples, silhouette_score):
        with pytest.raises(DataError, match="row 2"):
            function(bad, labels)
    centers = x[:4]
    with pytest.raises(DataError, match="row 2"):
        simplified_silhouette(bad, labels, centers)
    with pytest.raises(DataError, match="centers hold"):
        simplified_silhouette(x, labels, centers * torch.nan)
    with pytest.raises(ArgumentError, match="between -1 and 1"):
        simplified_silhouette(x, labels, centers[:2])
    with pytest.raises(ArgumentError, match="centers must have the shape"):
        simplified_silhouette(x, labels, centers[:1])
