"""The training of DeepCluster-v2: embeddings of the epoch before are clustered, their centres are the classifier."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ilk import train
from ilk.methods.deepcluster.space import Fine
from ilk.methods.deepcluster.training_step import Measure, Pace, Part, Tell, make_optimizer
from ilk.methods.deepcluster.views import Views
from ilk.methods.inputs.dataset import batches
from ilk.networks.convnets import ConvNet
from ilk.train import Cost
from ilk.vectors import Rows, kmeans, l2_normalize

__all__ = ["BankLearner"]


class BankLearner:
    """One network in training by the second version of DeepCluster.

    The embeddings of the large views are kept while an epoch runs (the bank); before the next one, spherical K-means on
    the bank gives every image a pseudo-label and every head its weights: the centres. No pass over the images is made
    for it, and no head is trained.

    Parameters are those of `ilk.methods.deepcluster.training_step.Learner`.
    """

    def __init__(
        self,
        net: ConvNet,
        views: Views,
        table: Mapping[str, Any],
        k: int,
        draws: torch.Generator,
        noise: torch.Generator,
        half: bool,
    ) -> None:
        self.net = net
        self.views = views
        self.table = table
        self.k = k
        self.draws = draws
        self.noise = noise
        self.half = half
        self.device = views.device
        net.seed(noise)
        self.optimizer = make_optimizer(table, [{"params": list(net.parameters())}])
        self.large, self.small = (int(count) for count in table["crops"])
        self.heads = int(table["heads"])
        self.bank = torch.zeros(self.large, len(views), net.n_features, device=self.device)
        self.filled = False
        self.prototypes: list[Tensor] = []
        self.targets: list[Tensor] = []

    def parts(self) -> dict[str, Part]:
        """Return what a state has to keep."""
        return {"network": self.net, "optimizer": self.optimizer, "draws": self.draws, "noise": self.noise}

    def more(self) -> dict[str, Any]:
        """Return what else a state has to keep: the bank, and the centres where they stay."""
        kept = {f"prototypes.{i}": head.cpu().numpy() for i, head in enumerate(self.prototypes)}
        return {"bank": self.bank.cpu().numpy(), "filled": self.filled, **kept}

    def take(self, state: Mapping[str, Any]) -> None:
        """Take back what `more` returned."""
        self.bank = torch.from_numpy(np.array(state["bank"], np.float32)).to(self.device)
        self.filled = bool(state["filled"])
        count = sum(name.startswith("prototypes.") for name in state)
        kept = [np.array(state[f"prototypes.{i}"], np.float32) for i in range(count)]
        self.prototypes = [torch.from_numpy(head).to(self.device) for head in kept]

    @property
    def batch_size(self) -> int:
        """Images of a step."""
        return min(int(self.table["batch_size"]), len(self.views))

    def steps(self) -> int:
        """Return how many updates an epoch takes; an incomplete batch is left out."""
        return max(len(self.views) // self.batch_size, 1)

    # -- an epoch ----------------------------------------------------------------------------------------------------

    def assign(self) -> list[Fine]:
        """Cluster the bank once for each head, the large views taking turns; the centres become the heads."""
        if not self.filled:
            self._fill()
        found = [self._clustered(self.bank[head % self.large]) for head in range(self.heads)]
        self.prototypes = [fine.centers for fine in found]
        return found

    def _clustered(self, rows: Tensor) -> Fine:
        distinct = Rows.of(rows, normalize=True).fewer_distinct_than(self.k)
        found = kmeans(
            rows,
            self.k if distinct is None else distinct,
            max_iter=int(self.table["iterations"]),
            tol=0.0,
            spherical=True,
            init="random",
            empty="keep",
            generator=self.draws,
        )
        return Fine(found.labels, found.centers, found.inertia / len(rows))

    @torch.no_grad()
    def _fill(self) -> None:
        """Fill the bank before the first epoch: the large views of all images, without training."""
        self.net.train()  # statistics of the batch, as while training
        for index in batches(torch.arange(len(self.views)), self.batch_size, least=2):
            images = self.views.read(index)
            for view in range(self.large):
                self.bank[view, index.to(self.device)] = self._embedded(self._view(images, large=True))
        self.filled = True

    def train(self, labels: list[Tensor], epoch: int, tell: Tell) -> float:
        """Train one epoch on these pseudo-labels, one (n,) per head, on the CPU; return the mean loss."""
        self.targets = [found.to(self.device) for found in labels]
        order = torch.randperm(len(self.views), generator=self.draws)
        self.net.train()
        steps = train.watched(self._batches(order), self.steps(), tell)
        pace = Pace(self.table, self.optimizer, epoch, self.steps())
        return train.train_epoch(self._step, steps, self.optimizer, epoch=epoch, after=pace)

    def _batches(self, order: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        for index in batches(order, self.batch_size, drop_last=True):
            yield index, self.views.read(index)

    def _view(self, images: Tensor, *, large: bool) -> Tensor:
        """Return one view of every image."""
        at = 0 if large else 1
        least = float(self.table["crop_scales"][at])
        most = 1.0 if large else max(float(self.table["crop_scales"][0]), least)
        side = int(self.table["crop_sizes"][at])
        return self.views.cut(images, self.noise, (least, most), side)

    def _embedded(self, images: Tensor) -> Tensor:
        """Return rows (b, width) float32 of length 1."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            features = self.net(images)
        return l2_normalize(features.float())

    def _step(self, index: Tensor, images: Tensor) -> Tensor:
        rows = index.to(self.device)
        # one pass for all views of a size: batch norm sees them together, as the authors have it
        views = [torch.cat([self._view(images, large=True) for _ in range(self.large)])]
        if self.small:
            views.append(torch.cat([self._view(images, large=False) for _ in range(self.small)]))
        embedded = torch.cat([self._embedded(part) for part in views])
        kept = embedded[: self.large * len(rows)].detach().view(self.large, len(rows), -1)
        self.bank[:, rows] = kept
        loss = embedded.new_zeros(())
        for prototypes, targets in zip(self.prototypes, self.targets, strict=True):
            logits = embedded @ prototypes.T / float(self.table["temperature"])
            wanted = targets[rows].repeat(self.large + self.small)
            loss = loss + functional.cross_entropy(logits, wanted)
        return loss / self.heads

    def probe(self, n_steps: int) -> Cost:
        """Measure a few steps; everything is put back as it was."""
        return self._measured(functools.partial(train.probe, n_steps=n_steps))

    def check_memory(self) -> int:
        """Return the bytes that training takes, seen on a few images; everything is put back as it was."""
        return self._measured(train.check_memory)

    def _measured(self, measure: Callable[..., Measure]) -> Measure:
        bank, prototypes = self.bank[:, : self.batch_size].clone(), self.prototypes
        self.prototypes = [l2_normalize(torch.ones(self.k, self.net.n_features, device=self.device))] * self.heads
        self.targets = [torch.zeros(len(self.views), dtype=torch.int64, device=self.device)] * self.heads
        self.net.train()
        try:
            return measure(
                self._step,
                lambda b: (torch.arange(b), self.views.read(torch.arange(b))),
                batch_size=self.batch_size,
                network=self.net,
                optimizer=self.optimizer,
                generators=(self.draws, self.noise),
                device=self.device,
            )
        finally:
            self.bank[:, : self.batch_size] = bank
            self.prototypes = prototypes
