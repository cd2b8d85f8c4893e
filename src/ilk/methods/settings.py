"""Presets and settings: what everything that is fitted has in common, clusterers or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from sklearn.base import BaseEstimator

from ilk.errors import ArgumentError, nearest
from ilk.methods.names import refuse_options, refuse_preset

__all__ = ["Options"]


class Options(BaseEstimator):  # type: ignore[misc]
    """Abstract base: a preset's table of settings, single keys of it laid over, and what either may hold."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]]
    """Tables of settings by preset name, all with the same keys."""

    other_settings: ClassVar[frozenset[str]] = frozenset()
    """Keys of `settings` that are not in the preset's table (those of the encoder)."""

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
        """Build the estimator from a flat mapping of constructor arguments, preset keys and encoder settings.

        Raises
        ------
        ArgumentError
            An unknown key; the message names the nearest known one.
        """
        arguments = set(cls._get_param_names()) - {"settings"}
        inner = set(next(iter(cls.presets.values()))) | cls.other_settings
        refuse_options(cls.__name__, options, arguments | inner)
        settings = {key: value for key, value in options.items() if key not in arguments}
        return cls(**{k: v for k, v in options.items() if k in arguments}, settings=settings or None)

    def resolved(self) -> dict[str, Any]:
        """Return the preset's table with `settings` laid over it.

        Raises
        ------
        ArgumentError
            An unknown preset or key.
        """
        params = self.get_params(deep=False)
        preset = params["preset"]
        refuse_preset(type(self).__name__, preset, self.presets)
        table = dict(self.presets[preset])
        settings = params["settings"] or {}
        if not isinstance(settings, Mapping):
            raise ArgumentError(f"settings must be a mapping of keys to values, got {type(settings).__name__}.")
        known = set(table) | self.other_settings
        for key in settings:
            if key not in known:
                raise ArgumentError(f"no setting {key!r} in {type(self).__name__}.{nearest(key, known)}")
        table.update(settings)
        return table
