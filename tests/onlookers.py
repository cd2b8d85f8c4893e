"""What notices that a fit does more than it should: looks at labels, or changes what is everybody's."""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np
import torch


class Untouchable:
    """A `y` that notices being looked at."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"y was touched: {name}")

    def _touched(self, *_: Any) -> Any:
        raise AssertionError("y was touched")

    __len__ = __iter__ = __getitem__ = __bool__ = __eq__ = __array__ = __repr__ = __hash__ = _touched  # type: ignore[assignment]


def global_state() -> list[Any]:
    """What a fit could change behind the user's back."""
    numpy_state = np.random.get_state()  # noqa: NPY002 - the global state is the point
    return [
        random.getstate(),
        [part.tolist() if isinstance(part, np.ndarray) else part for part in numpy_state],
        torch.get_rng_state().tolist(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        list(warnings.filters),
        np.geterr(),
    ]
