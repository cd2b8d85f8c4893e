"""Autoencoders, GAN, DEC and JULE: what training is worth on real digits, and what is peculiar to each."""

from __future__ import annotations

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
from ilk.methods.inputs.dataset import PixelDataset
from ilk.networks.autoencoders import DenseAutoencoder
from ilk.runs import checked_figure

DATA = load_digits()
IMAGES, TRUTH = np.round(DATA.images * 255 / 16).astype(np.uint8), DATA.target
DENSE = {"hidden_dims": [128, 256], "latent_dim": 10, "batch_size": 64, "epochs": 10, "n_init": 5}


def accuracy(cls: Any, settings: dict[str, Any], **options: Any) -> float:
    return metrics.accuracy(TRUTH, cls(10, settings=settings, **options).fit(IMAGES).labels_)


# -- autoencoders ------------------------------------------------------------------------------------------------------


def test_an_autoencoder_learns_features_of_digits() -> None:
    settings = {"hidden_dims": [128], "latent_dim": 10, "batch_size": 32, "epochs": 5, "n_init": 3}
    assert accuracy(Autoencoder, {**settings, "lr": 3e-3}) > accuracy(Autoencoder, {**settings, "lr": 0.0}) + 0.1


@pytest.mark.parametrize(
    ("cls", "settings", "share"),
    [
        (Autoencoder, DENSE, 0.5),
        (DenoisingAutoencoder, DENSE, 0.6),
        (SparseAutoencoder, DENSE, 1.0),
        (VAE, DENSE, 1.0),
        (Deconvolutional, {"channels": [8, 16], "kernels": [3, 3], "latent_dim": 8}, 0.8),
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
    noisy_settings = DenoisingAutoencoder.presets["tiny"].replace(corruption=0.5)
    sparse_settings = SparseAutoencoder.presets["tiny"].replace(sparsity=2.0, target=0.1, weight_decay=0.01)
    draws = compute.generator(0)
    with torch.no_grad():
        plain = LOSSES["squared"](net, images, draws, noisy_settings)
        torch.testing.assert_close(plain, (net.reconstruct(images) - images).square().mean())
        kept = torch.rand(images.shape, generator=compute.generator(5)) >= 0.5
        noisy = LOSSES["denoising"](net, images, compute.generator(5), noisy_settings)
        torch.testing.assert_close(noisy, (net.reconstruct(images * kept) - images).square().mean())
        weights = sum(float(p.square().sum()) for name, p in net.named_parameters() if name.endswith("weight"))
        expected = (net.reconstruct(images) - images).square().sum() / 12
        expected = expected + 2 * losses.sparsity_kl(net.body(images), 0.1) + 0.005 * weights
        torch.testing.assert_close(LOSSES["sparse"](net, images, draws, sparse_settings), expected)


def test_sparse_units_become_silent() -> None:
    settings = {"hidden_dims": [40], "latent_dim": None, "epochs": 30, "batch_size": 32, "n_init": 2}
    means = []
    for sparsity in (0.0, 3.0):
        model = SparseAutoencoder(3, settings={**settings, "sparsity": sparsity}).fit(IMAGES[:300])
        means.append(float(model.space_.mean()))
    assert means[1] < 0.15 < means[0]


def test_codes_may_be_grouped_by_umap_and_a_mixture() -> None:
    settings = {**DENSE, "epochs": 3, "reducer": "pca"}
    model = Autoencoder(3, preset="n2d", settings=settings).fit(IMAGES[:200])
    assert model.embedding_.shape == (200, 10)
    assert model.assigner_.voter.votes == 15
    assert model.space_.shape == (200, 10)
    assert np.array_equal(model.predict(IMAGES[:40]), model.labels_[:40])


# -- GAN ---------------------------------------------------------------------------------------------------------------


def test_both_networks_move_and_neither_learns_from_the_others_loss() -> None:
    model = GAN(3, preset="tiny").fit(IMAGES[:100])
    told = [record for record in model.history_ if "generator_loss" in record]
    assert len(told) == 2
    assert all(0 < record["loss"] < 5 for record in told)
    assert model.pictures_["samples"].shape == (32, 8, 8)
    checked_figure(model.figures()[0])
    from ilk.methods.baselines.gan_steps import Adversarial

    dataset = PixelDataset(ArrayImages(IMAGES[:64]), torch.device("cpu"), torch.zeros(1))
    made = Adversarial(model.network_, dataset, GAN.presets["tiny"], False, 0)
    parts = {"discriminator": model.network_.discriminator, "generator": model.network_.generator}
    before = {name: [p.detach().clone() for p in net.parameters()] for name, net in parts.items()}
    assert torch.isfinite(made.update(torch.arange(16)))
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
    assert model.bf16_
    assert np.isfinite(model.space_).all()
    assert np.array_equal(model.predict(IMAGES[:20]), model.labels_[:20])


@pytest.mark.parametrize("cls", [Autoencoder, VAE, SWWAE, DEC])
def test_a_probe_of_the_speed_changes_nothing(cls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = cls(3, preset="tiny", precision="fp32").fit(IMAGES[:60])
    monkeypatch.setattr("ilk.compute.has_bf16", lambda place: True)
    monkeypatch.setattr("ilk.train.cost._WORTH", 0)
    speeds: list[float] = []
    real = Reconstructing.probe

    def probe(self: Reconstructing) -> train.Cost:
        before = [p.detach().clone() for p in self.network.parameters()]
        found = real(self)
        speeds.append(found.images_per_second)
        assert all(torch.equal(p, q) for p, q in zip(before, self.network.parameters(), strict=True))
        return train.Cost(1.0, 0, 1.0, "cpu")

    monkeypatch.setattr(Reconstructing, "probe", probe)
    probed = cls(3, preset="tiny").fit(IMAGES[:60])
    assert len(speeds) == 2
    assert min(speeds) > 0
    assert np.array_equal(probed.space_, asked.space_)


def test_bfloat16_is_taken_where_it_is_faster_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ilk.compute.has_bf16", lambda place: True)
    monkeypatch.setattr("ilk.train.cost._WORTH", 0)

    def faster(times: float) -> None:
        found = {True: train.Cost(1.0, 0, times, "cpu"), False: train.Cost(1.0, 0, 1.0, "cpu")}
        monkeypatch.setattr(Reconstructing, "probe", lambda self: found[self.bf16])

    faster(1.2)
    states: list[dict[str, Any]] = []
    model = Autoencoder(3, preset="tiny").fit(IMAGES[:60], on_epoch=lambda record, state: states.append(state()))
    assert model.bf16_
    faster(1.05)
    assert not Autoencoder(3, preset="tiny").fit(IMAGES[:60]).bf16_
    middle = next(state for state in states if state.get("epoch") == 1)
    resumed = Autoencoder(3, preset="tiny").fit(IMAGES[:60], resume=middle)
    assert resumed.bf16_
    assert np.array_equal(resumed.space_, model.space_)
    monkeypatch.setattr("ilk.train.cost._WORTH", 10_000)
    assert not Autoencoder(3, preset="tiny").fit(IMAGES[:60]).bf16_


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


@pytest.mark.parametrize(
    ("cls", "at"), [(Autoencoder, 3), (VAE, 7), (SWWAE, 7), (GAN, 7), (DEC, 3), (DEC, 10), (JULE, 3), (JULE, 7)]
)
def test_a_training_left_within_an_epoch_goes_on_to_the_bit(cls: Any, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ilk.methods.training.loop.SHOW_EVERY", 0.0)
    monkeypatch.setattr("ilk.methods.training.loop.LEAVE_EVERY", 0.0)
    kept: dict[str, Any] = {}
    seen: list[dict[str, Any]] = []

    def stop(record: dict[str, Any], state: Any) -> bool:
        if "step" in record:
            seen.append(record)
            if len(seen) == at:
                kept.update(state())
        return bool(kept)

    whole = cls(3, preset="tiny").fit(IMAGES[:80])
    with pytest.raises(Interrupted, match="within epoch"):
        cls(3, preset="tiny").fit(IMAGES[:80], on_epoch=stop)
    assert seen[-1].keys() >= {"step", "steps", "done", "total"}
    again = cls(3, preset="tiny").fit(IMAGES[:80], resume=kept)
    assert np.array_equal(again.space_, whole.space_)
    assert np.array_equal(again.labels_, whole.labels_)
    records, expected = ([r for r in model.history_ if "epoch" in r] for model in (again, whole))
    assert records == expected


def test_a_state_of_other_settings_is_refused() -> None:
    kept: dict[str, Any] = {}

    def stop(record: dict[str, Any], state: Any) -> bool:
        if record.get("epoch") == 1:
            kept.update(state())
        return bool(kept)

    with pytest.raises(Interrupted):
        VAE(3, preset="tiny").fit(IMAGES[:60], on_epoch=stop)
    cases = [
        (VAE(3, preset="tiny", random_state=1), IMAGES[:60], kept, r"other settings \(random_state\)"),
        (VAE(3, preset="tiny"), IMAGES[:61], kept, "other images"),
        (VAE(3, preset="tiny"), IMAGES[:60], {**kept, "format": None}, "another version of ilk"),
        (VAE(3, preset="tiny"), IMAGES[:60], {k: v for k, v in kept.items() if k != "unit"}, "lacks 'unit'"),
    ]
    for again, images, state, words in cases:
        with pytest.raises(RunError, match=words):
            again.fit(images, resume=state)


@pytest.mark.parametrize(
    ("name", "settings", "hint"),
    [
        ("autoencoder", {"hidden_dims": 500}, "list"),
        ("autoencoder", {"groups": "gmm"}, "umap"),
        ("autoencoder", {"optimizer": "lion"}, "adam"),
        ("denoising_autoencoder", {"corruption": 1.5}, "from 0 to 1"),
        ("sparse_autoencoder", {"target": 0.0}, "target"),
        ("deconvolutional", {"kernels": [3]}, "as many as"),
        ("deconvolutional", {"kernels": [5, 4, 3]}, "kernels=.*odd"),
        ("swwae", {"middle": -1}, "middle"),
        ("swwae", {"pca_dim": 0}, "at least 1"),
        ("vae", {"beta": "x"}, "beta"),
        ("dec", {"rounds": 0}, "at least 1"),
        ("dec", {"t_dof": 0}, "t_dof"),
        ("jule", {"rate": 1.0}, "rate"),
        ("jule", {"rerun": 1}, "true or false"),
        ("jule", {"statistics": "all"}, "batch, running"),
        ("gan", {"base_channels": 0}, "at least 1"),
        ("gan", {"kernel": 0}, "at least 1"),
        ("gan", {"epochs": 0}, "at least 1"),
    ],
)
def test_settings_out_of_range_are_named(name: str, settings: dict[str, Any], hint: str) -> None:
    with pytest.raises(ArgumentError, match=hint):
        find(name)(3, settings=settings).resolved()


@pytest.mark.parametrize(("precision", "tf32"), [("fp32", False), ("auto", True)])
def test_float32_that_is_asked_for_is_not_tf32(precision: str, tf32: bool) -> None:
    convolutions = torch.backends.cudnn
    before, seen = convolutions.allow_tf32, []
    convolutions.allow_tf32 = True
    try:
        DEC(3, preset="tiny", precision=precision).fit(
            IMAGES[:60], on_epoch=lambda *_: seen.append(convolutions.allow_tf32)
        )
        assert set(seen) == {tf32}
        assert convolutions.allow_tf32
    finally:
        convolutions.allow_tf32 = before
