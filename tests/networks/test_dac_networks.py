"""The networks against the table of the published ones: sizes, layers, weights at the start, batch norm."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ilk import losses
from ilk.errors import ArgumentError
from ilk.networks.dac import NETWORKS, BatchNorm, DACNet, build_dac_head, build_dac_net, plan


def build(name: str, channels: int, side: int, k: int = 10, *, affine: bool = True, seed: int = 0) -> DACNet:
    return build_dac_net(name, channels, side, k, affine=affine, generator=torch.Generator().manual_seed(seed))


TRACES = {
    "mnist": (1, 28, [28, 26, 24, 22, 11, 9, 7, 5, 2, 2, 1]),
    "cifar_star": (3, 32, [32, 30, 28, 14, 12, 10, 5, 5, 1]),
    "cifar": (3, 32, [32, 30, 28, 26, 13, 11, 9, 7, 3, 3, 1]),
    "stl": (3, 96, [96, 94, 92, 90, 45, 43, 41, 39, 19, 17, 15, 13, 6, 6, 1]),
    "imagenet10": (3, 96, [96, 94, 92, 90, 45, 43, 41, 39, 19, 17, 15, 13, 6, 6, 1]),
    "dog": (3, 96, [96, 92, 88, 22, 20, 18, 4, 4, 1]),
    "small": (1, 16, [16, 14, 12, 6, 4, 2, 1, 1, 1]),
}


@pytest.mark.parametrize("name", TRACES)
def test_spatial_sizes_are_those_of_the_table(name: str) -> None:
    channels, side, expected = TRACES[name]
    net, x, seen = build(name, channels, side), torch.zeros(2, channels, side, side), [side]
    for layer in net.trunk:
        x = layer(x)
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            seen.append(x.shape[-1])
    assert seen == expected
    assert x.shape == (2, 10, 1, 1)


def test_the_mnist_network_layer_by_layer() -> None:
    net = build("mnist", 1, 28, 7)
    convolutions = [layer for layer in net.trunk if isinstance(layer, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels, c.kernel_size[0]) for c in convolutions] == [
        (1, 64, 3), (64, 64, 3), (64, 64, 3), (64, 128, 3), (128, 128, 3), (128, 128, 3), (128, 7, 1),
    ]  # fmt: skip
    assert all(c.padding == (0, 0) and c.stride == (1, 1) and c.bias is not None for c in convolutions)
    # 7 convolutions, both poolings and the average pooling carry a batch norm each, the head two
    assert len(net.norms()) == 7 + 2 + 1 + 2
    kinds = [type(layer) for layer in net.head]
    assert kinds == [nn.Linear, BatchNorm, nn.ReLU, nn.Linear, BatchNorm, nn.ReLU]


@pytest.mark.parametrize(("name", "relu"), [("cifar", False), ("cifar_star", False), ("stl", True), ("dog", True)])
def test_colour_networks_have_no_norm_behind_pooling_and_some_no_last_relu(name: str, relu: bool) -> None:
    channels, side, _ = TRACES[name]
    net = build(name, channels, side)
    convolutions = sum(isinstance(layer, nn.Conv2d) for layer in net.trunk)
    assert len(net.norms()) == convolutions + 2
    assert isinstance(net.head[-1], nn.ReLU) is relu


def test_weights_start_as_he_normal_by_fan_in_and_identity() -> None:
    net = build("mnist", 1, 28)
    for layer in net.trunk:
        if isinstance(layer, nn.Conv2d):
            fan_in = layer.in_channels * layer.kernel_size[0] ** 2
            assert float(layer.weight.detach().std()) == pytest.approx(math.sqrt(2 / fan_in), rel=0.15)
            assert not layer.bias.any()
    wide = net.trunk[3].weight.detach().flatten() / math.sqrt(2 / (64 * 9))
    assert wide.abs().max() > 3.5  # a plain Gaussian, not a truncated one
    for layer in net.head:
        if isinstance(layer, nn.Linear):
            assert torch.equal(layer.weight, torch.eye(10))


def test_same_generator_same_weights_and_the_global_one_is_left_alone() -> None:
    before = torch.get_rng_state()
    one, other, third = build("tiny", 1, 8), build("tiny", 1, 8), build("tiny", 1, 8, seed=1)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))
    assert not torch.equal(one.trunk[0].weight, third.trunk[0].weight)


@pytest.mark.parametrize(("side", "blocks"), [(96, 3), (191, 3), (192, 4), (300, 4), (384, 5)])
def test_one_block_more_for_each_doubling_above_96(side: int, blocks: int) -> None:
    assert len(plan("imagenet10", side).blocks) == blocks


def test_images_that_are_too_small_and_unknown_names_are_named() -> None:
    with pytest.raises(ArgumentError, match="image_size=20"):
        plan("mnist", 20)
    with pytest.raises(ArgumentError, match="Did you mean 'mnist'"):
        plan("mnits", 28)
    with pytest.raises(ArgumentError, match=r"image_size=384: the 4 blocks that network 'dog' has .* leave nothing"):
        plan("dog", 384)


@pytest.mark.parametrize("side", [28, 40, 44, 48, 64])
def test_the_network_of_32_pixels_takes_larger_images_too(side: int) -> None:
    net = build("cifar_star", 3, side, 2)
    with torch.no_grad():
        assert net(torch.rand(4, 3, side, side)).shape == (4, 2)


# -- batch norm --------------------------------------------------------------------------------------------------------


def test_relu_behind_pooling_is_relu_before_it() -> None:
    """Why the two may change places: the same values, the same gradients."""
    x = torch.randn(3, 2, 6, 6, generator=torch.Generator().manual_seed(0), requires_grad=True)
    pool = nn.MaxPool2d(2)
    a, b = pool(x.relu()), pool(x).relu()
    assert torch.equal(a, b)
    weights = torch.randn(a.shape, generator=torch.Generator().manual_seed(1))
    grads = [torch.autograd.grad((y * weights).sum(), x, retain_graph=True)[0] for y in (a, b)]
    assert torch.equal(*grads)


def test_batch_norm_uses_the_batch_in_training_and_in_eval() -> None:
    norm = BatchNorm(3, affine=True)
    x = torch.randn(16, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 3 + 1
    for mode in (True, False):
        norm.train(mode)
        y = norm(x)
        torch.testing.assert_close(y.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
        torch.testing.assert_close(y.var((0, 2, 3), correction=0), torch.ones(3), atol=1e-4, rtol=0)
    assert not norm.mean.any()  # nothing was remembered


def test_fixed_statistics_are_those_of_all_reference_batches_together() -> None:
    norm = BatchNorm(2, affine=False)
    net = DACNet(nn.Identity(), nn.Sequential(norm))
    draws = [torch.Generator().manual_seed(i) for i in range(3)]
    parts = [torch.randn(n, 2, generator=draws[i]) * (i + 1) + i for i, n in enumerate((50, 20, 30))]
    with net.recalibrating() as passed:
        for part in parts:
            net(part)
            passed.append(len(part))
    whole = torch.cat(parts)
    torch.testing.assert_close(norm.mean, whole.mean(0))
    torch.testing.assert_close(norm.variance, whole.var(0, correction=0))
    with net.fixed():
        alone = net(whole[:1])
        beside = net(whole)[:1]
    torch.testing.assert_close(alone, beside)
    assert not norm.fixed
    assert not torch.allclose(net(whole[:5]), beside[:5])  # the batch at hand again


def test_affine_false_trains_no_scale() -> None:
    plain, trained = build("tiny", 1, 8, affine=False), build("tiny", 1, 8, affine=True)
    assert not any(p.requires_grad for norm in plain.norms() for p in norm.parameters())
    assert all(p.requires_grad for norm in trained.norms() for p in norm.parameters())


def test_the_head_stays_in_float32_under_autocast() -> None:
    net = build("tiny", 1, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert net.trunk(torch.randn(4, 1, 8, 8)).dtype == torch.bfloat16
        assert net(torch.randn(4, 1, 8, 8)).dtype == torch.float32


def test_a_head_for_features() -> None:
    centers = torch.eye(4, 20)
    net = build_dac_head(centers, affine=False)
    assert net(torch.randn(8, 20)).shape == (8, 4)
    assert net(centers).argmax(1).tolist() == [0, 1, 2, 3]  # every unit answers to its own centre


def test_every_network_has_a_size() -> None:
    from ilk.networks.dac import SIZES

    assert set(SIZES) == set(NETWORKS)
    for name, side in SIZES.items():
        plan(name, side)


class Plain(nn.Module):
    """The MNIST network written out in the order of its table, with the norms of PyTorch."""

    def __init__(self) -> None:
        super().__init__()

        def block(before: int, after: int) -> list[nn.Module]:
            layers: list[nn.Module] = []
            for width in (before, after, after):
                layers += [nn.Conv2d(width, after, 3), nn.BatchNorm2d(after, track_running_stats=False), nn.ReLU()]
            return [*layers, nn.MaxPool2d(2), nn.BatchNorm2d(after, track_running_stats=False)]

        def dense() -> list[nn.Module]:
            return [nn.Linear(10, 10), nn.BatchNorm1d(10, track_running_stats=False), nn.ReLU()]

        last = [nn.Conv2d(128, 10, 1), nn.BatchNorm2d(10, track_running_stats=False), nn.ReLU(), nn.AvgPool2d(2)]
        norm = nn.BatchNorm2d(10, track_running_stats=False)
        self.layers = nn.Sequential(*block(1, 64), *block(64, 128), *last, norm, nn.Flatten(), *dense(), *dense())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        exp = (self.layers(x) - self.layers(x).amax(1, keepdim=True)).exp()
        return exp / exp.square().sum(1, keepdim=True).sqrt()


def test_gradients_are_those_of_the_network_written_out() -> None:
    """Every weight's gradient of the released loss (DAC*, squared), in float64."""
    mine = build_dac_net("mnist", 1, 28, 10, affine=True, generator=torch.Generator().manual_seed(0)).double()
    plain = Plain().double()
    with torch.no_grad():
        for ours, theirs in zip(mine.parameters(), plain.parameters(), strict=True):
            ours += 0.1 * torch.rand(ours.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
            theirs.copy_(ours)
    x = torch.rand((12, 1, 28, 28), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    features = losses.label_features(mine.head(mine.trunk(x).flatten(1)))
    similarity = features @ features.T
    found = torch.autograd.grad(
        losses.every_pair(similarity, similarity.detach(), 0.8, squared=True).loss, list(mine.parameters())
    )
    written = plain(x)
    torch.testing.assert_close(features, written)
    total = torch.zeros((), dtype=torch.float64)
    for i in range(12):
        for j in range(12):
            alike = written[i] @ written[j]
            total = total + (alike - float(alike > 0.8)) ** 2 / 144
    for ours, theirs in zip(found, torch.autograd.grad(total, list(plain.parameters())), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-10)
