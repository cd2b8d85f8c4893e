"""The groups that a training begins with: what they say of each image, and whose each entry of a label feature is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from ilk.methods.dac import diagnostics

__all__ = ["Given"]

Ints = npt.NDArray[np.int64]


class Given:
    """Given groups, and how they are learnt in the epoch at hand.

    Pairs alone do not say which entry of a label feature is whose: a network at random may put two groups into one and
    not leave that for long. Where it has, the groups are held to entries of their own in the next epoch.

    Parameters
    ----------
    groups : (n,) int64, optional
        From 0 to k - 1; None: none are given, and no epoch is on them.
    k : int
    epochs : int
        The first so many are on the groups.
    may_hold : bool
        Whether groups may be held to entries. A head on features begins with one entry per group.

    Attributes
    ----------
    in_force : bool
        Whether this epoch is on the groups.
    entries : (k,) int64 or None
        The entry of each group in an epoch that holds them; None where pairs alone count.
    """

    def __init__(self, groups: Ints | None, k: int, epochs: int, may_hold: bool) -> None:
        self.groups, self.k, self.epochs, self.may_hold = groups, k, epochs, may_hold
        self.in_force = groups is not None
        self.entries: Ints | None = None

    def begin(self, epoch: int, found: Ints | None) -> None:
        """Decide how the groups are learnt in `epoch`, where the network has the images in the groups `found` (n,)."""
        self.in_force, self.entries = self.groups is not None and epoch < self.epochs, None
        if self.groups is None or found is None or not (self.in_force and epoch and self.may_hold):
            return
        if diagnostics.sharing(self.groups, found)[0]:
            self.entries = diagnostics.entries(self.groups, found, self.k)

    def targets(self, index: Tensor) -> Tensor:
        """Return the label features (b, k) that the groups of images `index` stand for: one 1 in each row."""
        assert self.groups is not None
        groups = self.groups[index.cpu().numpy()]
        at = groups if self.entries is None else self.entries[groups]
        return functional.one_hot(torch.from_numpy(at), self.k).float()

    def state(self) -> Ints:
        """Return what `restore` takes: whether an epoch is on the groups, then their entries where they are held."""
        held = np.zeros(0, np.int64) if self.entries is None else self.entries
        return np.concatenate([[int(self.in_force)], held]).astype(np.int64)

    def restore(self, state: Ints) -> None:
        """Go on in the middle of an epoch."""
        self.in_force, self.entries = bool(state[:1].any()), state[1:] if len(state) > 1 else None
