"""The table of groups as a person reads it, and what its numbers mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ilk.cli.words import few, shortened
from ilk.report.words import UNMEASURED, apart, calibrated, meaning
from ilk.runs import Run, guessed, plain_name

__all__ = ["RIGHT", "group_table", "notes", "unread"]

RIGHT = "images share silhouette confidence"
_HEADER = ("group", "looks like", "images", "share", "silhouette", "confidence", "in words", "most typical image")


def group_table(
    header: Mapping[str, Any], groups: Sequence[Mapping[str, Any]], names: Sequence[str], shown: int = 30
) -> tuple[list[str], list[list[str]]]:
    """Return titles, and a line for each of the largest groups, the largest first, what was not assigned last.

    Parameters
    ----------
    header
        run.json. A column of which an older run, or one with learned features, has nothing to say is left out.
    groups
        clusters.json.
    names
        Of all images.
    shown
        At most so many lines.
    """
    total = max(1, sum(group["size"] for group in groups))
    largest = sorted(groups, key=lambda group: (group["id"] < 0, -group["size"]))[:shown]
    lines = [_line(header, group, total, names) for group in largest]
    columns = [i for i in range(len(_HEADER)) if i in (0, 2, 3) or any(line[i] for line in lines)]
    return [_HEADER[i] for i in columns], [[line[i] for i in columns] for line in lines]


def _line(header: Mapping[str, Any], group: Mapping[str, Any], total: int, names: Sequence[str]) -> list[str]:
    central = names[group["exemplars"][0]] if group["exemplars"] else ""
    quality = group["quality"] or {}
    silhouette = quality.get("silhouette") if "silhouette_reduced" in quality else None
    confidence = quality.get("confidence")
    corrected = group["quality"] is None and group["id"] >= 0  # by hand, and too much of it
    return [
        plain_name(group),
        ", ".join(guessed(group)),
        f"{group['size']:,}",
        f"{100 * group['size'] / total:.1f} %",
        *("" if value is None else f"{value:.2f}" for value in (silhouette, confidence)),
        UNMEASURED if corrected else apart(header, silhouette, confidence),
        shortened(central, 60),
    ]


def unread(run: Run) -> str:
    """Return how many files of a run could not be read, and which, where they are few."""
    images = run.images()
    rows = zip(images["path"], images["status"], strict=True)
    return few([path for path, status in rows if status == "unreadable"])


def notes(header: Mapping[str, Any], *, every: bool = False) -> list[str]:
    """Return lines that say what the numbers of the table are, with `every` at length; none for an older run."""
    record = (header.get("quality") or {}).get("silhouette")
    if not record:
        return []
    if not every and calibrated(header):
        return [
            "silhouette, confidence: the higher, the more a group stands by itself; in words: both (more: -v, report)"
        ]
    sample = f" (distances to {record['sample']:,} images that stand for all)" if record["sample"] else ""
    where = (
        "in the features" if calibrated(header) else "in the features learned for these groups, which sets any apart"
    )
    lines = [
        f"silhouette: {where}{sample}; 1 = far from all other groups, 0 = no border between them",
        "confidence: the probability of the own group, as predict says it of a new image; not that of being right",
    ]
    return [*lines, f"in words: {meaning()}"] if calibrated(header) else lines
