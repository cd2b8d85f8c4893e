"""How many of its nearest neighbours a row keeps: many where rows lie close together, few where they do not."""

from __future__ import annotations

import torch
from torch import Tensor

from ilk.errors import ArgumentError
from ilk.vectors.rows import check_count

__all__ = ["adaptive_counts"]


def adaptive_counts(distance: Tensor, mean: int, *, least: int = 1) -> Tensor:
    """Return how many neighbours each row keeps, so that one distance bounds all pairs and `mean` are kept per row.

    Parameters
    ----------
    distance : Tensor (n, m), float
        Distances of each row to its m nearest neighbours, ascending, as `neighbors` gives them. m bounds what a row
        can keep; 3 · `mean` leaves room.
    mean : int
        Neighbours per row, on average: 1 to m. With `mean` equal to m every row keeps all.
    least : int
        What a row keeps however far away its neighbours are: 1 to `mean`.

    Returns
    -------
    Tensor (n,) int64
        From `least` to m. Row i keeps its first ``counts[i]`` neighbours. The sum is n · `mean`, or more where pairs
        are equally far at the bound: all of them are kept.

    Raises
    ------
    ArgumentError
        For a count out of its range, or distances that do not ascend.

    Notes
    -----
    Of all candidate pairs beyond the first `least` of each row the closest are kept: for a given number of pairs these
    are the likeliest to be of one kind. A fixed number takes too few in dense regions and reaches out of small groups.
    O(n m) time and memory.

    Examples
    --------
    >>> dense, sparse = [0.1, 0.2, 0.3, 0.4], [0.2, 1.0, 2.0, 3.0]
    >>> adaptive_counts(torch.tensor([dense, sparse]), 2)
    tensor([3, 1])
    """
    if distance.ndim != 2 or not distance.is_floating_point() or 0 in distance.shape:
        raise ArgumentError(f"distance must be a float tensor of shape (n, m), got {tuple(distance.shape)}")
    n, m = distance.shape
    if check_count(mean, "mean") > m:
        raise ArgumentError(f"mean={mean}: there are {m} neighbours of each row")
    if check_count(least, "least") > mean:
        raise ArgumentError(f"least={least}: must be at most mean={mean}")
    if not bool((distance[:, 1:] >= distance[:, :-1]).all()):
        raise ArgumentError("distance must ascend in each row: nearest neighbour first, no NaN")
    wanted = n * (mean - least)
    if wanted == 0:
        return torch.full((n,), least, dtype=torch.int64, device=distance.device)
    further = distance[:, least:]
    bound = further.flatten().kthvalue(wanted).values
    return least + (further <= bound).sum(1)
