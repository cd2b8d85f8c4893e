"""Independent random numbers from one seed."""

from __future__ import annotations

import numpy as np

__all__ = ["seeds_of"]


def seeds_of(seed: int, count: int, part: int | None = None) -> list[int]:
    """Return `count` independent seeds that follow from one, for the part `part` of a fit where it has several.

    Examples
    --------
    >>> len({*seeds_of(0, 3), *seeds_of(0, 3, 1), *seeds_of(1, 3)})
    9
    """
    entropy = int(seed) if part is None else [int(seed), part]
    drawn = np.random.SeedSequence(entropy).generate_state(count, np.uint64) >> np.uint64(1)
    return [int(one) for one in drawn]
