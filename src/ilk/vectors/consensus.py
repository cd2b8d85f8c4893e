"""One clustering out of several of the same rows: groups are matched one to one, and memberships averaged."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ilk.errors import ArgumentError

__all__ = ["Consensus", "consensus"]

_MAX_ROUNDS = 50
_ROWS = 4096  # whose overlaps are added in single precision
_LEAST_GAIN = 1e-6  # rows: equal matches must not take turns for ever


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
        How often all clusterings were looked at until none changed: at least 1.
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
    Minimises Σ_i ‖P_i Π_i − M‖² over permutations Π_i, M being the mean of all P_i Π_i. One clustering after the other
    is matched with the mean of the rest (Hungarian algorithm) until none changes; no step can raise the sum. The start:
    all are matched with the clustering whose best matches with all others add up to most. Every clustering has exactly
    one group for each group of the consensus, so none is lost by merging, as with meta-clusters. After one product of
    all overlaps, O(h² k² n) and O(h² k²) memory, nothing depends on n; O(h² k³) for the assignments.

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
    shared = _shared(p)
    order = _start(shared)
    everyone = torch.arange(len(order), device=p.device)
    rounds, changed = 0, True
    while changed and rounds < _MAX_ROUNDS:
        rounds, changed = rounds + 1, False
        for i in range(len(order)):
            others = everyone[everyone != i]  # its own vote would hold it where it is
            overlap = shared[others[:, None], order[others], i].sum(0)
            better = _matched(overlap)
            if _worth(overlap, better) > _worth(overlap, order[i]) + _LEAST_GAIN:
                order[i], changed = better, True
    mean = _ordered(p, order).mean(1)
    agreement = torch.minimum(_ordered(p, order), mean[:, None]).sum(-1).mean(0)
    return Consensus(mean, order, agreement, rounds)


def _shared(p: Tensor) -> Tensor:
    """Return the overlaps (h, k, h, k), float64, of every group of every clustering with every other."""
    _, h, k = p.shape
    flat = p.flatten(1)
    total = torch.zeros(h * k, h * k, dtype=torch.float64, device=p.device)
    for part in torch.split(flat, _ROWS):
        total += part.T @ part
    return total.view(h, k, h, k)


def _matched(overlap: Tensor) -> Tensor:
    """Return the column (k,) matched with each row so that the most is shared."""
    from scipy.optimize import linear_sum_assignment

    return torch.from_numpy(linear_sum_assignment(overlap.cpu().numpy(), maximize=True)[1]).to(overlap.device)


def _worth(overlap: Tensor, columns: Tensor) -> float:
    """Return what rows and the columns matched with them share."""
    return float(overlap.gather(1, columns[:, None]).sum())


def _ordered(p: Tensor, order: Tensor) -> Tensor:
    """Return the memberships with the groups of each clustering in its order."""
    return p.gather(2, order.expand(len(p), *order.shape))


def _start(shared: Tensor) -> Tensor:
    """Return the order (h, k) in which each fits the clustering whose best matches with all add up to most."""
    h = len(shared)
    total = [0.0] * h
    for i in range(h):
        for j in range(i + 1, h):
            worth = _worth(shared[i, :, j], _matched(shared[i, :, j]))
            total[i] += worth
            total[j] += worth
    best = max(range(h), key=lambda i: total[i])
    return torch.stack([_matched(shared[best, :, i]) for i in range(h)])
