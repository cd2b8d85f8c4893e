"""`ilk similar`: the images of a run most like one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ilk.cli import options as parse
from ilk.cli.arguments import Cache, Debug, Device, Json, NoCache, Own, OwnEncoder, RunPath, Uncorrected

if TYPE_CHECKING:
    from ilk.cli.show import Screen

__all__ = ["similar"]


def similar(
    run: RunPath,
    image: Annotated[str, typer.Argument(metavar="IMG", help="A photo.jpg, or an image of the run by name or row.")],
    count: Annotated[int, typer.Option("-n", min=1, metavar="N", help="How many images to name.")] = 12,
    method: Own = None,
    encoder: OwnEncoder = None,
    device: Device = "auto",
    cache: Cache = None,
    no_cache: NoCache = False,
    uncorrected: Uncorrected = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Name the images of RUN most like IMG, and the group that IMG is in, or would be placed in."""
    from ilk.cli.show import Screen

    with Screen(json) as screen:
        from ilk import jobs

        found = jobs.similar(
            parse.opened_run(run, uncorrected), image, count, cls=method, device=device,
            cache=parse.cache(cache, no_cache), encoder=parse.own_encoder(encoder),
        )  # fmt: skip
        _show(screen, found.summary())


def _show(screen: Screen, found: dict[str, Any]) -> None:
    screen.stop()
    screen.json(found)
    screen.line(found["image"] if found["path"] is None else found["path"], "title")
    if found["path"] is None:
        screen.line(f"group    {found['group_name']}, confidence {found['confidence']:.2f}: it is new to the run")
    else:
        own = Path(found["image"])
        alias = f"; {own} has its content" if own.is_file() and own.name != Path(found["path"]).name else ""
        screen.line(f"group    {found['group_name']}: it is one of the run's images{alias}")
    rows = [(f"{one['similarity']:.2f}", one["group_name"], one["path"]) for one in found["nearest"]]
    screen.table(("similarity", "group", "nearest images of the run"), rows, right="similarity")
    for note in found["notes"]:
        screen.note(note)
