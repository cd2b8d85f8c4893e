"""One colour scheme: readable on light and dark, and gone where nobody looks or NO_COLOR is set."""

from __future__ import annotations

import ast
import io
import re
from pathlib import Path

import pytest
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.theme import Theme

import ilk.cli
from ilk.cli import colours

GROUNDS = {
    "white": "#ffffff", "black": "#000000", "Solarized light": "#fdf6e3", "Solarized dark": "#002b36",
    "GNOME": "#1e1e1e", "macOS": "#1e1e1e", "One light": "#fafafa", "Dracula": "#282a36",
}  # fmt: skip


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    parts = [value / 255 for value in Color.parse(colour).get_truecolor()]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", colours.STYLES)
def test_every_colour_is_readable_on_light_and_dark(name: str) -> None:
    style = Style.parse(colours.STYLES[name])
    if style.color is None:
        return  # the terminal's own
    assert style.color.number is not None
    assert style.color.number >= 16  # those below are the theme's: nobody knows what they look like
    for ground, colour in GROUNDS.items():
        least = 2.7 if ground == "Dracula" else 3
        assert contrast(style.color.name, colour) >= least, ground


def test_the_measure_of_contrast() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert contrast("color(226)", "#ffffff") < 1.2  # yellow on white


def test_styles_are_said_in_one_module() -> None:
    """Nobody else names a colour: what is passed as a style is a word of the scheme."""
    for path in Path(ilk.cli.__file__).parent.glob("*.py"):
        if path.name == "colours.py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                said = re.fullmatch(r"(?:bold |dim )?(?:red|green|yellow|blue|magenta|cyan|dim|bold)", node.value)
                assert said is None, f"{path.name}:{node.lineno}: {node.value}"


def printed(monkeypatch: pytest.MonkeyPatch, *, terminal: bool, **variables: str) -> str:
    """What a few lines look like, on a terminal or in a pipe."""
    from ilk.cli.show import Screen

    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in {"TERM": "xterm-256color", **variables}.items():
        monkeypatch.setenv(name, value)
    out = io.StringIO()
    screen = Screen(False)
    theme = Theme(colours.STYLES)
    screen.console = Console(file=out, force_terminal=terminal, theme=theme, highlight=False, soft_wrap=True)
    screen.line("found    36 image files")
    screen.note("look")
    screen.line("explained", "aside")
    return out.getvalue()


def test_colours_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = printed(monkeypatch, terminal=True)
    assert "\x1b[38;5;31mfound\x1b[0m" in shown
    plain = "found    36 image files\nnote     look\nexplained\n"
    assert re.sub(r"\x1b\[[\d;]*m", "", shown) == plain
    assert printed(monkeypatch, terminal=False) == plain
    assert "38;5" not in printed(monkeypatch, terminal=True, NO_COLOR="1")
    assert "38;5" not in printed(monkeypatch, terminal=True, TERM="dumb")
