"""Silhouettes: exact, by a stratified sample, and simplified (distances to centres only).

Labels are integers; rows labelled −1 are noise: they take no part, and their own silhouette is 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ilk.errors import ArgumentError, DataError
from ilk.vectors.rows import Matrix, Rows, check_count, check_labels, group_sums

__all__ = ["silhouette_samples", "silhouette_score", "simplified_silhouette"]

_QUERIES = 256
_ENOUGH = 32  # rows that stand for a cluster at least, where it has them


def silhouette_samples(
    x: Matrix,
    labels: Matrix,
    *,
    sample_size: int | None = None,
    generator: torch.Generator | None = None,
    chunk_bytes: int | None = None,
) -> Tensor:
    """Return (b − a) / max(a, b) per row: a, b = mean distance to the own and to the nearest other cluster.

    Parameters
    ----------
    x : Tensor or ndarray (n, d), float
    labels : Tensor or ndarray (n,), int
        −1 is noise: ignored, silhouette 0.
    sample_size : int, optional
        Every row gets its value, but its mean distances are to a random sample of about so many rows: of each cluster
        its share, and at least 32 where it has them. None: to all rows.
    generator : torch.Generator, optional
        Source of the sample; None means a fresh CPU generator with seed 0.
    chunk_bytes : int, optional
        Bound for each block of distances; None: 16 MiB, on a GPU 256 MiB.

    Returns
    -------
    Tensor (n,)
        From −1 to 1; 0 for the only member of a cluster, as in scikit-learn. float32, or float64 for float64 data.

    Raises
    ------
    ArgumentError
        If the labels do not fit `x`, or make fewer than 2 clusters or as many clusters as rows.
    DataError
        If a value is NaN or infinite.

    Notes
    -----
    2·n²·d FLOPs and n² square roots, with a sample of s rows 2·n·s·d and n·s; memory O(`chunk_bytes` + n·d + 256·k),
    with a sample O(`chunk_bytes` + s·d + 256·k): `x` may be a memmap.

    References
    ----------
    P. Rousseeuw, Silhouettes: a graphical aid to the interpretation and validation of cluster analysis, J. Comput.
    Appl. Math. 20, 1987.

    Examples
    --------
    >>> x = torch.tensor([[0.0], [1.0], [9.0], [10.0]])
    >>> silhouette_samples(x, torch.tensor([0, 0, 1, 1]))
    tensor([0.8947, 0.8824, 0.8824, 0.8947])
    """
    rows = Rows.of(x)
    labels = check_labels(labels, rows)
    mean = rows.moments()[0].to(rows.dtype)
    kept = (labels >= 0).nonzero()[:, 0]
    own = cluster_numbers(labels[kept])
    chosen = torch.arange(len(kept), device=rows.device)
    if sample_size is not None and check_count(sample_size, "sample_size", 2) < len(kept):
        chosen = _stratified(own.cpu(), torch.bincount(own).cpu(), sample_size, generator, _ENOUGH).to(rows.device)
    out = torch.zeros(len(rows), dtype=rows.dtype, device=rows.device)
    out[kept] = _by_distances(rows, kept, mean, own, chosen, chunk_bytes)
    return out


def cluster_numbers(labels: Tensor) -> Tensor:
    """Return `labels` renumbered from 0 without gaps, or raise ArgumentError where silhouettes make no sense."""
    found, own = torch.unique(labels, return_inverse=True)
    if len(found) < 2:
        raise ArgumentError(f"labels make {len(found)} cluster(s); silhouettes need at least 2")
    if len(found) >= len(labels):
        raise ArgumentError(
            f"labels make {len(found)} clusters of {len(labels)} rows; silhouettes need fewer than rows"
        )
    numbers: Tensor = own
    return numbers


def _by_distances(
    rows: Rows, kept: Tensor, mean: Tensor, own: Tensor, chosen: Tensor, chunk_bytes: int | None
) -> Tensor:
    """Return the silhouettes of the rows `kept`, of clusters `own`, by their distances to those of them at `chosen`."""
    n, k = len(kept), int(own.max()) + 1
    others, group = rows.take(kept[chosen]) - mean, own[chosen]
    left = torch.cat([others, (others * others).sum(1, keepdim=True), torch.ones_like(others[:, :1])], 1)
    del others
    position = torch.full((n,), -1, device=rows.device).scatter_(0, chosen, torch.arange(len(chosen)).to(chosen))
    sizes = torch.bincount(group, minlength=k).to(rows.dtype)
    alone = torch.bincount(own, minlength=k) == 1
    width = min(_QUERIES, n)
    height = rows.step(width, chunk_bytes)
    buffer = left.new_empty(height * width)
    out = left.new_empty(n)
    for start in range(0, n, width):
        stop = min(start + width, n)
        offset, here = rows.take(kept[start:stop]) - mean, position[start:stop]
        right = torch.cat([-2 * offset, torch.ones_like(offset[:, :1]), (offset * offset).sum(1, keepdim=True)], 1)
        sums = torch.zeros(k, stop - start, dtype=torch.float64, device=rows.device)
        for first in range(0, len(left), height):
            block = left[first : first + height]
            shape = (len(block), stop - start)
            distance = torch.mm(block, right.T, out=buffer[: shape[0] * shape[1]].view(shape))
            distance.clamp_(min=0).sqrt_()
            inside = ((here >= first) & (here < first + len(block))).nonzero()[:, 0]
            distance[here[inside] - first, inside] = 0.0
            sums += group_sums(distance, group[first : first + height], k)
        mine = own[start:stop]
        out[start:stop] = silhouettes_from_sums(sums, mine, sizes, alone, sizes[mine] - (here >= 0).to(sizes.dtype))
    return out


def silhouettes_from_sums(
    sums: Tensor, own: Tensor, sizes: Tensor, alone: Tensor | None = None, others: Tensor | None = None
) -> Tensor:
    """Return silhouettes (q,) from the sums of distances to each cluster (k, q) of `sizes` (k,) rows.

    `alone` (k,) marks the clusters of one row, `others` (q,) how many rows of its own cluster a row was measured to;
    by default all but itself.
    """
    alone = sizes == 1 if alone is None else alone
    others = sizes[own] - 1 if others is None else others
    within = sums.gather(0, own[None])[0] / others.clamp_min(1)
    apart = (sums / sizes[:, None]).scatter_(0, own[None], torch.inf)
    return _ratio(within, apart.amin(0), alone[own]).to(sizes.dtype)


def _ratio(within: Tensor, between: Tensor, alone: Tensor) -> Tensor:
    larger = torch.maximum(within, between)
    return torch.where(
        alone | (larger == 0), 0.0, (between - within) / larger.clamp_min(torch.finfo(larger.dtype).tiny)
    )


def silhouette_score(
    x: Matrix,
    labels: Matrix,
    *,
    sample_size: int | None = None,
    generator: torch.Generator | None = None,
    chunk_bytes: int | None = None,
) -> float:
    """Return the mean silhouette of the rows that are not noise, from all of them or from a stratified sample.

    Parameters
    ----------
    x : Tensor or ndarray (n, d), float
    labels : Tensor or ndarray (n,), int
        −1 is noise: ignored.
    sample_size : int, optional
        Use about so many rows: each cluster gives its share, but at least 2 where it has them. Each cluster's mean
        counts by its true size.
    generator : torch.Generator, optional
        Source of the sample; None means a fresh CPU generator with seed 0.
    chunk_bytes : int, optional
        As in `silhouette_samples`, which see for what is raised and for the cost.

    Returns
    -------
    float
        From −1 to 1.

    Examples
    --------
    >>> x = torch.tensor([[0.0], [1.0], [9.0], [10.0]])
    >>> round(silhouette_score(x, torch.tensor([0, 0, 1, 1])), 4)
    0.8885
    """
    rows = Rows.of(x)
    labels = check_labels(labels, rows)
    kept = (labels >= 0).nonzero()[:, 0]
    own = cluster_numbers(labels[kept])
    sizes = torch.bincount(own)
    if sample_size is not None and check_count(sample_size, "sample_size", 2) < len(kept):
        chosen = _stratified(own.cpu(), sizes.cpu(), sample_size, generator).to(rows.device)
        kept, own = kept[chosen], own[chosen]
    samples = silhouette_samples(rows.take(kept), own, chunk_bytes=chunk_bytes).double()
    means = group_sums(samples[:, None], own, len(sizes))[:, 0] / torch.bincount(own, minlength=len(sizes))
    return float((means * sizes).sum() / sizes.sum())


def _stratified(
    own: Tensor, sizes: Tensor, sample_size: int, generator: torch.Generator | None, least: int = 2
) -> Tensor:
    """Return ascending indices of a sample that holds min(least, size) or more rows of each cluster."""
    generator = generator or torch.Generator().manual_seed(0)
    shuffled = torch.randperm(len(own), generator=generator, device=generator.device).cpu()
    order = shuffled[own[shuffled].argsort(stable=True)]  # cluster by cluster, at random inside
    position = torch.arange(len(own)) - (sizes.cumsum(0) - sizes)[own[order]]
    share = torch.maximum(sizes * sample_size // len(own), sizes.clamp_max(least))
    return order[position < share[own[order]]].sort()[0]


def simplified_silhouette(x: Matrix, labels: Matrix, centers: Tensor, *, chunk_bytes: int | None = None) -> Tensor:
    """Return (b − a) / max(a, b) per row with a, b = distance to the own and to the nearest other centre.

    Parameters
    ----------
    x : Tensor or ndarray (n, d), float
    labels : Tensor or ndarray (n,), int
        Numbers of centres; −1 is noise: silhouette 0.
    centers : Tensor (k, d)
        At least 2.
    chunk_bytes : int, optional
        Bound for each block of distances; None: 16 MiB, on a GPU 256 MiB.

    Returns
    -------
    Tensor (n,)
        From −1 to 1; 0 for the only member of a cluster. float32, or float64 for float64 data.

    Raises
    ------
    ArgumentError
        If shapes do not fit, there are fewer than 2 centres, or a label has no centre.
    DataError
        If a value is NaN or infinite.

    Notes
    -----
    2·n·k·d FLOPs.

    References
    ----------
    E. Hruschka, L. de Castro and R. Campello, Evolutionary algorithms for clustering gene-expression data, ICDM 2004.

    Examples
    --------
    >>> x = torch.tensor([[0.0], [2.0], [9.0], [11.0]])
    >>> simplified_silhouette(x, torch.tensor([0, 0, 1, 1]), torch.tensor([[1.0], [10.0]]))
    tensor([0.9000, 0.8750, 0.8750, 0.9000])
    """
    rows = Rows.of(x)
    labels = check_labels(labels, rows)
    centers = torch.as_tensor(centers).to(rows.device, rows.dtype)
    if centers.ndim != 2 or centers.shape[1] != rows.width or len(centers) < 2:
        raise ArgumentError(f"centers must have the shape (2 or more, {rows.width}), got {tuple(centers.shape)}")
    if int(labels.max()) >= len(centers) or int(labels.min()) < -1:
        raise ArgumentError(f"labels must lie between -1 and {len(centers) - 1}, the last of the centers")
    if not bool(torch.isfinite(centers).all()):
        raise DataError("centers hold NaN or infinite values")
    mean = rows.moments()[0].to(rows.dtype)
    near = centers - mean
    alone = torch.bincount(labels.clamp_min(0)[labels >= 0], minlength=len(centers)) == 1
    out = torch.empty(len(rows), dtype=rows.dtype, device=rows.device)
    for start, stop, block in rows.blocks(rows.step(2 * rows.width + 2 * len(centers), chunk_bytes)):
        noise, own = labels[start:stop] < 0, labels[start:stop].clamp_min(0)
        within = torch.linalg.vector_norm(block - centers[own], dim=1)
        offset = block - mean
        square = (near * near).sum(1) - 2 * offset @ near.T + (offset * offset).sum(1, keepdim=True)
        between = square.scatter_(1, own[:, None], torch.inf).amin(1).clamp_min(0).sqrt()
        out[start:stop] = _ratio(within, between, alone[own] | noise)
    return out
