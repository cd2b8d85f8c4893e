"""The two trainings of SCAN that know groups: neighbours fall into one, and what is sure teaches what is altered."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ilk import compute, losses, train
from ilk.methods.inputs.views import Rows, Views
from ilk.methods.scan.pretext import epoch_of, optimizer_of, seeds, steps_of
from ilk.methods.training.within_epoch import Midway, Tell
from ilk.networks.scan import SCANNet

__all__ = ["Clustering", "SelfLabelling", "Stage"]
_DROPPED = 0.5  # share of the entries of ready-made features that an altered copy lacks


class Stage(ABC):
    """What both trainings share: the pool, the optimizer, the generators, the order of images.

    Parameters
    ----------
    net : SCANNet
    pool : Views or Rows
        Rows are features that stand still: only the heads see them.
    table : mapping
        The settings, all resolved.
    seed : int
    half : bool
        Whether the encoder runs in bfloat16.
    """

    name = ""
    part = 0  # of the seeds

    def __init__(self, net: SCANNet, pool: Views | Rows, table: Mapping[str, Any], seed: int, half: bool) -> None:
        self.net = net
        self.pool = pool
        self.table = table
        self.half = half
        _, order, noise = seeds(seed, self.part)
        self.draws = compute.generator(order)
        self.noise = compute.generator(noise, pool.device)
        self.heads_only = net.encoder is None or isinstance(pool, Rows) or self._tunes_heads()
        trained: nn.Module = net.heads if self.heads_only else net
        self.optimizer = optimizer_of(
            self._of("optimizer"),
            trained,
            float(self._of("lr")),
            float(self._of("decay")),
            float(table["momentum"]),
            unscaled=bool(table["decoupled_wd_unscaled"]),
            eps=float(table["adam_eps"]),
        )
        self.short = bool(table["short_batch"])
        self.epochs = int(self._of("epochs"))
        self.sums = torch.zeros(3, device=pool.device)
        self.midway = Midway(self.draws, self.sums)

    def _of(self, key: str) -> Any:
        return self.table[f"{self.name}_{key}"]

    def _tunes_heads(self) -> bool:
        """Whether the encoder stands still though the pool holds images."""
        return bool(self.table["tune"] == "heads")

    @property
    def size(self) -> int:
        """Images of a batch."""
        return min(int(self._of("batch")), len(self.pool))

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return steps_of(len(self.pool), self.size, short=self.short)

    def run(self, epoch: int, tell: Tell) -> float:
        """Train for one epoch, or what is left of it; return the mean loss."""
        self.net.train()
        if self.net.encoder is not None and self.heads_only:
            self.net.encoder.eval()  # what is not trained keeps its statistics
        return self.midway.train(
            self._step, self._batches(), self.steps, self.optimizer, epoch, tell, after=self._after
        )

    def check_memory(self) -> None:
        """Refuse a training whose step does not fit into memory; everything is put back as it was.

        Heads alone take next to nothing, and are not tried.
        """
        if self.heads_only:
            return
        sums = self.sums.clone()
        train.check_memory(
            self._step,
            self._first,
            batch_size=self.size,
            network=self.net,
            optimizer=self.optimizer,
            generators=(self.draws, self.noise),
            device=self.pool.device,
            setting=f"{self.name}_batch",
        )
        self.sums.copy_(sums)

    def _first(self, b: int) -> tuple[Tensor, Tensor]:
        """Return a batch for a step that is taken back."""
        self.net.train()
        return torch.arange(b), torch.arange(b)

    def logits(self, images: Tensor) -> Tensor:
        """Return logits (b, h, k) float32 of images, or of features where the pool holds these."""
        if isinstance(self.pool, Rows) or self.net.encoder is None:
            return self._sorted(images)
        trained = torch.is_grad_enabled() and not self.heads_only
        with torch.set_grad_enabled(trained), torch.autocast(images.device.type, torch.bfloat16, enabled=self.half):
            features = self.net.encoder(images)
        return self._sorted(features.float())

    def _sorted(self, features: Tensor) -> Tensor:
        logits: Tensor = self.net.heads(features)
        return logits

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        for index in epoch_of(len(self.pool), self.size, self.draws, short=self.short):
            yield index, index

    @abstractmethod
    def _step(self, index: Tensor, other: Tensor) -> Tensor:
        """Return the loss of a batch."""

    @abstractmethod
    def _after(self) -> None:
        """Do what follows each step of the optimizer."""

    def _strong(self, index: Tensor) -> Tensor:
        if isinstance(self.pool, Rows):
            rows = self.pool.read(index)
            kept = torch.rand(rows.shape, generator=self.noise, device=rows.device) >= _DROPPED
            return rows * kept
        return self.pool.strong(index, int(self.table["cutout"]), self.noise)

    def parts(self) -> dict[str, Any]:
        """Return what a state has to hold: see `ilk.train.state_of`."""
        return {"network": self.net, "optimizer": self.optimizer, "draws": self.draws, "noise": self.noise}


class Clustering(Stage):
    """Heads are trained so that an image and its neighbours fall into the same group, and all groups are used.

    Parameters
    ----------
    nearest : Tensor (n, m) int64
        Neighbours of every image, on the CPU.
    """

    name = "cluster"
    part = 2

    def __init__(
        self,
        net: SCANNet,
        pool: Views | Rows,
        table: Mapping[str, Any],
        seed: int,
        half: bool,
        nearest: Tensor,
    ) -> None:
        super().__init__(net, pool, table, seed, half)
        self.nearest = nearest

    def run(self, epoch: int, tell: Tell) -> float:
        """Train for one epoch; return the mean loss of a head. Their sum is what is minimised."""
        return super().run(epoch, tell) / self.net.heads.count

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        m = self.nearest.shape[1]
        for index in epoch_of(len(self.pool), self.size, self.draws, short=self.short):
            if self.table["all_neighbors"]:
                yield index, self.nearest[index]
            else:
                yield index, self.nearest[index, torch.randint(m, (len(index),), generator=self.draws)]

    def _first(self, b: int) -> tuple[Tensor, Tensor]:
        index, _ = super()._first(b)
        return index, self.nearest[index] if self.table["all_neighbors"] else self.nearest[index, 0]

    def _after(self) -> None:
        """Nothing follows a step."""

    def _step(self, index: Tensor, other: Tensor) -> Tensor:
        anchors = self.logits(self._altered(index))
        neighbors = self.logits(self._altered(other.flatten()))
        found = losses.neighbor_loss(
            anchors,
            neighbors.view(*other.shape, *neighbors.shape[1:]),
            float(self.table["entropy_weight"]),
            similarity_as_logit=bool(self.table["bce_on_prob_as_logit"]),
        )
        with torch.no_grad():
            self.sums += torch.stack([found.consistency.mean(), found.entropy.mean(), found.loss.new_ones(())])
        return found.loss.sum()  # each head has a loss of its own

    def _altered(self, index: Tensor) -> Tensor:
        how = self.table["cluster_augment"]
        if isinstance(self.pool, Rows) or how == "none":
            return self.pool.read(index)
        if how == "pretext":
            return self.pool.altered(index, self.table, self.noise)
        return self._strong(index)

    def told(self) -> dict[str, Any]:
        """Return the means over steps and heads of the last epoch's two parts of the loss."""
        consistency, entropy, steps = self.sums.tolist()
        self.sums.zero_()
        return {
            "consistency": round(consistency / max(steps, 1), 4),
            "entropy": round(entropy / max(steps, 1), 4),
        }


class SelfLabelling(Stage):
    """One head: altered images are taught the groups that their unaltered selves are sure of.

    A step without a sure image leaves the weights as they are and is counted; the running averages of batch norms, and
    the average of the weights where there is one, move all the same.
    """

    name = "selflabel"
    part = 3

    def __init__(self, net: SCANNet, pool: Views | Rows, table: Mapping[str, Any], seed: int, half: bool) -> None:
        super().__init__(net, pool, table, seed, half)
        decay = float(table["ema"])
        self.average = train.EMA(net, decay) if decay else None
        if self.average is not None:  # a copy is in the mode that the network happened to be in
            self.average.network.eval()

    def _tunes_heads(self) -> bool:
        return False  # the whole network learns now, whoever did before

    def _step(self, index: Tensor, _: Tensor) -> Tensor:
        with torch.no_grad():
            target = self._targets(index)
        found = losses.confident_loss(
            target,
            self.logits(self._strong(index))[:, 0],
            float(self.table["threshold"]),
            balance=self.table["balance"],
        )
        nothing = (found.confident == 0).float()
        self.optimizer.found_inf = nothing  # type: ignore[attr-defined]  # fused optimizers leave such a step out
        with torch.no_grad():
            self.sums += torch.stack([found.confident / len(index), nothing, torch.ones_like(nothing)])
        return found.loss

    def _targets(self, index: Tensor) -> Tensor:
        images = self.pool.read(index)
        if self.table["teacher"] == "ema" and self.average is not None:
            mine, self.net = self.net, self.average.network  # type: ignore[assignment]
            try:
                return self.logits(images)[:, 0]
            finally:
                self.net = mine
        return self.logits(images)[:, 0]

    @torch.no_grad()
    def _after(self) -> None:
        if self.average is None:
            return
        if not self.table["ema_into_network"]:
            self.average.update()
            return
        # the published code: the average takes a step, and is put back, its statistics of batches included
        average = self.average.network
        for mean, now in zip(average.parameters(), self.net.parameters(), strict=True):
            mean.lerp_(now, 1 - self.average.decay)
            now.copy_(mean)
        for kept, buffer in zip(average.buffers(), self.net.buffers(), strict=True):
            buffer.copy_(kept)

    def told(self) -> dict[str, Any]:
        """Return the share of sure images, and how many steps had none."""
        sure, nothing, steps = self.sums.tolist()
        self.sums.zero_()
        return {"sure": round(sure / max(steps, 1), 4), "skipped": int(nothing)}

    def parts(self) -> dict[str, Any]:
        """Return what a state has to hold."""
        parts = super().parts()
        return parts if self.average is None else {**parts, "average": self.average.network}
