"""What tests of DAC share: random images, resolved settings, and one network in training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ilk.data import ArrayImages, channel_mean
from ilk.methods.dac import config as setup
from ilk.methods.dac.presets import PRESETS
from ilk.methods.dac.training_step import Learner, make_learner
from ilk.methods.inputs.dataset import Pixels

CPU = torch.device("cpu")


def images(n: int = 120, side: int = 8, channels: int = 1, seed: int = 0) -> ArrayImages:
    shape = (n, side, side) if channels == 1 else (n, side, side, channels)
    return ArrayImages(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))


def table_of(preset: str, side: int, channels: int = 1, **changed: Any) -> dict[str, Any]:
    return {**setup.fill({**PRESETS[preset], **changed}, images(4, side, channels)), **changed}


def learner(preset: str = "tiny", n: int = 120, k: int = 3, **changed: Any) -> Learner:
    source = images(n)
    table = table_of(preset, 8, network="tiny", image_size=8, **changed)
    return make_learner(Pixels(source, channel_mean(source), CPU), table, k, 0, False, 0)
