"""Shapes there and back, switches to the right place, and who draws from which generator."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from ilk.networks.autoencoders import (
    ConvolutionalAutoencoder,
    DenseAutoencoder,
    SwitchedAutoencoder,
    VariationalAutoencoder,
)
from ilk.networks.gan import Adversaries
from ilk.networks.jule import JULENet


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 9, 13), (3, 8, 8)])
def test_images_come_back_in_their_own_shape(shape: tuple[int, int, int]) -> None:
    images = torch.rand(3, *shape)
    nets = [
        DenseAutoencoder(shape, [20], 5),
        DenseAutoencoder(shape, [20], None, sigmoid=True),
        ConvolutionalAutoencoder(shape, [4, 6, 8], [5, 5, 3], 5),
        SwitchedAutoencoder(shape, [4, 6], 5),
        VariationalAutoencoder(shape, [20], 5),
    ]
    for net in nets:
        assert net.reconstruct(images).shape == images.shape
        assert net.code(images).ndim == 2
        assert all(p.requires_grad for p in net.parameters())


def unchanging(shape: tuple[int, int, int]) -> SwitchedAutoencoder:
    """Return a network whose convolutions change nothing: what is left is pooling."""
    net = SwitchedAutoencoder(shape, [1], 5)
    with torch.no_grad():
        for layer in [*net.down, *net.up]:
            layer.weight.zero_()
            layer.weight[0, 0, 1, 1] = 1
            layer.bias.zero_()
    return net


@pytest.mark.parametrize(("side", "row", "column"), [(8, 3, 5), (28, 26, 27), (28, 27, 2), (28, 13, 25), (9, 8, 8)])
def test_switches_put_every_value_back_where_it_came_from(side: int, row: int, column: int) -> None:
    """Of 28 pixels the levels have 14, 7, 4, 2 and 1: the last row of 7, pixels 24 to 27, is pooled as well."""
    net = unchanging((1, side, side))
    image = torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(0))
    image[0, 0, row, column] = 2  # the one value that is left at the top is the largest
    with torch.no_grad():
        what, where, sizes = net.encoded(image)
        found = net.decoded(what[-1], where, sizes)[-1]
    assert what[-1].shape == (1, 1, 1, 1)
    expected = torch.zeros(1, 1, side, side)
    expected[0, 0, row, column] = 2
    assert torch.equal(found, expected)
    torch.testing.assert_close(what[0], functional.max_pool2d(image, 2, ceil_mode=True))


def test_every_level_is_pooled_to_its_last_row() -> None:
    net = unchanging((1, 28, 28))
    what, where, sizes = net.encoded(torch.rand(2, 1, 28, 28) + 1)
    assert [tuple(size) for size in sizes] == [(28, 28), (14, 14), (7, 7), (4, 4), (2, 2)]
    for level, (maps, places, size) in enumerate(zip(what, where, sizes, strict=True)):
        back = functional.max_unpool2d(maps, places, [2, 2], output_size=list(size))
        blocks = functional.max_pool2d(back, 2, ceil_mode=True)
        assert (blocks > 0).all(), level  # no part of a map is without a value


def test_what_all_levels_hold_counts_alike() -> None:
    net = unchanging((1, 28, 28))
    image = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    rows = net.features(image)
    widths = [16, 16, 16, 4, 1]  # 14 and 7 are brought to 4
    assert rows.shape == (2, sum(widths)) == (2, net.reduce.components.shape[1])
    for part in rows.split(widths, 1):
        torch.testing.assert_close(part.norm(dim=1), torch.ones(2))
    largest = functional.adaptive_max_pool2d(functional.max_pool2d(image, 2), 4).flatten(1)
    torch.testing.assert_close(rows[:, :16], largest / largest.norm(dim=1, keepdim=True))


@pytest.mark.parametrize("kernel", [3, 4, 5])
def test_a_generators_images_fit_its_discriminator(kernel: int) -> None:
    for shape in [(1, 28, 28), (3, 32, 32), (3, 96, 96), (1, 8, 12)]:
        net = Adversaries(shape, 4, kernel, 6, 5)
        assert {layer[0].kernel_size for layer in net.discriminator.layers} == {(kernel, kernel)}
        fake = net.generator(torch.rand(2, 6))
        assert fake.shape == (2, *shape)
        assert fake.abs().max() <= 1
        assert net.discriminator(fake).shape == (2,)
        assert net.code(torch.rand(2, *shape)).shape == (2, 5)


def test_codes_of_jule_have_length_one() -> None:
    for shape in [(1, 28, 28), (3, 32, 32), (1, 8, 8), (3, 96, 96)]:
        codes = JULENet(shape, [4, 4], 16).code(torch.rand(2, *shape))
        torch.testing.assert_close(codes.norm(dim=1), torch.ones(2))
    published = JULENet((1, 28, 28), [50, 50], 160)
    assert published.top.in_features == 3200
