"""How autoencoders are trained: one function for all, a loss of a few lines for each kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from ilk import compute, losses, train
from ilk.methods import figures
from ilk.methods.baselines.components import fit_components
from ilk.methods.baselines.trained import shown_rows
from ilk.methods.baselines.trained_settings import AutoencoderSettings
from ilk.methods.inputs.dataset import PixelDataset
from ilk.methods.training import GradientStage, seeds_of
from ilk.networks.autoencoders import SwitchedAutoencoder

__all__ = [
    "LOSSES",
    "Reconstructing",
    "Switching",
    "make_optimizer",
    "reconstructions",
    "samples",
    "usual_batch",
]

_SAMPLES = 32

Loss = Callable[[Any, Tensor, torch.Generator, Any], Tensor]
"""(network, images, random numbers on their device, settings) -> loss of the batch."""


def _squared(net: Any, images: Tensor, noise: torch.Generator, settings: Any) -> Tensor:
    return functional.mse_loss(net.reconstruct(images).float(), images)


def _denoising(net: Any, images: Tensor, noise: torch.Generator, settings: Any) -> Tensor:
    kept = torch.rand(images.shape, generator=noise, device=images.device) >= settings.corruption
    return functional.mse_loss(net.reconstruct(images * kept).float(), images)


def _sparse(net: Any, images: Tensor, noise: torch.Generator, settings: Any) -> Tensor:
    hidden = net.body(images)
    error = 0.5 * (net.decode(net.top(hidden)).float() - images).square().sum() / len(images)
    silent = losses.sparsity_kl(hidden.float(), settings.target)
    weights = sum(layer.weight.square().sum() for layer in net.modules() if isinstance(layer, nn.Linear))
    return torch.as_tensor(error + settings.sparsity * silent + 0.5 * settings.weight_decay * weights)


def _switched(net: Any, images: Tensor, noise: torch.Generator, settings: Any) -> Tensor:
    what, where, sizes = net.encoded(images)
    found = net.decoded(what[-1], where, sizes)
    loss = functional.mse_loss(found[-1].float(), images)
    for below, kept in zip(found[:-1], reversed(what[:-1]), strict=True):
        loss = loss + settings.middle * functional.mse_loss(below.float(), kept.float())
    return loss


def _variational(net: Any, images: Tensor, noise: torch.Generator, settings: Any) -> Tensor:
    mean, log_variance = (part.float() for part in net.gaussian(images))
    drawn = torch.randn(mean.shape, generator=noise, device=mean.device)
    logits = net.logits(mean + drawn * (0.5 * log_variance).exp()).float()
    error = functional.binary_cross_entropy_with_logits(logits, images, reduction="sum") / len(images)
    return torch.as_tensor(error + settings.beta * losses.gaussian_kl(mean, log_variance))


LOSSES: dict[str, Loss] = {
    "squared": _squared,
    "denoising": _denoising,
    "sparse": _sparse,
    "switched": _switched,
    "variational": _variational,
}


def usual_batch(n: int) -> int:
    """Return 256, or a smaller power of two where an epoch of so large batches had fewer than 64 steps; at least 32.

    Examples
    --------
    >>> [usual_batch(n) for n in (100, 1797, 5000, 70000)]
    [32, 32, 64, 256]
    """
    return max(32, min(256, 1 << max(n // 64, 1).bit_length() - 1))


def make_optimizer(parameters: Any, settings: Any) -> torch.optim.Optimizer:
    """Return Adam, or SGD with momentum .9, as the settings say."""
    if settings.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=settings.lr, fused=True)
    return torch.optim.SGD(parameters, lr=settings.lr, momentum=0.9)


class Reconstructing(GradientStage):
    """Trains an autoencoder.

    Parameters
    ----------
    network : nn.Module
    dataset : PixelDataset
    settings : AutoencoderSettings
    kind : str
        Of loss, a key of `LOSSES`.
    bf16 : bool
        Whether the network runs in bfloat16; the loss is float32.
    seed : int
    """

    def __init__(
        self,
        network: nn.Module,
        dataset: PixelDataset,
        settings: AutoencoderSettings,
        kind: str,
        bf16: bool,
        seed: int,
    ) -> None:
        self.network = network
        self.dataset = dataset
        self.settings = settings
        self.objective = LOSSES[kind]
        self.bf16 = bf16
        self.epochs = settings.epochs
        self.n_images = len(dataset)
        self.device = dataset.device
        self.batch_size = min(settings.batch_size or usual_batch(len(dataset)), len(dataset))
        self.memory = {}
        draws, noise = seeds_of(seed, 2)
        self.draws, self.noise = compute.generator(draws), compute.generator(noise, dataset.device)
        self.optimizer = make_optimizer(network.parameters(), settings)

    def begin(self, epoch: int) -> None:
        """Draw the order of images; the learning rate falls from epoch to epoch."""
        if self.settings.lr_schedule == "cosine":
            train.set_lr(self.optimizer, train.cosine(epoch, self.settings.epochs, self.settings.lr))
        super().begin(epoch)

    def loss(self, index: Tensor, unit: Any) -> Tensor:
        """Return the loss of a batch."""
        images = self.dataset.read(index)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16):
            return self.objective(self.network, images, self.noise, self.settings)


class Switching(Reconstructing):
    """Trains a `SwitchedAutoencoder`: after the last epoch, finds the components of what its levels hold."""

    def finish(self) -> None:
        """Find the components."""
        assert isinstance(self.network, SwitchedAutoencoder)
        fit_components(self.network, self.dataset)


# -- pictures ----------------------------------------------------------------------------------------------------------


@torch.no_grad()
def reconstructions(network: Any, dataset: PixelDataset) -> dict[str, npt.NDArray[Any]]:
    """Return some images and what the network makes of them, as uint8."""
    images = dataset.read(shown_rows(len(dataset)))
    again = network.reconstruct(images).float()
    return {"images": figures.as_images(images.cpu().numpy()), "again": figures.as_images(again.cpu().numpy())}


@torch.no_grad()
def samples(
    network: Any, width: int, seed: int, device: torch.device, *, uniform: bool = False
) -> npt.NDArray[np.uint8]:
    """Return images that the decoder makes of codes drawn from N(0, 1), or evenly from -1 to 1."""
    draws = compute.generator(seed)
    codes = torch.rand(_SAMPLES, width, generator=draws) * 2 - 1 if uniform else None
    codes = (torch.randn(_SAMPLES, width, generator=draws) if codes is None else codes).to(device)
    return figures.as_images(network.decode(codes).float().cpu().numpy())
