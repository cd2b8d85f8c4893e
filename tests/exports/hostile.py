"""Images with names that no disk would give them, in a run of their own."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

NAMES = [
    "plain.png",
    "Plain.PNG",  # the same on a disk that does not tell cases apart
    "sub/plain.png",
    "a-b/c.png",
    "a/b-c.png",
    "a/b/c.png",
    "con.png",
    "x/LPT1.txt.png",
    "tail. .png",
    "what?<is>|this:*.png",
    "back\\slash.png",
    "café.png",
    "cafe\u0301.png",  # composed otherwise, the same on a Mac
    "new\nline.png",
    "bidi\u202egpj.png",
    "-rf.png",
    "=cmd|' ‐C calc'!A0.png",
    "~/home.png",
    "日本語" * 40 + ".png",
    "n" * 300 + ".png",
    "n" * 300 + "2.png",
    "#1.png",
    "no ending",
    "groups.csv.png",
]


def picture(i: int) -> bytes:
    """A small PNG, another one for each `i`."""
    out = io.BytesIO()
    pixels = np.random.default_rng(i % 3).integers(0, 200, (10, 10)) + np.random.default_rng(100 + i).integers(
        0, 30, (10, 10)
    )
    Image.fromarray(pixels.astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def write_tar(path: Path, names: list[str] = NAMES) -> Path:
    """A tar of small images under `names`, two that must never be used, and one with a slash in front."""
    with tarfile.open(path, "w") as tar:
        for i, name in enumerate([*names, "../outside.png", "/absolute.png"]):
            info = tarfile.TarInfo(name)
            data = picture(i)
            info.size, info.mtime = len(data), 1_700_000_000 + i
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return path
