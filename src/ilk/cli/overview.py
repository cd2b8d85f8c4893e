"""`ilk runs`: what is there."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from ilk.cli.arguments import Debug, Json
from ilk.cli.words import human

if TYPE_CHECKING:
    from ilk.runs import Kept

__all__ = ["RUNS", "elsewhere", "newest", "quoted", "runs"]

RUNS = "ilk-runs"
"""Where runs are written that are given no other folder."""

_LOOKED = 2000  # folders that are looked into unasked


def runs(
    folder: Annotated[
        Optional[Path],
        typer.Argument(metavar="[FOLDER]", help="Where to look, three folders deep. [default: ilk-runs, else here]"),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List the runs below FOLDER, the newest first: when, by which method, how many images and groups, how large.

    A run is *finished*, *running* (another process is at it), *partial* (interrupted: the command that began it, given
    again, goes on) or *damaged*.
    """
    from ilk.cli.show import Screen
    from ilk.errors import ArgumentError
    from ilk.runs import below

    where = Path(RUNS) if folder is None else folder.expanduser()
    if folder is not None and not where.is_dir():
        raise ArgumentError(f"there is no folder {folder}.")
    screen, found = Screen(json), below(where)
    others = elsewhere() if folder is None else []
    if others and not found:
        where, found = Path(), others
        screen.line(f"none below {RUNS}/; these are elsewhere in this folder", "aside")
        others = []
    screen.json({"folder": str(where), "runs": [{"path": str(where / one.name), **one.as_record()} for one in found]})
    if not found:
        screen.line(f"no runs below {'this folder' if folder is None else where}; ilk cluster FOLDER makes one")
        return
    header = ("run", "begun", "method", "images", "groups", "size", "state")
    screen.table(header, [_line(one, where) for one in found], right="images groups size")
    for one in found:
        _aside(screen, one, where)
    if others:
        some = ", ".join(one.name for one in others[:3]) + (" …" if len(others) > 3 else "")
        screen.line(f"{len(others):,} more elsewhere in this folder ({some}): ilk runs .", "aside")


def _line(one: Kept, where: Path) -> list[str]:
    return [
        str(where / one.name),
        (one.created or "")[:16].replace("T", " "),
        one.method or "",
        *("" if n is None else f"{n:,}" for n in (one.n_images, one.n_clusters)),
        human(one.bytes),
        one.state,
    ]


def _aside(screen: object, one: Kept, where: Path) -> None:
    """Say what can be done about a run that is not finished."""
    from ilk.cli.mistakes import typed
    from ilk.cli.show import Screen
    from ilk.runs import begun_with

    assert isinstance(screen, Screen)
    if one.state == "damaged":
        screen.note(f"{where / one.name}: {one.why}")
    elif one.state == "partial" and (words := begun_with(where / f"{one.name}.partial")):
        screen.note(f"{where / one.name} goes on with: {typed(words)}")


def elsewhere() -> list[Kept]:
    """Return the runs in the folder one works in that are not below `RUNS`; a large folder is not looked through."""
    from ilk.runs import below

    found = below(Path(), most=_LOOKED)
    return [one for one in found if one.name != RUNS and not one.name.startswith(f"{RUNS}/")]


def newest(folder: Path = Path(RUNS)) -> Path | None:
    """Return the newest finished run below `folder`."""
    from ilk.runs import below

    name = next((one.name for one in below(folder) if one.state == "finished"), None)
    return None if name is None else folder / name


def quoted(path: Path) -> str:
    """Return a path as it is typed into a shell."""
    return shlex.quote(str(path))
