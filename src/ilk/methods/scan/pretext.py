"""Learning a representation by contrast: one epoch at a time, for SCAN's first stage and for SimCLR alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from ilk import compute, losses, train
from ilk.methods import checks
from ilk.methods.inputs.dataset import batches
from ilk.methods.inputs.views import Views, check_alterations
from ilk.methods.training.within_epoch import Midway, Tell
from ilk.networks.resnet import BACKBONES, STEMS
from ilk.networks.scan import PROJECTORS, Contrast, build_contrast
from ilk.networks.still import still

__all__ = [
    "OPTIMIZERS",
    "Pretext",
    "build_net",
    "check_pretext",
    "encoded",
    "epoch_of",
    "optimizer_of",
    "seeds",
    "steps_of",
]

OPTIMIZERS = ("sgd", "adam", "adamw")
_LARGE = 2_000_000  # weights of a network that a CPU is shown a few images at a time


def check_pretext(table: Mapping[str, Any]) -> None:
    """Raise `ArgumentError` for a setting of the representation or its training outside of what is allowed."""
    checks.choice("network", table["network"], [*BACKBONES, "features"])
    checks.choice("stem", table["stem"], STEMS)
    checks.choice("projector", table["projector"], PROJECTORS)
    checks.choice("pretext_optimizer", table["pretext_optimizer"], OPTIMIZERS)
    checks.choice("contrast", table["contrast"], ("both", "one", "tiled"))
    checks.choice("schedule", table["schedule"], ("epochs", "steps", "constant"))
    for key in ("representation", "decay_steps", "image_size"):
        checks.whole(key, table[key], optional=True, auto=key == "image_size")
    checks.whole("projection", table["projection"])
    checks.whole("pretext_epochs", table["pretext_epochs"], least=0)
    checks.whole("pretext_batch", table["pretext_batch"], least=2)
    checks.number("temperature", table["temperature"], 10.0, least=1e-3)
    most = {"pretext_lr": 10.0, "pretext_decay": 1.0, "lr_floor": 1.0, "dropout": 0.9, "momentum": 0.999}
    for key, limit in most.items():
        checks.number(key, table[key], limit)
    checks.number("adam_eps", table["adam_eps"], 0.1, least=1e-12)
    for key in ("l2_normalize", "column_max_shift", "tf_softmax_grad", "decoupled_wd_unscaled", "short_batch"):
        checks.flag(key, table[key])
    check_alterations(table)


def seeds(seed: int, part: int) -> list[int]:
    """Return three independent seeds for part `part` of a fit: weights, order, noise."""
    drawn = np.random.SeedSequence([int(seed), part]).generate_state(3, np.uint64) >> np.uint64(1)
    return [int(one) for one in drawn]


def build_net(table: Mapping[str, Any], channels: int, generator: torch.Generator) -> Contrast:
    """Build encoder and projector that `table` names."""
    return build_contrast(
        str(table["network"]),
        channels,
        generator=generator,
        stem=str(table["stem"]),
        representation=table["representation"],
        projector=str(table["projector"]),
        projection=int(table["projection"]),
    )


def optimizer_of(
    kind: str,
    network: nn.Module,
    lr: float,
    decay: float,
    momentum: float,
    *,
    unscaled: bool = False,
    eps: float = 1e-8,
) -> torch.optim.Optimizer:
    """Return a fused optimizer: it can leave out a step without the host knowing (see `_scan_steps`).

    Parameters
    ----------
    unscaled
        "adamw" only: weights lose the share `decay` at every step, whatever the learning rate is.
    eps
        "adam" and "adamw" only.
    """
    wanted = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if kind == "sgd":
        found = torch.optim.SGD(wanted, lr, momentum=momentum, weight_decay=decay, fused=True)
        if momentum:  # made by the first step, they would be what lay in memory if that step were left out
            found.state.update({p: {"momentum_buffer": torch.zeros_like(p)} for p in wanted})
        return found
    if kind == "adam":
        return torch.optim.Adam(wanted, lr, eps=eps, weight_decay=decay, fused=True)
    return torch.optim.AdamW(wanted, lr, eps=eps, weight_decay=decay / lr if unscaled else decay, fused=True)


def epoch_of(n: int, size: int, draws: torch.Generator, *, short: bool = False) -> Iterator[Tensor]:
    """Yield the rows of one epoch in a new order; what does not fill a batch is left to the next epoch.

    Parameters
    ----------
    n, size, draws
        Images, those of a batch, and what draws the order.
    short
        It is a smaller batch instead; a single image, which has no statistics, joins the batch before.
    """
    yield from batches(torch.randperm(n, generator=draws), min(size, n), least=2, drop_last=not short)


def steps_of(n: int, size: int, *, short: bool = False) -> int:
    """Return how many batches `epoch_of` yields."""
    whole, rest = divmod(n, min(size, n))
    return whole + (short and rest >= 2)


@torch.no_grad()
def encoded(network: nn.Module, read: Callable[[Tensor], Tensor], rows: Tensor, half: bool) -> Tensor:
    """Return (m, d) float32 of the images `rows` (m,), on the CPU, in evaluation mode and in batches of one size.

    A batch is always filled up, so what an image gets does not depend on how many stand beside it.
    """
    large = sum(parameter.numel() for parameter in network.parameters()) > _LARGE
    size = 16 if large and next(network.parameters()).device.type == "cpu" else 256
    found = []
    with still(network):
        for part in torch.split(rows, size):
            full = part if len(part) == size else torch.cat([part, part.new_zeros(size - len(part))])
            images = read(full)
            with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
                features = network(images)
            found.append(features.float()[: len(part)].cpu())
    return torch.cat(found) if found else torch.zeros((0, 0))


class Pretext:
    """A network that learns to tell two altered copies of an image from all other images.

    Parameters
    ----------
    net : Contrast
    views : Views
    table : mapping
        The settings, all resolved.
    seed : int
    half : bool
        Whether the network runs in bfloat16; the loss never does.
    """

    name = "pretext"

    def __init__(self, net: Contrast, views: Views, table: Mapping[str, Any], seed: int, half: bool) -> None:
        self.net = net
        self.views = views
        self.table = table
        self.half = half
        _, order, noise = seeds(seed, 1)
        self.draws = compute.generator(order)
        self.noise = compute.generator(noise, views.device)
        self.epochs = int(table["pretext_epochs"])
        self.lr = float(table["pretext_lr"])
        self.unscaled = bool(table["decoupled_wd_unscaled"])
        self.short = bool(table["short_batch"])
        self.optimizer = optimizer_of(
            table["pretext_optimizer"],
            net,
            self.lr,
            float(table["pretext_decay"]),
            float(table["momentum"]),
            unscaled=self.unscaled,
            eps=float(table["adam_eps"]),
        )
        self.done = 0  # steps
        self.sums = torch.zeros(2, device=views.device)  # cosine of copies, and steps
        self.midway = Midway(self.draws, self.sums)

    @property
    def size(self) -> int:
        """Images of a batch."""
        return min(int(self.table["pretext_batch"]), len(self.views))

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return steps_of(len(self.views), self.size, short=self.short)

    def run(self, epoch: int, tell: Tell) -> float:
        """Train for one epoch, or what is left of it; return the mean loss."""
        self.net.train()
        self.done = epoch * self.steps + self.midway.step
        if self.table["schedule"] == "epochs":
            self._set_lr(epoch / max(self.epochs, 1))
        rows = ((index, index) for index in epoch_of(len(self.views), self.size, self.draws, short=self.short))
        return self.midway.train(self._step, rows, self.steps, self.optimizer, epoch, tell)

    def _set_lr(self, share: float) -> None:
        """Take the learning rate of a point on the way, from 0 to 1."""
        lr = train.cosine(share, 1.0, self.lr, self.lr * float(self.table["lr_floor"]))
        train.set_lr(self.optimizer, lr)
        if self.unscaled:
            for group in self.optimizer.param_groups:
                group["weight_decay"] = float(self.table["pretext_decay"]) / lr

    def _step(self, index: Tensor, _: Tensor) -> Tensor:
        if self.table["schedule"] == "steps":
            self._set_lr(self.done / (self.table["decay_steps"] or self.epochs * self.steps))
        self.done += 1
        copies = self.views.altered(index, self.table, self.noise, 2)
        with torch.autocast(copies.device.type, torch.bfloat16, enabled=self.half):
            found = self.net(copies, float(self.table["dropout"]), self.noise)
        first, second = found.float().chunk(2)
        with torch.no_grad():
            alike = functional.cosine_similarity(first, second).mean()
            self.sums += torch.stack([alike, torch.ones_like(alike)])
        temperature = float(self.table["temperature"])
        if self.table["contrast"] == "tiled":
            return losses.tiled_xent(
                torch.cat([first, second]),
                temperature,
                normalize=self.table["l2_normalize"],
                column_shift=self.table["column_max_shift"],
                kernel_gradient=self.table["tf_softmax_grad"],
            )
        return losses.nt_xent(first, second, temperature, one_sided=self.table["contrast"] == "one")

    def told(self) -> dict[str, Any]:
        """Return what the last epoch was like: ``alike``, the mean cosine of two copies of an image."""
        alike, steps = self.sums.tolist()
        self.sums.zero_()
        return {"alike": round(alike / max(steps, 1), 4)}

    def probe(self) -> train.Cost:
        """Measure a few steps; everything is put back as it was."""
        with self._kept() as what:
            return train.probe(self._step, self._first, n_steps=self.steps * self.epochs, **what)

    def check_memory(self, setting: str = "pretext_batch") -> None:
        """Refuse a training whose step does not fit into memory; everything is put back as it was."""
        with self._kept() as what:
            train.check_memory(self._step, self._first, setting=setting, **what)

    def _first(self, b: int) -> tuple[Tensor, Tensor]:
        """Return a batch for a step that is taken back."""
        self.net.train()
        return torch.arange(b), torch.arange(b)

    @contextlib.contextmanager
    def _kept(self) -> Iterator[dict[str, Any]]:
        """Yield what steps that are taken back change; keep the rest of it."""
        sums, done = self.sums.clone(), self.done
        yield {
            "batch_size": self.size,
            "network": self.net,
            "optimizer": self.optimizer,
            "generators": (self.draws, self.noise),
            "device": self.views.device,
        }
        self.sums.copy_(sums)
        self.done = done

    def parts(self) -> dict[str, Any]:
        """Return what a state has to hold: see `ilk.train.state_of`."""
        return {"network": self.net, "optimizer": self.optimizer, "draws": self.draws, "noise": self.noise}

    def features(self) -> npt.NDArray[np.float16]:
        """Return the features (n, d) of all images, as they are kept."""
        return halves(encoded(self.net.encoder, self.views.read, torch.arange(len(self.views)), self.half))


def halves(features: Tensor) -> npt.NDArray[np.float16]:
    """Return features as they are kept: whatever is decided later is read off these."""
    largest = float(np.finfo(np.float16).max)
    return features.clamp(-largest, largest).numpy().astype(np.float16)
