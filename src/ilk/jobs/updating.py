"""A run and its source, looked at again: new images join, placed by its model; nothing else moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk import _versions, disk, report, runs
from ilk.errors import DataError, answered
from ilk.jobs import arrivals
from ilk.jobs.arrivals import Arrived
from ilk.jobs.joining import Known, Matched, match
from ilk.jobs.seen import Seen, look

__all__ = ["Updated", "update"]

OnEvent = Callable[[dict[str, Any]], bool | None]


@dataclass(frozen=True)
class Updated:
    """What an update did, or with `dry` would do.

    Attributes
    ----------
    run : Run
        As it is now.
    number : int or None
        Of the update, from 1; None where there was nothing new, or with `dry`.
    before : int
        Images that the run had.
    names, status, reasons : list
        Paths of the new images; "ok", "duplicate" (of any image of the run) or "unreadable"; why not.
    group : (n,) int64
        Their groups as the run has them now; -1 none of these, -2 unreadable.
    confidence : (n,) float32
    moved, back, changed, gone : list of str
        Paths of images under another one than before, of those that were gone and are there again, of those under whose
        path is something else now, and of those that are not there any more. They keep row, group and corrections.
    captions : dict
        Name and guessed words of every group, in one line.
    regrouped : Action or None
        What `regroup` did afterwards.
    notes : list of str
    dry : bool
    """

    run: runs.Run
    number: int | None
    before: int
    names: list[str]
    status: list[str]
    reasons: list[str | None]
    group: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float32]
    moved: list[str]
    back: list[str]
    changed: list[str]
    gone: list[str]
    captions: dict[int, str]
    regrouped: Any = None
    notes: list[str] = field(default_factory=list)
    dry: bool = False

    @property
    def nothing(self) -> bool:
        """Whether the run is as its source is."""
        return not (self.names or self.moved or self.back or self.changed or self.gone)

    def sizes(self) -> dict[str, int]:
        """Return how many of the new images are in each group, by its caption; the largest first."""
        groups, counts = np.unique(self.group[self.group >= -1], return_counts=True)
        order = np.argsort(-counts, kind="stable")
        found: dict[str, int] = {}
        for i in order:  # two groups may have one name
            name = self.captions.get(int(groups[i]), "not assigned")
            found[name] = found.get(name, 0) + int(counts[i])
        return found


@answered
def update(
    run: runs.Run | str | Path,
    source: Any = None,
    *,
    split: str | None = None,
    features: Any = None,
    cls: type[Any] | str | None = None,
    device: str = "auto",
    cache: str | Path | None = None,
    encoder: Any = None,
    by_content: bool = False,
    regroup: bool = False,
    dry: bool = False,
    on_event: OnEvent | None = None,
) -> Updated:
    """Let the new images of `source` join `run`: placed by its model, while all others stay where they are.

    Parameters
    ----------
    run
        A run, or its folder.
    source
        As in `ilk.cluster`. None: what the run was made from, and what has joined it since is not looked at. A source
        of the run, or a part of its folder, is looked at again; any other joins it, the names of its images below its
        own.
    split
        "all", "train" or "test"; None: as the run has it.
    features
        Features of the images, where the run was made from features of the user's own.
    cls, device, cache, encoder
        As in `ilk.predict`.
    by_content
        Read every file, whatever is known of its name, size and time of the last change.
    regroup
        Group all images again afterwards, by the corrections: `Run.regroup`.
    dry
        Say what would join, and change nothing.
    on_event
        Called with what happens; a true answer while images are read or encoded stops it.

    Returns
    -------
    Updated

    Raises
    ------
    ArgumentError
        Features that are missing, or not wanted; a method that is not one of ilk's.
    DataError
        The source cannot be opened.
    RunError
        The run is damaged, cannot be written, is being updated, or is of an ilk that kept no contents of images.
    Interrupted
        `on_event` asked for it; the run is as before.

    Notes
    -----
    Files that are gone keep their row, group and corrections, and are marked; those with the content of an image of
    the run under a new path are that image; exact copies go with their image. The update is part of the run in one
    rename: a kill leaves the run of before, or that with all new images. Cost: that of `ilk.predict` for new images;
    of all others the cache knows what they hold, or they are read once.
    """
    notify: OnEvent = on_event or (lambda event: None)
    run = runs.load_run(run.path if isinstance(run, runs.Run) else run)  # with all that joined it by now
    contents = run.hashes()
    if contents is None:
        raise DataError(f"{run.path} was made by an older ilk, which kept no contents of images. {runs.AGAIN}")
    seen = look(run, contents, source, split, features, cache, by_content, notify)
    images = run.images()
    known = Known(images["path"], contents, images["status"], images["gone"])
    found = match(known, seen.mine, seen.names, seen.contents, seen.there)
    _check_names(known, seen, found)
    came = arrivals.nothing() if not found.new else arrivals.arrived(
        run, known, seen, found, cls=cls, device=device, cache=cache, encoder=encoder, notify=notify
    )  # fmt: skip
    names, number = [seen.names[i] for i in found.new], None
    if dry and regroup:
        came.notes.append("what grouping again would move is known once they have joined: ilk regroup RUN --dry-run")
    if not dry and found:
        notify({"event": "write", "run": str(run.path)})
        number = _written(run, seen, found, came)
    now = run if number is None else runs.load_run(run.path)
    regrouped = _again(now, came.notes) if regroup and not dry else None
    if not dry and (number is not None or regrouped is not None or _report_is_old(now)):
        notify({"event": "write", "run": str(run.path)})
        report.write_plots(now.uncorrected())
        report.write_report(now)
    return Updated(
        now,
        number,
        len(known.paths),
        names,
        came.status,
        came.reasons,
        arrivals.as_corrected(run, came, names) if number is None else now.labels()[len(known.paths) :],
        came.confidence,
        moved=_paths(found, known, found.moved),
        back=_paths(found, known, found.back),
        changed=_paths(found, known, found.changed),
        gone=_paths(found, known, found.gone),
        captions={int(group["id"]): disk.printable(runs.shown_name(group)) for group in now.clusters()},
        regrouped=regrouped,
        notes=[*seen.notes, *came.notes],
        dry=dry,
    )


def _again(run: runs.Run, notes: list[str]) -> Any:
    """Group again; None, and a note, where no image would move."""
    if run.regroup(preview=True).count:
        return run.regroup()
    notes.append("grouping again moves no image: the groups fit what was corrected")
    return None


def _paths(found: Matched, known: Known, rows: list[int]) -> list[str]:
    """Return where images are now; of those that are gone, where they were."""
    here = {row: known.paths[row] if gone else path for row, (path, gone) in found.rows.items()}
    return [here[row] for row in rows]


def _check_names(known: Known, seen: Seen, found: Matched) -> None:
    """Raise where an image of this source has the name of one of another source of the run."""
    mine = set(seen.mine)
    others = {path for row, path in enumerate(known.paths) if row not in mine}
    if twice := [name for name in seen.names if name in others]:
        raise DataError(
            f"{twice[0]} is the name of an image of two sources of the run ({len(twice):,} such): rename a folder."
        )


def _written(run: runs.Run, seen: Seen, found: Matched, came: Arrived) -> int:
    """Write the update, and return its number."""
    before, n = len(seen.before), len(found.new)
    counts = {name: len(getattr(found, name)) for name in ("new", "moved", "back", "changed", "gone")}
    try:
        with runs.UpdateWriter(run) as writer:
            writer.changes(found.rows)
            if n:
                arrivals.write(run, writer, before, [seen.names[i] for i in found.new], came)
            if came.by_hand:  # of the journal, as those groups are; until the images have joined it says nothing
                run.corrections.joining(arrivals.keys_by_hand(came, before))
            writer.finish(before, n, seen.record, counts=counts, versions=_versions.versions())
    except OSError as error:
        where = error.filename or run.path
        raise DataError(f"cannot write {where}: {error.strerror or error}. The run is as before.") from None
    return len(run.updates) + 1


def _report_is_old(run: runs.Run) -> bool:
    """Whether the report is of before the last update: a process was killed between the two."""
    if not run.updates:
        return False
    try:
        return (run.path / "report.html").stat().st_mtime_ns < run.updates[-1].folder.joinpath(
            "update.json"
        ).stat().st_mtime_ns
    except OSError:
        return True
