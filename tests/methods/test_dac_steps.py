"""The steps of DAC: schedules of the presets, batches and targets as published, what is watched, and restarts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from dac_parts import CPU, images, learner, table_of

from ilk import losses
from ilk.data import ArrayImages, channel_mean, network_size
from ilk.errors import ArgumentError
from ilk.methods import DAC
from ilk.methods.dac import config as setup
from ilk.methods.dac import diagnostics as watch
from ilk.methods.dac.presets import BY_NETWORK, PRESETS
from ilk.methods.dac.training_step import make_learner, thresholds
from ilk.methods.deepcluster import settings as deepcluster
from ilk.methods.inputs.dataset import Features, Pixels, batches

# -- presets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preset", "side", "network", "epochs", "first", "last"),
    [
        ("paper", 28, "mnist", 46, (0.95, 0.455), (0.5045, 0.49955)),
        ("paper", 32, "cifar", 46, (0.95, 0.455), (0.5045, 0.49955)),
        ("paper", 96, "imagenet10", 46, (0.95, 0.455), (0.5045, 0.49955)),
        ("seed", 28, "mnist", 47, (0.95, 0.455), (0.4946, 0.50054)),
        ("released_star", 28, "mnist", 20, (0.9, 0.9), (0.52, 0.52)),
        ("released_star", 32, "cifar_star", 50, (0.99, 0.99), (0.7548, 0.7548)),
        ("released_star", 96, "imagenet10", 50, (0.99, 0.99), (0.7548, 0.7548)),
        ("released_dac", 32, "cifar", 50, (0.99, 0.80), (0.8969, 0.8931)),
    ],
)
def test_network_and_thresholds_of_a_preset(
    preset: str, side: int, network: str, epochs: int, first: tuple, last: tuple
) -> None:
    table = table_of(preset, side)
    found = thresholds(table)
    assert (table["network"], table["image_size"]) == (network, side)
    assert len(found) == epochs
    assert found[0] == pytest.approx(first)
    assert found[-1] == pytest.approx(last)
    assert "auto" not in table.values()


def test_all_pairs_means_one_threshold_in_the_middle() -> None:
    for preset in ("paper", "seed", "released_dac"):
        table = table_of(preset, 28)
        both, one = thresholds(table), thresholds({**table, "selection": "all"})
        assert [(u + low) / 2 for u, low in both] == pytest.approx([u for u, _ in one])
        assert all(u == low for u, low in one)


def test_fewer_epochs_go_the_first_part_of_the_way() -> None:
    table = table_of("released_star", 28)
    assert thresholds({**table, "epochs": 3}) == thresholds(table)[:3]
    with pytest.raises(ArgumentError, match="take 20 epochs"):
        thresholds({**table, "epochs": 21})


@pytest.mark.parametrize(
    ("network", "n", "updates"),
    [
        ("mnist", 70_000, 56_000),
        ("cifar_star", 60_000, 1_860_000),
        ("stl", 13_000, 604_500),
        ("imagenet10", 13_000, 403_000),
        ("dog", 19_500, 589_000),
    ],
)
def test_number_of_updates_is_that_of_the_released_scripts(network: str, n: int, updates: int) -> None:
    table = {**PRESETS["released_star"], **BY_NETWORK[network], "network": "tiny", "image_size": 8}
    source = ArrayImages(np.zeros((n, 8, 8), np.uint8))
    made = make_learner(Pixels(source, torch.zeros(1), CPU), table, 10, 0, False, 0)
    assert made.steps() * len(thresholds(table)) == updates


@pytest.mark.parametrize(
    ("side", "uniform", "preset"), [(8, True, "small"), (28, True, "steady"), (200, True, "quick")]
)
def test_what_auto_stands_for_on_a_cpu(side: int, uniform: bool, preset: str) -> None:
    assert setup.automatic(images(4, side), CPU) == preset


@pytest.mark.parametrize(
    ("n", "side", "place", "preset"),
    [(60_000, 28, "cpu", "seed"), (59_999, 28, "cpu", "steady"), (4, 28, "cuda", "seed"),
     (60_000, 8, "cpu", "small"), (4, 32, "cuda", "released_star"), (4, 8, "cuda", "small")],
)  # fmt: skip
def test_auto_keeps_scales_fixed_where_that_takes_no_longer(n: int, side: int, place: str, preset: str) -> None:
    source = ArrayImages(np.zeros((n, side, side), np.uint8))
    assert setup.automatic(source, torch.device(place)) == preset


@pytest.mark.parametrize(
    ("asked", "side", "preset"),
    [
        ({"network": "stl"}, 200, "released_star"), ({"image_size": 32}, 200, "released_star"),
        ({"network": "features"}, 8, "quick"), ({"network": "tiny"}, 28, "small"), ({"network": "mnist"}, 8, "seed"),
        ({"network": "cifar"}, 28, "seed"), ({"image_size": 32}, 28, "released_star"), ({}, 200, "released_star"),
    ],
)  # fmt: skip
def test_auto_trains_the_network_or_the_size_that_is_asked_for(asked: Any, side: int, preset: str) -> None:
    """Not the settings of another one: a network named for photos was trained by those of frozen features."""
    given = {"network": "auto", "image_size": None, **asked}
    place = torch.device("cuda" if side < 200 or not asked else "cpu")
    assert setup.automatic(images(4, side), place, given["network"], given["image_size"]) == preset
    table = setup.fill(DAC(3, preset=preset, **asked).resolved(), images(4, side))
    assert {key: table[key] for key in asked} == asked


@pytest.mark.parametrize(("side", "size"), [(28, 28), (20, 28), (30, 32), (32, 32), (48, 32), (64, 96), (300, 96)])
def test_image_size_is_one_of_the_tabled_ones_and_alike_for_folders_and_methods(side: int, size: int) -> None:
    assert table_of("released_star", side)["image_size"] == size
    assert network_size(images(4, side)) == size
    found = deepcluster.fill(deepcluster.PRESETS["small"], images(4, side))
    assert (found["image_size"], found["network"]) == (size, "small" if size < 96 else "resnet18")


@pytest.mark.parametrize("preset", ["auto", "released_star"])
def test_ready_made_features_take_the_rule_of_digits_unaltered(preset: str) -> None:
    table = setup.fill(DAC(network="features", preset=preset).resolved(), images(4, 32))
    assert "auto" not in table.values()
    assert (table["loss"], table["sweep"], table["rotation"], table["flip"]) == ("squared", 20, 0.0, False)
    encoder = {"encoder": "auto", **table}
    assert setup.fill(encoder, images(4, 32))["encoder"] == "auto"


def test_ready_made_features_never_run_in_bfloat16() -> None:
    pool = Features(np.ones((4, 2), np.float16), CPU)
    assert setup.half_precision("bf16", pool, PRESETS["quick"], 2, 0, None) is False
    source = images(4)
    pixels = Pixels(source, channel_mean(source), CPU)
    assert setup.half_precision("bf16", pixels, table_of("tiny", 8), 2, 0, None) is True


def test_bfloat16_is_probed_only_where_the_training_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """200,000 images through the network; 40 of 28 × 28 pixels, 20 thresholds and 5 inner epochs are 4,000."""
    monkeypatch.setattr("ilk.compute.has_bf16", lambda place: True)
    probed: list[bool] = []

    def told(*args: Any) -> Any:
        probed.append(args[4])
        return SimpleNamespace(probe=lambda steps: SimpleNamespace(images_per_second=1.0 + args[4]))

    monkeypatch.setattr(setup, "make_learner", told)
    source = images(40, 28)
    pool = Pixels(source, channel_mean(source), CPU)
    table = table_of("released_star", 28)
    assert setup.half_precision("auto", pool, table, 2, 0, None) is False
    assert not probed
    monkeypatch.setattr("ilk.train.cost._WORTH", 4000)
    assert setup.half_precision("auto", pool, table, 2, 0, None) is True
    assert probed == [True, False]
    monkeypatch.setattr("ilk.train.cost._WORTH", 4001)
    assert setup.half_precision("auto", pool, table, 2, 0, None) is False


# -- batches and targets ----------------------------------------------------------------------------------------------


def test_pixels_are_centred_by_channel() -> None:
    source = images(50, 8, 3)
    pool = Pixels(source, channel_mean(source), CPU)
    x = pool.read(torch.arange(50))
    torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(3), atol=1e-6, rtol=0)
    assert float(x.max() - x.min()) == pytest.approx(1, abs=0.02)  # no division by the standard deviation


def test_mnist_trains_on_the_same_chunks_in_every_epoch_and_the_others_do_not() -> None:
    for reshuffle in (False, True):
        made = learner(n=120, chunk=50, reshuffle=reshuffle)
        made.begin(0.9, 0.9)
        one = made.portions()
        made.begin(0.88, 0.88)
        other = made.portions()
        assert [len(portion) for portion in one] == [50, 50]  # what is left over is skipped
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True)) is not reshuffle
        assert len(torch.cat(one).unique()) == 100


def test_each_batch_is_trained_twice_and_the_rest_of_a_chunk_left_out() -> None:
    made = learner(n=100, chunk=100, batch_size=32, inner_epochs=2, repeats=2, drop_last=True)
    made.begin(0.9, 0.9)
    seen = [index for index, _ in made._batches(made.portions()[0])]
    assert [len(index) for index in seen] == [32] * 12  # 2 inner epochs of 3 full batches, twice each
    assert all(torch.equal(a, b) for a, b in zip(seen[::2], seen[1::2], strict=True))
    assert len(torch.cat(seen[:6:2]).unique()) == 96
    kept = learner(n=100, chunk=100, batch_size=32, inner_epochs=1, repeats=1, drop_last=False)
    assert [len(index) for index, _ in kept._batches(kept.portions()[0])] == [32, 32, 36]
    assert made.steps() == 12
    assert kept.steps() == 3


def test_a_rest_of_half_a_batch_is_one_of_its_own_as_published_and_a_smaller_one_is_not() -> None:
    def sizes(n: int, batch_size: int = 128) -> list[int]:
        made = learner(n=n, chunk=n, batch_size=batch_size, inner_epochs=1, repeats=1, drop_last=False)
        return [len(index) for index, _ in made._batches(made.portions()[0])]

    assert sizes(1000) == [128] * 7 + [104]
    assert sizes(130) == [130]
    assert sizes(5, 2) == [2, 3]


@pytest.mark.parametrize("n", [130, 192, 300])
def test_no_pair_but_the_diagonal_raises_the_alarm_whatever_the_batches(n: int) -> None:
    made = learner(n=n, k=10, chunk=n, batch_size=128, inner_epochs=1)
    made.begin(1 - 1e-6, 1 - 1e-6)
    made.train(made.portions()[0], 0)
    record = {"active": 10, "positive": round(made.shares()[0], 4)}
    assert "threshold is above" in str(watch.alarm(record, 10, made.usual_batch, made.table))


def test_targets_come_from_unaltered_images_on_batches_of_their_own_and_stay() -> None:
    made = learner(n=100, chunk=100, target_batch=25, inner_epochs=3)
    made.begin(0.9, 0.9)
    portion = made.portions()[0]
    with torch.no_grad():
        expected = torch.cat([made.features(made.pool.read(part)) for part in portion.split(25)])
        whole = made.features(made.pool.read(portion))
    made.train(portion, 0)
    assert torch.equal(made.frozen, expected)  # unchanged by the 3 inner epochs
    assert not torch.allclose(expected, whole, atol=1e-3)  # the statistics are those of 25 images


def test_the_pairs_of_a_batch_are_the_block_of_the_chunks_targets() -> None:
    made = learner(n=64, chunk=64, batch_size=16, repeats=1)
    made.begin(0.7, 0.7)
    index, pictures = next(iter(made._batches(made.portions()[0])))
    features = made.features(pictures)
    reference = (made.frozen @ made.frozen.T)[index][:, index]
    expected = losses.every_pair(features @ features.T, reference, 0.7, squared=True)
    found = made._pairs(features, made.frozen[index])
    assert float(found.loss.detach()) == pytest.approx(float(expected.loss.detach()), abs=1e-6)
    assert float(found.positive) == float(expected.positive)


def test_paper_and_seed_read_their_masks_off_the_batch_and_alter_nothing() -> None:
    for preset, of in (("paper", losses.selected_mean), ("seed", losses.selected_sum)):
        made = learner(preset, n=64, batch_size=16, steps=None)
        made.begin(0.95, 0.455)
        index, pictures = next(iter(made._batches(made.portions()[0])))
        assert made.frozen is None
        features = made.features(pictures)
        expected = of(features @ features.T, 0.95, 0.455)
        assert float(made._step(index, pictures).detach()) == pytest.approx(float(expected.loss.detach()), abs=1e-7)


def test_one_pass_for_the_paper_and_a_thousand_draws_for_the_seed() -> None:
    paper, seed = learner("paper", n=100, batch_size=32), learner("seed", n=100, batch_size=32)
    paper.begin(0.95, 0.455)
    drawn = torch.cat([index for part in paper.portions() for index, _ in paper._batches(part)])
    assert len(drawn) == len(drawn.unique()) == 96
    assert seed.steps() == 1000


def test_the_consistency_loss_has_its_published_weight_and_its_slip() -> None:
    made = learner(n=32, chunk=32, batch_size=32, consistency=10.0, rotation=0.0, shift=0.0, zoom=[1, 1],
                   channel_shift=0.0, scale=1.0)  # fmt: skip
    made.begin(0.9, 0.9)
    index, pictures = next(iter(made._batches(made.portions()[0])))
    z = made.features(pictures).detach()
    target = made.frozen[index]
    with_, made.table = float(made._step(index, pictures).detach()), {**made.table, "consistency": 0.0}
    without = float(made._step(index, pictures).detach())
    expected = float(losses.cross_entropy(z, target))
    assert with_ - without == pytest.approx(10 * expected, rel=1e-4)
    made.table["consistency_of"] = "mixed"
    slip = losses.cross_entropy(z / z.sum(1, keepdim=True), target)
    assert float(made._consistency(z, target)) == pytest.approx(float(slip), rel=1e-5)
    made.table["consistency_of"] = "softmax"
    same = losses.cross_entropy(z / z.sum(1, keepdim=True), target / target.sum(1, keepdim=True))
    assert float(made._consistency(z, target)) == pytest.approx(float(same), rel=1e-5)


def test_the_seeds_own_images_train_in_one_step() -> None:
    """300 × 300 × 3 and 153 groups: a job for a GPU; here one step on six images, by the loss of the seed."""
    source = images(6, 300, 3)
    table = table_of("seed", 300, 3, network="imagenet10", image_size=300, batch_size=6)
    made = make_learner(Pixels(source, channel_mean(source), CPU), table, 153, 0, False, 0)
    made.begin(0.95, 0.455)
    before = [p.detach().clone() for p in made.net.parameters() if p.requires_grad]
    assert made.features(made.pool.read(torch.arange(6))).shape == (6, 153)
    loss = made.train(torch.arange(1), 0)
    after = [p for p in made.net.parameters() if p.requires_grad]
    assert 0 < loss < 20
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_rmsprop_as_published_and_reset_where_it_was() -> None:
    for preset, reset in (("released_dac", True), ("released_star", False)):
        made = learner(preset, n=64, chunk=64, batch_size=16, inner_epochs=1)
        group = made.optimizer.param_groups[0]
        assert (group["lr"], group["alpha"], group["momentum"], group["centered"]) == (1e-3, 0.9, 0, False)
        made.begin(0.9, 0.9)
        made.train(made.portions()[0], 0)
        assert made.optimizer.state
        made.begin(0.9, 0.9)
        assert (not made.optimizer.state) is reset


def test_random_selection_keeps_how_many_pairs_are_alike() -> None:
    made = learner(n=64, chunk=64, batch_size=64, selection="random")
    made.begin(0.7, 0.7)
    made.frozen = made.targets(torch.arange(64))
    features = made.features(made.pool.read(torch.arange(64)))
    shares = {float(made._pairs(features, made.frozen).positive) for _ in range(3)}
    losses_ = {float(made._pairs(features, made.frozen).loss.detach()) for _ in range(3)}
    assert len(shares) == 1
    assert len(losses_) == 3


def test_measuring_the_cost_changes_nothing() -> None:
    made, other = learner(), learner()
    assert made.probe(100).seconds > 0
    made.sums += 1
    assert made.check_memory() > 0
    assert made.frozen is None
    assert made.sums.tolist() == [1, 1, 1]
    for a in (made, other):
        a.begin(0.9, 0.9)
    assert made.train(made.portions()[0], 0) == other.train(other.portions()[0], 0)


def test_features_have_length_1_before_they_are_centred() -> None:
    raw = np.random.default_rng(0).normal(3, 1, (40, 6)).astype(np.float16)
    pool = Features(raw, CPU)
    rows = raw.astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(pool.read(torch.arange(40)), rows - rows.mean(0), atol=1e-6)


def test_batches_never_end_in_a_single_image() -> None:
    assert [len(b) for b in batches(torch.arange(5), 2, least=2)] == [2, 3]
    assert [len(b) for b in batches(torch.arange(1), 2, least=2)] == [1]
