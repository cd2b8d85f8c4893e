"""What stands already where a run is to be written: this very run, one that the images have outgrown, another one."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ilk import corrections, runs
from ilk.errors import IlkError, RunError

__all__ = ["beside", "finished"]


def finished(path: Path, header: Mapping[str, Any], images: Any, overwrite: bool) -> runs.Run | None:
    """Return the finished run at `path` where it is this very job; None where nothing stands there, or may go.

    Parameters
    ----------
    path
    header
        First entries of the run.json that is to be written.
    images
        The source, opened.
    overwrite
        What stands there is to be replaced.

    Raises
    ------
    RunError
        Another run stands there; or one of this source as it was before, which an update would bring up to date.
    """
    if not (path / "run.json").is_file():
        return None
    if overwrite:
        if corrections.is_there(path) and (since := _since(path, header, images)):
            raise RunError(
                f"{path} was corrected by hand, and --overwrite would lose that. {since} (For new groups of all images "
                f"choose another folder with -o, or remove {path / corrections.NAME} first.)"
            )
        return None
    run = runs.load_run(path)
    if not (other := runs.difference(run.header, header)):
        return run
    new = "another folder with -o, or add --overwrite."
    if since := _since(path, header, images):
        raise RunError(f"{path} holds a finished run of {other}. {since} (For new groups of all images choose {new})")
    raise RunError(f"{path} holds a finished run of {other}. Choose {new}")


def beside(path: Path, header: Mapping[str, Any]) -> list[str]:
    """Return a note on the newest run beside `path`, which is to be a new one, that an update would do as well."""
    if path.exists():
        return []
    stem, _, _ = path.name.rpartition("-")
    for one in runs.below(path.parent):
        if one.state == "finished" and one.name.startswith(f"{stem}-"):
            with contextlib.suppress(IlkError):
                if runs.outgrown(runs.load_run(path.parent / one.name).header, header):
                    return [
                        f"{path.parent / one.name} has these images as they were before: `ilk update` lets new ones "
                        "join it. This becomes a run of its own, with groups of its own"
                    ]
    return []


def _since(path: Path, header: Mapping[str, Any], images: Any) -> str:
    """Say what became of the source since the run at `path` was made of it; empty where an update could not say it."""
    try:
        run = runs.load_run(path)
        if not runs.outgrown(run.header, header) or run.hashes() is None:
            return ""
        if run.sources()[0].get("fingerprint") == header["source"]["fingerprint"]:
            return "It has all of these images by now: the others joined it."
        table, others = run.images(), tuple(one["prefix"] for one in run.sources()[1:])
    except IlkError:
        return ""
    known = {path for path, gone in zip(table["path"], table["gone"], strict=True) if not gone}
    names = set(images.names())
    n_new, n_gone = len(names - known), sum(not path.startswith(others) for path in known - names)
    new, gone = f"{_images(n_new)} new", f"{_images(n_gone)} gone"
    said = " and ".join([new] * bool(n_new) + [gone] * bool(n_gone)) or "some are other images"
    what = "lets them join" if n_new and not n_gone else "takes that up"
    return f"Since then {said}: an update {what}, and groups, names and corrections stay."


def _images(n: int) -> str:
    return f"{n:,} image is" if n == 1 else f"{n:,} images are"
