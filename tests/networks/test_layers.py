"""Layers: the convolution's own way in bfloat16 changes its speed alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ilk.networks.layers import Conv2d


@pytest.mark.parametrize("channels", [1, 3, 15, 16])
def test_in_bfloat16_few_channels_come_first_and_nothing_else_changes(
    channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, ours = nn.Conv2d(channels, 20, 3), Conv2d(channels, 20, 3)
    ours.load_state_dict(plain.state_dict())
    ours = ours.to(memory_format=torch.channels_last)
    first: list[bool] = []
    real = nn.functional.conv2d

    def told(images: Tensor, weight: Tensor, *rest: Any) -> Tensor:
        first.append(images.is_contiguous() and weight.is_contiguous())
        return real(images, weight, *rest)

    images = torch.randn(4, channels, 9, 9)
    wide = images.contiguous(memory_format=torch.channels_last)
    monkeypatch.setattr(nn.functional, "conv2d", told)
    with torch.autocast("cpu", torch.bfloat16):
        found = ours(wide)
    found.float().square().sum().backward()
    assert first == [channels < 16]
    assert found.is_contiguous(memory_format=torch.channels_last)
    expected = plain(images)
    expected.square().sum().backward()
    torch.testing.assert_close(found.float(), expected, atol=0.05, rtol=0.05)
    assert plain.weight.grad is not None
    most = float(plain.weight.grad.abs().max())
    torch.testing.assert_close(ours.weight.grad, plain.weight.grad, atol=0.05 * most, rtol=0.05)
