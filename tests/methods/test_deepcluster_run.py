"""DeepCluster in use: what is told within epochs, which preset is chosen, and the finer level in a finished run."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch

from ilk import train
from ilk.data import open_images
from ilk.methods import DeepCluster
from ilk.methods import _deepcluster_setup as setup

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


# -- which preset ------------------------------------------------------------------------------------------------------


def test_a_network_named_with_auto_is_trained_also_on_photos_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ilk.methods._deepcluster_setup.is_small", lambda source: None)
    model = DeepCluster(3, network="tiny", epochs=1, image_size=8, device="cpu", settings={"components": 2})
    assert model.fit(patterns()).settings_["epochs"] == 1
    photo, cpu = open_images(np.zeros((4, 120, 120, 3), np.uint8)), torch.device("cpu")
    kinds = {name: setup.automatic(photo, cpu, name) for name in ("auto", "features", "resnet18", "small")}
    assert kinds == {"auto": "quick", "features": "quick", "resnet18": "small", "small": "small"}


def test_a_network_that_stays_random_is_told_and_a_frozen_one_is_not() -> None:
    model = DeepCluster(3, preset="quick", network="tiny", image_size=8).fit(patterns())
    assert any("no network was trained (epochs=0)" in note for note in model.notes_)
    frozen = DeepCluster(3, preset="quick", settings={"encoder": "pixels", "components": 3}).fit(patterns())
    assert not any("no network" in note for note in frozen.notes_)
    trained = DeepCluster(3, preset="tiny", epochs=1).fit(patterns())
    assert not any("no network" in note for note in trained.notes_)
