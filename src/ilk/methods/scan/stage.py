"""What the three trainings of SCAN share: optimizer, batches, random numbers, means over the steps of an epoch."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ilk import compute
from ilk.methods.inputs.dataset import Dataset, encode_all
from ilk.methods.scan import keras
from ilk.methods.training import GradientStage, seeds_of
from ilk.networks.still import still

__all__ = ["SCANStage", "features_of", "make_optimizer"]

_LARGE = 2_000_000  # weights of a network that a CPU is shown a few images at a time


class SCANStage(GradientStage):
    """Abstract: a training with settings ``NAME_lr``, ``NAME_batch`` and so on, where NAME is its own.

    `loss` leaves what else is to be known of its batch in `seen`; `means` gives the mean of an epoch.

    Parameters
    ----------
    network : nn.Module
        What a state holds.
    trained : nn.Module
        The part of it that learns.
    dataset : PixelDataset or FeatureDataset
    settings : SimCLRSettings or SCANSettings
    seed : int
    bf16 : bool
        Whether the encoder runs in bfloat16; losses never do.
    """

    part: ClassVar[int]
    """Of the seeds."""

    n_seen: ClassVar[int]

    def __init__(
        self, network: nn.Module, trained: nn.Module, dataset: Dataset, settings: Any, seed: int, bf16: bool
    ) -> None:
        self.network = network
        self.dataset = dataset
        self.settings = settings
        self.seed = seed
        self.bf16 = bf16
        self.device = dataset.device
        self.n_images = len(dataset)
        self.epochs = settings[f"{self.name}_epochs"]
        self.setting, self.cure = f"{self.name}_batch", f"lower {self.name}_lr="
        self.batch_size = min(settings[self.setting], len(dataset))
        self.drop_last = not settings.short_batch
        self.memory = {}
        _, order, noise = seeds_of(seed, 3, self.part)
        self.draws, self.noise = compute.generator(order), compute.generator(noise, self.device)
        self.optimizer = make_optimizer(self.name, trained, settings)
        self.seen: tuple[Tensor, ...] = ()
        self.sums = torch.zeros(self.n_seen + 1, device=self.device)  # over the steps of this epoch; and steps

    def begin(self, epoch: int) -> None:
        """Draw the order of images."""
        super().begin(epoch)
        self.sums.zero_()

    @torch.no_grad()
    def after_step(self) -> None:
        """Add up what was seen."""
        self.sums += torch.stack([*self.seen, torch.ones_like(self.seen[0])])

    def keep(self) -> None:
        """Keep the sums."""
        self.memory["sums"] = self.sums.cpu().numpy()

    def restored(self) -> None:
        """Take up the sums."""
        self.sums.copy_(torch.from_numpy(self.memory["sums"]))

    def means(self) -> list[float]:
        """Return the means of what was `seen` in the steps of the epoch."""
        *sums, steps = self.sums.tolist()
        return [one / max(steps, 1) for one in sums]


def make_optimizer(stage: str, trained: nn.Module, settings: Any) -> torch.optim.Optimizer:
    """Return a fused optimizer: it can leave out a step without the host knowing (see `SelfLabelling`)."""
    kind, lr, decay = (settings[f"{stage}_{key}"] for key in ("optimizer", "lr", "weight_decay"))
    wanted = [parameter for parameter in trained.parameters() if parameter.requires_grad]
    if kind == "sgd":
        sgd = torch.optim.SGD(wanted, lr, momentum=settings.momentum, weight_decay=decay, fused=True)
        if settings.momentum:  # made by the first step, they would be what lay in memory if that step were left out
            sgd.state.update({p: {"momentum_buffer": torch.zeros_like(p)} for p in wanted})
        return sgd
    made = torch.optim.Adam if kind == "adam" else torch.optim.AdamW
    found = made(wanted, lr, eps=settings.adam_eps, weight_decay=decay, fused=True)
    if kind == "adamw" and settings.decoupled_wd_unscaled:
        keras.set_unscaled_decay(found, decay)
    return found


def features_of(network: nn.Module, read: Any, rows: Tensor, device: torch.device, bf16: bool) -> Tensor:
    """Return what `network` gives the images `rows` (m,), statistics fixed: float32 (m, d), on the CPU."""
    large = sum(parameter.numel() for parameter in network.parameters()) > _LARGE
    size = 16 if large and device.type == "cpu" else 256
    with still(network):
        return encode_all(network, read, rows, size, device=device, bf16=bf16)
