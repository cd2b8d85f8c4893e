"""Networks of DeepCluster: as tabled, weights from one generator; the Sobel front by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import sobel
from torch import nn

from ilk.errors import ArgumentError
from ilk.networks.convnets import CONVNETS, NAMES, SIDES, ConvNet, build_convnet, side_after
from ilk.networks.layers import Dropout
from ilk.networks.sobel import Sobel


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# -- the front ---------------------------------------------------------------------------------------------------------


def test_a_step_edge_by_hand() -> None:
    image = torch.zeros(1, 3, 5, 6)
    image[..., :3] = 1.0  # bright on the left
    across, down = Sobel()(image)[0]
    assert across[2].tolist() == [-4, 0, 4, 4, 0, 0]  # the border is padded with zeros: an edge too
    assert down[2].tolist() == [0] * 6
    assert down[0].tolist() == [-3, -4, -3, -1, 0, 0]
    upright = Sobel()(image.transpose(2, 3))[0]
    assert torch.equal(upright[1], across.T)
    assert torch.equal(upright[0], down.T)


def test_the_front_is_that_of_scipy_on_the_mean_of_the_channels_and_is_not_trained() -> None:
    image = torch.rand(2, 3, 9, 7, generator=rng(), dtype=torch.float64)
    front = Sobel()
    found = front(image)
    grey = image.mean(1).numpy()
    for axis, channel in ((1, 0), (0, 1)):
        theirs = np.stack([-sobel(one, axis=axis, mode="constant") for one in grey])
        np.testing.assert_allclose(found[:, channel].numpy(), theirs, atol=1e-6)
    assert list(front.parameters()) == []
    assert list(front.state_dict()) == []


# -- the table ---------------------------------------------------------------------------------------------------------


def test_alexnet_is_the_one_of_the_paper() -> None:
    net = build_convnet("alexnet", 3, 224, sobel=True, generator=rng())
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels, c.kernel_size[0], c.stride[0], c.padding[0]) for c in convolutions] == [
        (2, 96, 11, 4, 2), (96, 256, 5, 1, 2), (256, 384, 3, 1, 1), (384, 384, 3, 1, 1), (384, 256, 3, 1, 1),
    ]  # fmt: skip
    assert sum(isinstance(m, nn.BatchNorm2d) for m in net.modules()) == 5
    kinds = [type(m).__name__ for m in net.neck]
    assert kinds == ["MaxPool2d", "Flatten", "Dropout", "Linear", "ReLU", "Dropout", "Linear"]  # the last ReLU is off
    assert [m.in_features for m in net.neck if isinstance(m, nn.Linear)] == [9216, 4096]
    maps = [tuple(m.shape[1:]) for m in net.eval().maps(torch.zeros(1, 3, 224, 224))]
    assert maps == [(96, 55, 55), (256, 27, 27), (384, 13, 13), (384, 13, 13), (256, 13, 13)]
    for convolution in convolutions:
        std = (2 / (convolution.kernel_size[0] ** 2 * convolution.out_channels)) ** 0.5
        assert float(convolution.weight.detach().std()) == pytest.approx(std, rel=0.05)
    assert float(net.neck[3].weight.detach().std()) == pytest.approx(0.01, rel=0.01)


def test_vgg16_has_thirteen_convolutions_and_five_stages() -> None:
    assert side_after("vgg16", 224) == 7
    widths = [layer[0] for layer in CONVNETS["vgg16"].layers if len(layer) == 4]
    assert widths == [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6
    net = build_convnet("vgg16", 3, 32, sobel=False, generator=rng())
    assert [tuple(m.shape[1:]) for m in net.eval().maps(torch.zeros(1, 3, 32, 32))] == [
        (64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4), (512, 2, 2),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["small", "tiny", "resnet18"])
@pytest.mark.parametrize(("channels", "edges"), [(1, False), (3, False), (3, True), (1, True)])
def test_features_are_what_the_neck_makes_of_the_last_maps(name: str, channels: int, edges: bool) -> None:
    net = build_convnet(name, channels, SIDES[name], sobel=edges, generator=rng()).eval()
    images = torch.rand(2, channels, SIDES[name], SIDES[name], generator=rng(1))
    *_, last = net.maps(images)
    with torch.no_grad():
        assert torch.equal(net(images), net.neck(last))
    assert net(images).shape == (2, net.n_features)
    if name in CONVNETS:
        assert bool((net(images) < 0).any())  # in front of the last ReLU
    assert net.filters() is not None
    assert net.filters().shape[1] == (2 if edges else channels)


def test_a_projection_takes_images_of_any_size() -> None:
    net = build_convnet("small", 1, 28, sobel=False, generator=rng(), width=16).eval()
    assert net(torch.zeros(2, 1, 28, 28)).shape == net(torch.zeros(2, 1, 17, 17)).shape == (2, 16)


def test_weights_come_from_the_generator_alone() -> None:
    def weights(seed: int) -> list[torch.Tensor]:
        before = torch.get_rng_state()
        net = build_convnet("small", 1, 28, sobel=False, generator=rng(seed))
        assert torch.equal(torch.get_rng_state(), before)
        return list(net.state_dict().values())

    assert all(torch.equal(a, b) for a, b in zip(weights(3), weights(3), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(weights(3), weights(4), strict=True))


def test_what_is_too_small_or_unknown_is_named() -> None:
    with pytest.raises(ArgumentError, match="made for 224 pixels"):
        side_after("alexnet", 32)
    with pytest.raises(ArgumentError, match="'vgg16'"):
        side_after("vgg", 224)
    assert set(SIDES) == set(NAMES)


# -- dropout -----------------------------------------------------------------------------------------------------------


def test_dropout_draws_from_its_own_generator_and_keeps_the_mean() -> None:
    layer = Dropout(0.5)
    x = torch.ones(1000, 100)
    with pytest.raises(AssertionError, match="noise"):
        layer(x)
    before = torch.get_rng_state()
    net = ConvNet(nn.Identity(), [], layer, 100)
    net.seed(rng())
    one = net(x)
    net.seed(rng())
    assert torch.equal(one, net(x))
    assert torch.equal(torch.get_rng_state(), before)
    assert float(one.mean()) == pytest.approx(1, abs=0.02)
    assert torch.equal(layer.eval()(x), x)
