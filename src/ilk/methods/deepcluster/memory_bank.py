"""DeepCluster-v2: embeddings of the epoch before are clustered, and their centres are the classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ilk.methods.deepcluster.space import Fine
from ilk.methods.deepcluster.training_step import PseudoLabels
from ilk.methods.training import cut
from ilk.vectors import Rows, kmeans, l2_normalize

__all__ = ["MemoryBank"]


class MemoryBank(PseudoLabels):
    """The second version: no pass over the images is made for a clustering, and no last layer is trained.

    The embeddings of the large views are kept while an epoch runs (the bank); before the next one, spherical K-means on
    the bank gives every image a pseudo-label and every head its weights: the centres.

    Notes
    -----
    Memory has the bank (large views, n, d) and the centres of every head besides.
    """

    drop_last = True

    def make_head(self) -> list[dict[str, Any]]:
        """Make the bank; until it is clustered the centres stand for those to come."""
        self.large, self.small = self.settings.crops
        heads, width = self.settings.heads, self.network.n_features
        self.bank = torch.zeros(self.large, len(self.views), width, device=self.device)
        self.prototypes = [l2_normalize(torch.ones(self.k, width, device=self.device))] * heads
        self.targets = torch.zeros(heads, len(self.views), dtype=torch.int64, device=self.device)
        self._seen: tuple[Tensor, Tensor] | None = None  # rows of a step, and their embeddings for the bank
        return [{"params": list(self.network.parameters())}]

    def keep(self) -> None:
        """Keep the bank."""
        self.memory["bank"] = self.bank.cpu().numpy()

    def restored(self) -> None:
        """Go on as `begin` left it, with the bank as it was."""
        super().restored()
        self.bank = torch.from_numpy(self.memory.pop("bank")).to(self.device)

    def take_up(self) -> None:
        """Take the pseudo-labels and the centres from memory."""
        super().take_up()
        heads = (torch.from_numpy(self.memory[f"centers.{head}"]) for head in range(len(self.targets)))
        self.prototypes = [centers.to(self.device) for centers in heads]

    def assign(self, epoch: int) -> Sequence[Fine]:
        """Cluster the bank once for each head, the large views taking turns; the centres become the heads."""
        if not epoch:
            self._fill()
        found = [self._clustered(self.bank[head % self.large]) for head in range(self.settings.heads)]
        self.memory |= {f"centers.{head}": fine.centers.cpu().numpy() for head, fine in enumerate(found)}
        return found

    def _clustered(self, rows: Tensor) -> Fine:
        distinct = Rows.of(rows, normalize=True).fewer_distinct_than(self.k)
        found = kmeans(
            rows,
            self.k if distinct is None else distinct,
            max_iter=self.settings.kmeans_iter,
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
        self.network.train()  # statistics of the batch, as while training
        for index in cut(torch.arange(len(self.views)), self.batch_size, least=2):
            images = self.views.unit(index)
            for view in range(self.large):
                self.bank[view, index.to(self.device)] = self._embedded(self._view(images, large=True))

    def loss(self, index: Tensor, unit: Any) -> Tensor:
        """Return the mean cross-entropy of all views with every head."""
        rows, images = index.to(self.device), self.views.unit(index)
        # one pass for all views of a size: batch norm sees them together, as the authors have it
        views = [torch.cat([self._view(images, large=True) for _ in range(self.large)])]
        if self.small:
            views.append(torch.cat([self._view(images, large=False) for _ in range(self.small)]))
        embedded = torch.cat([self._embedded(part) for part in views])
        self._seen = rows, embedded[: self.large * len(rows)].detach().view(self.large, len(rows), -1)
        loss = embedded.new_zeros(())
        for prototypes, targets in zip(self.prototypes, self.targets, strict=True):
            logits = embedded @ prototypes.T / self.settings.temperature
            loss = loss + functional.cross_entropy(logits, targets[rows].repeat(self.large + self.small))
        return loss / len(self.targets)

    def after_step(self) -> None:
        """Put the embeddings of the large views into the bank; steps that are taken back leave it alone."""
        super().after_step()
        assert self._seen is not None
        rows, embedded = self._seen
        self.bank[:, rows] = embedded

    def _view(self, images: Tensor, *, large: bool) -> Tensor:
        """Return one view of every image."""
        asked, at = self.settings, 0 if large else 1
        least = asked.crop_scales[at]
        most = 1.0 if large else max(asked.crop_scales[0], least)
        return self.views.cropped(images, self.noise, (least, most), asked.crop_sizes[at])

    def _embedded(self, images: Tensor) -> Tensor:
        """Return rows (b, d) float32 of length 1."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            features = self.network(images)
        return l2_normalize(features.float())
