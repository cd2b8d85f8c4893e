"""What `ilk predict` prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ilk.cli.show import Screen, _count

if TYPE_CHECKING:
    from ilk.jobs import Prediction

__all__ = ["placed"]

_NONE = "none of these"
_SINGLY = 8  # images up to which each is shown by itself


def placed(screen: Screen, found: Prediction, run: Path, out: Path | None) -> None:
    """Show where new images went: a few one by one, more by the size of the groups."""
    sizes = dict.fromkeys([*found.captions.values(), _NONE], 0)
    n = len(found.names)
    rows = found.rows() if screen.as_json or n <= _SINGLY else []
    seen = [status != "unreadable" for status in found.status]
    read = [found.captions.get(group, _NONE) for group, ok in zip(found.group.tolist(), seen, strict=True) if ok]
    for name in read:
        sizes[name] += 1
    confidence, known = (float(values[seen].mean()) if read else None for values in (found.confidence, found.known))
    n_unreadable = n - len(read)
    screen.json(
        {
            "run": str(run),
            "n_images": len(read),
            "n_unreadable": n_unreadable,
            "sizes": sizes,
            "out": str(out) if out else None,
            "mean_confidence": confidence,
            "mean_known": known,
            "threshold": found.threshold,
            "images": rows,
        }
    )
    screen.line(
        f"placed   {_count(len(read), 'image')}" + (f"; {n_unreadable:,} could not be read" if n_unreadable else "")
    )
    if n <= _SINGLY:
        for row in rows:
            _one(screen, row, found)
    else:
        screen.table(("group", "images"), [(name, f"{size:,}") for name, size in sizes.items()], right="images")
    if found.threshold and n > _SINGLY:
        screen.line(
            f"none of these: known below {found.threshold:g}; known is the sum of the probabilities of all groups, "
            "confidence that of the best",
            "dim",
        )
    if out is not None:
        screen.line(f"table    {out}")
    elif not screen.as_json and n > _SINGLY:
        screen.line("add -o FILE.csv to keep one row per image")


def _one(screen: Screen, row: dict[str, Any], found: Prediction) -> None:
    """Show one image: its group, with what confidence, how much of it is known, and what of the run is like it."""
    names = found.captions
    screen.line()
    screen.line(row["path"], "bold")
    if row["status"] == "unreadable":
        screen.line(f"         could not be read: {row['reason']}")
        return
    second = f"; next best: {names[row['second']]}" if row["second"] in names else ""
    known = f", known {row['known']:.2g}" if found.threshold else ""
    screen.line(f"group    {names.get(row['group'], _NONE)}, confidence {row['confidence']:.2f}{known}{second}")
    if near := row.get("nearest"):
        shown = [(f"{one['similarity']:.2f}", names.get(one["group"], "none"), one["path"]) for one in near]
        screen.table(("similarity", "group", "nearest images of the run"), shown, right="similarity")
