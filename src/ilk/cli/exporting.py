"""`ilk export`: the groups of a run taken away, all of them or a selection."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

from ilk.cli import options as parse
from ilk.cli.arguments import Debug, Fetch, Json, Quiet, RunPath, Uncorrected, Verbose

__all__ = ["export"]

_LISTS = (".txt", ".list")


def export(
    run: RunPath,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; made if missing.")],
    more: Annotated[Optional[list[str]], typer.Argument(metavar="…", hidden=True)] = None,
    mode: Annotated[
        Literal["link", "copy", "xmp"],
        typer.Option(help="Links to the images, copies of them, or XMP sidecars with the group as keyword."),
    ] = "link",
    layout: Annotated[
        Literal["folders", "imagefolder", "csv", "parquet", "fiftyone", "embedding-atlas", "xmp"],
        typer.Option("--as", help="What it is for."),
    ] = "folders",
    groups: Annotated[
        Optional[list[str]], typer.Option("--groups", metavar="GROUP…", help="Only these, by number or name.")
    ] = None,
    images: Annotated[
        Optional[list[str]],
        typer.Option("--images", metavar="IMG…", help="Only these, by name or row, or FILE.txt with a name a line."),
    ] = None,
    beside: Annotated[
        bool, typer.Option("--beside", help="Sidecars beside the images; those of others are never touched.")
    ] = False,
    sidecars: Annotated[
        Literal["full", "stem"],
        typer.Option(help="photo.jpg.xmp (darktable, digiKam), or photo.xmp (Lightroom)."),
    ] = "full",
    into: Annotated[
        bool, typer.Option("--into", help="DIR may be full of other things; they are never touched.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")] = False,
    source: Annotated[
        Optional[str], typer.Option(metavar="SOURCE", help="Where the images are now, if they were moved.")
    ] = None,
    fetch: Fetch = False,
    keep: Annotated[
        Literal["all", "best"], typer.Option(help="best: of images that are nearly the same the best one alone.")
    ] = "all",
    uncorrected: Uncorrected = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Take the groups of RUN away: a folder per group and a table. Source files are never changed or moved."""
    if more and (groups is None) == (images is None):
        known = "repeat --groups or --images before it" if groups else "say what it is: --groups or --images"
        raise typer.BadParameter(f"{more[0]}: {known}.")
    wanted = groups if groups is None else [*groups, *(more or [])]
    some = images if images is None else _named([*images, *(more if groups is None and more else [])])
    from ilk import exports
    from ilk.cli import taking
    from ilk.cli.show import Screen

    with Screen(json, quiet=quiet, verbose=verbose) as screen:
        done = exports.export(
            parse.opened_run(run, uncorrected, fetch), folder, layout=layout, mode=mode, source=source, groups=wanted,
            images=some, keep=keep, beside=beside, sidecars=sidecars, into=into, dry=dry_run,
            on_progress=taking.progress(screen),
        )  # fmt: skip
        taking.exported(screen, done)
    raise typer.Exit(int(bool(done.missing)))


def _named(words: list[str]) -> list[str]:
    """Return `words` with those that are text files of names replaced by the names."""
    from ilk import disk
    from ilk.errors import ArgumentError

    found = []
    for word in words:
        path = Path(word).expanduser()
        if path.suffix.lower() not in _LISTS or not path.is_file():
            found.append(word)
            continue
        try:
            text = disk.read_bytes(path, disk.JSON_BYTES, follow=True).decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ArgumentError(f"--images {word}: it cannot be read as a text of names ({error}).") from None
        found += [line.strip() for line in text.splitlines() if line.strip()]
    return found
