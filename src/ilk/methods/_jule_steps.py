"""How JULE learns: groups are merged, the network learns to tell them apart, and again until k are left."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ilk import compute, losses, train
from ilk.methods._autoencoder_steps import seeds_of
from ilk.methods._placing import Space
from ilk.methods._pool import Pixels, batches
from ilk.methods._trained import codes_of
from ilk.train.state import Part
from ilk.vectors import Linkage, chains, neighbor_weights, neighbors

__all__ = [
    "Joint",
    "first_groups",
    "linkage_of",
    "merged_to",
    "nearest",
    "periods",
    "pieces",
    "tree_of",
    "without_outliers",
]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

_BRANCHES = 30
_BLOCK = 4096


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
        start = max(k, start - math.ceil(rate * start))
        found.append(start)
    return found or [k]


def nearest(rows: Floats, count: int) -> tuple[Ints, Floats]:
    """Return every row's nearest others (n, c) and their distances."""
    x = torch.from_numpy(rows)
    index, distance = neighbors(x, x, min(count, len(rows) - 1), exclude_self=True)
    return index.numpy(), distance.numpy()


def first_groups(index: Ints, k: int) -> Ints:
    """Return groups of rows that are tied by nearest neighbours; single rows where those would be fewer than `k`."""
    labels = chains(index)
    return labels if labels.max() + 1 >= k else np.arange(len(index))


def linkage_of(rows: Floats, labels: Ints, table: Mapping[str, Any]) -> Linkage:
    """Return groups `labels` on the neighbour graph of `rows`, ready to be merged."""
    index, distance = nearest(rows, int(table["n_neighbors"]))
    return Linkage(neighbor_weights(index, distance, float(table["scale"])), labels, int(table["local"]))


def merged_to(linkage: Linkage, target: int, rows: Floats) -> None:
    """Merge until `target` groups are left; where none share edges, the smallest joins the group of nearest mean."""
    while not linkage.merge_to(target):
        left = np.flatnonzero(linkage.size * [len(members) > 0 for members in linkage.members])
        means = np.stack([rows[linkage.members[g]].mean(0) for g in left])
        least = int(np.argmin(linkage.size[left]))
        away = np.square(means - means[least]).sum(1)
        away[least] = np.inf
        linkage.join(int(left[int(away.argmin())]), int(left[least]))


def without_outliers(start: Ints, linkage: Linkage, k: int, rows: Floats, least: float) -> Ints:
    """Return `k` groups (n,) of at least `least` · n / k rows: merges are taken back until there are so many.

    Parameters
    ----------
    start
        Groups that the merges of `linkage` began with; it has been merged down to `k`.
    least
        Smaller groups count as outliers: they join the group of the nearest mean. 0: the merges stay as they are.

    Notes
    -----
    Where no level of the merges has k groups of that size among at most 20 k, they stay as they are.
    """
    enough = least * len(start) / k
    for count in range(k, min(20 * k, int(start.max()) + 1) + 1):
        owner = np.arange(int(start.max()) + 1)
        for a, b, _ in linkage.merges[: len(owner) - count]:
            owner[owner == b] = a
        labels = np.unique(owner[start], return_inverse=True)[1].astype(np.int64)
        sizes = np.bincount(labels)
        large = np.flatnonzero(sizes >= enough)
        if len(large) != k:
            continue
        means = np.stack([rows[labels == g].mean(0) for g in large])
        joined = np.full(len(sizes), -1)
        joined[large] = np.arange(k)
        for g in np.flatnonzero(joined < 0):
            joined[g] = int(np.square(means - rows[labels == g].mean(0)).sum(1).argmin())
        return joined[labels]
    return linkage.groups()


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


def tree_of(linkage: Linkage, rows: Floats) -> npt.NDArray[np.float64]:
    """Merge on to a single group; return the last merges as SciPy has them, their order for heights."""
    merged_to(linkage, 1, rows)
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


class Joint:
    """Trains the network of JULE in periods: merges, then `epochs` with triplets.

    Parameters
    ----------
    network : nn.Module
    pool : Pixels
    table : mapping
        Settings.
    k : int
    half : bool
    seed : int

    Attributes
    ----------
    epochs, seen, memory
        See `ilk.methods._epochs.Learner`. Memory: the groups of all images (labels).
    """

    def __init__(
        self, network: nn.Module, pool: Pixels, table: Mapping[str, Any], k: int, half: bool, seed: int
    ) -> None:
        self.network = network
        self.pool = pool
        self.table = table
        self.k = k
        self.half = half
        self.draws = compute.generator(seeds_of(seed, 1)[0])
        decay = float(table["weight_decay"])
        self.optimizer = torch.optim.SGD(network.parameters(), lr=table["lr"], momentum=0.9, weight_decay=decay)
        self.batch_size = min(int(table["batch_size"]), len(pool))
        self.steps = max(len(pool) // self.batch_size, 1)
        self.seen = self.steps * self.batch_size
        rows = self._pixels()
        labels = first_groups(nearest(rows, 1)[0], k)
        self.targets = periods(int(labels.max()) + 1, k, float(table["rate"]))
        self.epochs = len(self.targets) * int(table["epochs"])
        self.memory: dict[str, npt.NDArray[Any]] = {"labels": labels}

    def parts(self) -> dict[str, Part]:
        """Return network, optimizer and generator by name."""
        return {"network": self.network, "optimizer": self.optimizer, "draws": self.draws}

    def epoch(self, number: int, tell: Any) -> dict[str, Any]:
        """Merge groups where a period begins, then train for an epoch."""
        period, within = divmod(number, int(self.table["epochs"]))
        if within == 0:
            rows = self._codes() if period else self._pixels()
            before = self.memory["labels"]
            linkage = linkage_of(rows, before, self.table)
            merged_to(linkage, self.targets[period], rows)
            least = float(self.table["least"]) if self.targets[period] == self.k else 0.0
            self.memory["labels"] = without_outliers(before, linkage, self.targets[period], rows, least)
        done = iter(range(number * self.steps + 1, (number + 1) * self.steps + 1))
        self._slow(number * self.steps)
        loss = train.train_epoch(
            self._step,
            train.watched(self._batches(), self.steps, tell),
            self.optimizer,
            epoch=number,
            after=lambda: self._slow(next(done)),
        )
        labels = self.memory["labels"]
        return {
            "loss": round(loss, 6),
            "groups": int(labels.max()) + 1,
            "largest": _share(labels),
            "period": period + 1,
        }

    def _slow(self, step: int) -> None:
        train.set_lr(self.optimizer, float(self.table["lr"]) * (1 + 1e-4 * step) ** -0.75)

    def _step(self, index: Tensor, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.half):
            codes = self.network.code(images)  # type: ignore[operator]
        labels = torch.from_numpy(self.memory["labels"][index.numpy()]).to(codes.device)
        margin, weight = float(self.table["margin"]), float(self.table["weight"])
        return losses.triplet_margin(codes, labels, margin=margin, weight=weight, most=int(self.table["negatives"]))

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = pieces(self.memory["labels"], int(self.table["piece"]), self.draws)
        for step in range(self.steps):
            index = order[step * self.batch_size : (step + 1) * self.batch_size]
            yield index, self.pool.read(index)

    def _codes(self) -> Floats:
        return codes_of(self.network, self.pool, self.half).astype(np.float32)

    def _pixels(self) -> Floats:
        """Return principal components of the pixels."""
        blocks = batches(torch.arange(len(self.pool)), _BLOCK)
        flat = np.concatenate([self.pool.read(rows).flatten(1).half().cpu().numpy() for rows in blocks])
        return Space.fit(flat, int(self.table["pca"]), normalize=False).rows


def _share(labels: Ints) -> float:
    """Return the share of the largest group."""
    return round(float(np.bincount(labels).max()) / len(labels), 4)
