"""Crops, colours and the fourteen operations against torchvision's, one image at a time."""

from __future__ import annotations

import math

import pytest
import torch
from torchvision.transforms import functional as tv

from ilk import augment
from ilk.augment.colour import blended, luma, shifted_hue, smoothed
from ilk.augment.policy import OPERATIONS, equalize, posterize, solarize


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(b: int = 6, c: int = 3, h: int = 10, w: int = 12, seed: int = 0) -> torch.Tensor:
    """Float images on the 256 levels."""
    return torch.randint(0, 256, (b, c, h, w), generator=draws(seed)).float() / 255


ALL = {
    "flip": augment.flip,
    "resized_crop": augment.resized_crop,
    "color_jitter": augment.color_jitter,
    "grey": augment.grey,
    "blur": augment.blur,
    "rand_augment": augment.rand_augment,
    "cutout": lambda x, g: augment.cutout(x, g, 5),
}


@pytest.mark.parametrize("change", ALL.values(), ids=ALL.keys())
@pytest.mark.parametrize("channels", [1, 3])
def test_changes_are_seeded_and_leave_the_batch_alone(change: object, channels: int) -> None:
    x = batch(40, channels)
    before = x.clone()
    one, same, other = (change(x, draws(seed)) for seed in (1, 1, 2))
    assert torch.equal(x, before)
    assert torch.equal(one, same)
    assert not torch.equal(one, other) or (channels == 1 and change is augment.grey)
    assert one.shape == x.shape
    assert one.dtype == x.dtype
    assert torch.isfinite(one).all()
    assert one.min() >= -1e-6
    assert one.max() <= 1 + 1e-6


@pytest.mark.parametrize("change", ALL.values(), ids=ALL.keys())
def test_every_image_has_factors_of_its_own(change: object) -> None:
    x = batch(1).expand(60, -1, -1, -1).contiguous()
    kinds = {tuple(image.flatten().tolist()) for image in change(x, draws())}
    assert len(kinds) >= 2
    assert len(kinds) > 20 or change in (augment.flip, augment.grey)


def test_a_crop_is_torchvisions() -> None:
    x = batch(8, h=12, w=12)
    drawn = torch.rand((4, 8), generator=draws(3)).double()
    ours = augment.resized_crop(x, draws(3), scale=(0.3, 0.6), ratio=(0.8, 1.25))
    for i in range(8):
        area = (0.3 + 0.3 * drawn[0, i]) * 144
        ratio = math.exp(math.log(0.8) + (math.log(1.25) - math.log(0.8)) * float(drawn[1, i]))
        wide, tall = min(12, math.sqrt(area * ratio)), min(12, math.sqrt(area / ratio))
        top, left = float(drawn[2, i]) * (12 - tall), float(drawn[3, i]) * (12 - wide)
        for row, column in ((0, 0), (5, 7), (11, 11)):
            y, z = top + (row + 0.5) / 12 * tall - 0.5, left + (column + 0.5) / 12 * wide - 0.5
            y, z = min(max(y, 0), 11), min(max(z, 0), 11)
            y0, z0 = min(int(y), 10), min(int(z), 10)
            part = x[i, :, y0 : y0 + 2, z0 : z0 + 2].double()
            by_rows = part[:, 0] * (y0 + 1 - y) + part[:, 1] * (y - y0)
            wanted = by_rows[:, 0] * (z0 + 1 - z) + by_rows[:, 1] * (z - z0)
            torch.testing.assert_close(ours[i, :, row, column].double(), wanted, atol=1e-4, rtol=0)


def test_colours_are_torchvisions() -> None:
    x = batch()
    factor = torch.linspace(0.2, 1.8, len(x))
    ours = {
        "brightness": blended(x, torch.zeros_like(x[:, :1]), factor),
        "contrast": blended(x, luma(x).mean((2, 3), keepdim=True), factor),
        "saturation": blended(x, luma(x), factor),
        "sharpness": blended(x, smoothed(x), factor),
    }
    for name, found in ours.items():
        wanted = [getattr(tv, f"adjust_{name}")(image, float(f)) for image, f in zip(x, factor, strict=True)]
        # torchvision rounds the smoothed values to whole levels only for uint8 images
        torch.testing.assert_close(found, torch.stack(wanted), atol=1e-3, rtol=0)
    shift = torch.linspace(-0.5, 0.5, len(x))
    wanted = [tv.adjust_hue(image, float(s)) for image, s in zip(x, shift, strict=True)]
    torch.testing.assert_close(shifted_hue(x, shift), torch.stack(wanted), atol=1e-4, rtol=0)
    torch.testing.assert_close(augment.grey(x, None, 1.0), tv.rgb_to_grayscale(x, 3), atol=1e-3, rtol=0)


def test_blur_is_torchvisions() -> None:
    x = batch(3, h=16, w=16)
    sigma = 0.5 + torch.rand((2, 3), generator=draws())[0]
    wanted = [tv.gaussian_blur(image, [5, 5], [float(s), float(s)]) for image, s in zip(x, sigma, strict=True)]
    found = augment.blur(x, draws(), sigma=(0.5, 1.5), p=1.0, kernel=5)
    torch.testing.assert_close(found, torch.stack(wanted), atol=1e-5, rtol=0)


def test_levels_are_torchvisions() -> None:
    x = batch()
    x[0] = 128 / 255  # one level only
    x[1] = (x[1] * 10).round() * 25 / 255
    whole = (x * 255).round().to(torch.uint8)
    nothing = torch.zeros(len(x))
    wanted = {
        "equalize": torch.stack([tv.equalize(image) for image in whole]),
        "posterize": torch.stack([tv.posterize(image, 5) for image in whole]),
        "solarize": torch.stack([tv.solarize(image, 100) for image in whole]),
        "auto_contrast": torch.stack([tv.autocontrast(image) for image in whole]),
    }
    found = {
        "equalize": equalize(x, nothing),
        "posterize": posterize(x, nothing + 5.7),
        "solarize": solarize(x, nothing + 100),
        "auto_contrast": OPERATIONS["auto_contrast"][2](x, nothing),
    }
    for name, ours in found.items():
        assert ((ours * 255).round() - wanted[name].float()).abs().max() <= (1 if name == "auto_contrast" else 0), name


def test_turning_and_moving_are_torchvisions() -> None:
    x = batch(2, h=11, w=11)
    turn = torch.tensor([30.0, -17.0])
    wanted = torch.stack([tv.rotate(image, -float(a)) for image, a in zip(x, turn, strict=True)])
    found = OPERATIONS["rotate"][2](x, turn)
    assert ((found - wanted).abs() < 1e-5).float().mean() > 0.97  # which of two pixels is nearest may differ
    moved = OPERATIONS["translate_x"][2](x, torch.tensor([1 / 11, -2 / 11]))
    assert torch.equal(moved[0, :, :, :-1], x[0, :, :, 1:])
    assert torch.equal(moved[1, :, :, 2:], x[1, :, :, :-2])
    assert not moved[0, :, :, -1].any()
    down = OPERATIONS["translate_y"][2](x, torch.tensor([1 / 11, 0.0]))
    assert torch.equal(down[0, :, :-1], x[0, :, 1:])
    sheared = OPERATIONS["shear_x"][2](x, torch.tensor([0.2, 0.0]))
    assert torch.equal(sheared[0, :, 5], x[0, :, 5])  # the middle row stays
    assert torch.equal(sheared[0, :, -1, :-1], x[0, :, -1, 1:])
    assert torch.equal(sheared[0, :, 0, 1:], x[0, :, 0, :-1])


def test_each_operation_is_as_likely_for_every_image(monkeypatch: pytest.MonkeyPatch) -> None:
    marks = {name: (0.0, 0.0, lambda x, _, i=i: torch.full_like(x, i / 255)) for i, name in enumerate(OPERATIONS)}
    monkeypatch.setattr("ilk.augment.policy.OPERATIONS", marks)
    generator = draws()
    found = torch.cat([augment.rand_augment(batch(5), generator, 1)[:, 0, 0, 0] for _ in range(560)])
    counts = torch.bincount((found * 255).round().long(), minlength=14).double()
    assert (counts - 200).abs().max() < 5 * math.sqrt(200)


def test_a_hole_has_every_side_and_may_reach_over_the_edge() -> None:
    holes = augment.cutout(torch.ones(4000, 1, 12, 12), draws(), 4) == 0
    sides = holes.any(3).sum(2).flatten()
    areas = holes.sum((1, 2, 3))
    assert set(areas.tolist()) >= {1, 4, 9, 16}
    assert sides.min() > 0
    assert sides.max() == 4
    assert (holes.float().mean((0, 1)) > 0).all()


def test_crops_have_the_wanted_areas() -> None:
    ramp = torch.linspace(0, 1, 64).expand(2000, 1, 64, 64)
    cut = augment.resized_crop(ramp.contiguous(), draws(), scale=(0.2, 1.0), ratio=(1.0, 1.0))
    span = (cut[:, 0, 0, -1] - cut[:, 0, 0, 0]) * 63 / 63
    shares = (span * 64 / 63).square()
    assert float(shares.mean()) == pytest.approx(0.6, abs=0.03)
    assert float(shares.min()) > 0.15
