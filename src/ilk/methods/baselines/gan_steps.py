"""How two networks are trained against each other, and what the discriminator has seen is summed up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ilk import compute
from ilk.errors import Diverged
from ilk.methods.baselines.components import fit_components
from ilk.methods.baselines.gan_settings import GANSettings
from ilk.methods.inputs.dataset import PixelDataset
from ilk.methods.training import Stage, cut, seeds_of
from ilk.networks.gan import Adversaries
from ilk.train.state import Part

__all__ = ["Adversarial"]

_FOR_STATISTICS = 10_000


class Adversarial(Stage):
    """Trains a `Adversaries`; the loss is that of the discriminator.

    Parameters
    ----------
    network : Adversaries
    dataset : PixelDataset
    settings : GANSettings
    bf16 : bool
    seed : int
    """

    def __init__(
        self, network: Adversaries, dataset: PixelDataset, settings: GANSettings, bf16: bool, seed: int
    ) -> None:
        self.network = network
        self.dataset = dataset
        self.settings = settings
        self.bf16 = bf16
        self.device = dataset.device
        self.epochs = settings.epochs
        self.n_images = len(dataset)
        self.batch_size = min(settings.batch_size, len(dataset))
        self.memory = {}
        draws, noise = seeds_of(seed, 2)
        self.draws, self.noise = compute.generator(draws), compute.generator(noise, dataset.device)
        self.optimizers = [
            torch.optim.Adam(net.parameters(), lr=settings.lr, betas=(settings.beta1, 0.999), fused=True)
            for net in (network.discriminator, network.generator)
        ]
        self.generated = torch.zeros((), dtype=torch.float64, device=dataset.device)  # loss of the generator, summed

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

    def begin(self, epoch: int) -> None:
        """Draw the order of images."""
        self.memory["order"] = torch.randperm(self.n_images, generator=self.draws).to(torch.int32).numpy()
        self.generated.zero_()

    def units(self, epoch: int) -> Sequence[Tensor]:
        """Return batches."""
        order = torch.from_numpy(self.memory.get("order", torch.arange(self.n_images).numpy())).long()
        return cut(order, self.batch_size, least=2)

    def update(self, unit: Tensor) -> Tensor:
        """Train the discriminator, then the generator; return the loss of the first."""
        both = self._step(self.dataset.read(unit) * 2 - 1)
        self.generated += both[1]
        return both[0]

    def keep(self) -> None:
        """Keep the generator's loss so far."""
        self.memory["generated"] = self.generated.cpu().numpy()

    def restored(self) -> None:
        """Take it up."""
        self.generated.copy_(torch.from_numpy(self.memory["generated"]))

    def end(self, epoch: int) -> dict[str, Any]:
        """Return the mean loss of the generator."""
        loss = float(self.generated) / self.n_steps()
        if not math.isfinite(loss):
            raise Diverged(f"the generator's loss is no longer finite in epoch {epoch + 1}: {self.cure}")
        return {"generator_loss": round(loss, 6)}

    def finish(self) -> None:
        """Sum up what was seen."""
        self._recalibrate()
        fit_components(self.network, self.dataset)

    def _step(self, real: Tensor) -> Tensor:
        """Train the discriminator, then the generator; return both losses."""
        net = self.network
        length = self.settings.noise_dim
        noise = torch.rand(len(real), length, generator=self.noise, device=real.device) * 2 - 1
        with torch.autocast(real.device.type, torch.bfloat16, enabled=self.bf16):
            fake = net.generator(noise)
            seems = net.discriminator(real).float(), net.discriminator(fake.detach()).float()
        first = (functional.softplus(-seems[0]).mean() + functional.softplus(seems[1]).mean()) / 2
        self._move(0, first, list(net.discriminator.parameters()))
        with torch.autocast(real.device.type, torch.bfloat16, enabled=self.bf16):
            again = net.discriminator(fake).float()
        second = functional.softplus(-again).mean()
        self._move(1, second, list(net.generator.parameters()))
        return torch.stack([first.detach(), second.detach()]).double()

    def _move(self, which: int, loss: Tensor, parameters: list[torch.nn.Parameter]) -> None:
        """Step along the gradient for `parameters` alone."""
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = gradient
        compute.average_gradients(parameters)
        self.optimizers[which].step()

    @torch.no_grad()
    def _recalibrate(self) -> None:
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
        rows = torch.randperm(len(self.dataset), generator=self.draws)[:_FOR_STATISTICS]
        for part in cut(rows, self.batch_size, drop_last=True):
            with torch.autocast(self.dataset.device.type, torch.bfloat16, enabled=self.bf16):
                net(self.dataset.read(part) * 2 - 1)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
