"""The first groups of a run that is not finished, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from ilk import disk
from ilk.report.marks import LIGHT

MAX_GROUPS = 40
_CELL, _GAP, _MARGIN, _TITLE, _LABEL = 96, 6, 24, 44, 130


def write_first(path: Path, names: Sequence[str], thumbs: Sequence[npt.NDArray[np.uint8]]) -> None:
    """Write one row of pictures per group, at most 40 of them.

    Parameters
    ----------
    path
        The PNG to write; replaced in one step.
    names
        What stands in front of each row.
    thumbs
        Thumbnails uint8 (b, 48, 48, 3) of each group.
    """
    shown = list(zip(names, thumbs, strict=True))[:MAX_GROUPS]
    columns = max((len(cells) for _, cells in shown), default=1)
    width = 2 * _MARGIN + _LABEL + max(6, columns) * (_CELL + _GAP)
    sheet = Image.new("RGB", (width, 2 * _MARGIN + _TITLE + len(shown) * (_CELL + _GAP)), LIGHT.ground)
    draw = ImageDraw.Draw(sheet)
    bold = _font("DejaVuSans-Bold.ttf", 20)
    draw.text((_MARGIN, _MARGIN - 4), "First groups, from a sample of the images", LIGHT.ink, bold)
    for row, (name, cells) in enumerate(shown):
        top = _MARGIN + _TITLE + row * (_CELL + _GAP)
        draw.text((_MARGIN, top + _CELL // 2 - 9), name, LIGHT.quiet, _font("DejaVuSans.ttf", 15))
        for column, pixels in enumerate(cells):
            cell = Image.fromarray(pixels).resize((_CELL, _CELL), Image.Resampling.BICUBIC)
            sheet.paste(cell, (_MARGIN + _LABEL + column * (_CELL + _GAP), top))
    with disk.replacing(path) as file:
        sheet.save(file, "PNG", compress_level=1)


def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)
