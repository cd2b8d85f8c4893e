"""Settings as frozen dataclasses: each key's default, meaning, range and choices stand together.

A method's settings are a subclass of `Settings` whose fields are made by `whole`, `number`, `flag`, `choice`, `pair`,
`wholes` and `free`. Presets are instances of it: ``replace`` on the default. The checks, ``--set``, ``ilk methods
NAME`` and the tables of the docs are all read off the fields.
"""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform

import numpy as np
from sklearn.base import BaseEstimator

from ilk.errors import ArgumentError, nearest, refuse_arguments
from ilk.methods.names import NOT_OPTIONS, refuse_options, refuse_preset

__all__ = [
    "AUTO",
    "Configured",
    "Option",
    "Renamed",
    "Settings",
    "choice",
    "estimator",
    "flag",
    "free",
    "number",
    "pair",
    "whole",
    "wholes",
]

AUTO = "auto"
"""Stands for "follows from the network or the images"; an option lets it pass where it says so."""

_KEY = "option"

Made = TypeVar("Made", bound="type[Any]")


@dataclass(frozen=True)
class Option:
    """What a setting may be, and what it means.

    Attributes
    ----------
    what : str
        A sentence without a full stop: the meaning, and the unit where there is one.
    kind : {"whole", "number", "flag", "choice", "pair", "wholes", "free"}
    low, high : float, optional
        Both are allowed themselves.
    choices : tuple
        Of "choice".
    none : str, optional
        What None means; without it None is refused.
    auto : bool
        Whether "auto" is allowed.
    """

    what: str
    kind: str
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] = ()
    none: str | None = None
    auto: bool = False

    def check(self, key: str, value: Any) -> Any:
        """Return `value` as plain Python; raise `ArgumentError` where it is not allowed."""
        if (value is None and self.none is not None) or (self.auto and isinstance(value, str) and value == AUTO):
            return value
        return _CHECKS[self.kind](self, key, value)

    def range(self) -> str:
        """Return what is allowed, in words.

        Examples
        --------
        >>> Option("", "number", 0, 1).range(), Option("", "whole", 1, none="all").range()
        ('0 to 1', 'whole, at least 1, or none')
        """
        low, high = (None if v is None else f"{v:g}" for v in (self.low, self.high))
        said = {
            "flag": "true or false",
            "choice": ", ".join(map(str, self.choices)),
            "whole": f"whole, {low} to {high}" if high else f"whole, at least {low}",
            "number": f"{low} to {high}",
            "pair": f"two numbers, 0 to {high}",
            "wholes": "whole numbers",
            "free": "",
        }[self.kind]
        return ", or ".join(part for part in (said, "auto" * self.auto, "none" * (self.none is not None)) if part)


def _whole(option: Option, key: str, value: Any) -> int:
    low, high = option.low or 0, option.high
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
        raise ArgumentError(f"{key}={value!r}: give a whole number of at least {low:g}.")
    if high is not None and value > high:
        raise ArgumentError(f"{key}={value!r}: give a whole number from {low:g} to {high:g}.")
    return int(value)


def _number(option: Option, key: str, value: Any) -> float:
    low, high = option.low, option.high
    fits = not isinstance(value, bool) and isinstance(value, int | float | np.number)
    if not fits or (low is not None and not value >= low) or (high is not None and not value <= high):
        raise ArgumentError(f"{key}={value!r}: give a number from {low:g} to {high:g}.")
    return float(value)


def _flag(option: Option, key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ArgumentError(f"{key}={value!r}: give true or false.")
    return value


def _choice(option: Option, key: str, value: Any) -> Any:
    known = [*option.choices, *[AUTO] * option.auto]
    if not isinstance(value, str | int | float) or value not in known:
        words = [str(word) for word in known]
        raise ArgumentError(f"{key}={value!r}: choose {', '.join(words)}.{nearest(str(value), words)}")
    return value


def _pair(option: Option, key: str, value: Any) -> tuple[float, float]:
    numbers = isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(v, int | float) for v in value)
    low, high = option.low or 0.0, option.high
    if not numbers or not all(low <= v and (high is None or v <= high) for v in value):
        most = "" if high is None else f" to {high:g}"
        raise ArgumentError(f"{key}={value!r}: give two numbers from {low:g}{most}, such as {key}=.9,.5.")
    return value[0], value[1]


def _wholes(option: Option, key: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise ArgumentError(f"{key}={value!r}: give a list of whole numbers, such as {key}=500,500,2000.")
    return tuple(_whole(option, key, one) for one in value)


_CHECKS: dict[str, Callable[[Option, str, Any], Any]] = {
    "whole": _whole,
    "number": _number,
    "flag": _flag,
    "choice": _choice,
    "pair": _pair,
    "wholes": _wholes,
    "free": lambda option, key, value: value,
}


def _made(default: Any, option: Option) -> Any:
    return field(default=tuple(default) if isinstance(default, list) else default, metadata={_KEY: option})


def whole(default: Any, what: str, low: int = 1, high: int | None = None, **more: Any) -> Any:
    """Return a field for a whole number from `low` (to `high`); see `Option`."""
    return _made(default, Option(what, "whole", low, high, **more))


def number(default: Any, what: str, low: float, high: float, **more: Any) -> Any:
    """Return a field for a number from `low` to `high`; see `Option`."""
    return _made(default, Option(what, "number", low, high, **more))


def flag(default: Any, what: str, **more: Any) -> Any:
    """Return a field for true or false; see `Option`."""
    return _made(default, Option(what, "flag", **more))


def choice(default: Any, what: str, choices: tuple[Any, ...], **more: Any) -> Any:
    """Return a field for one of `choices`; see `Option`."""
    return _made(default, Option(what, "choice", choices=tuple(choices), **more))


def pair(default: Any, what: str, high: float | None, low: float = 0.0, **more: Any) -> Any:
    """Return a field for two numbers from `low` to `high`; see `Option`."""
    return _made(default, Option(what, "pair", low, high, **more))


def wholes(default: Any, what: str, low: int = 1, **more: Any) -> Any:
    """Return a field for a list of whole numbers of at least `low`; see `Option`."""
    return _made(default, Option(what, "wholes", low, **more))


def free(default: Any, what: str, **more: Any) -> Any:
    """Return a field that `Settings.check` of the method looks at itself; see `Option`."""
    return _made(default, Option(what, "free", **more))


@dataclass(frozen=True)
class Renamed:
    """The new name of a setting, and its new value where that changed too."""

    key: str
    value: Callable[[Any], Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Settings(Mapping[str, Any]):
    """Abstract base: a method's settings, every one checked by its own field when it is set.

    To be read like a mapping too: ``dict(settings)``, ``settings["lr"]``.

    Attributes
    ----------
    extra : mapping
        Options of the encoder, which `ilk.encoders` checks.
    """

    renamed: ClassVar[Mapping[str, str | Renamed]] = {}
    """Names of before; they work, and say what they are called now."""
    near_duplicates: str = choice("keep", "stack: group images that are nearly the same as one", ("keep", "stack"))
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for key, option in self.options().items():
            object.__setattr__(self, key, option.check(key, getattr(self, key)))

    def check(self) -> None:
        """Raise `ArgumentError` where settings do not go together; a subclass says which."""

    @classmethod
    @functools.cache
    def options(cls) -> Mapping[str, Option]:
        """Return what every setting may be, in the order of the fields."""
        return {part.name: part.metadata[_KEY] for part in dataclasses.fields(cls) if _KEY in part.metadata}

    @classmethod
    def default_of(cls, key: str) -> Any:
        """Return the default of a setting."""
        found = next(part for part in dataclasses.fields(cls) if part.name == key).default
        return None if found is MISSING else found

    def replace(self, **values: Any) -> Self:
        """Return a copy with other values, checked."""
        return dataclasses.replace(self, **values)

    def as_dict(self) -> dict[str, Any]:
        """Return all settings as plain data, those of the encoder included."""
        found = {key: getattr(self, key) for key in self.options()}
        return {key: list(v) if isinstance(v, tuple) else v for key, v in found.items()} | dict(self.extra)

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Self:
        """Return settings that were kept: names of before are taken, and what is no setting any more is passed over."""
        values = dict(map(cls.translated, *zip(*kept.items(), strict=True))) if kept else {}
        return cls(**{key: value for key, value in values.items() if key in cls.options()})

    @classmethod
    def translated(cls, key: str, value: Any) -> tuple[str, Any]:
        """Return a setting, perhaps one of before, by the name and value that it has now."""
        new = cls.renamed.get(key, key)
        new = Renamed(new) if isinstance(new, str) else new
        return new.key, value if new.value is None else new.value(value)

    def __iter__(self) -> Iterator[str]:
        return iter([*self.options(), *self.extra])

    def __len__(self) -> int:
        return len(self.options()) + len(self.extra)

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key) if key in self.options() else self.extra[key]


class Configured(BaseEstimator):  # type: ignore[misc]
    """Abstract base of everything that is fitted: a preset, and single settings laid over it.

    A subclass has ``preset`` and ``settings`` among its arguments.
    """

    presets: ClassVar[Mapping[str, Any]]
    """Settings by preset name."""

    other_settings: ClassVar[frozenset[str]] = frozenset()
    """Keys of `settings` that the encoder reads."""

    renamed_presets: ClassVar[Mapping[str, str]] = {}
    renamed_arguments: ClassVar[Mapping[str, str]] = {}

    arguments: ClassVar[Mapping[str, str]] = {}
    """Arguments that stand for a setting where they are not None: argument -> key."""

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
        """Build the estimator from a flat mapping of constructor arguments, preset keys and encoder settings.

        Raises
        ------
        ArgumentError
            An unknown key; the message names the nearest known one.
        """
        known = set(cls._get_param_names()) - {*NOT_OPTIONS} | set(cls.renamed_arguments)
        refuse_options(cls.__name__, options, known | cls.known_settings(old=True))
        arguments = {key: value for key, value in options.items() if key in known}
        if "preset" in arguments:
            arguments["preset"] = cls.preset_called(arguments["preset"])
        start = next(iter(cls.presets.values()))
        settings = dict(_current(start, key, value) for key, value in options.items() if key not in known)
        return cls(**arguments, settings=settings or None)

    @classmethod
    def known_settings(cls, *, old: bool = False) -> set[str]:
        """Return the keys of `settings`; with `old`, those of before too."""
        first = next(iter(cls.presets.values()))
        before = set(getattr(first, "renamed", {})) if old else set()
        return set(first) | cls.other_settings | before

    @classmethod
    def settings_of(cls, kept: Mapping[str, Any]) -> Any:
        """Return settings that a model was kept with, by whatever names they had then."""
        return type(next(iter(cls.presets.values()))).from_dict(kept)

    def resolved(self) -> Any:
        """Return the settings in force: the preset's, with `settings` and arguments laid over them, every one checked.

        Raises
        ------
        ArgumentError
            An unknown preset or key, or a value outside of what is allowed.
        """
        return self.laid_over(self.presets[self.preset_called(self.get_params(deep=False)["preset"])])

    def laid_over(self, start: Any) -> Any:
        """Return the settings `start` with `settings` and arguments laid over them, every one checked."""
        params = self.get_params(deep=False)
        given = params["settings"] or {}
        if not isinstance(given, Mapping):
            raise ArgumentError(f"settings must be a mapping of keys to values, got {type(given).__name__}.")
        known = self.known_settings(old=True)
        for key in given:
            if key not in known:
                hint = nearest(key, self.known_settings())
                raise ArgumentError(f"no setting {key!r} in {type(self).__name__}.{hint}")
        if not isinstance(start, Settings):  # a class of the user's own whose presets are mappings
            return {**start, **given}
        values = dict(_current(start, key, value) for key, value in given.items())
        values |= {key: params[name] for name, key in self.arguments.items() if params[name] is not None}
        extra = {key: value for key, value in values.items() if key not in start.options()}
        inner = {key: value for key, value in values.items() if key in start.options()}
        found = start.replace(**inner, extra=extra)
        found.check()
        return found

    @classmethod
    def preset_called(cls, name: Any) -> str:
        """Return the preset called `name`, now or before.

        Raises
        ------
        ArgumentError
            There is none; the message names the nearest.
        """
        if isinstance(name, str) and name in cls.renamed_presets and name not in cls.presets:
            new = cls.renamed_presets[name]
            _deprecated(f"preset={name}", f"preset={new}")
            return new
        refuse_preset(cls.__name__, name, cls.presets)
        return str(name)


def _current(start: Any, key: str, value: Any) -> tuple[str, Any]:
    """Return a setting by the name that it has now."""
    if not isinstance(start, Settings):
        return key, value
    new, turned = start.translated(key, value)
    if new != key:
        _deprecated(f"{key}={value}", f"{new}={turned}")
    return new, turned


def _deprecated(old: str, new: str) -> None:
    warnings.warn(f"{old} is now {new}; the old name goes with ilk 0.3", DeprecationWarning, stacklevel=3)


@dataclass_transform(eq_default=False)
def estimator(cls: Made) -> Made:
    """Make a class of fields an estimator: a constructor that only stores, and knows arguments by their old names."""
    made: Any = dataclass(eq=False, repr=False)(cls)
    plain, allowed = made.__init__, [part.name for part in dataclasses.fields(made) if part.init]

    @functools.wraps(plain)
    def init(self: Any, *args: Any, **given: Any) -> None:
        for old, new in made.renamed_arguments.items():
            if old in given:
                _deprecated(f"{old}=", f"{new}=")
                given[new] = given.pop(old)
        refuse_arguments(made.__name__, given, allowed)
        plain(self, *args, **given)

    made.__init__ = init
    return made  # type: ignore[no-any-return]
