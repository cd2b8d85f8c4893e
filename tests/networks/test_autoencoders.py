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
        SwitchedAutoencoder(shape, [4, 6]),
        VariationalAutoencoder(shape, [20], 5),
    ]
    for net in nets:
        assert net.reconstruct(images).shape == images.shape
        assert net.code(images).ndim == 2
        assert all(p.requires_grad for p in net.parameters())


def test_switches_put_every_value_back_where_it_came_from() -> None:
    net = SwitchedAutoencoder((1, 8, 8), [1])
    image = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for layer in [*net.down, *net.up]:  # convolutions that change nothing
            layer.weight.zero_()
            layer.weight[0, 0, 1, 1] = 1
            layer.bias.zero_()
        what, where, sizes = net.encoded(image)
        found = net.decoded(what[-1], where, sizes)[-1][0, 0]
    at = int(image.argmax())  # the one value that is left at the top is the largest
    expected = torch.zeros(64)
    expected[at] = image.flatten()[at]
    assert torch.equal(found.flatten(), expected)
    first = functional.max_pool2d(image, 2)
    torch.testing.assert_close(what[0], first)


def test_odd_sides_keep_their_switches() -> None:
    net = SwitchedAutoencoder((1, 7, 7), [3])
    what, where, sizes = net.encoded(torch.rand(2, 1, 7, 7))
    assert [tuple(size) for size in sizes] == [(7, 7), (3, 3)]
    assert net.decoded(what[-1], where, sizes)[-1].shape == (2, 1, 7, 7)


def test_a_generators_images_fit_its_discriminator() -> None:
    for shape in [(1, 28, 28), (3, 32, 32), (3, 96, 96), (1, 8, 12)]:
        net = Adversaries(shape, 4, 6, 5)
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
