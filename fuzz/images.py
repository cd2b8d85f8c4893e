"""Damaged image files through `ilk.files.decode` and `probe`."""

from __future__ import annotations

import io
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from fuzz import mutating
from fuzz.judging import Case, Verdict
from ilk.files import decode, probe

__all__ = ["Images"]


class Images:
    """The fuzzer `decode`."""

    def __init__(self, scratch: Path) -> None:
        self._seeds = _seeds()
        self._names = sorted(self._seeds)
        self._all = [self._seeds[name] for name in self._names]
        for name in self._names:  # what is imported late, and helpers that start, are no cost of a mutant
            self.verdict(Case(name, self._seeds[name]))

    def seeds(self) -> dict[str, bytes]:
        """Return small valid files of every format that Pillow writes."""
        return self._seeds

    def mutant(self, rng: random.Random) -> Case:
        """Return one of the seeds, damaged."""
        name = rng.choice(self._names)
        return Case(name, mutating.bytes_of(self._seeds[name], rng, self._all))

    def verdict(self, case: Case) -> Verdict:
        """Decode to a size that the content chooses, so that the file alone repeats what happened."""
        data, choice = case.data, zlib.crc32(case.data)
        size = (None, (32, 32), (224, 224))[choice % 3]
        done = decode(data, size, resize=("crop", "stretch")[choice // 3 % 2])
        wrong = None
        if (done.pixels is None) == (done.reason is None):
            wrong = "neither pixels nor a reason, or both"
        elif done.reason is not None:
            if not done.reason.isprintable() or not done.reason:
                wrong = f"not one printable line: {done.reason!r}"
            elif "unexpected" in done.reason:
                wrong = done.reason
        elif done.pixels is not None:
            shape = done.pixels.shape
            if done.pixels.dtype != np.uint8 or len(shape) != 3 or (size is not None and shape != (*size, 3)):
                wrong = f"{done.pixels.dtype} {shape} for the size {size}"
            elif min(done.width, done.height) < 1:
                wrong = f"an image of {done.width} x {done.height}"
        if wrong is None and choice % 7 == 0:
            header = probe(data)
            if done.pixels is not None and header != (done.width, done.height):
                wrong = f"the header says {header}, decode {done.width} x {done.height}"
        crashed = done.reason is not None and "crashed" in done.reason
        return Verdict("decoded" if done.reason is None else "contained" if crashed else "refused", wrong)

    def keep(self, case: Case, target: Path) -> Path:
        """Write the file."""
        path = target.with_name(f"{target.name}{Path(case.what).suffix}")
        path.write_bytes(case.data)
        return path

    def load(self, path: Path) -> Case:
        """Read a file."""
        return Case(path.name, path.read_bytes())


def _seeds() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    image = coarse.resize((60, 45), Image.Resampling.BICUBIC)
    turned, grey = image.rotate(9), image.convert("L")
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "x" * 50
    deep = Image.fromarray(rng.integers(0, 65536, (30, 40), dtype=np.uint16))
    clear = image.convert("RGBA")
    clear.putalpha(grey)
    kinds: dict[str, tuple[str, Image.Image, dict[str, Any]]] = {
        "plain.jpg": ("JPEG", image, {"exif": exif}),
        "progressive.jpg": ("JPEG", image, {"progressive": True}),
        "cmyk.jpg": ("JPEG", image.convert("CMYK"), {}),
        "plain.png": ("PNG", image, {}),
        "palette.png": ("PNG", image.convert("P"), {}),
        "deep.png": ("PNG", deep, {}),
        "clear.png": ("PNG", clear, {}),
        "several.png": ("PNG", image, {"save_all": True, "append_images": [turned]}),
        "group4.tif": ("TIFF", image.convert("1"), {"compression": "group4"}),
        "pages.tif": ("TIFF", image, {"save_all": True, "append_images": [turned]}),
        "float.tif": ("TIFF", image.convert("F"), {}),
        "deep.tif": ("TIFF", deep, {}),
        "plain.webp": ("WEBP", image, {}),
        "lossless.webp": ("WEBP", clear, {"lossless": True}),
        "several.webp": ("WEBP", image, {"save_all": True, "append_images": [turned]}),
        "plain.gif": ("GIF", image.convert("P"), {}),
        "several.gif": ("GIF", image, {"save_all": True, "append_images": [turned]}),
        "plain.bmp": ("BMP", image, {}),
        "plain.ico": ("ICO", clear, {}),
        "plain.jp2": ("JPEG2000", image, {}),
        "plain.tga": ("TGA", image, {"compression": "tga_rle"}),
        "plain.ppm": ("PPM", image, {}),
        "float.pfm": ("PPM", image.convert("F"), {}),
        "plain.pcx": ("PCX", image, {}),
        "plain.sgi": ("SGI", image, {}),
        "plain.icns": ("ICNS", clear, {}),
        "plain.dds": ("DDS", image, {}),
        "plain.avif": ("AVIF", image, {}),
        "several.mpo": ("MPO", image, {"save_all": True, "append_images": [turned]}),
        "plain.qoi": ("QOI", image, {}),
    }
    for name in ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
        kinds[f"{name}.tif"] = ("TIFF", image, {"compression": name})
    seeds = {}
    for name, (kind, what, options) in kinds.items():
        out = io.BytesIO()
        try:
            what.save(out, kind, **options)
        except (OSError, KeyError, ValueError):  # a format that this build of Pillow cannot write
            continue
        seeds[name] = out.getvalue()
    return seeds | _odd_seeds(image, seeds)


def _odd_seeds(image: Image.Image, seeds: dict[str, bytes]) -> dict[str, bytes]:
    """Files that Pillow does not write: many bands, doubles, FITS, camera raw, profiles, notes, no end marker."""
    import tifffile

    values = np.asarray(image.convert("L"), np.float64) / 255
    found: dict[str, bytes] = {}

    def tiff(name: str, what: Any, **options: Any) -> None:
        out = io.BytesIO()
        tifffile.imwrite(out, what, metadata=None, **options)
        found[name] = out.getvalue()

    tiff("doubles.tif", values)
    tiff("bands.tif", np.repeat((values * 4000)[..., None], 7, 2).astype(np.uint16), planarconfig="contig")
    tiff("planes.tif", np.stack([values] * 3).astype(np.float32), planarconfig="separate", photometric="rgb")
    tiff("deep-colours.tif", np.repeat((values * 65535)[..., None], 4, 2).astype(np.uint16), photometric="rgb")
    tiff("gaps.tif", (values * 500).astype(np.int16), extratags=[(42113, 2, 5, "-9999", True)])
    tiff("large.tif", values.astype(np.float32), bigtiff=True, tile=(16, 16))
    cards = [f"{'SIMPLE':8}= {'T':>20}", f"{'BITPIX':8}= {16:20d}", f"{'NAXIS':8}= {2:20d}"]
    cards += [f"{'NAXIS1':8}= {values.shape[1]:20d}", f"{'NAXIS2':8}= {values.shape[0]:20d}"]
    cards += [f"{'BZERO':8}= {32768.0:20}", f"{'BLANK':8}= {-9999:20d}", "END"]
    body = (values * 60_000 - 32_768).astype(">i2").tobytes()
    found["signed.fits"] = "".join(card.ljust(80) for card in cards).ljust(2880).encode() + body.ljust(5760, b"\0")
    preview = io.BytesIO()
    image.resize((400, 300)).save(preview, "JPEG", quality=60)
    found["camera.raf"] = b"FUJIFILMCCD-RAW 0201FF383501" + bytes(60) + preview.getvalue() + bytes(99)
    jpeg, png = seeds["plain.jpg"], seeds["plain.png"]
    found["endless.jpg"] = jpeg[:-2]
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    out = io.BytesIO()
    undated = profile[:24] + bytes(12) + profile[36:]  # the time it was made would make other mutants each time
    image.save(out, "PNG", icc_profile=undated[:300] + undated[304:] + bytes(4))
    found["profile.png"] = out.getvalue()
    note = b"n\0\0" + zlib.compress(bytes(1_500_000))
    chunk = struct.pack(">I", len(note)) + b"zTXt" + note + struct.pack(">I", zlib.crc32(b"zTXt" + note))
    found["notes.png"] = png[:33] + chunk + png[33:]
    return found
