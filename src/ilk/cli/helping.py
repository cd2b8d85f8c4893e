"""How the help of a command is set out: arguments by their names, no types of Python."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

__all__ = ["Command"]


class Command(TyperCommand):
    """A command whose usage reads as it is typed: ``ilk predict [OPTIONS] RUN SOURCE…``."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for param in self.params:
            if param.param_type_name == "argument" and param.metavar:
                _by_name(param, param.metavar)


def _by_name(param: Any, name: str) -> None:
    """Let an argument be called `name` alone; typer would add ``<list[str]>``, and braces around what is required."""
    param._usage_display_name = lambda: name
    param.display_type_rich = lambda **_: ""
