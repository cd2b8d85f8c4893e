"""The commonest mistakes, answered with the command to type."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ilk import disk
from ilk.errors import MissingDependency, nearest

__all__ = ["advice", "answer", "typed", "usage"]

Words = Sequence[str]

_MEANT = re.compile(r" Did you mean '([^']+)'\?")
_SHOWN = 200  # letters of a command; a longer one is no help
_INSTEAD = {
    "help": "--help", "version": "--version", "ls": "runs", "list": "runs", "show": "open", "view": "open",
    "browse": "gallery", "group": "cluster", "fit": "cluster", "run": "cluster", "classify": "predict",
    "score": "evaluate", "undo": "correct RUN --undo", "merge": "correct RUN --merge A B",
    "rename": "correct RUN --rename A NAME", "move": "correct RUN --move IMG… --to GROUP", "search": "similar",
    "find": "similar", "presets": "methods", "settings": "methods", "models": "encoders", "diff": "compare",
    "add": "update", "cache": "info --cache",
}  # fmt: skip
"""What people call things, and what it is called here."""
_OPTIONS = {"--k": "-k", "--n-clusters": "-k", "--clusters": "-k", "--groups": "-k", "-K": "-k", "--output": "-o"}
_OPTIONS |= {"-n": "-k", "-c": "-k", "--dry": "--dry-run", "--preview": "--dry-run", "--test": "--dry-run"}
_OPTIONS |= {"--model": "--encoder", "--gpu": "--device cuda", "--cpu": "--device cpu", "--force": "--overwrite"}
_TYPES = {int: "a whole number", float: "a number"}


def typed(words: Iterable[str]) -> str:
    """Return ``ilk`` and `words` as they are typed into a shell; what stands for something (RUN, IMG…) is left so."""
    plain = re.compile(r"[A-Z]+…?$")
    return disk.printable(" ".join(["ilk", *(word if plain.match(word) else shlex.quote(word) for word in words)]))


# -- wrong usage: what the parser refuses ------------------------------------------------------------------------------


def usage(error: Any, arguments: Words) -> str:
    """Return the answer to wrong usage: what was wrong, and the command to type."""
    kind, context = type(error).__name__, getattr(error, "ctx", None)
    path = context.command_path.split()[1:] if context is not None else list(arguments[:1])
    more = f"See: {typed([*path, '--help'])}"
    said: str = error.format_message().rstrip(".")
    if said.startswith("No such command"):
        return _no_command(arguments)
    if kind == "NoSuchOption":
        return _no_option(error, arguments, more)
    if kind == "MissingParameter" and context is not None:
        return _missing(error.param, context.command.params, path, arguments)
    if kind == "BadOptionUsage":
        return f"{said[0].lower()}{said[1:]}. {more}"
    if (param := getattr(error, "param", None)) is not None:
        return _bad_value(error, param, arguments, more)
    return f"{said.removeprefix('Invalid value: ')}. {more}"


def _missing(param: Any, params: Sequence[Any], path: Words, arguments: Words) -> str:
    """Answer a command that lacks an argument: what it is, and the command with all that is missing."""
    name = param.metavar or param.name.upper()
    what = (getattr(param, "help", None) or "").partition(";")[0].rstrip(". ")
    needed = [one.metavar or one.name.upper() for one in params[list(params).index(param) :] if one.required]
    command = typed([*arguments, *needed])
    return f"{' '.join(['ilk', *path])} needs {name}: {what[:1].lower()}{what[1:]}. Type: {command}"


def _no_command(arguments: Words) -> str:
    from ilk.cli.commands import app

    at = next(i for i, word in enumerate(arguments) if not word.startswith("-"))
    word, rest = arguments[at], list(arguments[at + 1 :])
    known = [one.name or one.callback.__name__ for one in app.registered_commands if one.callback]
    if word in _INSTEAD:
        instead = _INSTEAD[word].split()
        takes_more = len(instead) == 1 and not instead[0].startswith("-")
        return f"there is no command {word}. Type: {typed([*instead, *(rest if takes_more else [])])}"
    if _is_source(word):
        return f"{word} is no command. To group the images in it, type: {typed(['cluster', word, *rest])}"
    if found := _MEANT.search(nearest(word, known)):
        return f"there is no command {word}. Did you mean '{found[1]}'? Type: {typed([found[1], *rest])}"
    return f"there is no command {word}. ilk --help lists all."


def _is_source(word: str) -> bool:
    """Tell whether a word is meant as images: something that is there, or looks like a path."""
    try:
        return Path(word).expanduser().exists() or any(sign in word for sign in "/\\*.")
    except (OSError, RuntimeError, ValueError):
        return False


def _no_option(error: Any, arguments: Words, more: str) -> str:
    from ilk.cli.spoken import settings

    name = error.option_name
    close = sorted(error.possibilities or ())
    key = name.lstrip("-").replace("-", "_")
    known = {one for param in error.ctx.command.params for one in param.opts}
    if name in _OPTIONS and _OPTIONS[name].split()[0] in known:
        close = [_OPTIONS[name]]
    elif not close and key in settings() and "--set" in known:
        return f"{name} is a setting of methods, not an option. Type: {typed(_behind_set(name, key, arguments))}"
    if not close:
        return f"there is no option {name}. {more}"
    again = [new for word in arguments for new in _renamed(word, name, close[0])]
    return f"there is no option {name}. Did you mean '{close[0]}'? Type: {typed(again)}"


def _renamed(word: str, name: str, new: str) -> list[str]:
    option, equals, value = word.partition("=")
    if option != name:
        return [word]
    return [f"{new}={value}"] if equals and new.startswith("--") else [*new.split(), *([value] if equals else [])]


def _behind_set(option: str, key: str, arguments: Words) -> list[str]:
    """Return `arguments` with an option that is a setting as ``--set KEY=VALUE``."""
    kept, words = list[str](), iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        kept += ["--set", f"{key}={value if equals else next(words, 'VALUE')}"] if name == option else [word]
    return kept


def _value_of(option: str, arguments: Words) -> str | None:
    for i, word in enumerate(arguments):
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
        if word == option and i + 1 < len(arguments):
            return arguments[i + 1]
    return None


def _bad_value(error: Any, param: Any, arguments: Words, more: str) -> str:
    """Answer a value of the wrong type, or a word that is none of those allowed."""
    options = [one for one in param.opts if one.startswith("-")]
    given = next((value for one in options if (value := _value_of(one, arguments)) is not None), None)
    name = max(options, key=len) if options else param.metavar or param.name.upper()
    shown = name if given is None else f"{name} {given}"
    kinds = _kinds(error.ctx.info_name, param.name)
    words = [word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
    if not words:
        said = re.sub(r"^Invalid value[^:]*: ", "", error.format_message()).rstrip(".")
        said = said.replace("Input should be", "it must be")
        wanted = next((_TYPES[kind] for kind in kinds if kind in _TYPES), None)
        return f"{shown}: {f'give {wanted}' if wanted and 'valid' in said else said}. {more}"
    text = f"{shown}: give {', '.join(words[:-1])} or {words[-1]}."
    return text + (advice(f"{text}{nearest(given or '', words)}", arguments) or f" {more}")


def _kinds(command: str, name: str) -> list[Any]:
    """Return the types that a parameter of a command may have, such as int, or a Literal of words."""
    from ilk.cli.commands import app

    called = {one.name or one.callback.__name__: one.callback for one in app.registered_commands if one.callback}
    hint = get_type_hints(called[command])[name] if command in called else None
    return [one for one in (hint, *get_args(hint)) if one is not None]


def answer(text: str, arguments: Words, error: BaseException | None = None) -> str:
    """Return what the library says and the command that helps, as one line: "Did you mean" stands last."""
    more = advice(text, arguments, error)
    if more:
        text = _MEANT.sub("", text)
        text += "" if text.rstrip().endswith((".", "!", "?")) else "."
    return text + more


# -- what the library refuses ------------------------------------------------------------------------------------------


def advice(text: str, arguments: Words, error: BaseException | None = None) -> str:
    """Return what to add to an answer: the command to type, with a space before it; nothing where none is known."""
    if (found := _MEANT.search(text)) and not text.startswith(f"there is no {found[1]}="):
        again = _corrected(arguments, found[1], text)
        command = f" Type: {typed(again)}" if again and len(typed(again)) < _SHOWN else ""
        return found[0] + command
    for pattern, make in _CURES:
        if found := pattern.search(text):
            words = make(arguments, found)
            if words is None:
                return ""
            command = words if isinstance(words, str) else typed(words)
            return f" Type: {command}" if len(command) < _SHOWN else ""
    if isinstance(error, MissingDependency) and "pip install" not in text:
        package = next((name for name in ("umap-learn", "openvino", "timm") if name in text.lower()), None)
        return f" Type: pip install {package}" if package else ""
    return ""


def _corrected(arguments: Words, meant: str, text: str) -> list[str] | None:
    """Return `arguments` with the word that is wrong replaced by the one that was meant."""
    import difflib

    best, where = 0.0, None
    for i, word in enumerate(arguments[1:], start=1):
        for start, part in _parts(word):
            close = difflib.SequenceMatcher(None, part, meant).ratio()
            if part != meant and part in text and close > best:
                best, where = close, (i, start, part)
    if where is None:
        return None
    i, start, part = where
    word = arguments[i]
    return [*arguments[:i], word[:start] + meant + word[start + len(part) :], *arguments[i + 1 :]]


def _parts(word: str) -> list[tuple[int, str]]:
    """Return the parts of a word that can be wrong: itself, and what stands around ``=`` and ``+``."""
    return [(0, word), *((found.start(), found[0]) for found in re.finditer(r"[^=+]+", word) if found[0] != word)]


def _without(arguments: Words, *names: str) -> list[str]:
    """Return `arguments` without options that take a value."""
    kept, skip = [], False
    for word in arguments:
        if skip:
            skip = False
        elif word in names:
            skip = True
        elif word.partition("=")[0] not in names:
            kept.append(word)
    return kept


def _other_place(arguments: Words, _: re.Match[str]) -> list[str] | None:
    """Return the same command with a run folder that is free."""
    out = _value_of("-o", arguments) or _value_of("--out", arguments)
    if out is None:
        return None
    plain = out.rstrip("/\\")
    free = next((new for n in range(2, 100) if not Path(new := f"{plain}-{n}").expanduser().exists()), None)
    return None if free is None else [*_without(arguments, "-o", "--out"), "-o", free]


def _of_a_run(arguments: Words, _: re.Match[str]) -> list[str] | None:
    """Return the same command with a run where there was none: exchanged words, a run below the folder, one that is."""
    from ilk.runs import below, is_run

    if len(arguments) < 2 or arguments[1].startswith("-"):
        return ["runs"]
    command, given, *rest = arguments
    if rest and not rest[0].startswith("-") and is_run(Path(rest[0]).expanduser()):
        return [command, rest[0], given, *rest[1:]]
    folder = Path(given).expanduser()
    if inside := below(folder):
        return [command, str(folder / inside[0].name), *rest]
    near = _MEANT.search(nearest(folder.name, [one.name for one in below(folder.parent)]))
    if near is not None:
        return [command, str(folder.with_name(near[1])), *rest]
    if below(Path("ilk-runs")) or not folder.is_dir():
        return ["runs"]
    return ["cluster", given]


def _go_on(_: Words, found: re.Match[str]) -> str | None:
    """Return the command that began an unfinished run. It is data of that folder: every word is quoted."""
    from ilk.runs import begun_with

    words = begun_with(Path(found[1]))
    return typed(words) if words else None


def _as_setting(arguments: Words, found: re.Match[str]) -> list[str] | None:
    """Return the same command with NAME=VALUE behind the option that takes it."""
    word = found[1]
    if word not in arguments:
        return None
    at = list(arguments).index(word)
    name, _, value = word.partition("=")
    return [*arguments[:at], *(["-k", value] if name == "k" else ["--set", word]), *arguments[at + 1 :]]


def _folder_of(arguments: Words, _: re.Match[str]) -> list[str] | None:
    photo = arguments[1] if len(arguments) > 1 else ""
    path = Path(photo).expanduser()
    return ["cluster", str(path.parent), *arguments[2:]] if path.is_file() else None


def _deeper(arguments: Words, _: re.Match[str]) -> list[str] | None:
    """Return the same export into a folder of its own in the one that was named."""
    plain = len(arguments) > 2 and not any(word.startswith("-") for word in arguments[1:3])
    return [*arguments[:2], f"{arguments[2].rstrip('/')}/groups", *arguments[3:]] if plain else None


def _fewer(arguments: Words, found: re.Match[str]) -> list[str] | None:
    return None if int(found[1].replace(",", "")) < 3 else [*_without(arguments, "-k"), "-k", "auto"]


def _folder_labels(arguments: Words, _: re.Match[str]) -> list[str]:
    return [*_without(arguments, "--labels"), "--labels", "prefix"]


_Cure = Callable[[Words, "re.Match[str]"], "list[str] | str | None"]
_CURES: tuple[tuple[re.Pattern[str], _Cure], ...] = tuple(
    (re.compile(pattern), make)
    for pattern, make in (
        (r"no CUDA GPU is usable", lambda words, _: [*_without(words, "--device"), "--device", "cpu"]),
        (r"^(.*?) (?:holds|was corrected) .* an update (?:lets|takes)", lambda _, found: ["update", found[1]]),
        (r"^(.*?) holds .* of these images by now", lambda _, found: ["gallery", found[1]]),
        (r"holds a (?:finished|partial|unfinished) run of (?:other|the same)", _other_place),
        (r"a single image has nothing to be compared with", _folder_of),
        (r"^([\d,]+) images? (?:is|are) too few for [\d,]+ groups", _fewer),
        (r"exists and is not an ilk run", lambda words, _: _without(words, "-o", "--out")),
        (r"^(.*\.partial) is unfinished", _go_on),
        (r"^no run at (.*)\. It is unfinished", lambda w, m: _go_on(w, re.match("(.*)", f"{m[1]}.partial"))),  # type: ignore[arg-type]
        (r"is not an ilk run: it has no run\.json|^no run at ", _of_a_run),
        (r"^there is no (\w+=\S+?)\.?(?: Did|$)", _as_setting),
        (r"^there is no image in ", lambda words, _: "ilk cluster FOLDER, with the folder that your images are in"),
        (r"^no labels for |^labels '\w+': .* has none|^there are no labels 'folder'", _folder_labels),
        (r"is a run that ilk wrote, not a folder of images", lambda words, _: ["open", *words[1:2]]),
        (r"compare takes two runs or more", lambda words, _: [*words, "RUN"]),
        (r" holds other things .* and no export", _deeper),
        (r"a source is never changed: export to a folder beside", lambda words, _: [*words[:2], "sorted", *words[3:]]),
    )
)
"""What an answer of the library looks like, and the command that helps. `tests/test_mistakes.py` makes them."""
