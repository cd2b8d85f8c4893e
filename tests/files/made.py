"""What tests of listings share: small pictures, and archives of them."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from PIL import Image


def picture(kind: str = "PNG", colour: int = 0) -> bytes:
    out = io.BytesIO()
    Image.new("L", (4, 4), colour).save(out, kind)
    return out.getvalue()


def put(path: Path, data: bytes | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture() if data is None else data)
    return path


def make_tar(path: Path, members: list[tuple[str, bytes]], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1_700_000_000
            tar.addfile(info, io.BytesIO(data))
    return path
