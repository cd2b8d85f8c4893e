"""The two trainings that know groups: neighbours fall into one, and what is confident teaches what is augmented."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ilk import compute, losses, train
from ilk.methods.inputs.augmentation import augmented, strongly_augmented
from ilk.methods.inputs.dataset import Dataset, FeatureDataset, to_float16
from ilk.methods.reporter import Reporter
from ilk.methods.scan.diagnostics import Evaluation, Evaluator, alarm, anchors_of
from ilk.methods.scan.mining import mined
from ilk.methods.scan.settings import SCANSettings
from ilk.methods.scan.stage import SCANStage, features_of
from ilk.methods.training import NeighborStage, seeds_of
from ilk.networks.scan import Contrast, SCANNet, build_heads
from ilk.train.state import Part

__all__ = ["Clustering", "SelfLabelling", "build_scan"]

_DROPPED = 0.5  # share of the entries of ready-made features that an augmented copy lacks


def build_scan(contrast: Contrast | None, dataset: Dataset, settings: SCANSettings, k: int, seed: int) -> SCANNet:
    """Return encoder and heads as the heads begin, on the device."""
    encoder = None if contrast is None else contrast.encoder
    heads = build_heads(
        dataset.width if isinstance(dataset, FeatureDataset) else contrast.encoder.width,  # type: ignore[union-attr]
        k,
        settings.n_heads,
        generator=compute.generator(seeds_of(seed, 3, Clustering.part)[0]),
        centered=settings.centered,
        glorot=settings.network == "resnet50v2",
    )
    return SCANNet(encoder, heads.to(dataset.device))


class Grouping(SCANStage):
    """Abstract: what both trainings share. Memory: groups of the anchors after the last epoch.

    Parameters
    ----------
    network : SCANNet
    dataset : PixelDataset or FeatureDataset
        What the encoder reads; features are read by the heads alone.
    whole : bool
        Whether the encoder learns too.
    settings, seed, bf16
        As `SCANStage` has them.
    """

    network: SCANNet
    settings: SCANSettings

    def __init__(
        self, network: SCANNet, dataset: Dataset, settings: SCANSettings, seed: int, bf16: bool, whole: bool
    ) -> None:
        self.whole = whole and network.encoder is not None
        self.trained = network if self.whole else network.heads
        super().__init__(network, self.trained, dataset, settings, seed, bf16)
        network.train()
        if network.encoder is not None and not self.whole:
            network.encoder.eval()  # what is not trained keeps its statistics

    def logits(self, network: SCANNet, images: Tensor) -> Tensor:
        """Return logits (b, h, k) float32 of images, or of features where the dataset holds these."""
        if isinstance(self.dataset, FeatureDataset):
            return network.heads(images)  # type: ignore[no-any-return]
        assert network.encoder is not None
        learns = torch.is_grad_enabled() and self.whole
        with torch.set_grad_enabled(learns), torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16):
            features = network.encoder(images)
        return network.heads(features.float())  # type: ignore[no-any-return]

    def strong(self, index: Tensor) -> Tensor:
        """Return strongly augmented images; of features, copies that lack half of their entries."""
        if not isinstance(self.dataset, FeatureDataset):
            return strongly_augmented(self.dataset, index, self.settings.cutout, self.noise)
        rows = self.dataset.read(index)
        return rows * (torch.rand(rows.shape, generator=self.noise, device=rows.device) >= _DROPPED)

    def features(self, rows: Tensor) -> Tensor:
        """Return what the heads are given of the images `rows` (m,), as they are: float32 (m, d)."""
        if isinstance(self.dataset, FeatureDataset):
            return self.dataset.read(rows)
        assert self.network.encoder is not None
        return features_of(self.network.encoder, self.dataset.read, rows, self.device, self.bf16)

    def evaluated(self, evaluator: Evaluator) -> Evaluation:
        """Compare the heads as they are."""
        return evaluator(self.network.heads, self.features(evaluator.rows))

    def diagnosed(self, found: Evaluation) -> dict[str, Any]:
        """Return what is recorded of the groups after an epoch."""
        self.memory["groups"], record = found.summary(self.memory.get("groups"))
        batch = min(self.settings.cluster_batch, self.n_images)
        problem = alarm(record, self.network.heads.n_clusters, batch)
        return {**record, "alarm": problem} if problem else record


class Clustering(Grouping, NeighborStage):
    """Heads learn to put an image and its neighbours into the same group, while all groups stay in use.

    Parameters
    ----------
    network : SCANNet
    contrast : Contrast, optional
        The encoder with its projector; None where the dataset holds features.
    dataset, settings, seed, bf16
        As `SCANStage` has them.
    report : Reporter

    Notes
    -----
    Memory: neighbours of every image (nearest), which of them stands beside each image of this epoch (drawn), loss of
    every head at the end (head_losses); where the best epoch counts, its loss, head and weights.
    """

    name = "cluster"
    part = 2
    n_seen = 2

    def __init__(
        self,
        network: SCANNet,
        contrast: Contrast | None,
        dataset: Dataset,
        settings: SCANSettings,
        seed: int,
        bf16: bool,
        report: Reporter,
    ) -> None:
        super().__init__(network, dataset, settings, seed, bf16, settings.tune == "all")
        self.contrast = contrast
        self.all_neighbors = settings.all_neighbors
        self.report = report
        self.images = dataset  # for the self-labelling, where the clustering reads features that stand still

    # -- before it ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Mine the neighbours, and measure what heads bring features to, on up to 5,000 images."""
        self._stand_still()
        with self.report.stage("mine"):
            found = mined(self.contrast, self.images, self.features, self.settings, self.seed, self.bf16)
        self.memory["nearest"] = found.to(torch.int32).numpy()
        if self.settings.centered:
            self.network.heads.calibrate(self.features(anchors_of(self.n_images, self.seed)).to(self.device))

    def restored(self) -> None:
        """Encode again what stands still."""
        super().restored()
        self._stand_still()

    def _stand_still(self) -> None:
        """Encode all images once where neither they nor the encoder change."""
        if isinstance(self.dataset, FeatureDataset) or self.whole or self.settings.cluster_augment != "none":
            return
        self.dataset = FeatureDataset(to_float16(self.features(torch.arange(self.n_images))), self.device)

    @cached_property
    def evaluator(self) -> Evaluator:
        """What compares heads, always on the same images."""
        return Evaluator(self.nearest, self.settings, self.seed)

    # -- steps -------------------------------------------------------------------------------------------------------

    def loss(self, index: Tensor, unit: Any) -> Tensor:
        """Return the sum of the losses of all heads: each learns by itself."""
        other = unit[1]
        anchors = self.logits(self.network, self._shown(index))
        neighbors = self.logits(self.network, self._shown(other.flatten()))
        found = losses.neighbor_loss(
            anchors,
            neighbors.view(*other.shape, *neighbors.shape[1:]),
            self.settings.entropy_weight,
            similarity_as_logit=self.settings.bce_on_prob_as_logit,
        )
        self.seen = found.consistency.detach().mean(), found.entropy.detach().mean()
        return found.loss.sum()

    def update(self, unit: Any) -> Tensor:
        """Take one step; return the mean loss of a head."""
        return super().update(unit).double() / self.network.heads.count

    def _shown(self, index: Tensor) -> Tensor:
        how = self.settings.cluster_augment
        if isinstance(self.dataset, FeatureDataset) or how == "none":
            return self.dataset.read(index)
        return augmented(self.dataset, index, self.settings, self.noise) if how == "pretext" else self.strong(index)

    # -- after an epoch, and at the end ------------------------------------------------------------------------------

    def end(self, epoch: int) -> dict[str, Any]:
        """Compare the heads; keep the best of the best epoch where that counts."""
        found = self.evaluated(self.evaluator)
        least = found.losses.min()
        if self.settings.keep == "best" and least < self.memory.get("best_loss", np.inf):
            weights = {f"best.{name}": value.cpu().numpy().copy() for name, value in self.trained.state_dict().items()}
            self.memory |= {"best_loss": least, "best_head": np.asarray(found.best), **weights}
        consistency, entropy = self.means()
        parts = {"consistency": round(consistency, 4), "entropy": round(entropy, 4)}
        return {**parts, **self.diagnosed(found)}

    def finish(self) -> None:
        """Keep the one head of the least loss: of the last epoch, or of the best."""
        best = {name: self.memory.pop(name) for name in list(self.memory) if name.startswith("best")}
        if best:
            weights = {
                name.removeprefix("best."): torch.from_numpy(value) for name, value in best.items() if "." in name
            }
            self.trained.load_state_dict(weights)
        found = self.evaluated(self.evaluator)
        self.memory["head_losses"] = found.losses
        self.network.heads.keep(int(best["best_head"]) if best else found.best)


class SelfLabelling(Grouping):
    """One head: augmented images are taught the groups that they themselves are confident of.

    A step without a confident image leaves the weights as they are and is counted; the running averages of batch norms,
    and the average of the weights where there is one, move all the same. The whole network learns, whoever did before.

    Parameters
    ----------
    before : Clustering
        It is over; its network and images go on here.
    """

    name = "selflabel"
    part = 3
    n_seen = 1

    def __init__(self, before: Clustering) -> None:
        self.before = before
        before.dataset = before.images  # features that stood still are let go
        if before.network.heads.count > 1:
            before.network.heads.keep(0)  # where a training goes on: the weights of the one that was kept follow
        super().__init__(before.network, before.images, before.settings, before.seed, before.bf16, True)
        self.average = train.EMA(self.network, self.settings.ema_decay) if self.settings.ema_decay else None
        if self.average is not None:
            self.average.network.eval()

    def parts(self) -> dict[str, Part]:
        """Return what a state has to hold."""
        return super().parts() | ({} if self.average is None else {"average": self.average.network})

    def start(self) -> None:
        """Take over the groups that the clustering ended with."""
        self.memory["groups"] = self.before.memory["groups"]

    def loss(self, index: Tensor, unit: Any) -> Tensor:
        """Return the cross-entropy of strongly augmented images with the groups of those that are confident."""
        teacher = self.network if self.settings.teacher == "batch" or self.average is None else self.average.network
        with torch.no_grad():
            target = self.logits(teacher, self.dataset.read(index))[:, 0]  # type: ignore[arg-type]
        found = losses.confident_loss(
            target,
            self.logits(self.network, self.strong(index))[:, 0],
            self.settings.confidence_threshold,
            balance=self.settings.class_weighted,
        )
        nothing = (found.confident == 0).float()
        self.optimizer.found_inf = nothing  # type: ignore[attr-defined]  # fused optimizers leave such a step out
        self.seen = (nothing,)
        return found.loss

    @torch.no_grad()
    def after_step(self) -> None:
        """Move the average of the weights."""
        super().after_step()
        if self.average is None:
            return
        if not self.settings.ema_into_network:
            self.average.update()
            return
        # the published code: the average takes a step, and is put back, its statistics of batches included
        average = self.average.network
        for mean, now in zip(average.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(now, 1 - self.average.decay)
            now.copy_(mean)
        for kept, buffer in zip(average.buffers(), self.network.buffers(), strict=True):
            buffer.copy_(kept)

    def end(self, epoch: int) -> dict[str, Any]:
        """Return how many steps had no confident image, and what the groups are like."""
        return {"skipped": int(self.sums[0]), **self.diagnosed(self.evaluated(self.before.evaluator))}
