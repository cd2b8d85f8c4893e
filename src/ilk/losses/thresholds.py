"""Thresholds of the pair selection, epoch by epoch: (upper, lower) for each."""

from __future__ import annotations

__all__ = ["lambda_thresholds", "linear_thresholds"]

_STEP = 1.1 * 0.009  # the slope of upper - lower in lambda, times the learning rate of lambda


def lambda_thresholds(*, beyond: bool) -> list[tuple[float, float]]:
    """Return (.95 - λ, .455 + .1 λ) for λ = 0, .0099, .0198, … until the two meet.

    Parameters
    ----------
    beyond : bool
        False: while lower ≤ upper (the paper), 46 epochs. True: the test comes after the epoch and looks at the
        thresholds just used (the seed), 47 epochs, the last one with upper < lower.

    Examples
    --------
    >>> len(lambda_thresholds(beyond=False)), len(lambda_thresholds(beyond=True))
    (46, 47)
    """
    found: list[tuple[float, float]] = []
    while True:
        move = _STEP * len(found)
        upper, lower = 0.95 - move, 0.455 + 0.1 * move
        if upper >= lower or beyond:
            found.append((upper, lower))
        if upper < lower:
            return found


def linear_thresholds(upper: tuple[float, float], lower: tuple[float, float], epochs: int) -> list[tuple[float, float]]:
    """Return thresholds that go from the first of each pair towards the second in `epochs` equal steps.

    The second is what the epoch after the last one would use. Where both pairs are equal, there is one threshold.

    Examples
    --------
    >>> [round(u, 2) for u, _ in linear_thresholds((0.9, 0.5), (0.9, 0.5), 20)[:3]]
    [0.9, 0.88, 0.86]
    """
    return [
        (upper[0] + (upper[1] - upper[0]) * e / epochs, lower[0] + (lower[1] - lower[0]) * e / epochs)
        for e in range(epochs)
    ]
