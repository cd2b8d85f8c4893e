"""The steps of DAC: schedules of the presets, batches and targets as published, what is watched, and restarts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from dac_parts import CPU, begin, dataset_of, images, settings_of, training

from ilk import losses
from ilk.data import ArrayImages, network_size, open_images
from ilk.errors import ArgumentError
from ilk.methods import DAC
from ilk.methods.dac import diagnostics
from ilk.methods.dac.settings import BY_NETWORK, for_images, thresholds
from ilk.methods.dac.training_step import Training
from ilk.methods.deepcluster import settings as deepcluster
from ilk.methods.inputs.dataset import FeatureDataset, PixelDataset
from ilk.methods.training import cut

# -- presets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preset", "side", "network", "epochs", "first", "last"),
    [
        ("paper", 28, "mnist", 46, (0.95, 0.455), (0.5045, 0.49955)),
        ("paper", 32, "cifar", 46, (0.95, 0.455), (0.5045, 0.49955)),
        ("paper", 96, "imagenet10", 46, (0.95, 0.455), (0.5045, 0.49955)),
        ("keras_port", 28, "mnist", 47, (0.95, 0.455), (0.4946, 0.50054)),
        ("released_star", 28, "mnist", 20, (0.9, 0.9), (0.52, 0.52)),
        ("released_star", 32, "cifar_star", 50, (0.99, 0.99), (0.7548, 0.7548)),
        ("released_star", 96, "imagenet10", 50, (0.99, 0.99), (0.7548, 0.7548)),
        ("released_dac", 32, "cifar", 50, (0.99, 0.80), (0.8969, 0.8931)),
    ],
)
def test_network_and_thresholds_of_a_preset(
    preset: str, side: int, network: str, epochs: int, first: tuple, last: tuple
) -> None:
    settings = settings_of(preset, side)
    found = thresholds(settings)
    assert (settings.network, settings.image_size) == (network, side)
    assert len(found) == epochs
    assert found[0] == pytest.approx(first)
    assert found[-1] == pytest.approx(last)
    assert "auto" not in settings.as_dict().values()


def test_all_pairs_means_one_threshold_in_the_middle() -> None:
    for preset in ("paper", "keras_port", "released_dac"):
        settings = settings_of(preset, 28)
        both, one = thresholds(settings), thresholds(settings.replace(selection="all"))
        assert [(u + low) / 2 for u, low in both] == pytest.approx([u for u, _ in one])
        assert all(u == low for u, low in one)


def test_fewer_epochs_go_the_first_part_of_the_way() -> None:
    settings = settings_of("released_star", 28)
    assert thresholds(settings.replace(epochs=3)) == thresholds(settings)[:3]
    with pytest.raises(ArgumentError, match="take 4 epochs"):
        DAC(2, preset="tiny", epochs=5).fit(np.zeros((4, 8, 8), np.uint8))
    with pytest.raises(ArgumentError, match="take 20 epochs"):
        thresholds(settings.replace(epochs=21))


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
    settings = settings_of("released_star", 8, **BY_NETWORK[network], network="tiny", image_size=8)
    made = Training(PixelDataset(ArrayImages(np.zeros((n, 8, 8), np.uint8)), CPU), settings, 10, 0, False)
    assert made.n_steps() * made.epochs == updates


@pytest.mark.parametrize(
    ("source", "network"),
    [
        (images(4, 8), "small"), (images(4, 23), "small"), (images(4, 24), "mnist"), (images(4, 28), "mnist"),
        (images(4, 32), "features"), (images(4, 200), "features"),
        (open_images(np.random.default_rng(0).normal(size=(4, 8)).astype("f4")), "features"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("preset", ["auto", "robust"])
def test_what_learns_from_given_groups(source: Any, network: str, preset: str) -> None:
    settings = for_images(DAC(3, preset=preset).resolved(), source)
    assert (settings.network, settings.start) == (network, "groups")
    assert "auto" not in settings.as_dict().values()
    assert (settings.rotation > 0) == (network != "features"), "ready-made features are not augmented"


@pytest.mark.parametrize(
    ("asked", "side"),
    [
        ({"network": "stl"}, 200), ({"image_size": 32}, 200), ({"network": "features"}, 8), ({"network": "tiny"}, 28),
        ({"network": "mnist"}, 8), ({"network": "cifar"}, 28), ({"image_size": 32}, 28),
    ],
)  # fmt: skip
def test_auto_trains_the_network_or_the_size_that_is_asked_for(asked: Any, side: int) -> None:
    settings = for_images(DAC(3, **asked).resolved(), images(4, side))
    assert {key: settings[key] for key in asked} == asked
    assert (settings.network == "features") == (asked.get("network") == "features")


@pytest.mark.parametrize(("side", "size"), [(28, 28), (20, 28), (30, 32), (32, 32), (48, 32), (64, 96), (300, 96)])
def test_image_size_is_one_of_the_tabled_ones_and_alike_for_folders_and_methods(side: int, size: int) -> None:
    assert settings_of("released_star", side).image_size == size
    assert network_size(images(4, side)) == size
    found = deepcluster.fill(deepcluster.PRESETS["small"], images(4, side))
    assert (found["image_size"], found["network"]) == (size, "small" if size < 96 else "resnet18")


@pytest.mark.parametrize(("preset", "epochs"), [("auto", 10), ("released_star", 20)])
def test_ready_made_features_take_the_rule_of_digits_without_augmentation(preset: str, epochs: int) -> None:
    settings = for_images(DAC(network="features", preset=preset).resolved(), images(4, 32))
    assert "auto" not in settings.as_dict().values()
    found = (settings.loss, settings.threshold_epochs, settings.rotation, settings.flip)
    assert found == ("squared", epochs, 0.0, False)


def test_ready_made_features_never_run_in_bfloat16() -> None:
    source = images(20).read(torch.arange(20))[:, 0].numpy()
    quick = {"preset": "quick", "epochs": 1, "settings": {"encoder": "pixels"}}
    assert not DAC(2, precision="bf16", **quick).fit(source).bf16_
    assert DAC(2, precision="bf16", preset="tiny", epochs=1, n_trials=1).fit(source).bf16_


def test_bfloat16_is_probed_only_where_the_training_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """200,000 images through the network; 12 of 28 × 28 pixels, 1 threshold and 5 inner epochs are 60."""
    monkeypatch.setattr("ilk.compute.has_bf16", lambda device: True)
    probed: list[bool] = []

    def probe(made: Training) -> Any:
        probed.append(made.bf16)
        return SimpleNamespace(images_per_second=1.0 + made.bf16)

    monkeypatch.setattr(Training, "probe", probe)

    def chosen(network: str, size: int) -> bool:
        source = images(12, 28).read(torch.arange(12))[:, 0].numpy()
        model = DAC(2, preset="released_star", network=network, image_size=size, epochs=1, device="cpu").fit(source)
        return bool(model.bf16_)

    assert not chosen("mnist", 28)
    assert not probed
    monkeypatch.setattr("ilk.train.cost._WORTH", 61)
    assert not chosen("mnist", 28)
    monkeypatch.setattr("ilk.train.cost._WORTH", 60)
    assert chosen("mnist", 28)
    assert probed == [True, False]
    assert not chosen("tiny", 8)  # a network so small gains nothing
    assert probed == [True, False]


# -- batches and targets ----------------------------------------------------------------------------------------------


def test_pixels_are_centred_by_channel() -> None:
    source = images(50, 8, 3)
    x = dataset_of(source).read(torch.arange(50))
    torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(3), atol=1e-6, rtol=0)
    assert float(x.max() - x.min()) == pytest.approx(1, abs=0.02)  # no division by the standard deviation


def test_mnist_trains_on_the_same_chunks_in_every_epoch_and_the_others_do_not() -> None:
    for reshuffle in (False, True):
        made = training(n=120, chunk=50, reshuffle=reshuffle)
        made.begin(0)
        one = made.units(0)
        made.begin(0)
        other = made.units(0)
        assert [len(portion) for portion in one] == [50, 50]  # what is left over is skipped
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True)) is not reshuffle
        assert len(torch.cat(one).unique()) == 100


def test_each_batch_is_trained_twice_and_the_rest_of_a_chunk_left_out() -> None:
    made = training(n=100, chunk=100, batch_size=32, inner_epochs=2, repeats=2, drop_last=True)
    made.begin(0)
    seen = [index for index, _ in made.batches(made.units(0)[0])]
    assert [len(index) for index in seen] == [32] * 12  # 2 inner epochs of 3 full batches, twice each
    assert all(torch.equal(a, b) for a, b in zip(seen[::2], seen[1::2], strict=True))
    assert len(torch.cat(seen[:6:2]).unique()) == 96
    kept = training(n=100, chunk=100, batch_size=32, inner_epochs=1, repeats=1, drop_last=False)
    assert [len(index) for index, _ in kept.batches(kept.units(0)[0])] == [32, 32, 36]
    assert made.n_steps() == 12
    assert kept.n_steps() == 3


def test_a_rest_of_half_a_batch_is_one_of_its_own_as_published_and_a_smaller_one_is_not() -> None:
    def sizes(n: int, batch_size: int = 128) -> list[int]:
        made = training(n=n, chunk=n, batch_size=batch_size, inner_epochs=1, repeats=1, drop_last=False)
        return [len(index) for index, _ in made.batches(made.units(0)[0])]

    assert sizes(1000) == [128] * 7 + [104]
    assert sizes(130) == [130]
    assert sizes(5, 2) == [2, 3]


@pytest.mark.parametrize("n", [130, 192, 300])
def test_no_pair_but_the_diagonal_raises_the_alarm_whatever_the_batches(n: int) -> None:
    made = training(n=n, k=10, chunk=n, batch_size=128, inner_epochs=1)
    begin(made, 1 - 1e-6, 1 - 1e-6)
    made.update(made.units(0)[0])
    positive = round(made.shares()[0], 4)
    assert "threshold is above" in str(diagnostics.alarm(10, positive, 10, made.usual_batch, made.settings))


def test_targets_come_from_images_without_augmentation_on_batches_of_their_own_and_stay() -> None:
    made = training(n=100, chunk=100, target_batch=25, inner_epochs=3)
    made.begin(0)
    portion = made.units(0)[0]
    with torch.no_grad():
        expected = torch.cat([made.label_features(made.dataset.read(part)) for part in portion.split(25)])
        whole = made.label_features(made.dataset.read(portion))
    made.update(portion)
    assert torch.equal(made.frozen, expected)  # unchanged by the 3 inner epochs
    assert not torch.allclose(expected, whole, atol=1e-3)  # the statistics are those of 25 images


def test_the_pairs_of_a_batch_are_the_block_of_the_chunks_targets() -> None:
    made = training(n=64, chunk=64, batch_size=16, repeats=1)
    begin(made, 0.7, 0.7)
    index, pictures = next(iter(made.batches(made.units(0)[0])))
    features = made.label_features(pictures)
    reference = (made.frozen @ made.frozen.T)[index][:, index]
    expected = losses.every_pair(features @ features.T, reference, 0.7, squared=True)
    found = made.pairs(features, made.frozen[index])
    assert float(found.loss.detach()) == pytest.approx(float(expected.loss.detach()), abs=1e-6)
    assert float(found.positive) == float(expected.positive)


def test_paper_and_keras_port_read_their_masks_off_the_batch_and_augment_nothing() -> None:
    for preset, of in (("paper", losses.selected_mean), ("keras_port", losses.selected_sum)):
        made = training(preset, n=64, batch_size=16, steps_per_epoch=None)
        begin(made, 0.95, 0.455)
        index, pictures = next(iter(made.batches(made.units(0)[0])))
        assert made.frozen is None
        features = made.label_features(pictures)
        expected = of(features @ features.T, 0.95, 0.455)
        assert float(made.step(index, pictures).detach()) == pytest.approx(float(expected.loss.detach()), abs=1e-7)


def test_one_pass_for_the_paper_and_a_thousand_draws_for_the_keras_port() -> None:
    paper, port = training("paper", n=100, batch_size=32), training("keras_port", n=100, batch_size=32)
    paper.begin(0)
    drawn = torch.cat([index for part in paper.units(0) for index, _ in paper.batches(part)])
    assert len(drawn) == len(drawn.unique()) == 96
    assert port.n_steps() == 1000


def test_the_consistency_loss_has_its_published_weight_and_its_slip() -> None:
    made = training(n=32, chunk=32, batch_size=32, consistency=10.0, rotation=0.0, translate=0.0, zoom=[1, 1],
                   channel_shift=0.0, contrast_scale=1.0)  # fmt: skip
    made.begin(0)
    index, pictures = next(iter(made.batches(made.units(0)[0])))
    z = made.label_features(pictures).detach()
    target = made.frozen[index]
    with_, made.settings = float(made.step(index, pictures).detach()), made.settings.replace(consistency=0.0)
    without = float(made.step(index, pictures).detach())
    expected = float(losses.cross_entropy(z, target))
    assert with_ - without == pytest.approx(10 * expected, rel=1e-4)
    made.settings = made.settings.replace(consistency_of="mixed")
    slip = losses.cross_entropy(z / z.sum(1, keepdim=True), target)
    assert float(made.consistency(z, target)) == pytest.approx(float(slip), rel=1e-5)
    made.settings = made.settings.replace(consistency_of="softmax")
    same = losses.cross_entropy(z / z.sum(1, keepdim=True), target / target.sum(1, keepdim=True))
    assert float(made.consistency(z, target)) == pytest.approx(float(same), rel=1e-5)


def test_images_of_the_keras_port_train_in_one_step() -> None:
    """300 × 300 × 3 and 153 groups: a job for a GPU; here one step on three images, by the loss of that port."""
    source = images(3, 300, 3)
    settings = settings_of("keras_port", 300, 3, network="imagenet10", image_size=300, batch_size=3)
    made = Training(dataset_of(source), settings, 153, 0, False)
    begin(made, 0.95, 0.455)
    before = [p.detach().clone() for p in made.network.parameters() if p.requires_grad]
    assert made.label_features(made.dataset.read(torch.arange(3))).shape == (3, 153)
    loss = made.update(torch.arange(1))
    after = [p for p in made.network.parameters() if p.requires_grad]
    assert 0 < loss < 20
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_rmsprop_as_published_and_reset_where_it_was() -> None:
    for preset, reset in (("released_dac", True), ("released_star", False)):
        made = training(preset, n=64, chunk=64, batch_size=16, inner_epochs=1)
        group = made.optimizer.param_groups[0]
        assert (group["lr"], group["alpha"], group["momentum"], group["centered"]) == (1e-3, 0.9, 0, False)
        made.begin(0)
        made.update(made.units(0)[0])
        assert made.optimizer.state
        made.begin(0)
        assert (not made.optimizer.state) is reset


def test_random_selection_keeps_how_many_pairs_are_alike() -> None:
    made = training(n=64, chunk=64, batch_size=64, selection="random")
    begin(made, 0.7, 0.7)
    made.frozen = made.made_targets(torch.arange(64))
    features = made.label_features(made.dataset.read(torch.arange(64)))
    shares = {float(made.pairs(features, made.frozen).positive) for _ in range(3)}
    losses_ = {float(made.pairs(features, made.frozen).loss.detach()) for _ in range(3)}
    assert len(shares) == 1
    assert len(losses_) == 3


def test_measuring_the_cost_changes_nothing() -> None:
    made, other = training(), training()
    cost = made.probe()
    assert cost is not None
    assert cost.seconds > 0
    assert Training(made.dataset, made.settings, 3, 0, False, trial=1).probe() is None  # counted with the first
    made.sums += 1
    made.check_memory()
    assert made.frozen is None
    assert made.sums.tolist() == [1, 1, 1]
    for a in (made, other):
        a.begin(0)
    assert made.update(made.units(0)[0]) == other.update(other.units(0)[0])


def test_features_have_length_1_before_they_are_centred() -> None:
    raw = np.random.default_rng(0).normal(3, 1, (40, 6)).astype(np.float16)
    dataset = FeatureDataset.centered(raw, CPU)
    rows = raw.astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(dataset.read(torch.arange(40)), rows - rows.mean(0), atol=1e-6)


def test_batches_never_end_in_a_single_image() -> None:
    assert [len(b) for b in cut(torch.arange(5), 2, least=2)] == [2, 3]
    assert [len(b) for b in cut(torch.arange(1), 2, least=2)] == [1]
