"""What counts as an image: by its ending, else by its first bytes."""

from __future__ import annotations

import re
from collections.abc import Callable

from ilk.disk import printable
from ilk.files.passed import PassedOver, extension, set_aside
from ilk.files.raw import RAW_EXTENSIONS

__all__ = ["IMAGE_EXTENSIONS", "looks_like_image", "member_set_aside", "wanted"]

# What Pillow registers, plus HEIF and camera raw, less what holds no pixels for us (PDF, PostScript, MPEG, HDF5 …) and
# less endings that mostly mean something else (.fit, .pcd, .im, .rgb, .cur …): those are listed when their first bytes
# say image.
IMAGE_EXTENSIONS = RAW_EXTENSIONS | frozenset(
    """jpg jpeg jpe jfif png apng gif webp bmp dib tif tiff heic heif hif avif avifs jp2 j2k j2c jpc jpf jpx tga ico
    icns psd pcx dcx ppm pgm pbm pnm pfm qoi dds sgi xbm xpm mpo fits fli flc blp""".split()  # noqa: SIM905
)
# Endings not worth opening a file for to look at its first bytes. (Videos are opened: phones call some photos .MOV.)
_OTHER_EXTENSIONS = frozenset(
    """txt md csv tsv json jsonl xml yaml yml html htm css js py ipynb pdf doc docx xls xlsx ppt pptx ps eps svg
    mp3 wav flac zip tar gz bz2 xz 7z rar parquet npy npz pt pth safetensors h5 hdf5 db log lnk
    ini exe dll so aae xmp mat pkl""".split()  # noqa: SIM905
)
_SHADOW = re.compile(r"(^|/)\._[^/]*$")  # what a Mac puts beside each file on a foreign disk


def looks_like_image(head: bytes) -> bool:
    """Whether the first 32 bytes of a file are those of a common image format.

    >>> looks_like_image(b"GIF89a"), looks_like_image(b"hello")
    (True, False)
    """
    if head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"II*\0", b"MM\0*", b"8BPS", b"qoif", b"DDS ")):
        return True
    if head.startswith(
        (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ", b"SIMPLE  =", b"\x01\xda\x00\x01", b"\x01\xda\x01\x01")
    ):
        return True
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return True
    if head[4:8] == b"ftyp":
        return head[8:12] in {b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis"}
    return head.startswith(b"BM") and head[14:18] in {bytes([n, 0, 0, 0]) for n in (12, 40, 52, 56, 64, 108, 124)}


def may_be_image(name: str) -> bool:
    """Whether only the first bytes can say what a file is."""
    ending = extension(name)
    return ending not in IMAGE_EXTENSIONS and ending not in _OTHER_EXTENSIONS


def wanted(name: str, head: Callable[[], bytes], passed: PassedOver) -> bool:
    """Whether a file counts as an image: by its ending, else by its first bytes; counts it as passed over if not."""
    ending = extension(name)
    if ending in IMAGE_EXTENSIONS or (ending not in _OTHER_EXTENSIONS and looks_like_image(head())):
        return True
    passed.file(printable(name))
    return False


def member_set_aside(name: str, passed: PassedOver) -> bool:
    """Whether a posix name of a container has a part that sets it aside (hidden, deleted, …); counts it then."""
    for part in name.split("/"):
        kind = set_aside(part)
        if kind is not None:
            picture = extension(name) in IMAGE_EXTENSIONS and kind != "system" and not _SHADOW.search(name)
            passed.add(kind if picture else "system", printable(name))
            return True
    return False
