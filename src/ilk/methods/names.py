"""Names of options and presets: how unknown ones are refused, and what ours are, known without loading torch."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from ilk.errors import ArgumentError, meant, nearest

__all__ = ["FILE", "NOT_OPTIONS", "described", "refuse_options", "refuse_preset", "refuse_unknown"]

FILE = Path(__file__).with_name("options.json")
"""Options and presets of every class in `ilk.methods.__all__`; a test compares them with the classes."""


NOT_OPTIONS = ("settings", "verbose")
"""Constructor arguments that are no options of a job: it has a `verbose` of its own."""


def refuse_options(owner: str, given: Iterable[str], known: Collection[str]) -> None:
    """Raise `ArgumentError` for the first of the options `given` that `owner` does not know."""
    for key in given:
        if key not in known:
            hint = meant(key, known) or f" `ilk methods {owner}` lists all {len(known)}."
            raise ArgumentError(f"{owner} has no option {key!r}.{hint}")


def refuse_preset(owner: str, given: Any, known: Collection[str]) -> None:
    """Raise `ArgumentError` unless the preset `given` is one of `owner`."""
    if given not in known:
        raise ArgumentError(f"preset={given!r}: {owner} has {', '.join(known)}." + nearest(str(given), known))


def refuse_unknown(owner: str, options: Mapping[str, Any]) -> None:
    """Raise `ArgumentError` where our class `owner` lacks one of `options` or the preset among them."""
    known = json.loads(FILE.read_text("utf-8"))[owner]
    refuse_options(owner, options.keys() - {"cache"}, known["options"])
    if "preset" in options:
        refuse_preset(owner, options["preset"], known["presets"])


def described(cls: Any) -> dict[str, list[str]]:
    """Return what the file says of the estimator `cls`; names of before are among them."""
    arguments = {*cls._get_param_names(), *cls.renamed_arguments} - {*NOT_OPTIONS}
    return {
        "presets": [*cls.presets, *cls.renamed_presets],
        "options": sorted(arguments | cls.known_settings(old=True)),
    }
