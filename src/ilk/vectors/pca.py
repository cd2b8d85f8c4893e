"""Principal components from one pass over the rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ilk.errors import ArgumentError, DataError, NotEnoughImages
from ilk.vectors.rows import Matrix, Rows, check_count

__all__ = ["PCA", "fit_pca", "from_sums"]

# share of its length that a row may be off a plane it lies in: components are kept in single precision
_ROUNDING = 64 * 2**-23
_COLUMN_BYTES = 32 * 2**20  # columns of all rows that are held at a time


@dataclass(frozen=True)
class PCA:
    """A fitted projection; plain tensors, so it can be stored and rebuilt.

    Attributes
    ----------
    mean : Tensor (d,)
        Zeros if it was fitted with ``center=False``.
    components : Tensor (k, d)
        Orthonormal rows, by descending variance; the largest entry of each by absolute value is positive.
    explained_variance : Tensor (k,)
    explained_variance_ratio : Tensor (k,)
        Share of the total variance.
    whiten : bool
        `transform` brings each component to variance 1; a component without variance gives zeros.
    normalize : bool
        Rows are brought to length 1 first.
    """

    mean: Tensor
    components: Tensor
    explained_variance: Tensor
    explained_variance_ratio: Tensor
    whiten: bool = False
    normalize: bool = False

    def transform(self, x: Matrix, *, chunk_bytes: int | None = None) -> Tensor:
        """Return the coordinates (n, k) of the rows of `x` (n, d), block by block, in the precision of `components`.

        Raises
        ------
        ArgumentError
            If `x` has another width than the components.
        DataError
            If a value is NaN or infinite.
        """
        rows = self._rows(x)
        count, width = self.components.shape
        turn = self.components.T
        if self.whiten:
            variance = self.explained_variance
            nothing = variance <= variance.max() * torch.finfo(variance.dtype).eps
            turn = turn * torch.where(nothing, 0.0, variance.rsqrt())
        out = torch.empty(len(rows), count, dtype=turn.dtype, device=turn.device)
        for start, stop, block in rows.blocks(rows.step(2 * width, chunk_bytes)):
            torch.mm(block.to(turn) - self.mean, turn, out=out[start:stop])
        if not bool(torch.isfinite(out).all()):
            raise DataError("x holds NaN or infinite values")
        return out

    def lost(self, x: Matrix, *, chunk_bytes: int | None = None) -> Tensor:
        """Return the distance (n,) of each row of `x` (n, d) from the plane of the components: what they do not show.

        0 for what is no more than rounding: of rows that the components show as a whole, nothing is lost.

        Raises as `transform`; costs twice as much.
        """
        rows = self._rows(x)
        out = torch.empty(len(rows), dtype=self.mean.dtype, device=self.mean.device)
        for start, stop, block in rows.blocks(rows.step(3 * rows.width, chunk_bytes)):
            offset = block.to(self.mean) - self.mean
            noise = _ROUNDING * (offset.norm(dim=1) + self.mean.norm())
            offset -= (offset @ self.components.T) @ self.components
            away = torch.linalg.vector_norm(offset, dim=1)
            out[start:stop] = torch.where(away <= noise, 0.0, away)
        if not bool(torch.isfinite(out).all()):
            raise DataError("x holds NaN or infinite values")
        return out

    def double(self) -> PCA:
        """Return the same in float64: what comes out for a row is then free of the noise of the rows beside it."""
        mean, components = self.mean.double(), self.components.double()
        return replace(
            self,
            mean=mean,
            components=components,
            explained_variance=self.explained_variance.double(),
            explained_variance_ratio=self.explained_variance_ratio.double(),
        )

    def _rows(self, x: Matrix) -> Rows:
        rows = Rows.of(x, normalize=self.normalize)
        width = self.components.shape[1]
        if rows.width != width:
            raise ArgumentError(f"x has {rows.width} columns, this PCA was fitted on {width}")
        return rows


def fit_pca(
    x: Matrix,
    n_components: int,
    *,
    whiten: bool = False,
    center: bool = True,
    normalize: bool = False,
    chunk_bytes: int | None = None,
) -> PCA:
    """Find the `n_components` orthogonal directions of largest variance.

    Parameters
    ----------
    x : Tensor or ndarray (n, d), float16, float32 or float64
        A memmap is read block by block and never copied as a whole: once if n ≥ d, three or four times otherwise.
    n_components : int
        At most min(n, d).
    whiten : bool
    center : bool
        Subtract the mean; without, directions of largest mean square.
    normalize : bool
        Bring the rows to length 1 on the way, here and in `transform`.
    chunk_bytes : int, optional
        Bound for each block of rows; None: 16 MiB, on a GPU 256 MiB.

    Returns
    -------
    PCA
        In float32, or float64 for float64 data.

    Raises
    ------
    ArgumentError
        If `n_components` is below 1 or above d.
    NotEnoughImages
        If there are fewer than two rows, or fewer rows than components.
    DataError
        If a value is NaN or infinite.

    Notes
    -----
    n ≥ d: covariance in 2·n·d² FLOPs, products of blocks in the working precision, their sum in float64, then `eigh` of
    (d, d) in float64. n < d: the Gram matrix (n, n) in float64, from a few columns at a time. Components whose variance
    is below about 1e-7 of the largest are noise in float32, as with any covariance method.

    References
    ----------
    I. Jolliffe, Principal Component Analysis, Springer 2002. Signs: `svd_flip` of scikit-learn.

    Examples
    --------
    >>> pca = fit_pca(torch.tensor([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]), 1)
    >>> pca.components, pca.explained_variance
    (tensor([[0.7071, 0.7071]]), tensor([2.]))
    """
    rows = Rows.of(x, normalize=normalize)
    n, d, k = len(rows), rows.width, check_count(n_components, "n_components")
    if k > d:
        raise ArgumentError(f"n_components={k}: must be at most {d}, the number of columns of x")
    if max(k, 2) > n:
        raise NotEnoughImages(f"n_components={k} needs at least {max(k, 2)} rows, x has {n}")
    solve = _from_covariance if n >= d else _from_gram
    return _signed(n, rows.dtype, *solve(rows, k, center, chunk_bytes), whiten, normalize)


def from_sums(
    n: int,
    k: int,
    origin: Tensor,
    sums: Tensor,
    scatter: Tensor,
    dtype: torch.dtype,
    *,
    whiten: bool = False,
    normalize: bool = False,
) -> PCA:
    """Return the PCA of `n` rows from their sums (d,) less `origin` (d,), and those of their products (d, d)."""
    found = _solved(n, k, origin, sums, scatter.clone(), True)
    return _signed(n, dtype, *found, whiten, normalize)


def _signed(
    n: int,
    kind: torch.dtype,
    mean: Tensor,
    components: Tensor,
    variance: Tensor,
    total: float,
    whiten: bool,
    normalize: bool,
) -> PCA:
    """Return components, their largest entry positive, and variances of `n` rows from sums of squares."""
    top = components.abs().argmax(1, keepdim=True)
    components = components * torch.where(components.gather(1, top) < 0, -1.0, 1.0)
    variance = variance.clamp_min(0) / (n - 1)
    ratio = variance * (n - 1) / total if total > 0 else torch.zeros_like(variance)
    return PCA(mean.to(kind), components.to(kind), variance.to(kind), ratio.to(kind), whiten, normalize)


def _from_covariance(rows: Rows, k: int, center: bool, chunk_bytes: int | None) -> tuple[Tensor, Tensor, Tensor, float]:
    """Return mean (d,), components (k, d), their sums of squares (k,) and the total, all in float64."""
    d, step = rows.width, rows.step(2 * rows.width, chunk_bytes)
    origin = rows.block(0, step).mean(0) if center else rows.block(0, 1)[0] * 0  # near the mean: no cancellation below
    sums = torch.zeros(d, dtype=torch.float64, device=rows.device)
    scatter = torch.zeros(d, d, dtype=torch.float64, device=rows.device)
    for _, _, block in rows.blocks(step):
        offset = block - origin
        sums += offset.sum(0, dtype=torch.float64)
        scatter += offset.T @ offset
    if not bool(torch.isfinite(scatter).all()):
        rows.moments()  # names the row
        raise DataError("x holds values too large for its precision; scale it down")
    return _solved(len(rows), k, origin, sums, scatter, center)


def _solved(
    n: int, k: int, origin: Tensor, sums: Tensor, scatter: Tensor, center: bool
) -> tuple[Tensor, Tensor, Tensor, float]:
    """Return the same from sums (d,) and products (d, d) of n rows less `origin`; `scatter` is used up."""
    mean = origin.double() * 0
    if center:
        scatter -= torch.outer(sums, sums / n)
        mean = origin.double() + sums / n
    variance, vectors = torch.linalg.eigh(scatter)
    return mean, vectors.T.flip(0)[:k], variance.flip(0)[:k], float(scatter.trace())


def _from_gram(rows: Rows, k: int, center: bool, chunk_bytes: int | None) -> tuple[Tensor, Tensor, Tensor, float]:
    """Do the same for fewer rows than columns."""
    mean = rows.moments()[0]
    if not center:
        mean = torch.zeros_like(mean)
    n, step = len(rows), rows.step(2 * rows.width, chunk_bytes)
    centre = mean.to(rows.dtype)
    scale = torch.ones(n, 1, dtype=rows.dtype, device=rows.device)
    if rows.normalize:
        for start, stop, block in Rows(rows.x).blocks(step):
            norm = torch.linalg.vector_norm(block, dim=1, keepdim=True)
            scale[start:stop] = norm.clamp_min(torch.finfo(rows.dtype).tiny)
    gram = torch.zeros(n, n, dtype=torch.float64, device=rows.device)
    for first in range(0, rows.width, wide := max(1, min(4 * n, _COLUMN_BYTES // (8 * n)))):
        part = (rows.columns(first, first + wide) / scale - centre[first : first + wide]).double()
        gram += part @ part.T
    variance, vectors = torch.linalg.eigh(gram)
    turn = vectors.flip(1)[:, :k].contiguous()
    rotated = torch.zeros(rows.width, k, dtype=torch.float64, device=rows.device)
    for start, stop, block in rows.blocks(step):
        rotated += (block - centre).double().T @ turn[start:stop]
    # the columns are orthogonal already; QR brings them to length 1 and completes those of length 0
    return mean, torch.linalg.qr(rotated)[0].T, variance.flip(0)[:k], float(gram.trace())
