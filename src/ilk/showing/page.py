"""Groups of images as a piece of HTML for notebooks: pictures inside, no script, readable on light and on dark."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk import disk
from ilk.showing.ktable import k_table

__all__ = ["PICTURES", "Group", "page"]

PICTURES = 10
"""Most pictures of a group."""

_GROUPS = 40  # … that are shown, the largest ones
_BYTES = 350_000  # of all pictures, as they stand in the page
_SIDE = 64  # pixels of a picture on the screen
_LONGEST = 100  # characters of a name
_LINE = "border-top:1px solid rgba(128,128,128,.35)"
_CELL = f"style='text-align:left;vertical-align:middle;padding:6px 12px 6px 0;font-size:13px;{_LINE};background:none'"


@dataclass(frozen=True)
class Group:
    """A group as it is shown.

    Attributes
    ----------
    name : str
    size : int
    pictures : sequence of (h, w, 3) uint8
        The most typical images first.
    note : str
        What else there is to say of it.
    """

    name: str
    size: int
    pictures: Sequence[npt.NDArray[np.uint8]] = field(default_factory=list)
    note: str = ""


def page(
    title: str,
    groups: Sequence[Group],
    *,
    rows: Sequence[Mapping[str, Any]] = (),
    suggested: Mapping[str, int | None] | None = None,
    why: str = "",
    foot: Iterable[str] = (),
) -> str:
    """Return groups with pictures, and the evidence for their number.

    Parameters
    ----------
    title
        One line of what it is.
    groups
        In the order shown; of more than 40 the first 40 are.
    rows, suggested
        The table of numbers of groups, and the suggested ones by name.
    why
        Why this number was taken.
    foot
        Lines below.

    Returns
    -------
    str
        At most 500 KB: pictures are left out from the end of each group where there would be more.
    """
    shown = groups[:_GROUPS]
    pictures = _pictures([group.pictures[:PICTURES] for group in shown])
    total = sum(group.size for group in groups) or 1
    body = "".join(_row(group, own, total) for group, own in zip(shown, pictures, strict=True))
    lines = [f"and {len(groups) - len(shown):,} more groups"] if len(groups) > len(shown) else []
    parts = [
        f"<div style='font-weight:600;margin:2px 0 6px'>{_text(title, 300)}</div>",
        f"<table style='border-collapse:collapse;border:none'><tbody>{body}</tbody></table>",
        *_evidence(rows, suggested or {}, why),
        *(f"<div style='opacity:.7;margin-top:4px'>{_text(line, 300)}</div>" for line in (*lines, *foot)),
    ]
    return f"<div style='color:inherit;font-family:system-ui,sans-serif;font-size:13px'>{''.join(parts)}</div>"


def _row(group: Group, pictures: Sequence[str], total: int) -> str:
    note = f"<div style='opacity:.7'>{_text(group.note)}</div>" if group.note else ""
    images = "".join(
        f"<img src='{data}' alt='' width='{_SIDE}' height='{_SIDE}' "
        "style='display:inline-block;margin:0 3px 0 0;border-radius:3px;object-fit:cover'>"
        for data in pictures
    )
    share = f"{group.size:,} &middot; {100 * group.size / total:.0f} %"
    return (
        f"<tr style='background:none'><td {_CELL}><div style='font-weight:600;max-width:220px;overflow-wrap:anywhere'>"
        f"{_text(group.name)}</div>{note}<div style='opacity:.7'>{share}</div></td>"
        f"<td {_CELL}><div style='white-space:nowrap;overflow-x:auto'>{images}</div></td></tr>"
    )


def _pictures(wanted: Sequence[Sequence[npt.NDArray[np.uint8]]]) -> list[list[str]]:
    """Return pictures as data URIs: the first of every group, then the second …, until there is no more room."""
    found: list[list[str]] = [[] for _ in wanted]
    room = _BYTES
    for turn in range(PICTURES):
        for group, own in enumerate(wanted):
            if turn < len(own):
                data = _uri(own[turn], _BYTES // len(wanted))
                room -= len(data)
                if room < 0:
                    return found
                found[group].append(data)
    return found


def _uri(pixels: npt.NDArray[np.uint8], most: int) -> str:
    """Return a picture as a data URI, smaller and coarser where it would have more than `most` characters."""
    from PIL import Image  # not at the top: whoever shows nothing needs it not

    image = Image.fromarray(np.ascontiguousarray(pixels))
    for side, quality in ((2 * _SIDE, 80), (_SIDE, 50)):
        out = BytesIO()
        image.thumbnail((side, side))
        image.save(out, "JPEG", quality=quality)
        data = f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode('ascii')}"
        if len(data) <= most:
            break
    return data


def _evidence(rows: Sequence[Mapping[str, Any]], suggested: Mapping[str, int | None], why: str) -> list[str]:
    """Return the table of numbers of groups, and what follows from it."""
    parts = [f"<div style='margin-top:8px'>{_text(why, 300)}</div>"] if why else []
    if not rows:
        return parts
    titles, lines, _ = k_table(rows, suggested)
    cell = f"style='text-align:right;padding:2px 10px;font-size:12px;{_LINE};background:none'"
    head = "".join(f"<th {cell}>{_text(title.strip())}</th>" for title in titles)
    body = "".join(
        "<tr style='background:none'>" + "".join(f"<td {cell}>{_text(one.strip())}</td>" for one in line) + "</tr>"
        for line in lines
    )
    label = "<summary style='cursor:pointer'>Numbers of groups that were tried (* best of its column)</summary>"
    rows_of_table = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    table = f"<table style='border-collapse:collapse;border:none'>{rows_of_table}</table>"
    return [*parts, f"<details style='margin-top:8px'>{label}{table}</details>"]


def _text(text: str, longest: int = _LONGEST) -> str:
    """Return a name of others as it may stand in a page."""
    plain = disk.printable(text)
    return html.escape(plain if len(plain) <= longest else f"{plain[: longest - 1]}…")
