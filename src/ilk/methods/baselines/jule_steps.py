"""How JULE learns: the network learns to separate groups, groups are merged, and again until k are left."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ilk import compute, losses, train
from ilk.data.encoded import room
from ilk.methods.assign.placer import coordinates
from ilk.methods.baselines.jule_settings import JULESettings
from ilk.methods.baselines.trained import codes_of
from ilk.methods.inputs.dataset import PixelDataset
from ilk.methods.training import GradientStage, cut, seeds_of
from ilk.train.state import Part
from ilk.vectors import Linkage, chains, fit_pca, group_sums, neighbor_weights, neighbors

__all__ = [
    "Joint",
    "Means",
    "first_groups",
    "join_isolated",
    "linkage_of",
    "merge_period",
    "merged_to",
    "nearest",
    "periods",
    "pieces",
    "pixel_space",
    "tree_of",
    "without_outliers",
]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Graph = tuple[Ints, Floats]
"""Every row's nearest others (n, c), and their distances."""

_BRANCHES = 30
_BLOCK = 4096
_MOST_FOR_PCA = 2048  # 50 directions are known well enough from so many images
_MANY = 20  # more groups than so many times k: what has no affinity is joined at once


# -- merging -----------------------------------------------------------------------------------------------------------


def left_after(count: int, k: int, rate: float) -> int:
    """Return how many of `count` groups a period leaves."""
    return max(k, count - math.ceil(rate * count))


def periods(start: int, k: int, rate: float) -> list[int]:
    """Return how many groups are left after each period, from `start` down to `k`.

    Examples
    --------
    >>> periods(15000, 10, 0.9)
    [1500, 150, 15, 10]
    >>> periods(10, 10, 0.9)
    [10]
    """
    found = []
    while start > k:
        start = left_after(start, k, rate)
        found.append(start)
    return found or [k]


def nearest(rows: Floats, count: int) -> Graph:
    """Return every row's nearest others (n, c) and their distances."""
    x = torch.from_numpy(rows)
    index, distance = neighbors(x, x, min(count, len(rows) - 1), exclude_self=True)
    return index.numpy(), distance.numpy()


def first_groups(index: Ints, k: int, rows: Floats) -> Ints:
    """Return groups of rows tied by nearest neighbours, or of equal `rows` where those would be fewer than `k`.

    Single rows where even those are fewer.
    """
    labels = chains(index)
    if labels.max() + 1 < k:
        labels = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)
    return labels if labels.max() + 1 >= k else np.arange(len(index))


def linkage_of(graph: Graph, labels: Ints, settings: JULESettings) -> Linkage:
    """Return groups `labels` on a neighbour graph, ready to be merged."""
    return Linkage(neighbor_weights(*graph, settings.scale), labels, settings.local)


class Means:
    """The mean row of each group of a linkage, kept up with its merges: each adds two sums.

    Parameters
    ----------
    linkage : Linkage
    rows : (n, d) float32
    """

    def __init__(self, linkage: Linkage, rows: Floats) -> None:
        self.linkage = linkage
        self.seen = len(linkage.merges)
        self.counts = linkage.size.copy()
        values, labels = torch.from_numpy(rows).double(), torch.from_numpy(linkage.labels)
        self.sums = group_sums(values, labels, len(self.counts)).numpy()
        self.means = self.sums / np.maximum(self.counts, 1)[:, None]
        self.square = np.where(self.counts > 0, np.square(self.means).sum(1), np.inf)

    def nearest(self, a: int) -> int:
        """Return the group, of those left, whose mean is nearest to that of `a`."""
        self._follow()
        away = self.square - 2 * (self.means @ self.means[a])
        away[a] = np.inf
        return int(away.argmin())

    def _follow(self) -> None:
        for a, b, _ in self.linkage.merges[self.seen :]:
            self.sums[a] += self.sums[b]
            self.counts[a] += self.counts[b]
            self.means[a] = self.sums[a] / self.counts[a]
            self.square[a], self.square[b] = np.square(self.means[a]).sum(), np.inf
        self.seen = len(self.linkage.merges)


def join_isolated(linkage: Linkage, k: int, means: Means) -> None:
    """Join every group without affinity to others to the group of the nearest mean, while more than `k` are left."""
    for a in linkage.left().tolist():
        if linkage.count > k and linkage.size[a] and linkage.isolated(a):
            linkage.join(means.nearest(a), a)


def merged_to(linkage: Linkage, target: int, means: Means) -> None:
    """Merge until `target` groups are left; where none share edges, the smallest joins the group of nearest mean."""
    while not linkage.merge_to(target):
        left = linkage.left()
        least = int(left[linkage.size[left].argmin()])
        linkage.join(means.nearest(least), least)


def merge_period(linkage: Linkage, k: int, rate: float, means: Means) -> None:
    """Make the merges of one period: first what stands alone, where groups are many, then a share of what is left."""
    if linkage.count > _MANY * k:
        join_isolated(linkage, k, means)
    merged_to(linkage, left_after(linkage.count, k, rate), means)


def without_outliers(linkage: Linkage, start: Ints, k: int, rows: Floats, least: float) -> Ints:
    """Return `k` groups (n,) of at least `least` · n / k rows: merges are taken back until there are as many.

    A few images far from all others stay groups of their own to the end, and what should be apart is merged instead.

    Parameters
    ----------
    linkage
        Merged down to `k` groups.
    start
        The groups that its merges began with.
    least
        Smaller groups count as outliers: they join the group of the nearest mean. 0: the merges stay as they are.

    Notes
    -----
    Where the merges never had `k` groups of that size at once, they stay as they are. Cost: a look at every merge, and
    one pass over the rows.
    """
    if least == 0:
        return linkage.groups()
    size = np.bincount(start)
    enough = max(least * len(start) / k, 1)
    large, last = int((size >= enough).sum()), 0
    for number, (a, b, _) in enumerate(linkage.merges, 1):
        large -= int(size[a] >= enough) + int(size[b] >= enough)
        size[a] += size[b]
        size[b] = 0
        large += int(size[a] >= enough)
        last = number if large >= k else last
    owner = np.arange(len(size))
    for a, b, _ in reversed(linkage.merges[:last]):  # where `a` goes is known already
        owner[b] = owner[a]
    labels = np.unique(owner[start], return_inverse=True)[1].reshape(-1).astype(np.int64)
    size = np.bincount(labels)
    kept = np.flatnonzero(size >= enough)
    if len(kept) != k:
        return linkage.groups()
    means = group_sums(torch.from_numpy(rows).double(), torch.from_numpy(labels), len(size)).numpy() / size[:, None]
    away = np.square(means[:, None] - means[None, kept]).sum(2)
    joined = away.argmin(1)
    joined[kept] = np.arange(k)
    found: Ints = joined[labels]
    return found


def tree_of(linkage: Linkage, means: Means) -> npt.NDArray[np.float64]:
    """Merge on to a single group; return the last merges as SciPy has them, their order for heights."""
    merged_to(linkage, 1, means)
    last = linkage.merges[-(_BRANCHES - 1) :]
    names = {g: number for number, g in enumerate(dict.fromkeys(g for a, b, _ in last for g in (a, b)))}
    count = len(names)
    sizes = dict.fromkeys(names.values(), 1.0)
    tree = []
    for number, (a, b, _) in enumerate(last):
        sizes[count + number] = sizes[names[a]] + sizes[names[b]]
        tree.append([names[a], names[b], number + 1, sizes[count + number]])
        names[a] = count + number
    return np.asarray(tree, np.float64).reshape(-1, 4)


# -- learning ----------------------------------------------------------------------------------------------------------


def pieces(labels: Ints, size: int, draws: torch.Generator) -> Tensor:
    """Return all rows in random order, but up to `size` rows of a group side by side: batches that hold pairs.

    Examples
    --------
    >>> order = pieces(np.array([0, 1, 0, 1]), 2, torch.Generator().manual_seed(0))
    >>> sorted(order.tolist()), np.array([0, 1, 0, 1])[order][::2].tolist() in ([0, 1], [1, 0])
    ([0, 1, 2, 3], True)
    """
    order = torch.randperm(len(labels), generator=draws)
    group = torch.from_numpy(labels)[order]
    by_group = torch.argsort(group, stable=True)
    order, group = order[by_group], group[by_group]
    first = torch.ones(len(group), dtype=torch.bool)
    first[1:] = group[1:] != group[:-1]
    start = torch.cummax(torch.where(first, torch.arange(len(group)), 0), 0).values
    begins = (torch.arange(len(group)) - start) % size == 0
    piece = torch.cumsum(begins, 0) - 1
    rank = torch.randperm(int(piece[-1]) + 1, generator=draws)[piece]
    return order[torch.argsort(rank, stable=True)]


class Joint(GradientStage):
    """Trains the network of JULE in periods: `epochs` with triplets, then merges.

    Parameters
    ----------
    network : nn.Module
    dataset : PixelDataset
    settings : JULESettings
    k : int
    bf16 : bool
    seed : int

    Notes
    -----
    Each period ends with its merges: a state holds the groups to go on with (labels). Before the first groups are
    sought, and while isolated groups may be joined, `epochs` is the most that can be.
    """

    def __init__(
        self, network: nn.Module, dataset: PixelDataset, settings: JULESettings, k: int, bf16: bool, seed: int
    ) -> None:
        self.network = network
        self.dataset = dataset
        self.settings = settings
        self.k = k
        self.bf16 = bf16
        self.seed = seed
        self.device = dataset.device
        self.n_images = len(dataset)
        self.batch_size = min(settings.batch_size, len(dataset))
        self.draws = compute.generator(seeds_of(seed, 1)[0])
        self.optimizer = torch.optim.SGD(
            network.parameters(), lr=settings.lr, momentum=0.9, weight_decay=settings.weight_decay
        )
        self.memory = {"step": np.zeros((), np.int64)}
        self.epochs = self.most_epochs(settings, k, self.n_images)

    @staticmethod
    def most_epochs(settings: JULESettings, k: int, count: int) -> int:
        """Return how many epochs it takes from `count` groups to `k`."""
        return len(periods(count, k, settings.rate)) * settings.epochs

    def parts(self) -> dict[str, Part]:
        """Return network, optimizer and generator by name."""
        return {"network": self.network, "optimizer": self.optimizer, "draws": self.draws}

    def probe(self) -> train.Cost | None:
        """Return what an epoch costs; None before there are groups to make triplets of."""
        return super().probe() if "labels" in self.memory else None

    def start(self) -> None:
        """Find the first groups."""
        rows = pixel_space(self.dataset, self.settings.pca_dim, self.seed)
        self.memory["labels"] = first_groups(nearest(rows, 1)[0], self.k, rows)
        self.epochs = self._epochs_from(0)

    def begin(self, epoch: int) -> None:
        """Draw the order of images."""
        self.memory["order"] = pieces(self.memory["labels"], self.settings.piece, self.draws).to(torch.int32).numpy()
        self._slow()

    def n_steps(self) -> int:
        """Return the steps of an epoch."""
        return len(self._cut(torch.arange(self.n_images)))

    def loss(self, index: Tensor, unit: Any) -> Tensor:
        """Return the triplet loss of a batch."""
        images = self.dataset.read(index)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16):
            codes = self.network.code(images)  # type: ignore[operator]
        labels = torch.from_numpy(self.memory["labels"][index.numpy()])
        triplets = losses.random_triplets(labels, self.settings.negatives, self.draws)
        return losses.triplet_margin(codes, triplets, margin=self.settings.triplet_margin, weight=self.settings.weight)

    def after_step(self) -> None:
        """Lower the learning rate."""
        self.memory["step"] = self.memory["step"] + 1
        self._slow()

    def _slow(self) -> None:
        train.set_lr(self.optimizer, self.settings.lr * (1 + 1e-4 * int(self.memory["step"])) ** -0.75)

    def end(self, epoch: int) -> dict[str, Any]:
        """Merge groups where a period ends."""
        length = self.settings.epochs
        found = {"groups": self._count(), "largest": _share(self.memory["labels"]), "period": epoch // length + 1}
        if (epoch + 1) % length == 0:
            self._merge(epoch + 1)
        return found

    def rows(self) -> Floats:
        """Return the codes of all images in which groups are merged."""
        if self.settings.statistics == "running":
            return codes_of(self.network, self.dataset, self.bf16).astype(np.float32)
        return _codes_by_batch(self.network, self.dataset, self._cut(torch.arange(self.n_images)), self.bf16)

    def _merge(self, done: int) -> None:
        """Make the merges of a period after `done` epochs, unless k groups come of them: those are merged at last."""
        rate = self.settings.rate
        if left_after(self._count(), self.k, rate) > self.k:
            rows = self.rows()
            linkage = linkage_of(nearest(rows, self.settings.n_neighbors), self.memory["labels"], self.settings)
            merge_period(linkage, self.k, rate, Means(linkage, rows))
            self.memory["labels"] = linkage.groups()
            self.epochs = self._epochs_from(done)
        else:
            self.epochs = done

    def _epochs_from(self, done: int) -> int:
        """Return how many epochs there will be, where `done` are over."""
        count = self._count()
        return done + (self.most_epochs(self.settings, self.k, count) if count > self.k or not done else 0)

    def _count(self) -> int:
        return int(self.memory["labels"].max()) + 1

    def _cut(self, order: Tensor) -> list[Tensor]:
        return cut(order, self.batch_size, least=2)


def pixel_space(dataset: PixelDataset, width: int, seed: int) -> Floats:
    """Return principal components of the pixels, each image brought to length 1 before."""
    flat = room(len(dataset), math.prod(dataset.read(torch.arange(1)).shape))
    for index in cut(torch.arange(len(dataset)), _BLOCK):
        flat[index.numpy()] = dataset.read(index).flatten(1).half().cpu().numpy()
    some = flat
    if min(flat.shape) > _MOST_FOR_PCA:  # beyond, the products of rows or columns would cost more than the training
        some = flat[np.sort(np.random.default_rng(seed).choice(len(flat), _MOST_FOR_PCA, replace=False))]
    return coordinates(fit_pca(some, min(width, *some.shape), normalize=True), flat)


@torch.no_grad()
def _codes_by_batch(network: nn.Module, dataset: PixelDataset, batches: list[Tensor], bf16: bool) -> Floats:
    """Return codes (n, d) with the statistics of every batch, which leave no trace in the running averages."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    was = network.training
    network.train()
    for norm in norms:
        norm.track_running_stats = False
    parts = []
    for index in batches:
        with torch.autocast(dataset.device.type, torch.bfloat16, enabled=bf16):
            codes = network.code(dataset.read(index))  # type: ignore[operator]
        parts.append(codes.float().cpu().numpy())
    for norm in norms:
        norm.track_running_stats = True
    network.train(was)
    return np.concatenate(parts)


def _share(labels: Ints) -> float:
    """Return the share of the largest group."""
    return round(float(np.bincount(labels).max()) / len(labels), 4)
