"""`ilk encode`: images into the cache, in as many parts as there are machines."""

from __future__ import annotations

import re
from typing import Annotated, Any, Optional

import typer

from ilk.cli import options as parse
from ilk.cli.arguments import ByContent, Cache, Debug, Device, Json, Precision, Source, Split
from ilk.errors import ArgumentError

__all__ = ["encode"]


def encode(
    source: Source,
    part: Annotated[
        str, typer.Option(metavar="I/N", help="Part I of N equal ones, counted from 1; all N may run at once.")
    ] = "1/1",
    encoder: Annotated[str, typer.Option(metavar="NAME", help="As in `ilk cluster`. See `ilk encoders`.")] = "auto",
    weights: Annotated[Optional[str], typer.Option(metavar="FILE", help="Weights of the encoder.")] = None,
    set_: Annotated[
        Optional[list[str]], typer.Option("--set", metavar="KEY=VALUE", help="A setting of the encoder; repeat.")
    ] = None,
    split: Split = "all",
    device: Device = "auto",
    precision: Precision = "auto",
    cache: Cache = None,
    by_content: ByContent = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Encode the images of SOURCE into the cache, and no more; then `ilk cluster` with that cache encodes nothing.

    With --part the images are divided: processes and machines that share the cache do one part each. Killed, the same
    command goes on. All parts use the encoder that the first one decided on for the whole SOURCE.
    """
    from ilk.cli.show import Screen

    which, kept = parts_of(part), parse.cache(cache, False)
    if kept is None:
        raise ArgumentError("there is nowhere to keep features: name a folder with --cache DIR.")
    options: dict[str, Any] = parse.method_options("auto", encoder, weights, set_ or [], 0, device, precision, kept)
    settings = {
        key: value
        for key, value in options.items()
        if key not in ("n_clusters", "random_state", "cache", "encoder", "weights", "device", "precision")
    }
    from ilk import jobs

    with Screen(json) as screen:
        found = jobs.encode(
            parse.sources(source), kept, part=which, encoder=parse.own_encoder(encoder), weights=weights,
            settings=settings, split=split, device=device, precision=precision, by_content=by_content,
            on_event=screen.event,
        )  # fmt: skip
        show(screen, found)


def parts_of(text: str) -> tuple[int, int]:
    """Return "3/8" as two numbers.

    >>> parts_of("3/8")
    (3, 8)
    """
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip())
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise ArgumentError(f"--part {text}: write it as I/N with I from 1 to N, such as 3/8 for the third of eight.")
    return int(found[1]), int(found[2])


def show(screen: Any, found: dict[str, Any]) -> None:
    """Show what became of a part."""
    screen.json(found)
    for note in found["notes"]:
        screen.note(note)
    counts = f"{found['n_encoded']:,} encoded, {found['n_cached']:,} were there"
    if found["n_duplicates"]:
        counts += f", {found['n_duplicates']:,} exact duplicates"
    screen.line(f"{found['n_images']:,} images: {counts}")
    if found["n_unreadable"]:
        first = found["unreadable"][0]
        screen.note(f"{found['n_unreadable']:,} could not be read, such as {first['path']} ({first['reason']})")
    of = found["part"][1]
    when = "" if of == 1 else f" when all {of:,} parts are done"
    screen.line(f"next     {found['next']}{when}")
