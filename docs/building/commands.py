"""The reference of the commands, read off the command line itself, with examples from the pages."""

from __future__ import annotations

import inspect
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from typer.main import get_command

from ilk.cli.commands import app

ROOT = Path(__file__).resolve().parents[2]
TYPES = {"Path": "path", "str": "text", "int": "whole number", "float": "number", "bool": ""}
# the page that says more of a command
MORE = {
    "cluster": ("guide.md", "From a folder to groups"),
    "encode": ("scale.md#parts-several-processes-or-machines-without-anything-between-them", "Parts"),
    "predict": ("guide.md#4-place-new-images", "Place new images"),
    "similar": ("guide.md#what-is-like-this-photo", "What is like this photo?"),
    "evaluate": ("guide.md#6-score-if-you-have-labels", "Score, if you have labels"),
    "probe": ("methods/deepcluster.md#linear-probes", "Linear probes"),
    "report": ("report.md", "The report"),
    "open": ("guide.md#at-the-command-line", "At the command line"),
    "runs": ("guide.md#at-the-command-line", "At the command line"),
    "gallery": ("gallery.md", "The gallery"),
    "export": ("export.md", "Export"),
    "correct": ("corrections.md", "Corrections"),
    "regroup": ("corrections.md#group-again", "Group again"),
    "update": ("update.md", "New images join a run"),
    "gather": ("scale.md#a-run-that-names-shards", "A run that names shards"),
    "compare": ("compare.md", "Compare"),
    "info": ("guide.md", "From a folder to groups"),
    "bench": ("benchmarks.md", "Benchmarks"),
    "methods": ("reference/settings.md", "Settings of the methods"),
    "encoders": ("encoders.md", "Encoders"),
}
OPTIONS = ("| option | value | default | what it does |", "|---|---|---|---|")
HEAD = """# Commands

Every command, read off the command line of this version. `ilk COMMAND --help` says the same in the terminal. Examples
are lines of the other pages, which the tests run; `photos` stands for a folder of yours, and `runs/…` for a run made on
the same page.

Exit codes: 0 done, 1 a problem with the input or the run, 2 wrong usage, 130 interrupted. With `--json` a command
prints exactly one JSON object on the standard output, and all else on the standard error.
"""


def commands() -> dict[str, Any]:
    """Return name -> command, in the order of ``ilk --help``, those that are not hidden."""
    return {name: command for name, command in get_command(app).commands.items() if not command.hidden}


@cache
def calls() -> list[tuple[str, str, bool, str]]:
    """Return (page, command, whether the tests run it, line) for every line of the pages that calls a command."""
    found = []
    for page in [ROOT / "docs" / "index.md", ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for block in re.findall(r"^```\w*\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
            for line in block.splitlines():
                if call := re.match(r"(\$ )?ilk ([\w-]+)(?=\s|$)", line):
                    name = page.relative_to(ROOT).as_posix().removeprefix("docs/")
                    found.append((name, call[2], bool(call[1]), re.sub(r"\s+#.*", "", line).removeprefix("$ ")))
    return found


def shown(name: str, at_most: int = 3) -> list[str]:
    """Return a few examples of a command that differ in their options: first those that the tests run, of its page."""
    own = MORE.get(name, ("",))[0].partition("#")[0]
    found = [(not tested, page != own, line) for page, command, tested, line in calls() if command == name]
    chosen: list[str] = []
    seen: set[frozenset[str]] = set()
    for *_, line in sorted(found, key=lambda one: one[:2]):
        options = frozenset(word for word in shlex.split(line) if word.startswith("-"))
        if options not in seen and len(line) < 100:
            seen.add(options)
            chosen.append(line)
    return chosen[:at_most]


def cell(text: str) -> str:
    """Return a text as a cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def kind(parameter: Any) -> str:
    """Return what a value may be, as it is typed: one of some words, a number, a path."""
    annotation = parameter.type_descriptor.annotation
    while get_origin(annotation) is list:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Literal:
        return " ".join(f"`{word}`" for word in get_args(annotation))
    if parameter.metavar:
        return f"`{parameter.metavar}`"
    return TYPES.get(getattr(annotation, "__name__", ""), "")


def default(parameter: Any) -> tuple[str, str]:
    """Return the default of an option, and its help without that."""
    words = parameter.help or ""
    if given := re.search(r"\s*\[default: (.*?)\]$", words):
        return given[1], words[: given.start()]
    value = parameter.default() if callable(parameter.default) else parameter.default
    if value is None or value is False or value in ("", [], ()):
        return "", words
    if value is True:
        return "on", words
    return f"`{value}`", words


def row(parameter: Any) -> str:
    """Return the line of the table for an option."""
    names = [f"`{name}`" for name in sorted(parameter.opts, key=len)]
    names += [f"`{name}`" for name in sorted(parameter.secondary_opts, key=len)]
    given, words = default(parameter)
    if parameter.multiple and "repeat" not in words.lower():
        words += " May be repeated."
    return f"| {', '.join(names)} | {cell(kind(parameter))} | {cell(given)} | {cell(words.strip())} |"


def section(name: str, command: Any) -> str:
    """Return all about one command."""
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    typed = [(one.metavar or one.name.upper()).strip("[]") for one in arguments]
    words = [word if one.required else f"[{word}]" for one, word in zip(arguments, typed, strict=True)]
    usage = " ".join(["ilk", name, *words])
    lines = [f"## ilk {name}", "", inspect.cleandoc(command.help or command.short_help or ""), ""]
    lines += ["```", f"{usage} [OPTIONS]", "```", ""]
    if called := shown(name):
        lines += ["For example:", "", "```console", *(f"$ {line}" for line in called), "```", ""]
    if arguments:
        lines += ["| argument | what it is |", "|---|---|"]
        lines += [f"| `{word}` | {cell(one.help or '')} |" for one, word in zip(arguments, typed, strict=True)]
        lines += [""]
    lines += [*OPTIONS, *map(row, options), ""]
    if name in MORE:
        lines += ["More: [{1}](../{0}).".format(*MORE[name]), ""]
    return "\n".join(lines)


def page() -> str:
    """Return the whole reference."""
    found = commands()
    rows = [f"| [`ilk {name}`](#ilk-{name}) | {cell(one.short_help or '')} |" for name, one in found.items()]
    table = ["| command | what it does |", "|---|---|", *rows]
    common = [row(one) for one in get_command(app).params if one.param_type_name == "option" and not one.hidden]
    if common:
        table += ["", "Of `ilk` itself:", "", *OPTIONS, *common]
    return "\n".join([HEAD, *table, "", *(section(name, one) for name, one in found.items())])
