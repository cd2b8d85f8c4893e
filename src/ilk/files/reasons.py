"""What is not read, and why, in words for people."""

from __future__ import annotations

import re

from PIL import Image, UnidentifiedImageError

__all__ = ["MAX_CLAIM", "believed", "claim_reason", "explain", "may_pass"]

MAX_CLAIM = 200_000_000  # a header that claims more pixels than this is not believed
MAX_JPEG = 1_000_000_000  # of a JPEG, which is made smaller while it is decoded: a panorama of 220 million takes 27 MB


def believed(kind: str | None, width: int, height: int) -> bool:
    """Return whether a header's claim of so many pixels is worth an attempt."""
    return width * height <= (MAX_JPEG if kind == "JPEG" else MAX_CLAIM)


def claim_reason(width: int, height: int, kind: str | None = None) -> str:
    """Reason for a header that claims too much.

    >>> claim_reason(50_000, 50_000)
    'claims 50,000 × 50,000 pixels; at most 200 million are read'
    """
    most = MAX_JPEG if kind == "JPEG" else MAX_CLAIM
    return f"claims {width:,} × {height:,} pixels; at most {most // 10**6:,} million are read"


def explain(error: BaseException, data: bytes, kind: str | None, memory: int) -> str:
    """One short line for people: why this file gives no pixels.

    Parameters
    ----------
    kind : str or None
        The format where it is known ("JPEG"); None where nothing recognised the file.
    memory : int
        The limit, in bytes, that a MemoryError speaks of.

    Examples
    --------
    >>> explain(OSError("image file is truncated (3 bytes not processed)"), b"", "JPEG", 0)
    'truncated JPEG: 3 bytes not processed'
    >>> explain(UnidentifiedImageError(), b"<!DOCTYPE html><p>", None, 0)
    "not an image: starts with '<!DOCTYPE html>'"
    """
    text = " ".join("".join(c if c.isprintable() else " " for c in str(error)).split())
    if isinstance(error, MemoryError) or re.search("out of memory|Memory allocation", text):
        return f"needed more than {memory / 2**30:g} GiB"
    if isinstance(error, Image.DecompressionBombError):
        found = re.search(r"\((\d+) pixels\)", text)
        return f"claims {int(found[1]):,} pixels" if found else "claims too many pixels"
    if isinstance(error, UnidentifiedImageError) or kind is None:
        return _unknown(data)
    if isinstance(error, KeyError | IndexError | AssertionError | AttributeError) or not text:
        return f"broken {kind}"  # the message of these is a bare key or nothing
    text = re.sub(r" when reading image file$|^cannot read this .*|^decoder error -?\d+$", "", text)[:120]
    if found := re.match(r"image file is truncated(?: \((?!0 bytes)(.*)\))?", text):
        return f"truncated {kind}: {found[1] or 'it ends too early'}"
    if re.match(r"(?i)truncated|unexpected end|not enough data|end of file|buffer overrun", text):
        return f"truncated {kind}: it ends too early"
    return f"broken {kind}: {text}" if text else f"broken {kind}"


_MAGIC = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"GIF8": "GIF",
    b"RIFF": "WebP",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"%PDF": "PDF",
    b"%!PS": "PostScript",
}


def _unknown(data: bytes) -> str:
    """Reason for data that no decoder recognises."""
    if not data:
        return "empty file"
    head = data[:15]
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            if kind in ("PDF", "PostScript"):
                return f"not an image: a {kind} document"
            return f"broken {kind}: its header cannot be read"
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        if brand[:3] in (b"avi", b"hei", b"hev", b"mif", b"msf"):
            return f"broken {'AVIF' if brand[:3] == b'avi' else 'HEIC'}: its header cannot be read"
        return "not an image: a video (MP4 or MOV)"
    text = head.decode("utf-8", "replace").strip()
    if text and all(c.isprintable() or c.isspace() for c in text) and "�" not in text[:-1]:
        return f"not an image: starts with '{' '.join(text.split())}'"
    return f"not an image, or of an unknown kind: starts with the bytes {data[:4].hex(' ')}"


def may_pass(reason: str | None) -> bool:
    """Return whether a file that gave no pixels for `reason` may give some another time: the machine was to blame.

    >>> may_pass("decoding took longer than 10 s"), may_pass("broken PNG")
    (True, False)
    """
    return reason is not None and reason.startswith(_PASSING)


_PASSING = ("decoding took longer", "the decoder crashed", "the decoding helper cannot start", "needed more than")
