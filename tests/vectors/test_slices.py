"""K-means and PCA by sums over slices: the same as one process with all rows, however they are cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from ilk.errors import ArgumentError, DataError, NotEnoughImages
from ilk.vectors import Slice, fit_pca, here, kmeans, kmeans_of_slices, pca_of_slices

DIGITS = torch.from_numpy(load_digits().data.astype(np.float32))
CUTS = ([], [900], [1], [300, 301, 1500], [100, 700, 710, 1100, 1790])


def cut(x: torch.Tensor, at: list[int], **how: object):
    ends = [0, *at, len(x)]
    return here([Slice(x[a:b], a, **how) for a, b in pairwise(ends)])


@pytest.mark.parametrize("at", CUTS, ids=len)
@pytest.mark.parametrize("spherical", [False, True])
def test_as_one_process(at: list[int], spherical: bool) -> None:
    whole = kmeans(DIGITS, 25, n_init=2, spherical=spherical)
    found = kmeans_of_slices(cut(DIGITS, at, spherical=spherical), 25, n_init=2, spherical=spherical)
    assert (found.labels == whole.labels).all()
    torch.testing.assert_close(found.centers, whole.centers, rtol=1e-5, atol=1e-5)
    assert found.inertia == pytest.approx(whole.inertia, rel=1e-6)
    assert found.n_iter == whole.n_iter


@pytest.mark.parametrize("at", CUTS, ids=len)
def test_groups_that_run_empty_are_put_on_the_farthest_rows_of_all_slices(at: list[int]) -> None:
    start = DIGITS[:12].clone()
    start[4:8] = 1e4  # nobody is near
    whole, found = kmeans(DIGITS, 12, init=start), kmeans_of_slices(cut(DIGITS, at), 12, init=start)
    assert (found.labels == whole.labels).all()
    assert found.labels.bincount(minlength=12).min() > 0


def test_who_is_faster_changes_no_bit() -> None:
    """Answers come in the order of the slices, whatever the order in which they were made."""
    each = cut(DIGITS, [300, 900])
    slices = [Slice(DIGITS[a:b], a) for a, b in ((0, 300), (300, 900), (900, len(DIGITS)))]

    def backwards(method: str, *arguments: object) -> list[object]:
        return [getattr(one, method)(*arguments) for one in reversed(slices)][::-1]

    one, other = kmeans_of_slices(each, 10), kmeans_of_slices(backwards, 10)
    assert torch.equal(one.centers, other.centers)
    assert torch.equal(one.labels, other.labels)


def test_starts_from_a_sample_do_not_depend_on_the_cuts() -> None:
    found = [kmeans_of_slices(cut(DIGITS, at), 10, sample=500) for at in CUTS]
    assert all((one.labels == found[0].labels).all() for one in found)
    assert found[0].inertia < 1.05 * kmeans(DIGITS, 10, n_init=3).inertia


def test_far_from_the_origin() -> None:
    """Moments and sums of slices are put together without cancellation."""
    x = (DIGITS.double() / 16 + 4096).float()
    assert (kmeans_of_slices(cut(x, [500, 1200]), 10).labels == kmeans(x, 10).labels).all()
    whole, found = fit_pca(x, 5), pca_of_slices(cut(x, [500, 1200]), 5)
    torch.testing.assert_close(found.explained_variance, whole.explained_variance, rtol=1e-4, atol=0)


@pytest.mark.parametrize("at", CUTS, ids=len)
@pytest.mark.parametrize("normalize", [False, True])
def test_components_of_all_slices(at: list[int], normalize: bool) -> None:
    whole = fit_pca(DIGITS, 8, normalize=normalize)
    found = pca_of_slices(cut(DIGITS, at, spherical=normalize), 8, normalize=normalize)
    torch.testing.assert_close(found.transform(DIGITS), whole.transform(DIGITS), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found.explained_variance_ratio, whole.explained_variance_ratio, rtol=1e-4, atol=1e-6)


def test_what_cannot_be() -> None:
    each = cut(DIGITS[:20], [7])
    with pytest.raises(NotEnoughImages, match="n_clusters=21"):
        kmeans_of_slices(each, 21)
    with pytest.raises(NotEnoughImages, match="distinct"):
        kmeans_of_slices(cut(DIGITS[:1].repeat(9, 1), [4]), 2)
    with pytest.raises(ArgumentError, match="init"):
        kmeans_of_slices(each, 2, init=DIGITS[:3])
    with pytest.raises(ArgumentError, match="n_components=65"):
        pca_of_slices(cut(DIGITS, [7]), 65)
    with pytest.raises(NotEnoughImages, match="20 rows"):
        pca_of_slices(each, 3)
    with pytest.raises(DataError, match="row 1"):
        kmeans_of_slices(cut(torch.tensor([[1.0], [np.nan], [2.0]]), []), 2)
