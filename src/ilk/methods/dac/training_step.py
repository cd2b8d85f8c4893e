"""The training of DAC: batches, targets, the step, and what is watched while it learns."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from ilk import compute, losses, train
from ilk.augment import affine
from ilk.errors import ArgumentError
from ilk.losses import PairLoss
from ilk.methods import checks
from ilk.methods.dac.cuda_graph import Graphs
from ilk.methods.dac.presets import FOLLOWS
from ilk.methods.inputs.dataset import Features, Pixels, Pool, batches
from ilk.networks.dac import DACNet, build_dac_head, build_dac_net
from ilk.vectors import kmeans

__all__ = ["LOSSES", "Learner", "check", "make_learner", "predicted", "thresholds"]

Measure = TypeVar("Measure")

LOSSES = ("selected_mean", "selected_sum", "squared", "binary", "rows")
_ALTER = ("rotation", "shift", "zoom", "flip", "channel_shift", "scale")
_STEPS = 100  # of a portion, where targets are not frozen by chunks
_FOR_CENTERS = 20_000  # images that K-means sees where the network begins with its centres
REFERENCE = 1024  # images whose statistics the batch norms take for prediction


def thresholds(table: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Return (upper, lower) of every epoch that `table` asks for.

    Raises
    ------
    ArgumentError
        More epochs than the thresholds take.
    """
    if table["schedule"] == "linear":
        found = losses.linear_thresholds(tuple(table["upper"]), tuple(table["lower"]), int(table["sweep"]))
    else:
        found = losses.lambda_thresholds(beyond=table["schedule"] == "lambda_beyond")
    if table["selection"] == "all":  # DAC*: one threshold, every pair counts
        found = [((u + low) / 2, (u + low) / 2) for u, low in found]
    wanted = len(found) if table["epochs"] is None else int(table["epochs"])
    if wanted > len(found):
        raise ArgumentError(
            f"epochs={wanted}: the thresholds of this preset take {len(found)} epochs; ask for at most that many."
        )
    return found[:wanted]


@torch.no_grad()
def predicted(net: DACNet, pool: Pool, half: bool) -> Tensor:
    """Return label features (n, k) of all images of `pool`, in batches of one size, on the statistics of `net`."""
    rows = torch.arange(len(pool))
    size = 128 if not isinstance(pool, Pixels) or pool.images.shape[1] <= 32 else 32
    if pool.device.type == "cuda":
        size *= 8  # a GPU waits for work otherwise
    found = []
    with net.fixed():
        for part in batches(rows, size):
            full = part if len(part) == size else torch.cat([part, part.new_zeros(size - len(part))])
            found.append(label_features_of(net, pool.read(full), half)[: len(part)])
    return torch.cat(found) if found else torch.zeros((0, 0))


def label_features_of(net: DACNet, images: Tensor, half: bool) -> Tensor:
    """Return label features (b, k) float32; the trunk runs in bfloat16 if `half`."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
        logits = net(images)
    return losses.label_features(logits)


class Learner:
    """One network in training: it knows pixels, not epochs of a fit, files or labels.

    Parameters
    ----------
    net : DACNet
    pool : Pixels or Features
    table : mapping
        The settings, all resolved.
    draws, noise : torch.Generator
        For the order of images, on the CPU, and for altering them, on the device.
    half : bool
        Whether the trunk runs in bfloat16.
    """

    def __init__(
        self,
        net: DACNet,
        pool: Pool,
        table: Mapping[str, Any],
        draws: torch.Generator,
        noise: torch.Generator,
        half: bool,
    ) -> None:
        self.net = net
        self.pool = pool
        self.table = table
        self.draws = draws
        self.noise = noise
        self.half = half
        self.optimizer = self._optimizer()
        self.order = torch.randperm(len(pool), generator=draws)
        self.reference_rows = self.order[:REFERENCE].clone()
        self.alter = {key: table[key] for key in _ALTER} if isinstance(pool, Pixels) else {}
        self.graphs: Graphs | None = None  # replays steps on a GPU
        self.upper: float | Tensor = 1.0
        self.lower: float | Tensor = 0.0
        self.frozen: Tensor | None = None  # label features of the chunk, unaltered
        self.sums = torch.zeros(3, device=pool.device)  # positive, selected, steps

    def _optimizer(self) -> torch.optim.Optimizer:
        wanted = [parameter for parameter in self.net.parameters() if parameter.requires_grad]
        lr, alpha = float(self.table["lr"]), float(self.table["alpha"])
        return torch.optim.RMSprop(wanted, lr, alpha, eps=1e-8, capturable=self.pool.device.type == "cuda")

    # -- forward -----------------------------------------------------------------------------------------------------

    def features(self, images: Tensor) -> Tensor:
        """Return label features (b, k) float32."""
        return label_features_of(self.net, images, self.half)

    @torch.no_grad()
    def targets(self, index: Tensor) -> Tensor:
        """Return label features (b, k) of unaltered images, on the statistics of batches of ``target_batch``."""
        size = max(int(self.table["target_batch"]), 2)
        return torch.cat([self.features(self.pool.read(part)) for part in batches(index, size, least=2)])

    @torch.no_grad()
    def settle(self) -> None:
        """Measure the statistics that predictions are made with, on the same images every time."""
        with self.net.fixing() as passed:
            for part in batches(self.reference_rows, 128, least=64):
                self.features(self.pool.read(part))
                passed.append(len(part))

    @torch.no_grad()
    def predicted(self) -> Tensor:
        """Return label features (n, k) of all images on the settled statistics."""
        return predicted(self.net, self.pool, self.half)

    # -- training ----------------------------------------------------------------------------------------------------

    def begin(self, upper: float, lower: float) -> None:
        """Begin an epoch with these thresholds."""
        self.upper, self.lower = upper, lower
        if self.table["reset_optimizer"] and self.graphs is not None:
            self.graphs.forget()
        elif self.table["reset_optimizer"]:
            self.optimizer = self._optimizer()
        if self.table["targets"] == "batch" or self.table["reshuffle"]:
            self.order = torch.randperm(len(self.pool), generator=self.draws)

    def portions(self) -> list[Tensor]:
        """Return the pieces of an epoch, between which training can be interrupted: rows, or numbers of steps."""
        if self.table["targets"] == "chunk":
            size = min(int(self.table["chunk"]), len(self.order))
            return list(batches(self.order, size, drop_last=True))
        steps = self.table["steps"] or max(len(self.order) // self.batch_size, 1)
        return list(batches(torch.arange(int(steps)), _STEPS))

    @property
    def batch_size(self) -> int:
        """Images of a step."""
        return min(int(self.table["batch_size"]), len(self.pool))

    def steps(self) -> int:
        """Return how many updates an epoch takes."""
        portions = self.portions()
        if self.table["targets"] == "batch":
            return sum(len(portion) for portion in portions)
        return len(portions) * len(self._sizes()) * int(self.table["inner_epochs"]) * int(self.table["repeats"])

    def _sizes(self) -> list[int]:
        """Return how many images the batches of a portion have, one after another."""
        if self.table["targets"] == "batch":
            return [self.batch_size]
        return [len(index) for index in self._parted(torch.arange(len(self.portions()[0])))]

    def _parted(self, order: Tensor) -> Iterator[Tensor]:
        """Part the images of a chunk into batches.

        The scripts train on a rest of 104 images behind batches of 128; one of a few images joins the batch before it,
        since batch norm would make noise of them, and the pairs of each image with itself a large share.
        """
        size = min(self.batch_size, len(order))
        return batches(order, size, least=max(size // 2, 2), drop_last=bool(self.table["drop_last"]))

    @property
    def usual_batch(self) -> float:
        """Images of a step, averaged so that its inverse is the mean share of pairs of an image with itself."""
        sizes = self._sizes()
        return len(sizes) / sum(1 / size for size in sizes)

    def probe(self, n_steps: int) -> train.Cost:
        """Measure a few steps; everything is put back as it was."""
        return self._measured(functools.partial(train.probe, n_steps=n_steps), self.batch_size, self.batch_size)

    def check_memory(self) -> int:
        """Return the bytes that training takes, seen on a few images; everything is put back as it was.

        Raises
        ------
        NotEnoughMemory
        """
        return self._measured(train.check_memory, max(self._sizes()))

    def _measured(self, measure: Callable[..., Measure], batch_size: int, ready: int = 0) -> Measure:
        """Let `measure` train on the first images, and put back what it cannot know of.

        Targets of `ready` images are made beforehand: no step's time has them.
        """
        before, sums = (self.upper, self.lower, self.frozen), self.sums.clone()
        self.upper, self.lower, self.frozen = 1.0, 0.0, None

        def batch(b: int) -> tuple[Tensor, Tensor]:
            if self.table["targets"] == "chunk" and (self.frozen is None or len(self.frozen) < b):
                self.frozen = self.targets(self.order[: max(b, ready)])
            return torch.arange(b), self.pool.read(self.order[:b])

        try:
            return measure(
                self._step,
                batch,
                batch_size=batch_size,
                network=self.net,
                optimizer=self.optimizer,
                generators=(self.draws, self.noise),
                device=self.pool.device,
            )
        finally:
            self.upper, self.lower, self.frozen = before
            self.sums.copy_(sums)

    def train(self, portion: Tensor, epoch: int) -> float:
        """Train on one portion; return the mean loss."""
        if self.graphs is not None:
            return self.graphs.train(portion, epoch)
        return train.train_epoch(self._step, self._batches(portion), self.optimizer, epoch=epoch)

    def _batches(self, portion: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (index, images); the index counts within the portion."""
        if self.table["targets"] == "chunk":
            self.frozen = self.targets(portion)
        read: tuple[Tensor, Tensor] | None = None
        for index, rows in self.drawn(portion):
            if read is None or read[0] is not index:  # a batch that is trained twice in a row is read once
                read = index, self.pool.read(rows)
            yield read

    def drawn(self, portion: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (index, rows) of every step: where its images are in the portion, and in the pool."""
        if self.table["targets"] == "batch":
            yield from ((rows, rows) for rows in self._passes(portion))
            return
        for _ in range(int(self.table["inner_epochs"])):
            order = torch.randperm(len(portion), generator=self.draws)
            for index in self._parted(order):
                rows = portion[index]
                for _ in range(int(self.table["repeats"])):
                    yield index, rows

    def _passes(self, portion: Tensor) -> Iterator[Tensor]:
        """Rows of batches whose targets come from the batch: a pass over the images, or draws at random."""
        size = self.batch_size
        for number in portion.tolist():
            if self.table["steps"]:
                yield torch.randperm(len(self.pool), generator=self.draws)[:size]
            else:
                yield self.order[number * size : (number + 1) * size]

    def _step(self, index: Tensor, images: Tensor) -> Tensor:
        return self.loss(index, self.altered(images))

    def altered(self, images: Tensor) -> Tensor:
        """Return the images as they are trained on."""
        if not self.alter:
            return images
        return affine(images, self.noise, **self.alter).contiguous(memory_format=torch.channels_last)

    def loss(self, index: Tensor, images: Tensor) -> Tensor:
        """Return the loss () of a batch of altered images; `index` says where their targets are."""
        features = self.features(images)
        frozen = None if self.frozen is None else self.frozen[index.to(features.device)]
        pair = self._pairs(features, frozen)
        self.sums += torch.stack([pair.positive, pair.selected, torch.ones_like(pair.selected)])
        weight = float(self.table["consistency"])
        if not weight or frozen is None:
            return pair.loss
        return pair.loss + weight * self._consistency(features, frozen)

    def _pairs(self, features: Tensor, frozen: Tensor | None) -> PairLoss:
        similarity = losses.similarities(features)
        deciding = features.detach() if frozen is None else frozen
        if self.table["selection"] == "random":  # which images are alike is left to chance; how many are, stays
            deciding = deciding[torch.randperm(len(deciding), generator=self.draws).to(deciding.device)]
        reference = losses.similarities(deciding)
        upper, lower = self.upper, self.lower
        kind = self.table["loss"]
        if kind == "rows":
            return losses.selected_rows(similarity, reference, upper, lower)
        if kind in ("squared", "binary"):
            return losses.every_pair(similarity, reference, (upper + lower) / 2, squared=kind == "squared")
        chosen = losses.selected_mean if kind == "selected_mean" else losses.selected_sum
        return chosen(similarity, upper, lower, reference=reference)

    def _consistency(self, features: Tensor, frozen: Tensor) -> Tensor:
        kind = self.table["consistency_of"]
        if kind in ("softmax", "mixed"):
            features = features / features.sum(1, keepdim=True)
        if kind == "softmax":
            frozen = frozen / frozen.sum(1, keepdim=True)
        return losses.cross_entropy(features, frozen)

    def shares(self) -> tuple[float, float]:
        """Return the shares of positive and of selected pairs since the last call."""
        positive, selected, steps = self.sums.tolist()
        self.sums.zero_()
        return positive / max(steps, 1), selected / max(steps, 1)


def make_learner(pool: Pool, table: Mapping[str, Any], k: int, seed: int, half: bool, restart: int) -> Learner:
    """Build the network of one training and all its random generators, from `seed` and the number of the restart."""
    seeds = np.random.SeedSequence([int(seed), restart]).generate_state(3, np.uint64) >> np.uint64(1)
    weights, draws, noise = (int(part) for part in seeds)
    net = build(pool, table, k, compute.generator(weights)).to(pool.device)
    net = net.to(memory_format=torch.channels_last)
    made = Learner(net, pool, table, compute.generator(draws), compute.generator(noise, pool.device), half)
    if table["graph"]:
        made.graphs = Graphs(made)
    return made


def build(pool: Pool, table: Mapping[str, Any], k: int, generator: torch.Generator) -> DACNet:
    """Build the network that `table` names for what is in `pool`."""
    affine_norms = bool(table["affine"])
    if isinstance(pool, Features):
        rows = torch.randperm(len(pool), generator=generator)[:_FOR_CENTERS]
        found = kmeans(pool.read(rows).cpu(), k, n_init=3, generator=generator)
        return build_dac_head(found.centers, affine=affine_norms)
    c, side, _ = pool.images.shape
    return build_dac_net(str(table["network"]), c, side, k, affine=affine_norms, generator=generator)


def check(table: Mapping[str, Any]) -> None:
    """Raise `ArgumentError` unless every setting is one of those allowed."""
    choices = {
        "loss": LOSSES,
        "targets": ("batch", "chunk"),
        "schedule": ("lambda", "lambda_beyond", "linear"),
        "selection": ("thresholds", "all", "random"),
        "consistency_of": ("label_features", "softmax", "mixed"),
    }
    for key, allowed in choices.items():
        checks.choice(key, table[key], allowed, auto=key in FOLLOWS)
    if table["graph"] and table["selection"] == "random":
        raise ArgumentError("graph=true: selection='random' draws on the CPU, and a graph cannot wait for it.")
