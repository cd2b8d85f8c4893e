"""The frozen encoder of a method that begins with ready-made features."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ilk import encoders
from ilk.methods._stages import Stages

__all__ = ["load_encoder"]


def load_encoder(
    model: Any, source: Any, tell: Stages, name: str, weights: str | Path | None, settings: Mapping[str, Any]
) -> None:
    """Build the encoder `name` as ``model.encoder_``, add its notes to ``model.notes_``, and tell which it is and why.

    Parameters
    ----------
    model
        Has ``device``, ``precision``, ``cache`` and ``notes_``.
    source
        The images: "auto" looks at them.
    settings
        Keys of `ilk.encoders.SETTINGS`; others are left alone.
    """
    model.encoder_ = encoders.build(
        name,
        weights=weights,
        settings={key: value for key, value in settings.items() if key in encoders.SETTINGS},
        source=source,
        device=model.device,
        precision=model.precision,
        cache=model._cache(),
    )
    model.notes_ += model.encoder_.notes
    tell({"stage": "encoder", "encoder": model.encoder_.name, "why": model.encoder_.why, "notes": model.notes_[:]})
