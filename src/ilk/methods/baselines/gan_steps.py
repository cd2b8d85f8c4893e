"""How two networks are trained against each other, and what the discriminator has seen is summed up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from ilk import compute, train
from ilk.errors import Diverged
from ilk.methods.baselines.autoencoder_steps import seeds_of
from ilk.methods.baselines.components import fit_components
from ilk.methods.inputs.dataset import Pixels, batches
from ilk.networks.gan import Adversaries
from ilk.train.state import Part

__all__ = ["Adversarial"]

_FOR_STATISTICS = 10_000


class Adversarial:
    """Trains a `Adversaries`.

    Parameters
    ----------
    network : Adversaries
    pool : Pixels
    table : mapping
        Settings.
    half : bool
    seed : int

    Attributes
    ----------
    epochs, seen, memory
        See `ilk.methods.training.epochs.Learner`.
    """

    def __init__(self, network: Adversaries, pool: Pixels, table: Mapping[str, Any], half: bool, seed: int) -> None:
        self.network = network
        self.pool = pool
        self.table = table
        self.half = half
        self.epochs = int(table["epochs"])
        self.seen = len(pool)
        self.batch_size = min(int(table["batch_size"]), len(pool))
        self.memory: dict[str, npt.NDArray[Any]] = {}
        draws, noise = seeds_of(seed, 2)
        self.draws, self.noise = compute.generator(draws), compute.generator(noise, pool.device)
        made = (network.discriminator, network.generator)
        self.optimizers = [
            torch.optim.Adam(net.parameters(), lr=table["lr"], betas=(float(table["beta1"]), 0.999), fused=True)
            for net in made
        ]

    def parts(self) -> dict[str, Part]:
        """Return networks, optimizers and generators by name."""
        first, second = self.optimizers
        return {
            "network": self.network,
            "discriminates": first,
            "generates": second,
            "draws": self.draws,
            "noise": self.noise,
        }

    def epoch(self, number: int, tell: Any) -> dict[str, Any]:
        """Train both networks on every image once; after the last epoch, sum up what was seen."""
        compute.keep_freed()
        order = torch.randperm(len(self.pool), generator=self.draws)
        rows = list(batches(order, self.batch_size, least=2))
        total = torch.zeros(2, dtype=torch.float64, device=self.pool.device)
        pairs = ((index, self.pool.read(index)) for index in rows)
        for _, images in train.watched(pairs, len(rows), tell):
            total += self._step(images * 2 - 1)
        both = (total / len(rows)).tolist()
        if not all(math.isfinite(loss) for loss in both):
            raise Diverged(f"the losses are {both} in epoch {number + 1}: training diverged. Make lr smaller.")
        if number + 1 == self.epochs:
            self._settle()
            fit_components(self.network, self.pool)
        return {"loss": round(both[0], 6), "generator_loss": round(both[1], 6)}

    def _step(self, real: Tensor) -> Tensor:
        """Train the discriminator, then the generator; return both losses."""
        net, told = self.network, []
        length = int(self.table["noise"])
        noise = torch.rand(len(real), length, generator=self.noise, device=real.device) * 2 - 1
        with torch.autocast(real.device.type, torch.bfloat16, enabled=self.half):
            fake = net.generator(noise)
            seems = net.discriminator(real).float(), net.discriminator(fake.detach()).float()
        losses = (functional.softplus(-seems[0]).mean() + functional.softplus(seems[1]).mean()) / 2
        self._move(0, losses, list(net.discriminator.parameters()))
        told.append(losses.detach())
        with torch.autocast(real.device.type, torch.bfloat16, enabled=self.half):
            again = net.discriminator(fake).float()
        loss = functional.softplus(-again).mean()
        self._move(1, loss, list(net.generator.parameters()))
        return torch.stack([*told, loss.detach()]).double()

    def _move(self, which: int, loss: Tensor, parameters: list[torch.nn.Parameter]) -> None:
        """Step along the gradient for `parameters` alone."""
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = gradient
        compute.average_gradients(parameters)
        self.optimizers[which].step()

    @torch.no_grad()
    def _settle(self) -> None:
        """Give the discriminator's batch norms the statistics of real images alone.

        While it trains, two of three batches are generated ones, and the averages that batch norm keeps are mostly of
        those. Here they become the means over batches of real images, drawn from all: an order that the images came in
        would make batches of one kind.
        """
        net = self.network.discriminator.train()
        norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # every batch counts alike
        rows = torch.randperm(len(self.pool), generator=self.draws)[:_FOR_STATISTICS]
        for part in batches(rows, self.batch_size, drop_last=True):
            with torch.autocast(self.pool.device.type, torch.bfloat16, enabled=self.half):
                net(self.pool.read(part) * 2 - 1)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
