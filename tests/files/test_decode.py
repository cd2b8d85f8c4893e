"""Pictures made here, decoded back: what every oddity must look like, and what every refusal must say."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from ilk.errors import ArgumentError
from ilk.files import content_hash, decode, probe


def save(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def scene(height: int = 96, width: int = 160) -> Image.Image:
    """Smooth, and different in every corner."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 255 / width, y * 255 / height, (x + y) * 255 / (width + height)], 2)
    return Image.fromarray(pixels.astype(np.uint8))


def ok(data: bytes, size: tuple[int, int] | None = None, **options: object) -> np.ndarray:
    done = decode(data, size, **options)
    assert done.reason is None
    assert done.pixels is not None
    assert done.pixels.dtype == np.uint8
    assert done.pixels.flags.writeable
    assert done.pixels.shape[2] == 3
    return done.pixels


def flat(data: bytes) -> tuple[int, ...]:
    """The one colour of a plain picture."""
    pixels = ok(data)
    assert np.ptp(pixels.reshape(-1, 3).astype(int), axis=0).max() <= 2
    return tuple(int(v) for v in pixels[0, 0])


# -- geometry ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_every_orientation_shows_the_upright_picture(kind: str, turn: int) -> None:
    upright = scene()
    inverse = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[turn]
    stored = upright if inverse is None else upright.transpose(inverse)
    exif = Image.Exif()
    exif[0x0112] = turn
    options = {"JPEG": {"quality": 98, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    data = save(stored, kind, exif=exif.tobytes() if kind != "TIFF" else exif, **options)
    plain = save(upright, kind, **options)
    for size in [(32, 32), (24, 40), None]:
        done = decode(data, size)
        assert (done.width, done.height) == upright.size
        assert np.abs(ok(data, size).astype(int) - ok(plain, size).astype(int)).max() <= 3
    assert probe(data) == upright.size


def test_large_jpeg_is_drafted_and_still_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = scene(1600, 1200)
    data = save(upright.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif.tobytes())
    expected = upright.crop((0, 200, 1200, 1400)).resize((64, 64), Image.Resampling.BICUBIC)
    assert np.abs(ok(data, (64, 64)).astype(int) - np.asarray(expected)).max() <= 4
    assert decode(data, (64, 64)).height == 1600


def test_crop_is_central_and_stretch_takes_all() -> None:
    image = Image.new("RGB", (300, 100), (255, 0, 0))
    image.paste((0, 255, 0), (100, 0, 200, 100))
    data = save(image, "PNG")
    crop = ok(data, (50, 50))
    assert (crop[:, 3:-3] == (0, 255, 0)).all()  # the filter sees its neighbours at the very edge
    assert crop[:, [0, -1], 0].max() < 30
    stretched = ok(data, (50, 51), resize="stretch")
    assert stretched.shape == (50, 51, 3)
    assert tuple(stretched[25, 2]) == (255, 0, 0)
    assert tuple(stretched[25, 48]) == (255, 0, 0)
    assert (ok(data, (50, 50), crop_pct=0.5) == (0, 255, 0)).all()  # far from the edges


def test_crop_pct_takes_that_share_of_the_shorter_side() -> None:
    image = Image.new("RGB", (100, 100), (255, 0, 0))
    image.paste((0, 0, 255), (25, 25, 75, 75))
    assert (ok(save(image, "PNG"), (50, 50), crop_pct=0.5)[5:-5, 5:-5] == (0, 0, 255)).all()
    assert tuple(ok(save(image, "PNG"), (50, 50))[0, 0]) == (255, 0, 0)


def test_native_size_is_capped() -> None:
    assert ok(save(Image.new("L", (9000, 30), 7), "PNG")).shape == (14, 4096, 3)
    assert ok(save(Image.new("L", (9000, 30), 7), "JPEG")).shape[1] <= 4096
    assert ok(save(scene(), "PNG")).shape == (96, 160, 3)


# -- modes ------------------------------------------------------------------------------------------------------------
def test_alpha_is_composed_over_white() -> None:
    assert flat(save(Image.new("RGBA", (8, 8), (255, 0, 0, 0)), "PNG")) == (255, 255, 255)
    assert flat(save(Image.new("RGBA", (8, 8), (0, 0, 0, 128)), "PNG")) == (127, 127, 127)
    assert flat(save(Image.new("LA", (8, 8), (0, 0)), "PNG")) == (255, 255, 255)
    assert flat(save(Image.new("RGBA", (8, 8), (9, 9, 9, 0)), "TIFF")) == (255, 255, 255)
    assert flat(save(Image.new("RGBA", (8, 8), (9, 9, 9, 0)), "WEBP", lossless=True)) == (255, 255, 255)
    assert (ok(save(Image.new("RGBA", (80, 80), (255, 0, 0, 0)), "PNG"), (8, 8)) == 255).all()


def test_palette_and_its_transparency() -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    assert flat(save(image, "PNG")) == (10, 20, 30)
    assert flat(save(image, "GIF")) == (10, 20, 30)
    assert flat(save(image, "PNG", transparency=1)) == (255, 255, 255)
    assert flat(save(image, "PNG", transparency=b"\xff\x00")) == (255, 255, 255)
    assert flat(save(Image.new("RGB", (8, 8), (1, 2, 3)), "PNG", transparency=(1, 2, 3))) == (255, 255, 255)


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    values = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    expected = np.arange(256).reshape(16, 16)
    for kind in ("PNG", "TIFF"):
        pixels = ok(save(Image.fromarray(values), kind))
        assert (pixels == expected[:, :, None]).all()
    pgm = b"P5\n16 16\n65535\n" + values.astype(">u2").tobytes()
    assert np.abs(ok(pgm)[:, :, 0].astype(int) - expected).max() <= 1


def test_wide_integers_and_floats_are_stretched() -> None:
    ramp = np.linspace(-5e6, 5e6, 64).reshape(8, 8)
    assert ok(save(Image.fromarray(ramp.astype(np.int32)), "TIFF"))[0, 0, 0] == 0
    assert ok(save(Image.fromarray(ramp.astype(np.int32)), "TIFF"))[7, 7, 0] == 255
    holes = ramp.astype(np.float32)
    holes[0, 0] = np.nan
    assert ok(save(Image.fromarray(holes), "TIFF"))[7, 7, 0] == 255
    assert flat(save(Image.fromarray(np.full((8, 8), 0.5, np.float32)), "TIFF")) == (128, 128, 128)
    assert flat(save(Image.fromarray(np.full((8, 8), 7.0, np.float32)), "TIFF")) == (7, 7, 7)
    assert flat(save(Image.fromarray(np.full((8, 8), np.nan, np.float32)), "TIFF")) == (0, 0, 0)


def test_cmyk_grey_one_bit_and_lab() -> None:
    for kind in ("JPEG", "TIFF"):
        red = flat(save(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), kind))
        assert np.abs(np.array(red) - (255, 0, 0)).max() <= 4
    assert flat(save(Image.new("L", (16, 16), 77), "JPEG")) == (77, 77, 77)
    assert flat(save(Image.new("1", (16, 16), 1), "PNG")) == (255, 255, 255)
    lab = flat(save(Image.new("LAB", (16, 16), (255, 128, 128)), "TIFF"))
    assert min(lab) >= 250


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "MPO", "AVIF"])
def test_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), c) for c in [(200, 0, 0), (0, 200, 0), (0, 0, 200)]]
    data = save(
        frames[0], kind, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "WEBP" else {})
    )
    assert np.abs(np.array(flat(data)) - (200, 0, 0)).max() <= 6


@pytest.mark.parametrize("kind", ["BMP", "TGA", "PPM", "ICO", "PCX", "JPEG2000", "SGI", "DDS", "AVIF", "QOI"])
def test_other_formats(kind: str) -> None:
    image = scene(64, 64)
    data = save(image, kind)
    assert (
        np.abs(ok(data, (16, 16)).astype(int) - np.asarray(image.resize((16, 16), Image.Resampling.BICUBIC))).max()
        <= 12
    )
    assert probe(data) == (64, 64)


def test_broken_heic_and_videos_are_named() -> None:
    assert reason(b"\0\0\0\x18ftypheic" + bytes(64)).startswith("broken HEI")
    assert reason(b"\0\0\0\x18ftypisom" + bytes(64)) == "not an image: a video (MP4 or MOV)"


# -- refusals ---------------------------------------------------------------------------------------------------------
def png_header(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(100_000))) + chunk(b"IEND", b"")


def reason(data: bytes) -> str:
    done = decode(data, (8, 8))
    assert done.pixels is None
    assert done.reason
    assert len(done.reason) < 160
    assert "Error" not in done.reason
    assert "\n" not in done.reason
    return done.reason


def test_reasons() -> None:
    jpeg = save(scene(), "JPEG")
    assert reason(b"") == "empty file"
    assert reason(b"<!DOCTYPE html><html>") == "not an image: starts with '<!DOCTYPE html>'"
    assert reason(b"hello, this is no image") == "not an image: starts with 'hello, this is'"
    assert reason(b"%PDF-1.7 ...") == "not an image: a PDF document"
    assert reason(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n") == "not an image: a PostScript document"
    assert reason(jpeg[: len(jpeg) // 2]).startswith("truncated JPEG")
    assert reason(save(scene(), "PNG")[:-200]).startswith("truncated PNG")
    assert reason(save(scene(), "WEBP")[:300]).startswith("broken WebP") or "WEBP" in reason(
        save(scene(), "WEBP")[:300]
    )
    assert "starts with the bytes 00 01 02 03" in reason(bytes(range(200)))
    assert decode(jpeg[: len(jpeg) // 2], (8, 8)).width == 160  # the header was good


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (png_header(60_000, 60_000), "claims 60,000 × 60,000 pixels"),
        (
            b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0),
            "claims",
        ),
        (
            b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0) + b"\x2c" + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0),
            "claims",
        ),
        (
            b"BM" + struct.pack("<IIIIiiHHIIIIII", 99, 0, 54, 40, 50_000, 50_000, 1, 24, 0, 0, 0, 0, 0, 0),
            "claims 50,000 × 50,000",
        ),
        (b"RIFF\0\1\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xfe\x3f\0\xfe\x3f\0" + bytes(64), "claims 16,383 × 16,383"),
    ],
)
def test_bombs_are_refused_by_their_header(data: bytes, words: str) -> None:
    assert words in reason(data)


def test_what_a_header_promises_and_the_file_lacks_costs_one_row() -> None:
    assert reason(png_header(12_000, 12_000)).startswith("truncated PNG")  # 144 MP: the helper tries


def test_formats_that_call_other_programs_are_never_opened() -> None:
    assert "not an image" in reason(b"\xc5\xd0\xd3\xc6" + bytes(40))  # EPS with a binary header: would run Ghostscript


def test_warnings_stay_inside() -> None:
    exif = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(30)  # Pillow: "Corrupt EXIF data"
    plain = save(scene(), "PNG")
    chunk = b"acTL" + struct.pack(">II", 0, 0)  # Pillow: "Invalid APNG"
    chunk = struct.pack(">I", 8) + chunk + struct.pack(">I", zlib.crc32(chunk))
    broken_apng = plain[:33] + chunk + plain[33:]
    huge = save(Image.new("1", (10_000, 10_000)), "PNG")  # 100 MP: Pillow's DecompressionBombWarning
    for action in ("error", "always"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter(action)
            for data in (save(scene(), "JPEG", exif=exif), broken_apng, huge):
                ok(data, (8, 8))
        assert caught == []


def test_the_users_limit_is_neither_read_nor_changed(monkeypatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    ok(save(scene(), "PNG"), (8, 8))
    ok(save(scene(), "TIFF"), (8, 8))
    assert Image.MAX_IMAGE_PIXELS == 10


def test_nothing_is_printed() -> None:
    code = (
        "from ilk.files import decode\n"
        "tiff = b'II*\\0\\x08\\0\\0\\0\\xff\\xff' + bytes(50)\n"
        "for d in (bytes(99), b'BM' + bytes(99), tiff, b'\\x89PNG' + bytes(60)):\n"
        "    assert decode(d, (8, 8)).reason\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_options_are_checked() -> None:
    data = save(scene(), "PNG")
    for size, options in [
        ((8, 8), {"resize": "pad"}),
        ((8, 8), {"crop_pct": 0}),
        ((8, 8), {"crop_pct": 1.5}),
        ((0, 8), {}),
    ]:
        with pytest.raises(ArgumentError):
            decode(data, size, **options)


def test_extreme_shapes() -> None:
    for size in [(1, 1), (1, 5000), (5000, 1), (3, 2)]:
        for kind in ("PNG", "JPEG", "TIFF"):
            assert ok(save(Image.new("RGB", size, (5, 5, 5)), kind), (32, 32)).shape == (32, 32, 3)


def test_many_threads_give_the_same_pixels() -> None:
    datas = [save(scene(60 + i, 90), kind) for i in range(6) for kind in ("JPEG", "PNG", "TIFF", "GIF")]
    expected = [ok(data, (24, 24)) for data in datas]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda data: ok(data, (24, 24)), datas * 5))
    assert all((a == b).all() for a, b in zip(found, expected * 5, strict=True))


def test_raw_profile_and_xmp_orientation() -> None:
    text = PngImagePlugin.PngInfo()
    exif = Image.Exif()
    exif[0x0112] = 8
    raw = exif.tobytes()
    text.add_text("Raw profile type exif", f"\nexif\n{len(raw):8d}\n{raw.hex()}\n")
    assert probe(save(scene(), "PNG", pnginfo=text)) == (96, 160)
    assert decode(save(scene(), "PNG", pnginfo=text), None).pixels.shape == (160, 96, 3)
    xmp = PngImagePlugin.PngInfo()
    xmp.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
    assert probe(save(scene(), "PNG", pnginfo=xmp)) == (96, 160)


def test_content_hash() -> None:
    assert len(content_hash(b"a")) == 16
    assert content_hash(b"a") != content_hash(b"b")
