"""How autoencoders are trained: one function for all, a loss of a few lines for each kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
from ilk.methods.inputs.dataset import Pixels, batches
from ilk.networks.autoencoders import SwitchedAutoencoder
from ilk.train.state import Part

__all__ = [
    "LOSSES",
    "Reconstructing",
    "Switching",
    "make_optimizer",
    "reconstructions",
    "samples",
    "seeds_of",
    "usual_batch",
]

_SAMPLES = 32

Loss = Callable[[Any, Tensor, torch.Generator, Mapping[str, Any]], Tensor]
"""(network, images, random numbers on their device, settings) -> loss of the batch."""


def _squared(net: Any, images: Tensor, noise: torch.Generator, table: Mapping[str, Any]) -> Tensor:
    return functional.mse_loss(net.reconstruct(images).float(), images)


def _denoising(net: Any, images: Tensor, noise: torch.Generator, table: Mapping[str, Any]) -> Tensor:
    kept = torch.rand(images.shape, generator=noise, device=images.device) >= table["corruption"]
    return functional.mse_loss(net.reconstruct(images * kept).float(), images)


def _sparse(net: Any, images: Tensor, noise: torch.Generator, table: Mapping[str, Any]) -> Tensor:
    hidden = net.body(images)
    error = 0.5 * (net.decode(net.top(hidden)).float() - images).square().sum() / len(images)
    silent = losses.bernoulli_divergence(hidden.float(), table["target"])
    weights = sum(layer.weight.square().sum() for layer in net.modules() if isinstance(layer, nn.Linear))
    return torch.as_tensor(error + table["sparsity"] * silent + 0.5 * table["weight_decay"] * weights)


def _switched(net: Any, images: Tensor, noise: torch.Generator, table: Mapping[str, Any]) -> Tensor:
    what, where, sizes = net.encoded(images)
    found = net.decoded(what[-1], where, sizes)
    loss = functional.mse_loss(found[-1].float(), images)
    for below, kept in zip(found[:-1], reversed(what[:-1]), strict=True):
        loss = loss + table["middle"] * functional.mse_loss(below.float(), kept.float())
    return loss


def _variational(net: Any, images: Tensor, noise: torch.Generator, table: Mapping[str, Any]) -> Tensor:
    mean, log_variance = (part.float() for part in net.gaussian(images))
    drawn = torch.randn(mean.shape, generator=noise, device=mean.device)
    logits = net.logits(mean + drawn * (0.5 * log_variance).exp()).float()
    error = functional.binary_cross_entropy_with_logits(logits, images, reduction="sum") / len(images)
    return error + float(table["beta"]) * losses.normal_divergence(mean, log_variance)


LOSSES: dict[str, Loss] = {
    "squared": _squared,
    "denoising": _denoising,
    "sparse": _sparse,
    "switched": _switched,
    "variational": _variational,
}


def seeds_of(seed: int, count: int) -> list[int]:
    """Return `count` seeds that follow from one."""
    return [int(part) for part in np.random.SeedSequence(int(seed)).generate_state(count, np.uint64) >> np.uint64(1)]


def usual_batch(n: int) -> int:
    """Return 256, or a smaller power of two where an epoch of so large batches had fewer than 64 steps; at least 32.

    Examples
    --------
    >>> [usual_batch(n) for n in (100, 1797, 5000, 70000)]
    [32, 32, 64, 256]
    """
    return max(32, min(256, 1 << max(n // 64, 1).bit_length() - 1))


def make_optimizer(parameters: Any, table: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Return Adam, or SGD with momentum .9, as the settings say."""
    if table["optimizer"] == "adam":
        return torch.optim.Adam(parameters, lr=table["lr"], fused=True)
    return torch.optim.SGD(parameters, lr=table["lr"], momentum=0.9)


class Reconstructing:
    """Trains an autoencoder.

    Parameters
    ----------
    network : nn.Module
    pool : Pixels
    table : mapping
        Settings.
    kind : str
        Of loss, a key of `LOSSES`.
    half : bool
        Whether the network runs in bfloat16; the loss is float32.
    seed : int

    Attributes
    ----------
    epochs, seen, memory
        See `ilk.methods.training.epochs.Learner`.
    """

    def __init__(
        self, network: nn.Module, pool: Pixels, table: Mapping[str, Any], kind: str, half: bool, seed: int
    ) -> None:
        self.network = network
        self.pool = pool
        self.table = table
        self.loss = LOSSES[kind]
        self.half = half
        self.epochs = int(table["epochs"])
        self.batch_size = min(int(table["batch_size"] or usual_batch(len(pool))), len(pool))
        self.seen = len(pool)
        self.memory: dict[str, npt.NDArray[Any]] = {}
        draws, noise = seeds_of(seed, 2)
        self.draws, self.noise = compute.generator(draws), compute.generator(noise, pool.device)
        self.optimizer = make_optimizer(network.parameters(), table)

    def parts(self) -> dict[str, Part]:
        """Return networks, optimizers and generators by name."""
        return {"network": self.network, "optimizer": self.optimizer, "draws": self.draws, "noise": self.noise}

    def epoch(self, number: int, tell: Any) -> dict[str, Any]:
        """Train on every image once."""
        if self.table["decay"]:
            train.set_lr(self.optimizer, train.cosine(number, self.epochs, self.table["lr"]))
        steps = -(-len(self.pool) // self.batch_size)
        loss = train.train_epoch(self.step, train.watched(self._batches(), steps, tell), self.optimizer, epoch=number)
        return {"loss": round(loss, 6)}

    def speed(self) -> float:
        """Return the images a second of a few steps; everything is put back as it was."""

        def batch(b: int) -> tuple[Tensor, Tensor]:
            index = torch.arange(b)
            return index, self.pool.read(index)

        found = train.probe(
            self.step,
            batch,
            batch_size=self.batch_size,
            n_steps=1,
            network=self.network,
            optimizer=self.optimizer,
            generators=(self.draws, self.noise),
            device=self.pool.device,
        )
        return found.images_per_second

    def step(self, index: Tensor, images: Tensor) -> Tensor:
        """Return the loss of a batch."""
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.half):
            return self.loss(self.network, images, self.noise, self.table)

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self.pool), generator=self.draws)
        for index in batches(order, self.batch_size, least=2):
            yield index, self.pool.read(index)


class Switching(Reconstructing):
    """Trains a `SwitchedAutoencoder`: after the last epoch, finds the components of what its levels hold."""

    def epoch(self, number: int, tell: Any) -> dict[str, Any]:
        """Train on every image once."""
        done = super().epoch(number, tell)
        if number + 1 == self.epochs:
            assert isinstance(self.network, SwitchedAutoencoder)
            fit_components(self.network, self.pool)
        return done


# -- pictures ----------------------------------------------------------------------------------------------------------


@torch.no_grad()
def reconstructions(network: Any, pool: Pixels) -> dict[str, npt.NDArray[Any]]:
    """Return some images and what the network makes of them, as uint8."""
    images = pool.read(shown_rows(len(pool)))
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
