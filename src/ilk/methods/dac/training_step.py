"""How DAC learns: the network's own label features say which images belong together, and are learnt by that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ilk import compute, losses, train
from ilk.augment import affine
from ilk.losses import PairLoss
from ilk.methods.dac import diagnostics
from ilk.methods.dac.cuda_graph import Graphs
from ilk.methods.dac.given import Given
from ilk.methods.dac.network import label_features, network_for
from ilk.methods.dac.settings import DACSettings, thresholds
from ilk.methods.inputs.dataset import Dataset, PixelDataset, to_float16
from ilk.methods.training import Stage, cut, seeds_of
from ilk.networks.dac import DACNet
from ilk.train.state import Part

__all__ = ["Training"]

Measure = TypeVar("Measure")

_STEPS = 100  # of a portion, where targets are not frozen by chunks
_REFERENCE = 1024  # images whose statistics the batch norms take for prediction
_KEPT = 64 * 2**20  # bytes of assignments by epoch that are worth keeping


class Training(Stage):
    """One training of one network.

    An epoch has two thresholds and comes in portions: a chunk of images whose targets are frozen for some inner epochs,
    or 100 steps whose batches decide for themselves.

    Parameters
    ----------
    dataset : PixelDataset or FeatureDataset
    settings : DACSettings
        Without "auto".
    k, seed : int
    bf16 : bool
        Whether the trunk runs in bfloat16.
    trial : int
        Which of several trainings: each has weights and draws of its own.
    groups : (n,) int64, optional
        With ``start="groups"``: what the first epochs are trained on.

    Attributes
    ----------
    memory
        ``order``, ``thresholds``, ``given``, ``sums``: of the epoch. ``groups`` (n,) after the last epoch,
        ``largest``: share of the largest after each. ``assignments`` (epochs + 1, n): groups after every epoch, without
        rows where they would take more than 64 MiB. ``stages`` (3, m, k) float16: label features of up to 2,000 images
        before, halfway and at the end. When it is over ``score``, and of several trainings ``labels`` and
        ``network.*``.
    """

    leaves_anywhere = True

    def __init__(
        self,
        dataset: Dataset,
        settings: DACSettings,
        k: int,
        seed: int,
        bf16: bool,
        trial: int = 0,
        groups: npt.NDArray[np.int64] | None = None,
    ) -> None:
        self.dataset, self.settings, self.k, self.seed = dataset, settings, k, seed
        self.quicker: tuple[str, ...] = () if settings.start == "groups" else ("robust",)
        self.bf16, self.trial, self.device = bf16, trial, dataset.device
        self._several = settings.n_trials > 1
        weights, draws, noise = seeds_of(seed, 3, trial)
        self.draws, self.noise = compute.generator(draws), compute.generator(noise, self.device)
        network = network_for(dataset, settings, k, compute.generator(weights), groups).to(self.device)
        self.network: DACNet = network.to(memory_format=torch.channels_last)
        self.optimizer = self._optimizer()
        self.schedule = thresholds(settings)
        self.epochs = len(self.schedule)
        self.order = torch.randperm(len(dataset), generator=self.draws)
        self.reference = self.order[:_REFERENCE].clone()
        if settings.order == "given":
            self.order = torch.arange(len(dataset))
        self.shown = diagnostics.shown(len(dataset), seed)
        self.upper: float | Tensor = 1.0
        self.lower: float | Tensor = 0.0
        self.given = Given(groups, k, settings.start_epochs, isinstance(dataset, PixelDataset))
        self.frozen: Tensor | None = None  # label features of the chunk, not augmented
        self.sums = torch.zeros(3, device=self.device)  # positive, selected, steps
        self.graphs = Graphs(self) if settings.cuda_graphs else None  # replays steps on a GPU
        self.n_images = self.n_steps() * self.batch_size
        kind, rows = np.dtype(np.uint8 if k <= 256 else np.uint16), self.epochs + 1
        rows = rows if rows * len(dataset) * kind.itemsize <= _KEPT else 0
        self.memory = {
            "assignments": np.zeros((rows, len(dataset)), kind),
            "stages": np.zeros((3, len(self.shown), k), np.float16),
            "largest": np.zeros(0),
        }

    def _optimizer(self) -> torch.optim.Optimizer:
        wanted = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        lr, alpha = self.settings.lr, self.settings.rmsprop_alpha
        return torch.optim.RMSprop(wanted, lr, alpha, eps=1e-8, capturable=self.device.type == "cuda")

    # -- the step ----------------------------------------------------------------------------------------------------

    def update(self, unit: Tensor) -> Tensor:
        """Train on one portion, and return the mean loss of its steps."""
        if self.graphs is not None and not self.given.in_force:
            return self.graphs.train(unit)
        total, n = torch.zeros((), dtype=torch.float64, device=self.device), 0
        for index, images in self.batches(unit):
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.step(index, images)
            loss.backward()  # type: ignore[no-untyped-call]
            compute.average_gradients(p for group in self.optimizer.param_groups for p in group["params"])
            self.optimizer.step()
            total += loss.detach()
            n += 1
        return total / n

    def step(self, index: Tensor, images: Tensor) -> Tensor:
        """Return the loss () of images as they are; `index` says where in the portion they are."""
        return self.loss(index, self.augmented(images))

    def augmented(self, images: Tensor) -> Tensor:
        """Return the images as they are trained on; ready-made features stay."""
        if not isinstance(self.dataset, PixelDataset):
            return images
        found = affine(images, self.noise, **self.settings.augmentation())
        return found.contiguous(memory_format=torch.channels_last)

    def loss(self, index: Tensor, images: Tensor) -> Tensor:
        """Return the loss () of a batch of augmented images; `index` says where their targets are."""
        features = self.label_features(images)
        frozen = None if self.frozen is None else self.frozen[index.to(features.device)]
        pair = self.pairs(features, frozen)
        self.sums += torch.stack([pair.positive, pair.selected, torch.ones_like(pair.selected)])
        if self.given.entries is not None and frozen is not None:
            return pair.loss + losses.cross_entropy(features, frozen)
        if not self.settings.consistency or frozen is None:
            return pair.loss
        return pair.loss + self.settings.consistency * self.consistency(features, frozen)

    def label_features(self, images: Tensor) -> Tensor:
        """Return label features (b, k) float32, on the statistics of the batch."""
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16):
            logits = self.network(images)
        return losses.label_features(logits)

    def pairs(self, features: Tensor, frozen: Tensor | None) -> PairLoss:
        """Return the loss of the pairs of a batch; their targets, or the batch itself, decide which belong together."""
        similarity = losses.similarities(features)
        deciding = features.detach() if frozen is None else frozen
        if self.settings.selection == "random":  # which images are alike is left to chance; how many are, stays
            deciding = deciding[torch.randperm(len(deciding), generator=self.draws).to(deciding.device)]
        reference = losses.similarities(deciding)
        upper, lower, kind = self.upper, self.lower, self.settings.loss
        if kind == "rows":
            return losses.selected_rows(similarity, reference, upper, lower)
        if kind in ("squared", "binary"):
            return losses.every_pair(similarity, reference, (upper + lower) / 2, squared=kind == "squared")
        chosen = losses.selected_mean if kind == "selected_mean" else losses.selected_sum
        return chosen(similarity, upper, lower, reference=reference)

    def consistency(self, features: Tensor, frozen: Tensor) -> Tensor:
        """Return the loss () between augmented images and their targets."""
        kind = self.settings.consistency_of
        if kind in ("softmax", "mixed"):
            features = features / features.sum(1, keepdim=True)
        if kind == "softmax":
            frozen = frozen / frozen.sum(1, keepdim=True)
        return losses.cross_entropy(features, frozen)

    # -- batches and targets -----------------------------------------------------------------------------------------

    @property
    def batch_size(self) -> int:
        """Images of a step."""
        return min(self.settings.batch_size, len(self.dataset))

    def units(self, epoch: int) -> list[Tensor]:
        """Return the portions of an epoch: rows of a chunk, or numbers of steps."""
        if self.settings.targets == "chunk":
            return cut(self.order, min(self.settings.chunk, len(self.order)), drop_last=True)
        steps = self.settings.steps_per_epoch or max(len(self.order) // self.batch_size, 1)
        return cut(torch.arange(steps), _STEPS)

    def batches(self, portion: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (index, images); the index counts within the portion. The targets are made before."""
        if self.settings.targets == "chunk":
            self.frozen = self.made_targets(portion)
        read: tuple[Tensor, Tensor] | None = None
        for index, rows in self.drawn(portion):
            if read is None or read[0] is not index:  # a batch that is trained twice in a row is read once
                read = index, self.dataset.read(rows)
            yield read

    @torch.no_grad()
    def made_targets(self, index: Tensor) -> Tensor:
        """Return label features (b, k) without augmentation, on the statistics of batches of ``target_batch``.

        In epochs on given groups those of the groups.
        """
        if self.given.in_force:
            return self.given.targets(index).to(self.device)
        parts = cut(index, max(self.settings.target_batch, 2), least=2)
        return torch.cat([self.label_features(self.dataset.read(part)) for part in parts])

    def drawn(self, portion: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (index, rows) of every step: where its images are in the portion, and in the dataset."""
        size = self.batch_size
        if self.settings.targets == "batch":
            for number in portion.tolist():
                if self.settings.steps_per_epoch:
                    rows = torch.randperm(len(self.dataset), generator=self.draws)[:size]
                else:
                    rows = self.order[number * size : (number + 1) * size]
                yield rows, rows
            return
        for _ in range(self.settings.inner_epochs):
            for index in self._parted(torch.randperm(len(portion), generator=self.draws)):
                rows = portion[index]
                for _ in range(self.settings.repeats):
                    yield index, rows

    def _parted(self, order: Tensor) -> list[Tensor]:
        """Part the images of a chunk into batches.

        The scripts train on a rest of 104 images behind batches of 128; one of a few images joins the batch before it,
        since batch norm would make noise of them, and the pairs of each image with itself a large share.
        """
        size = min(self.batch_size, len(order))
        return cut(order, size, least=max(size // 2, 2), drop_last=self.settings.drop_last)

    def _sizes(self) -> list[int]:
        """Return how many images the batches of a portion have, one after another."""
        if self.settings.targets == "batch":
            return [self.batch_size]
        return [len(index) for index in self._parted(torch.arange(len(self.units(0)[0])))]

    @property
    def usual_batch(self) -> float:
        """Images of a step, averaged so that its inverse is the mean share of pairs of an image with itself."""
        sizes = self._sizes()
        return len(sizes) / sum(1 / size for size in sizes)

    def n_steps(self) -> int:
        """Return how many updates an epoch takes."""
        portions = self.units(0)
        if self.settings.targets == "batch":
            return sum(len(portion) for portion in portions)
        return len(portions) * len(self._sizes()) * self.settings.inner_epochs * self.settings.repeats

    # -- epochs ------------------------------------------------------------------------------------------------------

    def start(self) -> dict[str, Any]:
        """Record the untrained network as epoch 0."""
        return self._observed(0)

    def begin(self, epoch: int) -> None:
        """Take the thresholds of the epoch, and draw its order of images."""
        self.upper, self.lower = self.schedule[epoch]
        self.given.begin(epoch, self.memory.get("groups"))
        if self.settings.reset_optimizer and self.graphs is not None:
            self.graphs.forget()
        elif self.settings.reset_optimizer:
            self.optimizer = self._optimizer()
        if self.settings.targets == "batch" or self.settings.reshuffle:
            self.order = torch.randperm(len(self.dataset), generator=self.draws)
        self.memory |= {"thresholds": np.array(self.schedule[epoch]), "given": self.given.state()}

    def end(self, epoch: int) -> dict[str, Any]:
        """Record thresholds, shares of pairs and what can be seen without labels."""
        upper, lower = self.schedule[epoch]
        positive, selected = self.shares()
        found = {"upper": upper, "lower": lower, "positive": positive, "selected": selected}
        record = {name: round(value, 4) for name, value in found.items()} | self._observed(epoch + 1)
        self.memory["largest"] = np.append(self.memory["largest"], record["largest"])
        problem = diagnostics.alarm(record["active"], record["positive"], self.k, self.usual_batch, self.settings)
        problem = problem or diagnostics.merged(self.memory["largest"], self.settings)
        return record | ({"alarm": problem} if problem else {})

    def shares(self) -> tuple[float, float]:
        """Return the shares of positive and of selected pairs since the last call."""
        positive, selected, steps = self.sums.tolist()
        self.sums.zero_()
        return positive / max(steps, 1), selected / max(steps, 1)

    def _observed(self, epoch: int) -> dict[str, Any]:
        """Group all images as the network is after `epoch`, and return what can be said of it."""
        self.recalibrate()
        features = label_features(self.network, self.dataset, self.bf16)
        self.memory["groups"], seen = diagnostics.measured(features, self.memory.get("groups"))
        if len(self.memory["assignments"]):
            self.memory["assignments"][epoch] = self.memory["groups"]
        stage = {0: 0, (self.epochs + 1) // 2: 1, self.epochs: 2}.get(epoch)
        if stage is not None:  # short trainings may have no middle
            self.memory["stages"][stage:] = to_float16(features[torch.from_numpy(self.shown)])
        return {"epoch": epoch, "epochs": self.epochs, **seen, **({"restart": self.trial} if self._several else {})}

    @torch.no_grad()
    def recalibrate(self) -> None:
        """Measure the statistics that predictions are made with, on the same images every time."""
        with self.network.recalibrating() as passed:
            for part in cut(self.reference, 128, least=64):
                self.label_features(self.dataset.read(part))
                passed.append(len(part))

    # -- several trainings -------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Keep what the choice between trainings needs: see `memory`."""
        self.graphs = None
        # what decides between trainings is float32 throughout; the groups themselves are made as they are predicted
        features = label_features(self.network, self.dataset, self.bf16 and not self._several)
        upper, lower = self.schedule[-1]
        found = diagnostics.score(features, (upper + lower) / 2, self.seed)
        self.memory = {name: self.memory[name] for name in ("assignments", "stages")}
        self.memory["score"] = np.array(list(found.values()), np.float64)
        if self._several:
            self.memory["labels"] = features.argmax(1).numpy()
            weights = self.network.state_dict()
            self.memory |= {f"network.{name}": value.cpu().numpy().copy() for name, value in weights.items()}

    def score(self) -> dict[str, Any]:
        """Return what a finished training is judged by."""
        loss, active, entropy = self.memory["score"].tolist()
        return {"restart": self.trial, "pair_loss": loss, "active": int(active), "entropy": entropy}

    @classmethod
    def best(cls, trials: list[Training]) -> Training:
        """Return the one of finished `trials` that is to be kept, its weights restored."""
        if len(trials) == 1:
            return trials[0]
        labels = [one.memory["labels"] for one in trials]
        found = trials[diagnostics.best([one.score() for one in trials], labels, trials[0].k)]
        weights = {name: found.memory[f"network.{name}"] for name in found.network.state_dict()}
        found.network.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
        return found

    # -- state and cost ----------------------------------------------------------------------------------------------

    def parts(self) -> dict[str, Part]:
        """Return network, optimizer and both generators: for the order of images, and for augmentation."""
        return {"network": self.network, "optimizer": self.optimizer, "draws": self.draws, "noise": self.noise}

    def keep(self) -> None:
        """Put the order of images and the sums of the epoch into `memory`."""
        self.memory |= {"order": self.order.to(torch.int32).numpy(), "sums": self.sums.cpu().numpy()}

    def restored(self) -> None:
        """Take order, sums and thresholds up again."""
        self.order = torch.from_numpy(self.memory["order"]).long()
        self.sums.copy_(torch.from_numpy(self.memory["sums"]))
        if "thresholds" in self.memory:
            self.upper, self.lower = self.memory["thresholds"].tolist()[:2]
            # states of before have a third number there
            self.given.restore(self.memory.get("given", self.memory["thresholds"][2:3].astype(np.int64)))

    def check_memory(self) -> None:
        """Raise `NotEnoughMemory` where a step does not fit; everything is put back as it was."""
        self._measured(train.check_memory, max(self._sizes()))

    def probe(self) -> train.Cost | None:
        """Return what an epoch of all trainings costs; everything is put back as it was. None after the first."""
        if self.trial:
            return None

        def measure(*args: Any, **how: Any) -> train.Cost:
            return train.probe(*args, n_steps=self.n_steps() * self.settings.n_trials, **how)

        return self._measured(measure, self.batch_size, self.batch_size)

    def _measured(self, measure: Callable[..., Measure], batch_size: int, ready: int = 0) -> Measure:
        """Let `measure` train on the first images, and put back what it cannot know of.

        Targets of `ready` images are made beforehand: no step's time has them.
        """
        before, sums = (self.upper, self.lower, self.frozen), self.sums.clone()
        self.upper, self.lower, self.frozen = 1.0, 0.0, None

        def batch(b: int) -> tuple[Tensor, Tensor]:
            if self.settings.targets == "chunk" and (self.frozen is None or len(self.frozen) < b):
                self.frozen = self.made_targets(self.order[: max(b, ready)])
            return torch.arange(b), self.dataset.read(self.order[:b])

        how = {"network": self.network, "optimizer": self.optimizer, "generators": (self.draws, self.noise)}
        try:
            return measure(self.step, batch, batch_size=batch_size, device=self.device, **how)
        finally:
            self.upper, self.lower, self.frozen = before
            self.sums.copy_(sums)
