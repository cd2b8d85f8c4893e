"""Contact sheets: one picture per group, its most central images first, then the borderline ones in their own row."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from ilk import disk
from ilk.report.facts import NOISE, Facts, Group, borderline, central
from ilk.report.marks import LIGHT, Theme, fitting
from ilk.report.pictures import THUMB, Pictures, Pixels
from ilk.report.words import counted, share, shortened

COLUMNS = 10
CENTRAL = 50
EDGE = 10
MAX_SHEETS = 60
MAX_DECODED = 480
CELL = 96
GAP = 6
MARGIN = 32


def write_sheets(folder: Path, facts: Facts, pictures: Pictures) -> list[Path]:
    """Write ``contact-<group id>.png`` for the 60 largest groups below `folder`; return their paths."""
    groups = facts.groups[:MAX_SHEETS]
    # of an older run, whose thumbnails are small: sharp pictures only where a sheet can be filled with them
    each = MAX_DECODED // max(1, len(groups))
    sharp = not pictures.old or (pictures.sharp and (each >= 3 * COLUMNS or pictures.small))
    whole = pictures.small or not pictures.old or not sharp
    total = CENTRAL + EDGE if whole else min(CENTRAL + EDGE, each // COLUMNS * COLUMNS)
    first = [central(facts, g, total - EDGE) for g in groups]
    last = [borderline(facts, g, EDGE, shown) for g, shown in zip(groups, first, strict=True)]
    pixels = pictures.rows([*first, *last], CELL if sharp else THUMB)

    def write(group: Group, inner: list[Pixels], outer: list[Pixels]) -> Path:
        label = "Some of them" if group.id == NOISE else "Most central"
        rows = [(name, shown) for name, shown in ((label, inner), ("Borderline", outer)) if shown]
        path = folder / f"contact-{group.id}.png"
        with disk.replacing(path) as file:
            contact_sheet(_heading(facts, group), rows, pictures.small).save(file, "PNG", compress_level=4)
        return path

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # packing a PNG leaves the interpreter free
        return list(pool.map(write, groups, pixels[: len(groups)], pixels[len(groups) :]))


def _heading(facts: Facts, group: Group) -> str:
    parts = (shortened(group.caption, 60), counted(group.size, "image"), share(group.size, facts.n_readable))
    return " · ".join(parts)


def contact_sheet(
    heading: str, rows: Sequence[tuple[str, Sequence[Pixels]]], small: bool, theme: Theme = LIGHT
) -> Image.Image:
    """Lay out labelled blocks of pictures (h, w, 3) below a heading; `small` ones are enlarged pixel by pixel."""
    width = 2 * MARGIN + COLUMNS * (CELL + GAP) - GAP
    height = MARGIN + 40 + MARGIN
    for _, pictures in rows:
        height += 38 + -(-len(pictures) // COLUMNS) * (CELL + GAP)
    sheet = Image.new("RGB", (width, height), theme.ground)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN - 4), fitting(heading), theme.ink, _font("DejaVuSans-Bold.ttf", 24))
    y = MARGIN + 40
    for label, pictures in rows:
        draw.text((MARGIN, y + 10), fitting(label), theme.quiet, _font("DejaVuSans.ttf", 16))
        y += 38
        for i, pixels in enumerate(pictures):
            cell = _fitted(pixels, small)
            left = MARGIN + i % COLUMNS * (CELL + GAP) + (CELL - cell.width) // 2
            top = y + i // COLUMNS * (CELL + GAP) + (CELL - cell.height) // 2
            sheet.paste(cell, (left, top))
        y += -(-len(pictures) // COLUMNS) * (CELL + GAP)
    return sheet


def _fitted(pixels: Pixels, small: bool) -> Image.Image:
    """Bring one picture to the size of a cell; small images by whole factors, so that pixels stay square."""
    image = Image.fromarray(pixels)
    longest = max(image.size)
    if small:
        factor = max(1, CELL // longest)
        return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    if longest == CELL:
        return image
    size = (max(1, image.width * CELL // longest), max(1, image.height * CELL // longest))
    return image.resize(size, Image.Resampling.BICUBIC)


def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)
