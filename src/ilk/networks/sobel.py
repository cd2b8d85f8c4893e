"""The fixed front of networks that are to see edges and no colours."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Sobel"]


class Sobel(nn.Module):
    """Mean of the channels, then its two Sobel derivatives: (b, c, h, w) to (b, 2, h, w). Nothing of it is trained.

    It comes after the images are normalised, so the border, which is padded with zeros, is the mean grey. The first
    channel of the result is large where the left is brighter than the right, the second where the top is brighter than
    the bottom.

    References
    ----------
    M. Caron, P. Bojanowski, A. Joulin, M. Douze, "Deep Clustering for Unsupervised Learning of Visual Features",
    ECCV 2018.

    Examples
    --------
    >>> step = torch.zeros(1, 1, 3, 4)
    >>> step[..., :2] = 1.0
    >>> Sobel()(step)[0, 0, 1].tolist()
    [-4.0, 4.0, 4.0, 0.0]
    """

    kernels: Tensor

    def __init__(self) -> None:
        super().__init__()
        across = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
        self.register_buffer("kernels", torch.stack([across, across.T])[:, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the two derivatives of `images`."""
        return functional.conv2d(images.mean(1, keepdim=True), self.kernels.to(images.dtype), padding=1)
