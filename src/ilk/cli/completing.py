"""What the shell completes behind a command: methods, presets, settings, encoders, run folders. Loads no torch.

Names of folders may be anybody's, and zsh evaluates what it is given: only those of plain letters are offered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

__all__ = ["encoder_names", "label_words", "method_names", "plain", "run_folders", "settings_of"]

Words = list[tuple[str, str]]
Complete = Callable[[typer.Context, str], Words]

_PLAIN = re.compile(r"[\w.+@%,=/-]+")
_ENCODERS = {
    "auto": "what fits the images best",
    "fast": "a small network that comes with ilk",
    "balanced": "a better one that comes with ilk",
    "dinov2": "downloaded at the first use (88 MB)",
    "pixels": "the pixels themselves",
    "gradients": "edges, for small pictures",
    "classic": "edges and colours, no network",
}
_LABELS = {
    "auto": "those the source comes with",
    "none": "no scores",
    "folder": "the folder of each image",
    "prefix": "what stands before the first _ of a name",
}


def plain(name: str) -> bool:
    """Tell whether a name is nothing but letters, digits and harmless signs.

    >>> plain("runs/first-2"), plain("a b"), plain("$(reboot)"), plain("-rf")
    (True, False, False, False)
    """
    return _PLAIN.fullmatch(name) is not None and not name.startswith("-")


def method_names(incomplete: str) -> Words:
    """Return the methods for -m."""
    from ilk import methods

    return _begins(dict.fromkeys(methods.short_names(), ""), incomplete)


def encoder_names(incomplete: str) -> Words:
    """Return the encoders that have a name of ilk's own; every model of timm works too."""
    return _begins(_ENCODERS, incomplete)


def label_words(incomplete: str) -> Words:
    """Return the words for --labels; a file is completed by the shell."""
    return _begins(_LABELS, incomplete)


def settings_of(context: typer.Context, incomplete: str) -> Words:
    """Return ``preset=NAME`` of the method behind -m, and its settings as ``KEY=``."""
    known = _described().get(_class_of(str(context.params.get("method") or "transfer")))
    if known is None:
        return []
    if incomplete.startswith("preset="):
        return _begins({f"preset={name}": "" for name in known["presets"]}, incomplete)
    hidden = {"n_clusters", "random_state", "cache", "device", "encoder", "weights", "precision", "near_duplicates"}
    return _begins({f"{key}=": "" for key in known["options"] if key not in hidden}, incomplete)


def run_folders(incomplete: str) -> Words:
    """Return runs: below ilk-runs/ where nothing is typed yet, else those in the folder that is typed so far."""
    from ilk.cli.overview import RUNS
    from ilk.runs import is_run

    folder, _, _ = incomplete.rpartition("/")
    folders = [folder] if folder or incomplete.startswith("/") else [RUNS, ""]
    found: dict[str, str] = {}
    for above in folders:
        try:
            inside = sorted(Path(above or (incomplete[:1] if incomplete[:1] == "/" else ".")).expanduser().iterdir())
        except (OSError, RuntimeError):
            continue
        for path in inside:
            name = f"{above}/{path.name}" if above or incomplete.startswith("/") else path.name
            if plain(name) and not name.endswith(".partial") and is_run(path):
                found[name] = ""
    return _begins(found, incomplete)


def _begins(words: dict[str, str], incomplete: str) -> Words:
    return [(word, what) for word, what in words.items() if word.startswith(incomplete)]


def _described() -> Any:
    from ilk.methods import names

    return json.loads(names.FILE.read_text("utf-8"))


def _class_of(name: str) -> str:
    from ilk import methods

    return methods.short_names().get(name, name)
