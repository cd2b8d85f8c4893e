"""`ilk correct`: one correction, put on the disk, and what it changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from ilk.cli.arguments import Debug, Json, RunPath

if TYPE_CHECKING:
    from ilk.cli.show import Screen
    from ilk.corrections import Action, Corrections, Grouping
    from ilk.runs import Run

__all__ = ["correct"]

_SHOWN = 3  # images by name
_DONE = {
    "move": "moved",
    "merge": "merged",
    "rename": "renamed",
    "split": "split",
    "ignore": "ignored",
    "confirm": "confirmed",
    "new": "opened",
    "regroup": "regrouped",
    "note": "noted",
    "undo": "undone",
    "redo": "redone",
}


Images = Optional[list[str]]
More = Annotated[Images, typer.Argument(metavar="…", hidden=True)]
Move = Annotated[Images, typer.Option("--move", metavar="IMG…", help="Put images into the group of --to.")]
To = Annotated[Optional[str], typer.Option("--to", metavar="GROUP", help="A group: its number or name.")]
Merge = Annotated[Images, typer.Option("--merge", metavar="A B…", help="Put all of B into A; B is gone.")]
Rename = Annotated[Optional[str], typer.Option("--rename", metavar="A NAME", help='Name a group; "": none.')]
Split = Annotated[
    Optional[str],
    typer.Option("--split", metavar="A [IMG…]", help="Split a group in halves, or by examples of what is to leave it."),
]
Ignore = Annotated[Images, typer.Option("--ignore", metavar="IMG…", help="Take images out of all groups.")]
Confirm = Annotated[Images, typer.Option("--confirm", metavar="IMG…", help="Say that images are in the right group.")]
New = Annotated[Images, typer.Option("--new", metavar="IMG…", help="Open a new group of images.")]
Name = Annotated[Optional[str], typer.Option("--name", metavar="NAME", help="With --new: its name.")]
Note = Annotated[Optional[str], typer.Option("--note", metavar="A TEXT", help='Keep a note on a group; "": none.')]
Undo = Annotated[bool, typer.Option("--undo", help="Undo the last correction; again: the one before.")]
Redo = Annotated[bool, typer.Option("--redo", help="Do again what was undone.")]
List = Annotated[bool, typer.Option("--list", help="Show all corrections.")]

Verb = Callable[["Corrections"], "Action"]


def correct(
    run: RunPath,
    more: More = None,
    move: Move = None,
    to: To = None,
    merge: Merge = None,
    rename: Rename = None,
    split: Split = None,
    ignore: Ignore = None,
    confirm: Confirm = None,
    new: New = None,
    name: Name = None,
    note: Note = None,
    undo: Undo = False,
    redo: Redo = False,
    list_: List = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Correct the groups of RUN by hand. What was found stays as it is; each correction is kept, and can be undone.

    Images: their path in the source, their row, or the first digits of their content hash. Groups: number or name.
    """
    rest = more or []
    every: dict[str, tuple[object, Verb]] = {
        "--move": (move, lambda made: made.move([*(move or []), *rest], _needed(to, "--move IMG… --to GROUP"))),
        "--merge": (merge, lambda made: made.merge(*(merge or []), *rest)),
        "--rename": (rename, lambda made: made.rename(rename or "", _text(rest, "--rename A NAME"))),
        "--split": (split, lambda made: made.split(split or "", rest)),
        "--ignore": (ignore, lambda made: made.ignore([*(ignore or []), *rest])),
        "--confirm": (confirm, lambda made: made.confirm([*(confirm or []), *rest])),
        "--new": (new, lambda made: made.new([*(new or []), *rest], name or "")),
        "--note": (note, lambda made: made.note(note or "", _text(rest, "--note A TEXT"))),
        "--undo": (undo or None, lambda made: made.undo()),
        "--redo": (redo or None, lambda made: made.redo()),
    }
    verbs = {option: verb for option, (given, verb) in every.items() if given is not None}
    _check(verbs, rest, to=to, name=name, list_=list_)
    from ilk import runs
    from ilk.cli.show import Screen

    screen, opened = Screen(json), runs.load_run(run)
    if not verbs:
        _listed(screen, opened)
        return
    before, torn = opened.corrections.grouping(), opened.corrections.notes()
    action = next(iter(verbs.values()))(opened.corrections)
    _done(screen, opened, action, before, torn)


def _check(verbs: Mapping[str, Any], rest: Sequence[str], *, to: str | None, name: str | None, list_: bool) -> None:
    """Raise unless the options go together."""
    given = [*verbs, *(["--list"] if list_ else [])]
    if len(given) > 1:
        raise typer.BadParameter(f"{' and '.join(given)}: give one correction at a time.")
    if to is not None and "--move" not in verbs:
        raise typer.BadParameter("--to goes with --move.")
    if name is not None and "--new" not in verbs:
        raise typer.BadParameter("--name goes with --new; an older group gets its name with --rename A NAME.")
    if rest and (not verbs or {"--undo", "--redo"} & {*verbs}):
        raise typer.BadParameter(f"{rest[0]}: say what to do with it: --move, --ignore, --confirm, --new, --split …")


def _needed(value: str | None, how: str) -> str:
    if value is None:
        raise typer.BadParameter(f"write {how}.")
    return value


def _text(rest: Sequence[str], how: str) -> str:
    if not rest:
        raise typer.BadParameter(f"write {how}.")
    return " ".join(rest)


def _done(screen: Screen, run: Run, action: Action, before: Grouping, notes: Sequence[str]) -> None:
    """Show what a correction did."""
    now = run.corrections.grouping()
    lines = {one.n: one for one, _ in run.corrections.actions()}
    what = action if action.n in lines else _turned(run, before, now)
    screen.json({"run": str(run.path), **_plain(action), **_state(now), "notes": [*notes, *now.problems]})
    screen.line(f"{_DONE[action.do]:<8} {_said(what, run, before if action.do == 'undo' else now)}")
    for group, size in _changed(before, now):
        screen.line(f"         {group}: {size}")
    for note in (*notes, *now.problems):
        screen.note(note)
    if twice := _namesakes(action, now):
        merge = f"ilk correct {run.path} --merge {' '.join(map(str, twice))}"
        screen.note(f"groups {' and '.join(map(str, twice))} have one name now. To make them one group, type: {merge}")
    if action.do != "undo":
        screen.line(f"undo     ilk correct {run.path} --undo", "aside")
    elif now.redo:
        screen.line(f"redo     ilk correct {run.path} --redo", "aside")


def _namesakes(action: Action, now: Grouping) -> list[int]:
    """Return the groups that are called as the one that `action` named, itself the last; none where it is alone."""
    group = {"rename": "group", "new": "to"}.get(action.do)
    named = action.arguments[group] if group else None
    name = now.names.get(named, "").casefold() if named is not None else ""
    same = [other for other, its in now.names.items() if its.casefold() == name and other != named]
    return [*same, named] if name and same and named is not None else []


def _turned(run: Run, before: Grouping, now: Grouping) -> Action:
    """Return the correction that an undo or a redo was of."""
    live = [one for one, on in run.corrections.actions() if on]
    if now.count > before.count:
        return live[-1]
    gone = [one for one, on in run.corrections.actions() if not on]
    last = live[-1].n if live else 0
    return next(one for one in gone if one.n > last)


def _changed(before: Grouping, now: Grouping) -> list[tuple[str, str]]:
    """Return the groups whose number of images changed, and how."""
    old, new = before.sizes(), now.sizes()
    found = []
    for group in sorted({*old, *new}):
        was, there = old.get(group), new.get(group)
        if was != there:
            name = "not assigned" if group < 0 else _called(group, now if group in new else before)
            last = "gone" if there is None and group >= 0 else f"{there or 0:,}"
            found.append((name, f"{was or 0:,} -> {last}" if was is not None else f"new, {there:,}"))
    return found


def _called(group: int, grouping: Grouping) -> str:
    name = grouping.names.get(group, "")
    return f"group {group} ({name})" if name else f"group {group}"


def _said(action: Action, run: Run, grouping: Grouping) -> str:
    """Say in a few words what a correction is."""
    given = action.arguments
    if action.do == "regroup":
        return f"{_count([key for keys in given['images'] for key in keys])} {_opened(given)}".rstrip()
    images = _images(given.get("images", ()), run) if action.do != "split" else ""
    if action.do == "move":
        return f"{images} to {_called(given['to'], grouping)}"
    if action.do == "merge":
        into, *rest = given["groups"]
        return f"{', '.join(f'group {one}' for one in rest)} into {_called(into, grouping)}"
    if action.do == "rename":
        return f"group {given['group']}: {given['name'] or 'no name'}"
    if action.do == "note":
        return f"group {given['group']}: {' '.join(given['text'].split()) or 'no note'}"
    if action.do == "split":
        return f"group {given['group']}: {_count(given['images'])} to the new group {given['to']}"
    if action.do == "new":
        name = given.get("name")
        return f"group {given['to']}{f' ({name})' if name else ''} of {images}"
    return images


def _opened(given: Mapping[str, Any]) -> str:
    """Say which groups a grouping opened and closed."""
    new, gone = (len(given.get(name, ())) for name in ("new", "gone"))
    counts = [f"{n} group{'' if n == 1 else 's'} {word}" for n, word in ((new, "opened"), (gone, "closed")) if n]
    return f"({', '.join(counts)})" if counts else ""


def _images(keys: Sequence[str], run: Run) -> str:
    wanted, shown = {*keys[:_SHOWN]}, dict[str, str]()
    for key, path in zip(run.corrections.keys(), run.images()["path"], strict=True):
        if key in wanted:
            shown.setdefault(key, path)
    names = ", ".join(shown.get(key, "an image that is gone") for key in keys[:_SHOWN])
    return f"{_count(keys)}: {names}{' …' if len(keys) > _SHOWN else ''}"


def _count(keys: Sequence[str]) -> str:
    return f"{len(keys):,} image{'' if len(keys) == 1 else 's'}"


def _when(at: str) -> str:
    return at.replace("T", " ").removesuffix("Z").removesuffix("+00:00")


def _joined(n: int) -> str:
    return f"{n:,} image{'' if n == 1 else 's'} joined"


def _plain(action: Action) -> dict[str, Any]:
    return {"n": action.n, "at": action.at, "do": action.do, **action.arguments}


def _state(grouping: Grouping) -> dict[str, Any]:
    sizes = grouping.sizes()
    groups = [{"id": group, "name": grouping.names.get(group, ""), "size": size} for group, size in sizes.items()]
    return {"n_corrections": grouping.count, "n_redo": grouping.redo, "sizes": groups}


def _listed(screen: Screen, run: Run) -> None:
    """Show all corrections."""
    made, grouping, notes = run.corrections.actions(), run.corrections.grouping(), run.corrections.notes()
    plain = [{**_plain(action), "in_effect": live} for action, live in made]
    screen.json({"run": str(run.path), "corrections": plain, **_state(grouping), "notes": notes})
    if not made:
        screen.line(f"no corrections: the groups of {run.path} are as they were found")
    else:
        rows = [
            (
                str(one.n),
                _when(one.at),
                one.do,
                _said(one, run, grouping),
                "" if live else "undone",
            )
            for one, live in made
        ] + [
            ("", _when(str(update.record.get("created", ""))), "update", _joined(update.record["n"]), "")
            for update in run.updates
        ]
        rows.sort(key=lambda row: row[1])
        screen.table(("n", "time (UTC)", "what", "of", ""), rows, right="n")
    for group, text in grouping.notes.items():
        screen.line(f"{_called(group, grouping)}: {text}")
    for note in notes:
        screen.note(note)
