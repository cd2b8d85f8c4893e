"""What tests of DAC share: random images, settings without "auto", and one training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ilk.data import ArrayImages, channel_mean
from ilk.methods import DAC
from ilk.methods.dac.settings import DACSettings, for_images
from ilk.methods.dac.training_step import Training
from ilk.methods.inputs.dataset import PixelDataset

CPU = torch.device("cpu")


def images(n: int = 120, side: int = 8, channels: int = 1, seed: int = 0) -> ArrayImages:
    shape = (n, side, side) if channels == 1 else (n, side, side, channels)
    return ArrayImages(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))


def dataset_of(source: ArrayImages) -> PixelDataset:
    return PixelDataset(source, CPU, channel_mean(source))


def settings_of(preset: str, side: int, channels: int = 1, **changed: Any) -> DACSettings:
    return for_images(DAC.presets[preset].replace(**changed), images(4, side, channels))


def begin(made: Training, upper: float, lower: float) -> None:
    """Begin an epoch, with thresholds of the test's own."""
    made.begin(0)
    made.upper, made.lower = upper, lower


def training(preset: str = "tiny", n: int = 120, k: int = 3, **changed: Any) -> Training:
    settings = settings_of(preset, 8, network="tiny", image_size=8, **changed)
    return Training(dataset_of(images(n)), settings, k, 0, False)
