"""The field's standard words: one meaning a word, one word a meaning; private ones do not come back.

What is looked at: the package, the docs, and what the command line says of itself. Where a word is meant in its plain
sense, the exception stands in `ALLOWED` with a reason.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ilk.cli import main
from ilk.cli.commands import app

ROOT = Path(__file__).parent.parent
LEFT_OUT: tuple[str, ...] = ()

BANNED = {
    r"\b(un)?altered\b|\balterations?\b|\balters?\b": "augmented, augmentation, views",
    r"\bby lot\b": "at random",
    r"\bstrangers?\b": "out-of-distribution, novel, none of the groups",
    r"\b_?told\b|(?<!\.)\btell(s|ing)?\b|\b_tell\b": "record, report, log, distinguish",
    r"\btwins?\b": "duplicate",
    r"\bunited\b|\bdivided (in|or)": "merged, split",
    r"\bsur(e|est|ely|eness)\b": "confident, positive pair",
    r"\bsettle[ds]?\b|\bfixing\b": "recalibrate, converge",
    r"\bsharpened\b|\b(bernoulli|normal)_divergence\b|\bdivergence\(": "target_distribution, kl_divergence, …",
    r"\b(the|a|this) house\b|\b(this|own|only|a) rooms?\b|\bdoors?\b|\b(the|torch-free) floor\b": "packages, layers",
    r"\bholes?\b": "erased square",
    r"\bmirrored\b": "flipped, reflected",
    r"\bhalves\(|\bdef half\b": "to_float16, bf16",
    r"\bplaces?\b": "device, path, position, folder",
}

ALLOWED = {
    r"\b(in|into|takes?|taken|taking|given?) (its |their )?(the )?place\b|\btake(s|n)? the place\b": "the idiom",
    r"\bPlace (the|new)\b|#4-place-new|\bplaces new images\b": "the verb: to put images into groups",
    r"for sure|[Mm]ake sure|making sure": "the idiom",
    r"`?twin`?\)? |\"twin\"|A twin was": "the column of runs of version 1",
    r"a hole in a mapped file|: a hole takes no room": "a file with holes, as file systems call it",
    r"[\"']place[\"']": "a key of the model's state, as in models of before",
}


def lines() -> list[tuple[str, str]]:
    """Every line that is looked at, with where it stands."""
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "src").rglob("*"))]
    found = []
    for path in paths:
        name = path.relative_to(ROOT).as_posix()
        if path.suffix in (".py", ".md", ".html", ".js", ".css") and not name.startswith(LEFT_OUT):
            text = path.read_text("utf-8")
            found += [(f"{name}:{number}", line) for number, line in enumerate(text.splitlines(), 1)]
    return found


def faults(found: list[tuple[str, str]]) -> list[str]:
    """Lines with a word that is banned, and what to write instead."""
    wrong = []
    for where, line in found:
        plain = line
        for allowed in ALLOWED:
            plain = re.sub(allowed, "", plain)
        for pattern, instead in BANNED.items():
            if match := re.search(pattern, plain):
                wrong.append(f"{where}: {match[0]!r}: write {instead}")
    return wrong


def test_no_word_of_the_private_dialect() -> None:
    assert not (wrong := faults(lines())), "\n".join(wrong)


def test_the_command_line_says_none(capsys: pytest.CaptureFixture[str]) -> None:
    found = []
    for name in ("", *(command.name or command.callback.__name__ for command in app.registered_commands)):
        assert main([*([name] if name else []), "--help"]) == 0
        found += [(f"ilk {name} --help", line) for line in capsys.readouterr().out.splitlines()]
    assert len(found) > 100
    assert not (wrong := faults(found)), "\n".join(wrong)


@pytest.mark.parametrize(
    "line", ["an altered copy", "drawn by lot", "self._tell = tell", "its twin", "the house", "sharpened(", "told = 3"]
)
def test_a_banned_word_is_found(line: str) -> None:
    assert faults([("here", line)])
    assert not faults([("here", "takes its place; make sure; KL divergence; x.tell()")])
