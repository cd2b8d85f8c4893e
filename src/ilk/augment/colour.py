"""Changes of colour and sharpness, of images with values from 0 to 1; grey images have no saturation and no hue."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ilk.augment.geometry import checked

__all__ = ["blended", "blur", "color_jitter", "grey", "luma", "smoothed"]

_LUMA = (0.2989, 0.587, 0.114)


def luma(images: Tensor) -> Tensor:
    """Return the brightness (b, 1, h, w) of every pixel.

    Examples
    --------
    >>> round(luma(torch.ones(1, 3, 1, 1)).item(), 4)
    0.9999
    """
    if images.shape[1] == 1:
        return images
    weights = images.new_tensor(_LUMA).view(1, 3, 1, 1)
    return (images * weights).sum(1, keepdim=True)


def blended(images: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    """Return factor · images + (1 − factor) · other, from 0 to 1; `factor` is (b,)."""
    return torch.lerp(other.expand_as(images), images, factor[:, None, None, None].to(images.dtype)).clamp(0, 1)


def smoothed(images: Tensor) -> Tensor:
    """Return the mean of each pixel (weight 5) and its eight neighbours; the border stays as it is."""
    c = images.shape[1]
    kernel = images.new_ones(3, 3)
    kernel[1, 1] = 5
    inner = functional.conv2d(images, (kernel / 13).expand(c, 1, 3, 3), groups=c)
    result = images.clone()
    result[:, :, 1:-1, 1:-1] = inner
    return result


def color_jitter(
    images: Tensor,
    generator: torch.Generator | None,
    *,
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.4,
    hue: float = 0.1,
    p: float = 0.8,
) -> Tensor:
    """Change brightness, contrast, saturation and hue of every image, in this order, by factors of its own.

    Parameters
    ----------
    images : Tensor float (b, c, h, w)
        From 0 to 1; c = 1 or 3.
    generator : torch.Generator on the device of `images`
    brightness, contrast, saturation : float
        In [0, 1]: the factor is uniform in [1 − x, 1 + x]. 0: no black, the mean brightness, no colour.
    hue : float
        In [0, .5]: share of the colour circle, uniform in [−hue, hue].
    p : float
        Probability that an image is changed at all.

    Examples
    --------
    >>> x = torch.rand(2, 3, 4, 4)
    >>> torch.equal(color_jitter(x, None, p=0.0), x)
    True
    """
    checked(images)
    b = len(images)
    drawn = torch.rand((5, b), generator=generator, device=images.device)
    spread = 2 * drawn - 1
    changed = images
    if brightness:
        changed = blended(changed, torch.zeros_like(changed[:, :1]), 1 + brightness * spread[0])
    if contrast:
        changed = blended(changed, luma(changed).mean((2, 3), keepdim=True), 1 + contrast * spread[1])
    if images.shape[1] == 3:
        if saturation:
            changed = blended(changed, luma(changed), 1 + saturation * spread[2])
        if hue:
            changed = shifted_hue(changed, hue * spread[3])
    return torch.where((drawn[4] < p)[:, None, None, None], changed, images)


def shifted_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Turn the colours of every image by its `shift` (b,), a share of the circle; value and saturation stay.

    Examples
    --------
    >>> red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    >>> shifted_hue(red, torch.tensor([1 / 3])).flatten().round(decimals=4).tolist()
    [0.0, 1.0, 0.0]
    """
    value, at = images.max(1)
    least = images.amin(1)
    spread = value - least
    r, g, b = images.unbind(1)
    safe = torch.where(spread > 0, spread, 1.0)
    sixth = torch.where(at == 0, (g - b) / safe, torch.where(at == 1, 2 + (b - r) / safe, 4 + (r - g) / safe))
    sixth = (sixth + 6 * shift[:, None, None]) % 6
    offsets = images.new_tensor([5.0, 3.0, 1.0]).view(1, 3, 1, 1)  # of red, green and blue on the circle
    k = (offsets + sixth[:, None]) % 6
    return value[:, None] - spread[:, None] * torch.minimum(k, 4 - k).clamp(0, 1)


def grey(images: Tensor, generator: torch.Generator | None, p: float = 0.2) -> Tensor:
    """Take the colour of every image with probability `p`.

    Examples
    --------
    >>> x = grey(torch.rand(2, 3, 4, 4), None, p=1.0)
    >>> torch.equal(x[:, 0], x[:, 2])
    True
    """
    checked(images)
    chosen = torch.rand(len(images), generator=generator, device=images.device) < p
    return torch.where(chosen[:, None, None, None], luma(images).expand_as(images), images)


def blur(
    images: Tensor,
    generator: torch.Generator | None,
    *,
    sigma: tuple[float, float] = (0.1, 2.0),
    p: float = 0.5,
    kernel: int | None = None,
) -> Tensor:
    """Smooth every image with a Gaussian of its own width, with probability `p`.

    Parameters
    ----------
    images : Tensor float (b, c, h, w)
    generator : torch.Generator on the device of `images`
    sigma : (low, high)
        In pixels, uniform.
    kernel : int, optional
        Odd width of the kernel in pixels. None: about a tenth of the shorter side, at least 3.

    Examples
    --------
    >>> x = torch.rand(2, 3, 8, 8)
    >>> bool((blur(x, None, p=1.0).std() < x.std()))
    True
    """
    checked(images)
    b, c, h, w = images.shape
    width = kernel or max(3, min(h, w) // 10 // 2 * 2 + 1)
    half = width // 2
    drawn = torch.rand((2, b), generator=generator, device=images.device)
    wide = sigma[0] + (sigma[1] - sigma[0]) * drawn[0]
    at = torch.arange(-half, half + 1, device=images.device, dtype=torch.float32)
    weights = (-0.5 * (at / wide[:, None]).square()).exp()
    weights = (weights / weights.sum(1, keepdim=True)).to(images.dtype).repeat_interleave(c, 0)
    flat = images.reshape(1, b * c, h, w)
    flat = functional.pad(flat, (half, half, half, half), mode="reflect" if half < min(h, w) else "replicate")
    flat = functional.conv2d(flat, weights[:, None, :, None], groups=b * c)
    flat = functional.conv2d(flat, weights[:, None, None, :], groups=b * c)
    return torch.where((drawn[1] < p)[:, None, None, None], flat.view(b, c, h, w), images)
