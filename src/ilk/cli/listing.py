"""What `ilk methods` and `ilk encoders` say: a line for each, or everything about one."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ilk.cli.show import Screen

__all__ = ["encoders", "methods", "one_method"]


def methods(screen: Screen, classes: Mapping[str, Any]) -> None:
    """List all methods, a line each."""
    about = {short: _about(cls) for short, cls in classes.items()}
    screen.json(about)
    width = max(map(len, about))
    for short, entry in about.items():
        screen.line(f"{short:<{width}}  {entry['what']}")
    screen.line("presets and settings of one of them: ilk methods NAME")


def one_method(screen: Screen, short: str, cls: Any) -> None:
    """Show what one method is, its presets, and every setting with its value in each preset."""
    about = _about(cls)
    screen.json({short: about})
    screen.line(f"{short}: {about['what']} ({about['class']})", "title")
    for paragraph in _introduction(cls):
        screen.line()
        for line in textwrap.wrap(paragraph, 100):
            screen.line(line)
    screen.line()
    screen.line(f"presets  {', '.join(cls.presets)}   (--set preset=NAME)")
    given = [name for name in cls._get_param_names() if name not in ("settings", "preset", "verbose")]
    screen.line(f"options  {', '.join(given)}")
    screen.line()
    first = next(iter(cls.presets))
    screen.line(f"settings (--set KEY=VALUE), with their values in preset {first}")
    for key, value in cls.presets[first].items():
        option = about["options"].get(key, {"what": "", "allowed": ""})
        others = _others(cls.presets, key, first)
        aside = "; ".join(part for part in (option["allowed"], others and f"in other presets {others}") if part)
        screen.line(f"  {key} = {_word(value)}" + (f"   ({aside})" if aside else ""))
        for line in textwrap.wrap(_sentence(option), 92):
            screen.line(f"      {line}")
    if cls.other_settings:
        screen.line(f"and those of its encoder: {', '.join(sorted(cls.other_settings))}")


def _sentence(option: Mapping[str, Any]) -> str:
    """Return what a setting is, and what "none" means where it may be that."""
    said: str = option["what"][:1].upper() + option["what"][1:]
    return said + (f". None: {option['none']}" if option.get("none") else "") + "." * bool(said)


_READY = {
    "always": "yes",
    "bundled": "yes, comes with ilk",
    "cached": "yes, in the local cache",
    "remembered": "yes, your weights",
    "download": "after a download",
}


def encoders(screen: Screen, cache: Path | None, action: str | None, what: str | None, model: str | None) -> None:
    """List the encoders; remember a file of weights first, or forget what was remembered."""
    from ilk import encoders as registry

    done = None
    if action is not None and what is not None and cache is not None:
        if action == "add":
            done = registry.remember_file(what, cache, model)
            message = f"remembered: {done.name}, from {done.origin}. Use it with --encoder {done.name}"
        else:
            done = registry.forget(cache, registry.SHORT.get(what, what))
            message = f"forgotten: {done.name}"
    rows = registry.available(kept=cache)
    screen.json({"encoders": rows, **({} if done is None else {str(action): done.name})})
    if done is not None:
        screen.line(message)
        return
    shown = [(row["name"], _READY[row["ready"]], row["what"]) for row in rows]
    screen.table(("--encoder", "ready", "what"), shown)
    screen.line("Any other model of timm works too; a+b puts two side by side; module:function is your own.")
    screen.line("Weights from a file: ilk encoders add FILE, or --weights FILE once.")


def _about(cls: Any) -> dict[str, Any]:
    return {
        "class": f"ilk.{cls.__name__}",
        "what": (cls.__doc__ or "").strip().splitlines()[0],
        "presets": {name: _plain(settings) for name, settings in cls.presets.items()},
        "settings": sorted(cls.known_settings()),
        "options": _options(next(iter(cls.presets.values()))),
    }


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}


def _options(settings: Any) -> dict[str, dict[str, Any]]:
    """Return what every setting is and may be; nothing for a class of the user's own whose presets are mappings."""
    options = settings.options() if hasattr(settings, "options") else {}
    return {
        key: {"what": option.what, "allowed": option.range()} | ({"none": option.none} if option.none else {})
        for key, option in options.items()
    }


def _introduction(cls: Any) -> list[str]:
    """Return what stands between the first line of a docstring and its first section, a line per paragraph."""
    paragraphs = inspect.cleandoc(cls.__doc__ or "").split("\n\n")[1:]
    found = []
    for paragraph in paragraphs:
        lines = paragraph.splitlines()
        if len(lines) > 1 and set(lines[1]) == {"-"}:
            break
        if not paragraph.startswith("Options"):  # they follow below
            found.append(" ".join(lines))
    return found


def _others(presets: Mapping[str, Mapping[str, Any]], key: str, first: str) -> str:
    """Return the values of `key` that differ from that of the preset `first`, with the presets that have them.

    >>> _others({"a": {"lr": 1}, "b": {"lr": 2}, "c": {"lr": 2}, "d": {"lr": 1}}, "lr", "a")
    '2: b, c'
    """
    names: dict[str, list[str]] = {}
    for name, table in presets.items():
        if table[key] != presets[first][key]:
            names.setdefault(_word(table[key]), []).append(name)
    return "; ".join(f"{value}: {', '.join(where)}" for value, where in names.items())


def _word(value: Any) -> str:
    """Return a value as it is typed behind ``--set KEY=``.

    >>> _word([0.9, 0.5]), _word(True), _word(None)
    ('0.9,0.5', 'true', 'none')
    """
    if isinstance(value, list | tuple):
        return ",".join(map(_word, value))
    return str(value).lower() if isinstance(value, bool | None) else str(value)
