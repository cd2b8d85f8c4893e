"""One clustering out of several of the same rows: groups are matched one to one, and memberships averaged."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ilk.errors import ArgumentError

__all__ = ["Consensus", "consensus"]

_MAX_ROUNDS = 50


class Consensus(NamedTuple):
    """What several clusterings agree on.

    Attributes
    ----------
    membership : Tensor (n, k) float32
        Mean of the clusterings after matching; `argmax(1)` is the group, the maximum how much of the vote it has.
    order : Tensor (h, k) int64
        ``order[i, g]`` is the group of clustering i that stands for group g: new rows go through
        ``torch.stack([p[:, i, order[i]] for i in range(h)]).mean(0)``.
    agreement : Tensor (h,) float32
        Share of each clustering's membership that lies where the consensus has it, 0 to 1.
    rounds : int
        How often all clusterings were matched until nothing changed.
    """

    membership: Tensor
    order: Tensor
    agreement: Tensor
    rounds: int


def consensus(memberships: Tensor) -> Consensus:
    """Match the groups of h clusterings one to one, and average them.

    Parameters
    ----------
    memberships : Tensor (n, h, k), float
        Probability of each of k groups by each of h clusterings; of hard labels
        ``torch.nn.functional.one_hot(labels, k).float()``.

    Returns
    -------
    Consensus
        Groups are numbered as in the clustering that agrees best with all others.

    Raises
    ------
    ArgumentError
        If `memberships` has another shape, is no float tensor, or holds negative numbers or NaN.

    Notes
    -----
    Minimises Σ_i ‖P_i Π_i − M‖² over permutations Π_i and the consensus M in turns: for a given M each Π_i is an
    assignment problem (Hungarian algorithm), for given Π_i M is their mean. Neither step can raise the sum, so it ends;
    it begins with the clustering whose best matches with all others add up to most. Every clustering has exactly one
    group for each group of the consensus, so none can be lost by merging, as meta-clusters can. O(h² k² n) for
    the start, O(h k² n) a round, and O(h² k³) for the assignments: 50 clusterings of 10,000 rows into 10 groups take
    less than a second.

    References
    ----------
    A. Strehl, J. Ghosh, "Cluster Ensembles: A Knowledge Reuse Framework for Combining Multiple Partitions", JMLR 3,
    2002 (the problem). E. Dimitriadou, A. Weingessel, K. Hornik, "A Combination Scheme for Fuzzy Clustering", 2002
    (this objective). M. Baydar, E. Akbas, arXiv 2511.16213, 2025 (an ensemble of clustering heads).

    Examples
    --------
    >>> labels = torch.tensor([[0, 1, 0], [0, 1, 0], [1, 0, 1], [1, 0, 0]])  # four rows, three clusterings
    >>> found = consensus(torch.nn.functional.one_hot(labels, 2).float())
    >>> found.membership.argmax(1).tolist(), found.order.tolist()
    ([0, 0, 1, 1], [[0, 1], [1, 0], [0, 1]])
    """
    if memberships.ndim != 3 or not memberships.is_floating_point() or 0 in memberships.shape:
        raise ArgumentError(f"memberships must be a float tensor of shape (n, h, k), got {tuple(memberships.shape)}")
    if not bool((memberships >= 0).all()):
        raise ArgumentError("memberships must be numbers of at least 0")
    p = memberships.detach().float()
    n, h, _ = p.shape
    mean = p[:, _start(p)]
    order: NDArray[np.int64] | None = None
    rounds = 0
    while rounds < _MAX_ROUNDS:
        rounds += 1
        found = np.stack([_matched(_shared(mean, p[:, i])) for i in range(h)])
        if order is not None and np.array_equal(found, order):
            break
        order = found
        mean = _ordered(p, torch.from_numpy(order).to(p.device)).mean(1)
    chosen = torch.from_numpy(np.asarray(order)).to(p.device)
    agreement = torch.minimum(_ordered(p, chosen), mean[:, None]).sum(-1).mean(0)
    return Consensus(mean, chosen, agreement, rounds)


def _shared(mean: Tensor, one: Tensor) -> Tensor:
    """Return the (k, k) overlap of each group of the consensus with each group of one clustering."""
    return mean.double().T @ one.double()


def _matched(shared: Tensor) -> NDArray[np.int64]:
    """Return the column (k,) matched with each row so that the most is shared."""
    from scipy.optimize import linear_sum_assignment

    return np.asarray(linear_sum_assignment(shared.cpu().numpy(), maximize=True)[1], np.int64)


def _ordered(p: Tensor, order: Tensor) -> Tensor:
    """Return the memberships with the groups of each clustering in its order."""
    return p.gather(2, order.expand(len(p), *order.shape))


def _start(p: Tensor) -> int:
    """Return the clustering whose best matches with all others add up to most."""
    h = p.shape[1]
    total = np.zeros(h)
    for i in range(h):
        for j in range(i + 1, h):
            shared = _shared(p[:, i], p[:, j])
            worth = float(shared[torch.arange(len(shared)), torch.from_numpy(_matched(shared)).to(p.device)].sum())
            total[i] += worth
            total[j] += worth
    return int(total.argmax())
