"""`ilk gather`: a run that names shards of a cache gets all that it needs."""

from __future__ import annotations

from ilk.cli import options as parse
from ilk.cli.arguments import Debug, Json, Quiet, RunPath

__all__ = ["gather"]


def gather(run: RunPath, quiet: Quiet = False, json: Json = False, debug: Debug = False) -> None:
    """Copy into RUN the features and thumbnails that it names in a cache, so that it can be moved alone."""
    from ilk import jobs
    from ilk.cli.show import Screen

    with Screen(json, quiet=quiet) as screen:
        opened = parse.opened_run(run, False)
        cache = None if opened.named is None else str(opened.named.cache)
        done = jobs.gather(opened, on_event=screen.event)
        screen.stop()
        screen.json({"run": str(done.path), "gathered": cache is not None, "from": cache})
        if cache is None:
            said = f"whole    already: {done.path} needs no cache"
        else:
            said = f"whole    {done.path} has its features and thumbnails now, and needs {cache} no more"
        screen.line(said)
        screen.result(said)
