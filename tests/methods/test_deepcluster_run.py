"""DeepCluster in use: what is told within epochs, which preset is chosen, and the finer level in a finished run."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

from ilk import train
from ilk.methods import DeepCluster

SECOND: dict[str, Any] = {
    "algorithm": "v2", "components": 0, "crops": [2, 1], "crop_sizes": [8, 6], "crop_scales": [0.5, 0.3], "width": 16,
}  # fmt: skip


def patterns(n: int = 90, k: int = 3, side: int = 12) -> np.ndarray:
    """n images of k patterns under noise."""
    shapes = np.random.default_rng(7).integers(0, 256, (k, side, side))
    noise = np.random.default_rng(0).normal(0, 15, (n, side, side))
    return np.clip(shapes[np.arange(n) % k] + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("settings", [{}, SECOND], ids=["first", "second"])
def test_within_an_epoch_there_is_no_state_and_no_stop(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ilk.train.watched", functools.partial(train.watched, every=0))
    states: list[dict[str, Any]] = []

    def hook(record: dict[str, Any], state: Any) -> bool:
        if "step" in record:
            states.append(state())
        return "step" in record

    model = DeepCluster(3, preset="tiny", settings=settings).fit(patterns(), on_epoch=hook)
    assert len(states) >= 6
    assert not any(states)
    assert len([record for record in model.history_ if "epoch" in record]) == 3
