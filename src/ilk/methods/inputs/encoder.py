"""The frozen encoder of a method that begins with ready-made features."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ilk import encoders
from ilk.data import OwnFeatures
from ilk.errors import ArgumentError
from ilk.methods.reporter import Reporter
from ilk.methods.settings import AUTO, Configured

__all__ = ["brings_features", "check_read", "load_encoder", "reload_encoder", "take_kept"]


def brings_features(source: Any) -> bool:
    """Whether `source` brings features of the user's own along: then no encoder is chosen, and no network trained."""
    return isinstance(source, OwnFeatures)


def check_read(model: Configured, table: Mapping[str, Any]) -> None:
    """Raise `ArgumentError` for a setting of an encoder that trains, or of a network where an encoder is frozen.

    Nothing would read it. Where the images are yet to decide which of the two it is, nothing is raised.

    Parameters
    ----------
    model
        Has ``preset``, ``settings`` and ``image_size``.
    table
        Its settings in force.
    """
    given = {**(model.settings or {}), **({} if model.image_size is None else {"image_size": model.image_size})}
    if model.preset == "auto" and table["network"] == AUTO:
        return
    frozen = table["network"] == "features"
    for key in sorted(key for key, value in given.items() if value is not None):
        if frozen and key == "image_size":
            raise ArgumentError(f"image_size={given[key]}: a frozen encoder has a size of its own; name a network too.")
        if not frozen and key in model.other_settings:
            raise ArgumentError(
                f"{key}={given[key]!r}: a network is trained here, and no encoder is used; --set preset=quick uses one."
            )


def load_encoder(
    model: Any, source: Any, report: Reporter, name: Any, weights: str | Path | None, settings: Mapping[str, Any]
) -> None:
    """Build the encoder `name` as ``model.encoder_``, add its notes to ``model.notes_``, and report both.

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
    report({"stage": "encoder", "encoder": model.encoder_.name, "why": model.encoder_.why, "notes": model.notes_[:]})


def take_kept(options: dict[str, Any]) -> tuple[Any, Any]:
    """Take ``weights_file`` and ``own_encoder`` out of the options of ``from_state``, and return them."""
    return options.pop("weights_file", None), options.pop("own_encoder", None)


def reload_encoder(model: Any, spec: Mapping[str, Any], kept: tuple[Any, Any]) -> encoders.FrozenEncoder:
    """Build the encoder of a fitted model again.

    Parameters
    ----------
    model
        Has ``device``, ``precision`` and ``cache``.
    spec
        What `ilk.encoders.FrozenEncoder.spec` gave.
    kept
        What `take_kept` returned: files of weights, and the user's own encoder.
    """
    return encoders.rebuild(
        spec, kept[0], own=kept[1], device=model.device, precision=model.precision, cache=model._cache()
    )
