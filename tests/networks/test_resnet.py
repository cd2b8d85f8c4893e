"""Residual networks: shapes, counts of weights, torchvision's functions, weights from one generator only."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from ilk.errors import ArgumentError
from ilk.networks.resnet import BACKBONES, STEMS, build_backbone, dense


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def weights_of(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_with_its_stem_of_imagenet_it_is_torchvisions(name: str) -> None:
    ours = build_backbone(name, 3, generator=seeded(), stem="imagenet").eval()
    theirs = getattr(torchvision.models, name)(weights=None)
    theirs.fc = nn.Identity()
    mine, others = ours.state_dict(), theirs.state_dict()
    values = {kind: [v for k, v in others.items() if k.endswith(kind)] for kind in ("weight", "bias")}
    assert weights_of(ours) == weights_of(theirs)
    # the layers stand in the same order, so the weights go over one by one, shortcuts behind the block's own
    assert [tuple(v.shape) for v in mine.values()] == [tuple(v.shape) for v in others.values()]
    ours.load_state_dict(dict(zip(mine, others.values(), strict=True)))
    x = torch.randn(2, 3, 64, 64, generator=seeded(1))
    assert len(values["weight"]) > len(values["bias"])
    torch.testing.assert_close(ours(x), theirs.eval()(x))


def test_resnet50v2_has_the_weights_of_keras() -> None:
    net = build_backbone("resnet50v2", 3, generator=seeded(), stem="imagenet")
    assert weights_of(net) == 23_519_360  # trainable; 23,564,800 with the running averages
    running = sum(b.numel() for name, b in net.named_buffers() if "running" in name)
    assert weights_of(net) + running == 23_564_800
    assert net.eval().maps(torch.zeros(1, 3, 32, 32)).shape == (1, 2048, 1, 1)


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("channels", [1, 3])
def test_widths_and_gradients(name: str, channels: int) -> None:
    net = build_backbone(name, channels, generator=seeded())
    x = torch.randn(2, channels, 16, 16, generator=seeded(1))
    features = net(x)
    assert features.shape == (2, net.width)
    features.square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())


def test_stems_decide_the_size_of_the_maps() -> None:
    nets = [build_backbone("resnet18", 3, generator=seeded(), stem=stem).eval() for stem in STEMS]
    x = torch.zeros(1, 3, 96, 96)
    assert [net.maps(x).shape[-1] for net in nets] == [12, 7, 3]  # STL-10's maps are 7 × 7 as published


def test_weights_come_from_the_generator_alone() -> None:
    before = torch.get_rng_state()
    one, same, other = (build_backbone("small", 3, generator=seeded(s)) for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    pairs = zip(one.state_dict().values(), same.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(one.layers[0].conv.weight, other.layers[0].conv.weight)
    assert torch.equal(dense(3, 2, seeded()).weight, dense(3, 2, seeded()).weight)
    assert dense(3, 2, seeded(), glorot=True).bias.abs().sum() == 0


def test_unknown_names_are_told() -> None:
    with pytest.raises(ArgumentError, match="resnet18"):
        build_backbone("resnet17", 3, generator=seeded())
    with pytest.raises(ArgumentError, match="pooled"):
        build_backbone("resnet18", 3, generator=seeded(), stem="poold")


def test_the_stem_of_keras_pools_over_zeros() -> None:
    """Its convolution is not rectified: at the margin the zeros are the greatest where all values are negative."""
    net = build_backbone("resnet50v2", 3, generator=seeded(), stem="imagenet")
    with torch.no_grad():
        net.layers[0].weight.zero_()
        net.layers[0].bias.fill_(-1.0)
    stem = net.layers[:2](torch.zeros(1, 3, 32, 32))[0, 0]
    assert stem.shape == (8, 8)
    assert (stem[0] == 0).all()
    assert (stem[:, 0] == 0).all()
    assert (stem[1:, 1:] == -1).all()


def test_layers_side_by_side_have_the_limit_of_each() -> None:
    layer = dense(6, 40, seeded(), glorot=True, apart=10)
    assert 0.7 < float(layer.weight.detach().abs().max()) <= (6 / (6 + 4)) ** 0.5
