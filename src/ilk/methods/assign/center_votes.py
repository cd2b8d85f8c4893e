"""Groups of weighted centres: the centres nearest to an image vote for its group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ilk.methods.assign.placer import Placer

__all__ = ["CenterVotes"]


@dataclass(frozen=True)
class CenterVotes:
    """A placer among centres: as among training images, but for images themselves, which are not kept.

    Attributes
    ----------
    placer : Placer
    """

    placer: Placer

    def __call__(self, features: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return group probabilities (m, k); what is farther off than the images of its group are sums to less."""
        return self.placer(features)

    def state(self) -> dict[str, Any]:
        """Return arrays and plain values."""
        return self.placer.state()

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from what `state` returned."""
        return cls(Placer.from_state(state))
