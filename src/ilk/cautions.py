"""What may be wrong with groups, seen without labels: shots of one scene, file sizes and kinds, one group for all.

The limits were set once, on sets named in docs/how-many-groups.md, and do not depend on any label.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.near.rows import SLACK, Coordinates

__all__ = ["CLOSE", "CLOSE_IN_NETWORK", "collapsed", "file_traits", "near_copies", "nearest_rows"]

Ints = npt.NDArray[np.int64]

CLOSE = 0.15
"""Features of length 1, made by hand or pixels, that lie closer than this are those of nearly the same image."""

CLOSE_IN_NETWORK = 0.25
"""The same for features of a pretrained network. See docs/how-many-groups.md for both."""

_FEWEST = 20  # near copies, or images of a kind of file, below which nothing is said
_COMMON = 0.2  # the share of images of one scene from which on they weigh
_SHARE = 0.5  # more than this of a group: it is theirs
_EXPLAINED = 0.5  # how much of what is unknown of a file's kind its group must explain, chance taken off
_RARE = 0.1  # the share of images outside of the commonest kind below which kinds say nothing
_ONE = 0.95  # the share of one group from which on the others hardly count
_BLOCK = 1 << 14
_PAIRS = 1024  # pairs measured in full at a time
_WORK = 1e10
_SAME = {"jpeg": "jpg", "jpe": "jpg", "jfif": "jpg", "tiff": "tif"}


def near_copies(
    features: npt.NDArray[np.floating],
    labels: Ints,
    neighbors: Ints,
    counts: Ints | None = None,
    *,
    limit: float = CLOSE,
) -> list[str]:
    """Say where images that are nearly the same take several groups.

    Parameters
    ----------
    features
        (n, d), of a frozen encoder: a training pulls the features of each group together.
    labels
        (n,), -1 = no group.
    neighbors
        (n, m) int64, rows of the nearest of each row; the row itself may be among them.
    counts
        (n,) images of the source that each row stands for; None: one each.
    limit
        Distance of features of length 1 below which two are those of nearly the same image.

    Returns
    -------
    list of str
        One note, or none.

    Notes
    -----
    Chains count: two images are of one scene where steps smaller than `limit` lead from one to the other. Cost:
    O(n d + n m) short distances of 65 numbers, and those of length d of the neighbours that are about as near as that.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    n = len(labels)
    weights = np.ones(n, np.int64) if counts is None else counts
    close = _close(features, neighbors, limit)
    row, column = np.nonzero(close)
    steps = csr_array((np.ones(len(row), bool), (row, neighbors[row, column])), (n, n))
    scene = connected_components(steps, directed=False)[1]
    biggest = int(np.bincount(scene, weights).argmax())
    own = scene == biggest
    size, total = int(weights[own].sum()), int(weights.sum())
    if int(own.sum()) < _FEWEST or size < _COMMON * total:
        return []
    placed = labels >= 0
    if not placed.any():
        return []
    held = np.bincount(labels[placed], weights[placed])
    theirs = np.bincount(labels[placed & own], weights[placed & own], len(held))
    groups = int((held > 0).sum())
    taken = int((theirs > _SHARE * held).sum())
    if taken < 2:
        return []
    every = "all" if taken == groups else f"{taken} of"
    return [
        f"{size:,} of {total:,} images are nearly the same, such as shots of one scene: they take {every} {groups} "
        "groups. With near_duplicates=stack they count as one image, and the groups are of the others"
    ]


def nearest_rows(x: npt.NDArray[Any], n_neighbors: int = 10) -> Ints | None:
    """Return the rows (n, m) nearest to each row of `x` (n, d), where a method has no such graph; None where it costs.

    Exact, Euclidean. At most about a second: n² (d + 30) up to 1e10, as for silhouettes.
    """
    n = len(x)
    if n <= n_neighbors or float(n) ** 2 * (x.shape[1] + 30) > _WORK:
        return None
    import torch

    from ilk.vectors import neighbors

    rows = torch.from_numpy(np.array(x, np.float32))
    return neighbors(rows, rows, n_neighbors, exclude_self=True)[0].numpy()


def _close(features: npt.NDArray[np.floating], neighbors: Ints, limit: float) -> npt.NDArray[np.bool_]:
    """Whether each neighbour is nearer than `limit`, for features brought to length 1.

    Short coordinates rule most pairs out; what is left is measured in full, block by block.
    """
    short = Coordinates.of(features).rows
    close = np.zeros(neighbors.shape, bool)
    for start in range(0, len(features), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(features)))
        for column in range(neighbors.shape[1]):
            at = neighbors[rows, column]
            apart = short[rows] - short[at]
            may = np.einsum("ne,ne->n", apart, apart) < limit**2 + SLACK
            for some in np.array_split(rows[may], -(-int(may.sum()) // _PAIRS) or 1):
                apart = _unit(features, some) - _unit(features, neighbors[some, column])
                close[some, column] = np.einsum("nd,nd->n", apart, apart) < limit**2
    return close


def _unit(features: npt.NDArray[np.floating], rows: Ints) -> npt.NDArray[np.float64]:
    """Return `rows` of the features, of length 1: equal rows give equal bits, which a rounded length would not."""
    found: npt.NDArray[np.float64] = np.asarray(features[rows], np.float64)
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    return found


def file_traits(
    labels: Ints, widths: npt.NDArray[np.integer], heights: npt.NDArray[np.integer], names: Sequence[str]
) -> list[str]:
    """Say where the groups follow the size, shape or kind of the files.

    Parameters
    ----------
    labels
        (n,), of images that were read; -1 = no group.
    widths, heights
        (n,) pixels; 0 = unknown.
    names
        Of the files.

    Returns
    -------
    list of str
        One note, or none. The mutual information of groups and kinds, less what chance gives, must be half of what
        there is to know about the kinds.
    """
    placed = (labels >= 0) & (widths > 0) & (heights > 0)
    if placed.sum() < 2 * _FEWEST:
        return []
    w, h = widths[placed].astype(np.float64), heights[placed].astype(np.float64)
    endings = [PurePosixPath(names[i]).suffix[1:].lower() for i in np.flatnonzero(placed).tolist()]
    kinds: dict[str, npt.NDArray[np.generic]] = {
        "size in pixels": np.round(np.log2(np.sqrt(w * h))).astype(np.int64),
        "shape (wide, square or tall)": np.sign(np.round(np.log(w / h) / 0.28)).astype(np.int64),
        "type (" + ", ".join(sorted({_SAME.get(e, e) for e in endings})[:4]) + ")": np.array(
            [_SAME.get(e, e) for e in endings]
        ),
    }
    found = {name: _explained_by(labels[placed], kind) for name, kind in kinds.items()}
    followed = [name for name, share in found.items() if share >= _EXPLAINED]
    if not followed:
        return []
    return [
        f"the groups follow the {' and the '.join(followed)} of the files: who knows an image's group knows "
        f"{100 * max(found.values()):.0f} % of that. "
        "Bring the images to one size and type where that is not what you look for"
    ]


def _explained_by(labels: Ints, kind: npt.NDArray[np.generic]) -> float:
    """How much of the entropy of `kind` the labels explain, less what as many labels explain by chance: at most 1."""
    code = np.unique(kind, return_inverse=True)[1]
    group = np.unique(labels, return_inverse=True)[1]
    n, n_kinds, n_groups = len(code), int(code.max()) + 1, int(group.max()) + 1
    share = np.bincount(code) / n
    if n_kinds < 2 or n_groups < 2 or share.max() > 1 - _RARE:
        return 0.0
    table = np.bincount(group * n_kinds + code, minlength=n_groups * n_kinds).reshape(n_groups, n_kinds) / n
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True)
    some = table > 0
    shared = float((table[some] * np.log(table[some] / expected[some])).sum())
    entropy = float(-(share * np.log(share)).sum())
    chance = (n_kinds - 1) * (n_groups - 1) / (2 * n)  # of the mutual information of n independent pairs
    return (shared - chance) / max(entropy - chance, 1e-12) if entropy > chance else 0.0


def collapsed(labels: Ints) -> list[str]:
    """Say where nearly all images are in one group.

    >>> collapsed(np.repeat([0, 1], [98, 2]))[0][:51]
    'group 0 holds 98 % of the images and the other grou'
    >>> collapsed(np.repeat([0, 1], [60, 40]))
    []
    """
    placed = labels[labels >= 0]
    if len(placed) < 2 * _FEWEST:
        return []
    sizes = np.bincount(placed)
    share, groups = sizes.max() / len(placed), int((sizes > 0).sum())
    if groups < 2 or share < _ONE:
        return []
    others = "the other group hardly any" if groups == 2 else f"the other {groups - 1} groups hardly any"
    return [
        f"group {int(sizes.argmax())} holds {100 * share:.0f} % of the images and {others}: unless they really are so "
        "alike, try another number of groups (-k), another seed, or another method (-m)"
    ]
