"""JULE: its groups, its merges, its batches and its periods."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from ilk import compute
from ilk.data import ArrayImages
from ilk.errors import Interrupted
from ilk.methods import JULE
from ilk.methods.baselines import jule_steps as _jule_steps
from ilk.methods.baselines.jule_steps import (
    Joint,
    Means,
    first_groups,
    join_isolated,
    merge_period,
    merged_to,
    nearest,
    periods,
    pieces,
    pixel_space,
    tree_of,
    without_outliers,
)
from ilk.methods.inputs.dataset import PixelDataset
from ilk.networks.jule import JULENet
from ilk.runs import checked_figure
from ilk.vectors import Linkage, neighbor_weights

IMAGES = np.round(load_digits().images * 255 / 16).astype(np.uint8)


def test_periods_end_at_k() -> None:
    assert periods(100, 7, 0.5) == [50, 25, 12, 7]
    assert periods(5, 10, 0.9) == [10]


def test_batches_hold_pairs_and_every_row_once() -> None:
    labels = np.repeat(np.arange(40), 25)
    order = pieces(labels, 10, compute.generator(0)).numpy()
    assert sorted(order) == list(range(1000))
    shown = labels[order]
    pairs = [np.bincount(shown[at : at + 100]).max() for at in range(0, 1000, 100)]
    groups = [len(np.unique(shown[at : at + 100])) for at in range(0, 1000, 100)]
    assert min(pairs) >= 5
    assert min(groups) >= 5
    assert not np.array_equal(order, pieces(labels, 10, compute.generator(1)).numpy())


def test_batches_are_at_random_where_pieces_are_of_one() -> None:
    labels = np.repeat(np.arange(100), 10)
    order = pieces(labels, 1, compute.generator(0)).numpy()
    assert sorted(order) == list(range(1000))
    assert (labels[order][1:] == labels[order][:-1]).mean() < 0.03


def islands(*places: float) -> tuple[Linkage, np.ndarray]:
    """Pairs of rows at each of these places, that know nothing of others; every row a group."""
    rows = np.asarray([[at, at + 0.1] for at in places], np.float32).reshape(-1, 1)
    index = np.arange(len(rows))[:, None] ^ 1
    return Linkage(neighbor_weights(index, np.full(index.shape, 0.1)), np.arange(len(rows))), rows


def test_what_shares_no_edges_is_merged_by_nearest_means() -> None:
    linkage, rows = islands(0.0, 5.0, 9.0)
    means = Means(linkage, rows)
    merged_to(linkage, 2, means)
    assert linkage.groups().tolist() in ([0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1])
    tree = tree_of(linkage, means)
    assert tree.shape == (5, 4)
    assert tree[-1, 3] == 6


def test_isolated_groups_join_the_nearest_mean_at_once_where_groups_are_many() -> None:
    """Two far rows apart from a ring of rows that all know their neighbours."""
    n = 60
    angle = np.arange(n) * 2 * np.pi / n
    rows = np.concatenate([np.stack([np.cos(angle), np.sin(angle)], 1), [[3.0, 0.0], [-3.0, 0.0]]]).astype(np.float32)
    near = np.stack([(np.arange(n) + 1) % n, (np.arange(n) - 1) % n], 1)
    index = np.concatenate([near, [[0, 1], [30, 31]]])  # the ring knows nothing of the two
    weights = neighbor_weights(index, np.ones(index.shape))
    for k, alone in ((3, False), (4, True)):  # 62 groups are more than 20 · 3, and not more than 20 · 4
        linkage = Linkage(weights, np.arange(n + 2))
        assert linkage.isolated(n)
        merge_period(linkage, k, 0.05, Means(linkage, rows))
        assert linkage.isolated(int(linkage.labels[n])) == alone
        assert (linkage.labels[n] == linkage.labels[0]) != alone
        assert (linkage.labels[n + 1] == linkage.labels[30]) != alone
    linkage = islands(*range(8))[0]
    linkage.merge_to(8)
    join_isolated(linkage, 5, Means(linkage, np.repeat(np.arange(8.0, dtype=np.float32), 2)[:, None]))
    assert linkage.count == 5  # never fewer than are wanted


def test_means_follow_all_merges() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(80, 4)).astype(np.float32)
    linkage = Linkage(neighbor_weights(*nearest(rows, 5)), np.arange(80))
    means = Means(linkage, rows)
    for target in (40, 6):
        linkage.merge_to(target)
        groups = linkage.left()
        for a in groups:
            away = {b: np.square(rows[linkage.members[b]].mean(0) - rows[linkage.members[a]].mean(0)).sum()
                    for b in groups if b != a}  # fmt: skip
            assert means.nearest(int(a)) == min(away, key=away.__getitem__)


def test_the_first_neighbours_are_sought_among_images_of_length_one() -> None:
    pool = PixelDataset(ArrayImages(IMAGES[:300]), torch.device("cpu"), torch.zeros(1))
    darker = PixelDataset(ArrayImages(IMAGES[:300] // np.uint8(2)), torch.device("cpu"), torch.zeros(1))
    flat = IMAGES[:300].reshape(300, -1).astype(np.float64)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    away = np.square(flat[:, None] - flat).sum(2)
    np.fill_diagonal(away, np.inf)
    for images in (pool, darker):
        assert (nearest(pixel_space(images, 64, 0), 1)[0][:, 0] == away.argmin(1)).mean() > 0.95


def test_wide_images_are_laid_out_by_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_jule_steps, "_MOST_FOR_PCA", 60)
    pool = PixelDataset(ArrayImages(IMAGES[:200]), torch.device("cpu"), torch.zeros(1))
    rows = pixel_space(pool, 30, 0)
    assert rows.shape == (200, 30)
    assert np.array_equal(rows, pixel_space(pool, 30, 0))
    assert not np.array_equal(rows, pixel_space(pool, 30, 1))


def test_codes_by_batch_leave_the_network_as_it_was() -> None:
    settings = JULE.presets["tiny"].replace(statistics="batch", batch_size=50)
    pool = PixelDataset(ArrayImages(IMAGES[:101]), torch.device("cpu"), torch.zeros(1))
    with compute.seeded(0):
        network = JULENet((1, 8, 8), [4, 4], 8)
    joint = Joint(network, pool, settings, 10, False, 0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    codes = joint.rows()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    network.train()
    with torch.no_grad():  # the rest of one image belongs to the batch before
        expected = network.code(pool.read(torch.arange(50, 101))).numpy()
    np.testing.assert_allclose(codes[50:], expected, atol=1e-6)
    assert not torch.equal(network.state_dict()["trunk.1.running_mean"], before["trunk.1.running_mean"])


@pytest.mark.parametrize(
    "settings", [{}, {"statistics": "batch", "piece": 1, "rerun": False}], ids=["default", "batch"]
)
def test_training_comes_before_merges_and_none_after_the_last(settings: dict[str, Any]) -> None:
    model = JULE(4, preset="tiny", settings={"rate": 0.6, **settings}).fit(IMAGES[:150])
    records = [record for record in model.history_ if "groups" in record]
    groups = [record["groups"] for record in records]
    pixels = pixel_space(PixelDataset(ArrayImages(IMAGES[:150]), torch.device("cpu"), torch.zeros(1)), 16, 0)
    first = int(first_groups(nearest(pixels, 1)[0], 4, pixels).max()) + 1
    assert groups[:2] == [first, first]
    assert groups == sorted(groups, reverse=True)
    assert groups[-1] > 4  # of four groups nothing is learnt
    assert len(groups) == 2 * len(set(groups)) == records[-1]["epochs"]
    assert len(np.unique(model.labels_)) == 4


def test_a_checkpoint_holds_the_groups_to_go_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[str, Any] = {}

    def stop(record: dict[str, Any], state: Any) -> bool:
        if record.get("epoch") == 2:  # the first period and its merges are over
            kept.update(state())
        return bool(kept)

    whole = JULE(4, preset="tiny").fit(IMAGES[:150])
    with pytest.raises(Interrupted):
        JULE(4, preset="tiny").fit(IMAGES[:150], on_epoch=stop)
    monkeypatch.setattr(_jule_steps, "pixel_space", None)  # is not sought again
    again = JULE(4, preset="tiny").fit(IMAGES[:150], resume=kept)
    assert np.array_equal(again.labels_, whole.labels_)
    assert np.array_equal(again.space_, whole.space_)


def test_triplets_draw_groups_together_and_apart() -> None:
    """Distances within groups over those between them: small after training, not so where the network stays random."""
    settings = {"channels": [16, 16], "latent_dim": 32, "epochs": 3, "batch_size": 50}
    ratios = []
    for lr in (0.01, 0.0):
        model = JULE(10, settings={**settings, "lr": lr}).fit(IMAGES[:600])
        x, labels = torch.from_numpy(model.space_), torch.from_numpy(model.labels_)
        square, same = torch.cdist(x, x).square(), labels[:, None] == labels
        ratios.append(float(square[same].mean() / square[~same].mean()))
        checked_figure(model.figures()[0])
    assert ratios[0] < 0.7 * ratios[1]


def test_outliers_are_no_groups() -> None:
    """Three large groups and a far small one; the merges have united two of the large instead."""
    start = np.repeat(np.arange(5), (40, 40, 30, 3, 10))
    rows = np.array([0.0, 4.0, 8.0, 60.0, 8.0], np.float32)[start][:, None]
    united = np.array([0, 0, 1, 2, 1])[start]
    linkage: Any = SimpleNamespace(merges=[(2, 4, 0.9), (0, 1, 0.5)], groups=lambda: united)
    assert np.array_equal(without_outliers(linkage, start, 3, rows, 0.0), united)
    labels = without_outliers(linkage, start, 3, rows, 0.1)
    assert np.bincount(labels).tolist() == [40, 40, 43]
    assert (labels[110:] == 2).all()  # the far ones have joined the nearest
    assert np.array_equal(without_outliers(linkage, start, 3, rows, 1.0), united)  # there are no three so large
