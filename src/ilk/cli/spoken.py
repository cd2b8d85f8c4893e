"""What the library says, in the words of the command line: options instead of arguments, no names of Python."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Collection
from contextvars import ContextVar
from typing import NamedTuple

from ilk import methods
from ilk.methods import names

__all__ = ["SPOKEN_FOR", "Spoken", "settings", "spoken"]


class Spoken(NamedTuple):
    """What the command that runs takes, and what was typed: what is an option there is a setting elsewhere."""

    options: Collection[str] = ()
    names: Collection[str] = ()  # words that are no settings, though they look like one: a file called epochs=3.zip


SPOKEN_FOR: ContextVar[Spoken] = ContextVar("the command that runs", default=Spoken())  # noqa: B039 - a tuple

_CALLED = {
    "n_clusters": "-k", "random_state": "--seed", "max_seconds": "--slice", "n_neighbors": "--nearest",
    "cls": "--method", "layout": "--as",
}  # fmt: skip
"""Arguments of Python and the options that they come from, where these are called otherwise."""
_ALWAYS = {"n_clusters", "random_state", "max_seconds", "nearest", "weights", "encoder", "device", "precision", "cache"}
_ALWAYS |= {"split", "labels", "words", "near_duplicates"}
_OF_SOURCES = {"image_size", "pool", "pad_type", "resize", "signed_sqrt", "encoder_key", "range", "bands", "pages"}

# name=value where the name begins a word; the value as Python writes it, or none: "lower lr="
_VALUE = r"'[^']*'|\"[^\"]*\"|\[[^\]]*\]|\([^)]*\)|[^\s,;:()]*[^\s,;:().]"
_ARGUMENT = re.compile(rf"(?<![\w/.=-])(--set )?([a-z][a-z_0-9]*)=({_VALUE})?(?=[\s,;:.)]|$)")
_BARE = re.compile(r"(?<![\w/.='-])(n_clusters|random_state)(?![\w/.='-])")
_ASIDE = re.compile(r" ?\((?:[^()]|\([^()]*\))*\bilk\.\w+(?:[^()]|\([^()]*\))*\)")  # (ilk.open_images(…) in Python)
_SHOWS = re.compile(r",? which ilk\.\w+\([^()]*\)(?:\.\w+\(\))? shows")
_EXCEPTION = re.compile(r" ?\(\w*(?:Error|Exception)\)|\b\w+(?:Error|Exception): |\[(?:Errno|WinError) \d+\] ")
_WORDS = {"None": "none", "True": "true", "False": "false"}
_WORD = re.compile(r"(?<![\w/.'-])(None|True|False)(?![\w/.'-]| of )(?!:)")


@functools.cache
def settings() -> frozenset[str]:
    """Return the names of all settings: of every method, of encoders and of sources. Loads no torch."""
    known = json.loads(names.FILE.read_text("utf-8")).values()
    return frozenset({key for one in known for key in one["options"]} | _OF_SOURCES | {"preset"})


@functools.cache
def _classes() -> re.Pattern[str]:
    # those that are written as the paper writes the method (DAC, SCAN) are its name, and stay
    odd = [name for name in methods.short_names().values() if not name.isupper()]
    return re.compile(rf"\b(?:ilk\.)?({'|'.join(odd)})(?=\.?(?:[\s,;:)]|$))")


def spoken(text: str) -> str:
    """Return what the library says, as the command line says it.

    >>> spoken("n_clusters=9: give fewer. weights='a b.pt': no such file. n_clusters was 3, not 2")
    '-k 9: give fewer. --weights a b.pt: no such file. -k was 3, not 2'
    >>> spoken("epochs='abc': give a whole number. The loss is no longer finite: lower lr=.")
    '--set epochs=abc: give a whole number. The loss is no longer finite: lower --set lr=….'
    >>> spoken("TransferClustering has no option 'x'; give true or None, not True")
    "transfer has no option 'x'; give true or none, not true"
    >>> spoken("photos/n_clusters=3.zip and some_column=3 stay")
    'photos/n_clusters=3.zip and some_column=3 stay'
    """
    text = _EXCEPTION.sub("", _SHOWS.sub("", _ASIDE.sub("", text)))
    text = _ARGUMENT.sub(_option, text)
    text = _BARE.sub(lambda found: _CALLED[found[1]], text)
    shorts = {name: short for short, name in methods.short_names().items()}
    text = _classes().sub(lambda found: shorts[found[1]] if _is_class(found) else found[0], text)
    return _WORD.sub(lambda found: _WORDS[found[1]], text)


def _is_class(found: re.Match[str]) -> bool:
    """Tell a name of a class from a word that begins a sentence ("Spectral clustering takes …")."""
    name = found[1]
    return name != name.capitalize() or found.string[found.end() :].startswith(" has ")


def _option(found: re.Match[str]) -> str:
    """Return ``--option value`` or ``--set name=value`` for ``name=value``; what is neither stays as it is."""
    name, value = found[2], _plain(found[3])
    own, typed = SPOKEN_FOR.get()
    if found[0] in typed:
        return found[0]
    option = _CALLED.get(name, f"--{name.replace('_', '-')}")
    if not found[1] and (option in own or (not own and name in _ALWAYS)):
        return option if value in ("", "True") else f"{option} {value}"
    if name in settings():
        return f"--set {name}={value or '…'}" if not own or "--set" in own else f"{name} {value}"
    return found[0]


def _plain(value: str | None) -> str:
    """Return a value as it is typed.

    >>> _plain("'crop'"), _plain("[5, 5, 3]"), _plain("None"), _plain(None)
    ('crop', '5,5,3', 'none', '')
    """
    text = (value or "").strip("'\"")
    if text[:1] in ("[", "(") and text[-1:] in ("]", ")"):
        text = text[1:-1].replace(" ", "").replace("'", "")
    return _WORDS.get(text, text) if text != "True" else text
