"""Autoencoders, GAN, DEC and JULE: what training is worth on real digits, and what is peculiar to each."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from ilk import compute, losses, metrics, train
from ilk.data import ArrayImages
from ilk.errors import ArgumentError, Diverged, Interrupted, RunError
from ilk.methods import (
    DEC,
    GAN,
    JULE,
    SWWAE,
    VAE,
    Autoencoder,
    Deconvolutional,
    DenoisingAutoencoder,
    SparseAutoencoder,
    find,
)
from ilk.methods.baselines.autoencoder_steps import LOSSES, Reconstructing
from ilk.methods.baselines.dec_presets import DEFAULT
from ilk.methods.baselines.dec_steps import CenteredAutoencoder, Embedding
from ilk.methods.inputs.dataset import Pixels
from ilk.networks.autoencoders import DenseAutoencoder
from ilk.runs import checked_figure

DATA = load_digits()
IMAGES, TRUTH = np.round(DATA.images * 255 / 16).astype(np.uint8), DATA.target
DENSE = {"widths": [128, 256], "code": 10, "batch_size": 64, "epochs": 10, "n_init": 5}


def accuracy(cls: Any, settings: dict[str, Any], **options: Any) -> float:
    return metrics.accuracy(TRUTH, cls(10, settings=settings, **options).fit(IMAGES).labels_)


# -- autoencoders ------------------------------------------------------------------------------------------------------


def test_an_autoencoder_learns_features_of_digits() -> None:
    settings = {"widths": [128], "code": 10, "batch_size": 32, "epochs": 5, "n_init": 3}
    assert accuracy(Autoencoder, {**settings, "lr": 3e-3}) > accuracy(Autoencoder, {**settings, "lr": 0.0}) + 0.1


@pytest.mark.parametrize(
    ("cls", "settings", "share"),
    [
        (Autoencoder, DENSE, 0.5),
        (DenoisingAutoencoder, DENSE, 0.6),
        (SparseAutoencoder, DENSE, 1.0),
        (VAE, DENSE, 1.0),
        (Deconvolutional, {"channels": [8, 16], "kernels": [3, 3], "code": 8}, 0.8),
        (SWWAE, {"channels": [8, 16]}, 0.6),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_images_come_back_better_than_their_mean(cls: Any, settings: dict[str, Any], share: float) -> None:
    short = {"epochs": 12, "batch_size": 16, "lr": 5e-3, "n_init": 1}
    model = cls(10, settings={**settings, **short}).fit(IMAGES[:400])
    losses_ = [record["loss"] for record in model.history_ if "loss" in record]
    assert losses_[-1] < losses_[0]
    images = torch.from_numpy(IMAGES[:400, None]).float() / 255
    with torch.no_grad():
        again = model.network_.reconstruct(images)
    blind = (images - images.mean(0)).square().mean()
    assert (again - images).square().mean() < share * blind
    for figure in model.figures():
        checked_figure(figure)
    assert {"reconstructions"} | ({"samples"} if cls is VAE else set()) == {f["name"] for f in model.figures()}


def test_each_loss_is_what_its_page_says() -> None:
    images = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    net = DenseAutoencoder((1, 4, 4), [8], 3, sigmoid=True)
    table = {"corruption": 0.5, "sparsity": 2.0, "target": 0.1, "weight_decay": 0.01}
    draws = compute.generator(0)
    with torch.no_grad():
        plain = LOSSES["squared"](net, images, draws, table)
        torch.testing.assert_close(plain, (net.reconstruct(images) - images).square().mean())
        kept = torch.rand(images.shape, generator=compute.generator(5)) >= 0.5
        noisy = LOSSES["denoising"](net, images, compute.generator(5), table)
        torch.testing.assert_close(noisy, (net.reconstruct(images * kept) - images).square().mean())
        weights = sum(float(p.square().sum()) for name, p in net.named_parameters() if name.endswith("weight"))
        expected = (net.reconstruct(images) - images).square().sum() / 12
        expected = expected + 2 * losses.bernoulli_divergence(net.body(images), 0.1) + 0.005 * weights
        torch.testing.assert_close(LOSSES["sparse"](net, images, draws, table), expected)


def test_sparse_units_become_silent() -> None:
    settings = {"widths": [40], "code": None, "epochs": 30, "batch_size": 32, "n_init": 2}
    means = []
    for sparsity in (0.0, 3.0):
        model = SparseAutoencoder(3, settings={**settings, "sparsity": sparsity}).fit(IMAGES[:300])
        means.append(float(model.space_.mean()))
    assert means[1] < 0.15 < means[0]


def test_codes_may_be_grouped_by_umap_and_a_mixture() -> None:
    settings = {**DENSE, "epochs": 3, "reducer": "pca"}
    model = Autoencoder(3, preset="n2d", settings=settings).fit(IMAGES[:200])
    assert model.embedding_.shape == (200, 10)
    assert model.place_.voter.votes == 15
    assert model.space_.shape == (200, 10)
    assert np.array_equal(model.predict(IMAGES[:40]), model.labels_[:40])


# -- DEC ---------------------------------------------------------------------------------------------------------------


def test_moving_codes_and_centres_is_worth_more_than_kmeans_on_the_codes() -> None:
    settings = {**DENSE, "rounds": 12, "interval": 40, "cluster_lr": 0.1}
    fixed = accuracy(DEC, {**settings, "cluster_lr": 0.0, "rounds": 1, "tolerance": 0.0})
    assert accuracy(DEC, settings) > fixed + 0.015


def learner(**changed: Any) -> Embedding:
    table = {**DEFAULT, "epochs": 1, "rounds": 3, "interval": 5, "widths": [16], "code": 4, "batch_size": 32, **changed}
    with compute.seeded(0):
        net = CenteredAutoencoder((1, 8, 8), table["widths"], table["code"], 10)
    pool = Pixels(ArrayImages(IMAGES[:200]), torch.zeros(1), torch.device("cpu"))
    return Embedding(net, pool, table, 10, False, 0)


def test_the_target_is_made_from_all_images() -> None:
    made = learner()
    made.epoch(0, lambda record: None)
    made._begin()
    before = losses.student_t(made._codes(), made.network.centers.detach())
    made.epoch(1, lambda record: None)
    again = learner()
    again.epoch(0, lambda record: None)
    again.epoch(1, lambda record: None)
    torch.testing.assert_close(again.target, losses.sharpened(before), rtol=1e-5, atol=1e-7)
    assert again.target.shape == (200, 10)
    assert not torch.allclose(again.target[:32], losses.sharpened(before[:32]))  # not from a batch


def test_assignments_are_made_once_between_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    codes = Embedding._codes
    monkeypatch.setattr(Embedding, "_codes", lambda self: (passes.append(1), codes(self))[1])

    def trained(keep: bool) -> Embedding:
        made = learner(tolerance=0.0)
        made.epoch(0, lambda record: None)
        for number in (1, 2, 3):
            made.epoch(number, lambda record: None)
            made._soft = made._soft if keep else None  # nothing is kept where a fit goes on from a state
        return made

    kept, count = trained(True), len(passes)
    anew = trained(False)
    assert (count, len(passes) - count) == (4, 6)
    assert torch.equal(kept.target, anew.target)
    assert np.array_equal(kept.memory["labels"], anew.memory["labels"])
    for name, value in kept.network.state_dict().items():
        assert torch.equal(value, anew.network.state_dict()[name]), name


def test_rounds_end_when_hardly_any_image_changes_its_group() -> None:
    made = learner(tolerance=1.0)
    made.epoch(0, lambda record: None)
    assert made.epochs == 4
    made.epoch(1, lambda record: None)
    assert made.epochs == 2
    model = DEC(3, preset="tiny", settings={"tolerance": 1.0, "rounds": 9}).fit(IMAGES[:60])
    told = [record for record in model.history_ if "epoch" in record]
    assert [record["phase"] for record in told] == ["autoencoder", "autoencoder", "clustering"]
    assert told[-1]["epoch"] == told[-1]["epochs"] == 3


def test_a_fit_that_ended_early_is_gone_on_with_as_ended() -> None:
    kept: dict[str, Any] = {}

    def stop(record: dict[str, Any], state: Any) -> bool:
        if record.get("phase") == "clustering":
            kept.update(state())
        return bool(kept)

    options: dict[str, Any] = {"preset": "tiny", "settings": {"tolerance": 1.0, "rounds": 9}}
    with pytest.raises(Interrupted):
        DEC(3, **options).fit(IMAGES[:60], on_epoch=stop)
    again = DEC(3, **options).fit(IMAGES[:60], resume=kept)
    assert np.array_equal(again.labels_, DEC(3, **options).fit(IMAGES[:60]).labels_)


def test_the_decoder_learns_on_only_with_its_error_in_the_loss() -> None:
    for reconstruction, moves in ((0.0, False), (1.0, True)):
        made = learner(reconstruction=reconstruction)
        made.epoch(0, lambda record: None)
        before = [p.detach().clone() for p in made.network.decoder.parameters()]
        made.epoch(1, lambda record: None)
        same = [torch.equal(p, q) for p, q in zip(before, made.network.decoder.parameters(), strict=True)]
        assert all(same) is not moves


def test_training_sharpens() -> None:
    settings = {**DENSE, "rounds": 4, "interval": 40, "cluster_lr": 0.1}
    model = DEC(10, settings=settings).fit(IMAGES[:600])
    sure = [record["confidence"] for record in model.history_ if record.get("phase") == "clustering"]
    assert sure[-1] > sure[0]
    figure = checked_figure(model.figures()[0])
    start, end = figure["series"].values()
    assert start.sum() == pytest.approx(1)
    assert (end * figure["x"]).sum() > (start * figure["x"]).sum()


# -- GAN ---------------------------------------------------------------------------------------------------------------


def test_both_networks_move_and_neither_learns_from_the_others_loss() -> None:
    model = GAN(3, preset="tiny").fit(IMAGES[:100])
    told = [record for record in model.history_ if "generator_loss" in record]
    assert len(told) == 2
    assert all(0 < record["loss"] < 5 for record in told)
    assert model.pictures_["samples"].shape == (32, 8, 8)
    checked_figure(model.figures()[0])
    from ilk.methods.baselines.gan_presets import PRESETS
    from ilk.methods.baselines.gan_steps import Adversarial

    pool = Pixels(ArrayImages(IMAGES[:64]), torch.zeros(1), torch.device("cpu"))
    made = Adversarial(model.network_, pool, PRESETS["tiny"], False, 0)
    parts = {"discriminator": model.network_.discriminator, "generator": model.network_.generator}
    before = {name: [p.detach().clone() for p in net.parameters()] for name, net in parts.items()}
    noise = made._step(pool.read(torch.arange(16)) * 2 - 1)
    assert torch.isfinite(noise).all()
    for name, net in parts.items():
        assert not all(torch.equal(p, q) for p, q in zip(before[name], net.parameters(), strict=True)), name


@pytest.mark.parametrize("batch_size", [16, 96])
def test_batch_norms_of_a_gan_end_with_the_statistics_of_real_images(batch_size: int) -> None:
    images = IMAGES[:96].repeat(2, 1).repeat(2, 2)  # 16 pixels: a second convolution, the first that has a batch norm
    model = GAN(3, preset="tiny", settings={"batch_size": batch_size}).fit(images)
    first, second = model.network_.discriminator.layers
    norm = second[1]
    with torch.no_grad():
        maps = second[0](first(torch.from_numpy(images[:, None]).float() / 127.5 - 1))
    torch.testing.assert_close(norm.running_mean, maps.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    assert norm.num_batches_tracked == 96 // batch_size
    assert norm.momentum == 0.1
    if batch_size == 96:
        torch.testing.assert_close(norm.running_var, maps.var((0, 2, 3)), rtol=1e-4, atol=1e-6)
    again = GAN.from_state(model.state())
    assert torch.equal(again.network_.discriminator.layers[1][1].running_var, norm.running_var)
    assert np.array_equal(again.predict(images), model.labels_)


@pytest.mark.parametrize("cls", [GAN, SWWAE])
def test_codes_are_principal_components_of_what_many_layers_see(cls: Any) -> None:
    model = cls(3, preset="tiny").fit(IMAGES[:100])
    images = torch.from_numpy(IMAGES[:100, None]).float() / 255
    net = model.network_.eval()
    with torch.no_grad():
        seen, codes = net.features(images), net.code(images)
    levels = 3 if cls is SWWAE else 1  # one row, or one part for each level, of length 1
    torch.testing.assert_close(seen.norm(dim=1), torch.full((100,), levels**0.5))
    assert codes.shape == (100, 8)
    covariance = torch.cov(codes.T)
    assert (covariance - torch.diag(covariance.diagonal())).abs().max() < 1e-4 * covariance.max()
    share = covariance.trace() / torch.cov(seen.T).trace()
    assert 0.5 < share < 1.001
    net.train()


# -- all of them -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [Autoencoder, VAE, SWWAE, GAN, DEC, JULE])
def test_bfloat16_is_an_option(cls: Any) -> None:
    model = cls(3, preset="tiny", precision="bf16").fit(IMAGES[:60])
    assert model.half_
    assert np.isfinite(model.space_).all()
    assert np.array_equal(model.predict(IMAGES[:20]), model.labels_[:20])


@pytest.mark.parametrize("cls", [Autoencoder, VAE, SWWAE, DEC])
def test_a_probe_of_the_speed_changes_nothing(cls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = cls(3, preset="tiny", precision="fp32").fit(IMAGES[:60])
    monkeypatch.setattr("ilk.compute.has_bf16", lambda place: True)
    monkeypatch.setattr("ilk.train.cost._WORTH", 0)
    speeds: list[float] = []
    real = Reconstructing.speed

    def told(self: Reconstructing) -> float:
        before = [p.detach().clone() for p in self.network.parameters()]
        speeds.append(real(self))
        assert all(torch.equal(p, q) for p, q in zip(before, self.network.parameters(), strict=True))
        return 1.0

    monkeypatch.setattr(Reconstructing, "speed", told)
    probed = cls(3, preset="tiny").fit(IMAGES[:60])
    assert len(speeds) == 2
    assert min(speeds) > 0
    assert np.array_equal(probed.space_, asked.space_)


def test_bfloat16_is_taken_where_it_is_faster_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ilk.compute.has_bf16", lambda place: True)
    monkeypatch.setattr("ilk.train.cost._WORTH", 0)
    monkeypatch.setattr(Reconstructing, "speed", lambda self: 1.2 if self.half else 1.0)
    states: list[dict[str, Any]] = []
    model = Autoencoder(3, preset="tiny").fit(IMAGES[:60], on_epoch=lambda record, state: states.append(state()))
    assert model.half_
    monkeypatch.setattr(Reconstructing, "speed", lambda self: 1.05 if self.half else 1.0)
    assert not Autoencoder(3, preset="tiny").fit(IMAGES[:60]).half_
    middle = next(state for state in states if state.get("epoch") == 1)
    resumed = Autoencoder(3, preset="tiny").fit(IMAGES[:60], resume=middle)
    assert resumed.half_
    assert np.array_equal(resumed.space_, model.space_)
    monkeypatch.setattr("ilk.train.cost._WORTH", 10_000)
    assert not Autoencoder(3, preset="tiny").fit(IMAGES[:60]).half_


@pytest.mark.parametrize("cls", [Autoencoder, SWWAE, GAN, JULE])
def test_colour_and_sides_that_differ(cls: Any) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 12, 9, 3), np.uint8)
    model = cls(2, preset="tiny").fit(images)
    assert model.predict(images[..., 0]).shape == (40,)  # grey images, placed by a model that learnt from colour
    for figure in model.figures():
        checked_figure(figure)


def test_training_that_explodes_is_named() -> None:
    with pytest.raises(Diverged, match="lr"):
        Autoencoder(3, preset="tiny", settings={"optimizer": "sgd", "lr": 10.0, "epochs": 30}).fit(IMAGES[:60])


def test_within_an_epoch_there_is_no_state_and_no_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ilk.train.watched", functools.partial(train.watched, every=0))
    states: list[dict[str, Any]] = []

    def hook(record: dict[str, Any], state: Any) -> bool:
        if "step" in record:
            states.append(state())
        return "step" in record

    Autoencoder(3, preset="tiny").fit(IMAGES[:60], on_epoch=hook)
    assert states
    assert not any(states)


def test_a_state_of_other_settings_is_refused() -> None:
    kept: dict[str, Any] = {}

    def stop(record: dict[str, Any], state: Any) -> bool:
        if record.get("epoch") == 1:
            kept.update(state())
        return bool(kept)

    with pytest.raises(Interrupted):
        VAE(3, preset="tiny").fit(IMAGES[:60], on_epoch=stop)
    for again, images in ((VAE(3, preset="tiny", random_state=1), IMAGES[:60]), (VAE(3, preset="tiny"), IMAGES[:61])):
        with pytest.raises(RunError, match="other settings"):
            again.fit(images, resume=kept)


@pytest.mark.parametrize(
    ("name", "settings", "hint"),
    [
        ("autoencoder", {"widths": 500}, "list"),
        ("autoencoder", {"groups": "gmm"}, "umap"),
        ("autoencoder", {"optimizer": "lion"}, "adam"),
        ("denoising_autoencoder", {"corruption": 1.5}, "from 0 to 1"),
        ("sparse_autoencoder", {"target": 0.0}, "target"),
        ("deconvolutional", {"kernels": [3]}, "as many as"),
        ("deconvolutional", {"kernels": [5, 4, 3]}, "kernels=.*odd"),
        ("swwae", {"middle": -1}, "middle"),
        ("swwae", {"code": 0}, "at least 1"),
        ("vae", {"beta": "x"}, "beta"),
        ("dec", {"rounds": 0}, "at least 1"),
        ("dec", {"alpha": 0}, "alpha"),
        ("jule", {"rate": 1.0}, "rate"),
        ("jule", {"rerun": 1}, "true or false"),
        ("jule", {"statistics": "all"}, "running, batch"),
        ("gan", {"width": 0}, "at least 1"),
        ("gan", {"kernel": 0}, "at least 1"),
        ("gan", {"epochs": 0}, "at least 1"),
    ],
)
def test_settings_out_of_range_are_named(name: str, settings: dict[str, Any], hint: str) -> None:
    with pytest.raises(ArgumentError, match=hint):
        find(name)(3, settings=settings).resolved()
