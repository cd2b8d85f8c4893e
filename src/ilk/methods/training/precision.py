"""Whether a network is trained in bfloat16."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import torch

from ilk import train
from ilk.methods.training.stage import Stage

__all__ = ["bf16_or_not"]


def bf16_or_not(
    precision: str,
    device: torch.device,
    make: Callable[[bool], Stage] | None,
    resume: Mapping[str, Any] | None,
    images: int,
) -> bool:
    """Return whether a network should be trained in bfloat16.

    Parameters
    ----------
    precision : {"auto", "fp32", "bf16"}
        "auto": where the device has units for it and a few steps are a tenth faster with it; for a short training, or
        where no steps can be tried, on a GPU only.
    make : callable (bf16) -> Stage, optional
        Makes what is tried.
    resume
        A state to go on from: with "auto" the training keeps what it began with.
    images : int
        How many the training sees in all epochs.
    """

    def speed(bf16: bool) -> float:
        assert make is not None
        cost = make(bf16).probe()
        return 0.0 if cost is None else cost.images_per_second

    if precision == "auto" and resume:
        return bool(json.loads(str(resume.get("settings", "{}"))).get("bf16"))
    return train.choose_bf16(precision, device, None if make is None else speed, images)
