"""Files that break a rule and hold every pixel are read; those that do not hold them are not."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ilk.files import decode, probe
from ilk.files.mending import png_without_notes
from ilk.files.raw import is_raw


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def photo(width: int = 160, height: int = 120) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x * 255 // width, y * 255 // height, (x * y) % 256], -1).astype(np.uint8))


# -- PNG ---------------------------------------------------------------------------------------------------------------


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


TEXT = b"node " * 400_000
NOISE = np.random.default_rng(0).integers(0, 256, 1_500_000, np.uint8).tobytes()
LARGE = {
    "profile": chunk(b"iCCP", b"display\0\0" + zlib.compress(NOISE, 1)),
    "packed text": chunk(b"zTXt", b"workflow\0\0" + zlib.compress(TEXT)),
    "packed international text": chunk(b"iTXt", b"workflow\0\1\0en\0\0" + zlib.compress(TEXT)),
    "plain text": chunk(b"tEXt", b"workflow\0" + TEXT),
    "many texts": b"".join(chunk(b"zTXt", b"n\0\0" + zlib.compress(TEXT[:900_000])) for _ in range(80)),
}


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("last", [False, True])
def test_large_notes_do_not_hide_a_png(name: str, last: bool) -> None:
    plain = saved(photo(), "PNG")
    at = plain.rindex(b"IEND") - 4 if last else 33
    data = plain[:at] + LARGE[name] + plain[at:]
    found = decode(data, None)
    assert found.reason is None
    assert found.pixels is not None
    assert (found.pixels == np.asarray(photo())).all()
    assert probe(data) == (160, 120)


def test_a_small_note_stays_with_a_large_one() -> None:
    exif = b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x112, 3, 1, 6, 0) + bytes(4)
    plain = saved(photo(), "PNG", exif=b"Exif\0\0" + exif)
    found = decode(plain[:33] + LARGE["packed text"] + plain[33:], None)
    assert (found.width, found.height) == (120, 160)


@pytest.mark.parametrize("kind", ["packed", "torn", "full"])
def test_a_file_of_packed_notes_is_not_unpacked(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand notes of a megabyte each in 1 MB: 2 MiB are unpacked in all, and what is small stays."""
    packed = zlib.compress(bytes(2**20), 9)
    packed = {"packed": packed, "torn": packed[:-1] + b"\1", "full": zlib.compress(bytes(2**20 - 99), 9)}[kind]
    exif = b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x112, 3, 1, 6, 0) + bytes(4)
    plain = saved(photo(), "PNG", exif=b"Exif\0\0" + exif)
    at = plain.rindex(b"IEND") - 4
    small = chunk(b"tEXt", b"by\0me")
    one = chunk(b"zTXt", b"n\0\0" + packed)
    data = (
        plain[:33] + chunk(b"zTXt", b"n\0\0" + zlib.compress(b"short")) + one * 1000 + plain[33:at] + small + plain[at:]
    )
    unpacked = 0

    class Counting:
        def __init__(self) -> None:
            self.real = unpack()

        def decompress(self, data: bytes, most: int) -> bytes:
            nonlocal unpacked
            found = self.real.decompress(data, most)
            unpacked += len(found)
            return found

        def __getattr__(self, name: str) -> object:
            return getattr(self.real, name)

    unpack = zlib.decompressobj
    with monkeypatch.context() as patch:
        patch.setattr(zlib, "decompressobj", Counting)
        slim = png_without_notes(data)
    assert slim is not None
    assert 2**16 < unpacked <= 2 * 2**20 + 2**17
    assert len(slim) < 100_000
    assert (b"short" in slim, small in slim, b"eXIf" in slim) == (False, True, True)
    assert chunk(b"zTXt", b"n\0\0" + zlib.compress(b"short")) in slim  # it came first
    found = decode(data, None)
    assert (found.width, found.height, found.reason) == (120, 160, None)


def test_notes_within_the_limit_stay_whatever_their_number() -> None:
    plain = saved(photo(), "PNG")
    notes = b"".join(chunk(b"zTXt", b"n\0\0" + zlib.compress(bytes(10_000))) for _ in range(100))
    assert png_without_notes(plain[:33] + notes + plain[33:]) is None
    large = chunk(b"iTXt", b"w\0\1\0\0\0" + zlib.compress(TEXT))
    assert png_without_notes(plain[:33] + notes + large + notes[:100] + plain[33:]) is not None


# -- JPEG --------------------------------------------------------------------------------------------------------------

WAYS = [{"quality": 90}, {"quality": 90, "progressive": True}, {"quality": 30, "subsampling": 0}]


@pytest.mark.parametrize("options", WAYS)
@pytest.mark.parametrize("after", [b"", b"\0", b"SEFHe\0\0\0SEFT" * 3])
def test_a_jpeg_without_its_end_marker_is_read(options: dict[str, object], after: bytes) -> None:
    data = saved(photo(), "JPEG", **options)
    assert data[-2:] == b"\xff\xd9"
    whole, cut = decode(data, None), decode(data[:-2] + after, None)
    assert cut.reason is None
    assert cut.pixels is not None
    assert whole.pixels is not None
    assert np.abs(cut.pixels.astype(int) - whole.pixels).max() == 0


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.98])
def test_a_jpeg_whose_rows_are_missing_is_not(share: float) -> None:
    data = saved(photo(640, 480), "JPEG", quality=90)
    found = decode(data[: int(len(data) * share)], (64, 64))
    assert found.pixels is None
    assert found.reason is not None
    assert found.reason.startswith("truncated JPEG")


def test_rows_outside_of_the_crop_are_missed_too() -> None:
    data = saved(photo(160, 1600), "JPEG", quality=90)  # the crop is its middle, and its end is missing
    found = decode(data[: int(len(data) * 0.9)], (32, 32))
    assert found.pixels is None
    assert found.reason is not None
    assert found.reason.startswith("truncated JPEG")


def test_an_honest_giant_is_shrunk_while_it_is_decoded() -> None:
    data = saved(Image.linear_gradient("L").resize((20_992, 10_496), 0), "JPEG", quality=50)
    found = decode(data, (64, 128))
    assert (found.width, found.height, found.reason) == (20_992, 10_496, None)
    assert found.pixels is not None
    assert found.pixels[0, 0, 0] < 10
    assert found.pixels[-1, -1, 0] > 245


def test_a_claim_too_large_names_the_limit() -> None:
    png = saved(photo(), "PNG")
    head = struct.pack(">II", 30_000, 30_000) + png[24:29]
    data = png[:16] + head + struct.pack(">I", zlib.crc32(b"IHDR" + head)) + png[33:]
    assert decode(data, (8, 8)).reason == "claims 30,000 × 30,000 pixels; at most 200 million are read"


# -- white on clear ----------------------------------------------------------------------------------------------------


def icon(colour: tuple[int, ...], mode: str = "RGBA") -> bytes:
    image = Image.new("RGBA", (64, 64), (255, 255, 255, 0))
    ImageDraw.Draw(image).ellipse((12, 12, 52, 52), outline=colour, width=6)
    return saved(image.convert(mode), "PNG")


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_white_on_clear_is_seen(mode: str) -> None:
    found = decode(icon((255, 255, 255, 255), mode), None)
    assert found.pixels is not None
    assert found.pixels[0, 0].tolist() == [128] * 3
    assert found.pixels[32, 14].tolist() == [255] * 3


def test_all_other_colours_lie_on_white() -> None:
    for colour in ((0, 0, 0, 255), (250, 220, 0, 255), (128, 128, 128, 255)):
        found = decode(icon(colour), None)
        assert found.pixels is not None
        assert found.pixels[0, 0].tolist() == [255] * 3
    clear = decode(saved(Image.new("RGBA", (8, 8), (0, 0, 0, 0)), "PNG"), None)
    assert clear.pixels is not None
    assert (clear.pixels == 255).all()


# -- camera raw --------------------------------------------------------------------------------------------------------


def directory(at: int, entries: list[tuple[int, int, int, int]]) -> bytes:
    body = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return struct.pack("<H", len(entries)) + body + bytes(4)


def negative(preview: bytes | None, turn: int = 1) -> bytes:
    """A digital negative: a black thumbnail first, the camera's own picture in a directory below."""
    thumb, inside = bytes(160 * 120 * 3), preview or b""
    at_sub = 8 + len(thumb) + len(inside)
    sub = directory(at_sub, [(254, 4, 1, 1), (256, 4, 1, 640), (259, 3, 1, 7), (273, 4, 1, 8 + len(thumb))])
    first = [(254, 4, 1, 1), (256, 4, 1, 160), (257, 4, 1, 120), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 8)]
    first += [(274, 3, 1, turn), (277, 3, 1, 3), (279, 4, 1, len(thumb)), (330, 4, 1, at_sub), (50706, 1, 4, 0x401)]
    at = at_sub + len(sub)
    return b"II*\0" + struct.pack("<I", at) + thumb + inside + sub + directory(at, first)


def test_a_raw_file_shows_its_largest_preview() -> None:
    small, large = saved(photo(160, 120), "JPEG"), saved(photo(640, 480), "JPEG", quality=95)
    for data in (
        negative(small + large),
        b"FUJIFILMCCD-RAW 0201" + small + large + bytes(900),
        b"\0\0\0\x18ftypcrx \0\0\0\1" + large + small,
        b"IIRO\x08\0\0\0" + bytes(40) + large,
        b"IIU\0\x18\0\0\0" + large + bytes(200),
    ):
        found = decode(data, None)
        assert (found.width, found.height, found.reason) == (640, 480, None)
        assert found.pixels is not None
        assert (found.pixels == decode(large, None).pixels).all()
        assert probe(data) == (640, 480)


def test_a_raw_file_is_turned_as_its_own_tag_says() -> None:
    found = decode(negative(saved(photo(640, 480), "JPEG"), turn=6), None)
    assert (found.width, found.height) == (480, 640)


def test_a_raw_file_without_a_preview_says_so() -> None:
    for data in (negative(None), negative(saved(photo(160, 120), "JPEG")), b"FUJIFILMCCD-RAW 0201" + bytes(500)):
        found = decode(data, (8, 8))
        assert found.pixels is None
        assert found.reason is not None
        assert found.reason.startswith("camera RAW")


def test_an_ordinary_tiff_is_no_raw_file() -> None:
    assert not is_raw(saved(photo(), "TIFF"))
    assert not is_raw(saved(photo(), "JPEG"))


def test_arrays_with_alpha_follow_the_same_rule() -> None:
    from ilk.data import open_images

    for colour in ((255, 255, 255, 255), (0, 0, 0, 255), (250, 220, 0, 255)):
        data = icon(colour)
        array = np.asarray(Image.open(io.BytesIO(data)))[None]
        found = open_images(array).read([0])[0].permute(1, 2, 0).numpy().astype(int)
        alone = decode(data, None).pixels
        assert alone is not None
        assert np.abs(found - alone).max() <= 1
