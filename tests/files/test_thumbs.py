"""Thumbnails: what one shows, and the packs and older sheets that they are read from."""

from __future__ import annotations

import io
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from older import encode_sheet, write_sheets
from PIL import Image

from ilk.errors import DataError
from ilk.files import Sprites, decode, make_thumb, write_thumbs
from ilk.files.sheets import decode_sheet
from ilk.files.thumbs import decode_thumb


def plain(count: int) -> np.ndarray:
    """Thumbnails told apart by their colour."""
    colours = np.stack([np.arange(count) % 256, np.arange(count) // 256 * 40, np.full(count, 90)], 1)
    return np.broadcast_to(colours[:, None, None].astype(np.uint8), (count, 48, 48, 3))


def ramp(height: int, width: int) -> np.ndarray:
    """A smooth picture: red grows to the right, green downwards."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([255 * x / max(1, width - 1), 255 * y / max(1, height - 1), 0 * x + 60], 2).astype(np.uint8)


# -- one ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(8, 8), (28, 28, 1), (48, 48, 3), (24, 48, 3), (1, 1, 3)])
def test_tiny_images_are_kept_as_they_are(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    found = decode_thumb(make_thumb(pixels))
    assert (found == (pixels if pixels.shape[2:] == (3,) else pixels.reshape(*shape[:2], 1))).all()


@pytest.mark.parametrize(
    ("shape", "seen"),
    [
        ((400, 533), (128, 171)),
        ((533, 400), (171, 128)),
        ((128, 128), (128, 128)),
        ((100, 90), (100, 90)),
        ((1000, 100), (200, 100)),
        ((100, 3000), (100, 200)),
        ((3000, 500), (256, 128)),
        ((2, 900), (2, 4)),
    ],
)
def test_sides(shape: tuple[int, int], seen: tuple[int, int]) -> None:
    assert decode_thumb(make_thumb(ramp(*shape))).shape == (*seen, 3)


def test_the_whole_picture_is_shown_and_the_middle_of_a_long_one() -> None:
    whole = decode_thumb(make_thumb(ramp(400, 533))).astype(int)
    assert (
        np.abs(whole - np.asarray(Image.fromarray(ramp(400, 533)).resize((171, 128), Image.Resampling.BOX))).max() < 9
    )
    middle = decode_thumb(make_thumb(ramp(200, 1600))).astype(int)
    assert abs(middle[:, 0, 0].mean() - 255 * 600 / 1600) < 6
    assert abs(middle[:, -1, 0].mean() - 255 * 1000 / 1600) < 6


def test_large_images_are_averaged() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), np.uint8)
    assert decode_thumb(make_thumb(noise)).std() < 25 < noise.std()


def test_grey_costs_no_colour() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (40, 40, 1), np.uint8)
    assert len(make_thumb(np.repeat(grey, 3, 2))) == len(make_thumb(grey)) < 40 * 40 + 200


def test_a_decoded_file_brings_its_thumbnail_upright_and_uncropped() -> None:
    """EXIF orientation 6: stored on its side. The crop for the encoder does not crop the thumbnail."""
    exif = Image.Exif()
    exif[274] = 6
    out = io.BytesIO()
    Image.fromarray(ramp(600, 400)).transpose(Image.Transpose.ROTATE_90).save(out, "JPEG", exif=exif, quality=95)
    found = decode(out.getvalue(), (96, 96), crop_pct=0.5, thumb=True)
    thumb = decode_thumb(found.thumb).astype(int)
    assert thumb.shape == (192, 128, 3)
    assert np.abs(thumb - np.asarray(Image.fromarray(ramp(600, 400)).resize((128, 192)))).max() < 16
    plain_ = decode(out.getvalue(), (96, 96), crop_pct=0.5)
    assert plain_.thumb == b""
    assert np.array_equal(plain_.pixels, found.pixels)


def test_the_helper_sends_thumbnails_too() -> None:
    out = io.BytesIO()
    Image.fromarray(ramp(300, 200)).save(out, "TIFF")
    found = decode(out.getvalue(), (32, 32), thumb=True)
    assert found.pixels is not None
    assert found.pixels.shape == (32, 32, 3)
    assert decode_thumb(found.thumb).shape == (192, 128, 3)
    assert decode(out.getvalue()[:200], (32, 32), thumb=True).thumb == b""


@pytest.mark.parametrize("kind", ["CMYK", "LA", "RGBA", "P", "I;16", "1"])
def test_every_mode_has_a_thumbnail(kind: str) -> None:
    image = Image.fromarray(ramp(300, 300)).convert("L" if kind == "I;16" else kind, dither=Image.Dither.NONE)
    out = io.BytesIO()
    (image.convert("I;16") if kind == "I;16" else image).save(out, "JPEG" if kind == "CMYK" else "PNG")
    found = decode(out.getvalue(), (128, 128), thumb=True)
    assert found.pixels is not None
    assert np.abs(decode_thumb(found.thumb).astype(int) - found.pixels).mean() < 12


@pytest.mark.parametrize(
    "data",
    [b"", b"<svg/>", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF....WEBPVP8 ", make_thumb(ramp(200, 200))[:300]],
)
def test_what_is_no_thumbnail_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match="a thumbnail is damaged"):
        decode_thumb(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_larger_than_a_thumbnail_is_refused_unread(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    Image.new("RGB", (1000, 1000)).save(out, kind)
    monkeypatch.setattr("PIL.Image.Image.convert", lambda *a: pytest.fail("its pixels were unpacked"))
    with pytest.raises(DataError, match=r"1000 × 1000"):
        decode_thumb(out.getvalue())


# -- packs -------------------------------------------------------------------------------------------------------------


def some(count: int, start: int = 0) -> list[bytes]:
    """Thumbnails that differ, of several lengths; every seventh image could not be read."""
    return [
        b"" if i % 7 == 6 else make_thumb(np.full((1 + i % 9, 5), i % 256, np.uint8))
        for i in range(start, start + count)
    ]


def test_packs(tmp_path: Path) -> None:
    thumbs = some(600)
    assert write_thumbs(tmp_path / "thumbs", iter(thumbs)) == 600
    assert sorted(path.name for path in (tmp_path / "thumbs").iterdir()) == ["00000.bin", "00001.bin", "00002.bin"]
    sprites = Sprites(tmp_path / "thumbs")
    for row in np.random.default_rng(0).permutation(600).tolist():
        data, kind = sprites.picture(row)
        assert kind == "image/png"
        assert data == thumbs[row] or (not thumbs[row] and (decode_thumb(data) == 160).all())
    index = [599, 0, 256, 255, 17, 17, 511]
    assert sprites.read(index).shape == (7, 48, 48, 3)
    assert sprites.read(index, 9)[:, 4, 4, 0].tolist() == [row % 256 for row in index]
    assert sprites.read([6])[0].min() == sprites.read([6])[0].max() == 160
    assert sprites.read([]).shape == (0, 48, 48, 3)
    for beyond in (600, -1):
        with pytest.raises(IndexError):
            sprites.picture(beyond)
    with pytest.raises(DataError, match=r"00009\.bin cannot be read"):
        sprites.picture(2400)


@pytest.mark.parametrize("start", [0, 1, 255, 256, 257, 300])
def test_packs_grow(tmp_path: Path, start: int) -> None:
    """What is there stays to the byte, also for who has it open, and what a killed process left beyond is replaced."""
    thumbs, new = some(600), some(50, start + 1000)
    write_thumbs(tmp_path / "thumbs", thumbs[: start + 13] if start else [])
    sprites = Sprites(tmp_path / "thumbs")
    before = [sprites.picture(row)[0] for row in range(start)]
    assert write_thumbs(tmp_path / "thumbs", new, start) == start + 50
    assert [sprites.picture(row)[0] for row in range(start)] == before
    after = [sprites.picture(start + i)[0] for i in range(50)]
    assert [found for found, thumb in zip(after, new, strict=True) if thumb] == [thumb for thumb in new if thumb]
    with pytest.raises((IndexError, DataError)):
        sprites.picture(start + 50)


def test_packs_grow_on_sheets_of_an_older_run(tmp_path: Path) -> None:
    cells = plain(300)
    write_sheets(tmp_path / "thumbs", cells)
    assert write_thumbs(tmp_path / "thumbs", some(20, 1), 300) == 320
    sprites = Sprites(tmp_path / "thumbs")
    found = sprites.read(range(300))
    assert np.abs(found.astype(int) - cells).max() <= 12
    assert sprites.picture(301)[0] == some(20, 1)[1]


def test_nothing_is_written_where_there_is_nothing(tmp_path: Path) -> None:
    assert write_thumbs(tmp_path / "thumbs", []) == 0
    assert not (tmp_path / "thumbs").exists()


def test_packs_cannot_grow_past_what_is_missing(tmp_path: Path) -> None:
    write_thumbs(tmp_path / "thumbs", some(10))
    with pytest.raises(DataError, match="fewer than 20"):
        write_thumbs(tmp_path / "thumbs", some(1), 20)


def test_many_threads_read_at_once(tmp_path: Path) -> None:
    thumbs = some(520)
    write_thumbs(tmp_path / "thumbs", thumbs)
    write_sheets(tmp_path / "old", plain(520))
    for folder in ("thumbs", "old"):
        sprites, together = Sprites(tmp_path / folder), threading.Barrier(8)
        alone = [Sprites(tmp_path / folder).picture(row)[0] for row in range(0, 520, 13)]

        def all_of(_: int, sprites: Sprites = sprites, together: threading.Barrier = together) -> list[bytes]:
            together.wait()
            return [sprites.picture(row)[0] for row in range(0, 520, 13)]

        with ThreadPoolExecutor(8) as pool:
            assert all(found == alone for found in pool.map(all_of, range(8)))


HEAD = b"ilk thumbnails 1"


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"nonsense",
        HEAD,
        HEAD + struct.pack("<I", 0),
        HEAD + struct.pack("<I", 2**31),
        HEAD + struct.pack("<IIII", 2, 32, 40, 50),  # ends beyond the file
        HEAD + struct.pack("<IIII", 2, 32, 36, 34) + b"ab",  # runs backwards
        HEAD + struct.pack("<III", 1, 0, 30) + b"ab",  # begins in the table
        HEAD + struct.pack("<III", 1, 28, 28 + 2**18) + bytes(2**18),  # longer than any thumbnail
    ],
)
def test_damaged_packs_are_named(tmp_path: Path, damaged: bytes) -> None:
    write_thumbs(tmp_path / "thumbs", some(300))
    (tmp_path / "thumbs" / "00000.bin").write_bytes(damaged)
    sprites = Sprites(tmp_path / "thumbs")
    for read in (sprites.picture, sprites.pixels, lambda row: sprites.read([row])):
        with pytest.raises(DataError, match=r"00000\.bin"):
            read(3)
    assert sprites.picture(299)[0] == some(300)[299]  # the others still serve


def test_a_damaged_thumbnail_is_named_with_its_pack(tmp_path: Path) -> None:
    write_thumbs(tmp_path / "thumbs", [b"<script>alert(1)</script>", *some(3)])
    with pytest.raises(DataError, match=r"00000\.bin: a thumbnail is damaged"):
        Sprites(tmp_path / "thumbs").picture(0)
    assert Sprites(tmp_path / "thumbs").picture(1)[1] == "image/png"


# -- sheets of an older ilk --------------------------------------------------------------------------------------------


def test_sheets(tmp_path: Path) -> None:
    thumbs = plain(600)
    write_sheets(tmp_path, thumbs)
    sprites, index = Sprites(tmp_path), np.array([599, 0, 256, 255, 17, 17, 511])
    assert np.abs(sprites.read(index).astype(int) - thumbs[index]).max() <= 12
    data, kind = sprites.picture(511)
    assert kind == "image/png"
    assert (decode_thumb(data) == sprites.read([511])[0]).all()
    for beyond in (-1, 760):
        with pytest.raises(IndexError):
            sprites.picture(beyond)
    (tmp_path / "00000.webp").write_bytes(b"nonsense")
    with pytest.raises(DataError, match="damaged"):
        Sprites(tmp_path).read([0])


def test_partial_sheet() -> None:
    data = encode_sheet(plain(17))
    assert decode_sheet(data, 17).shape == (17, 48, 48, 3)
    assert len(decode_sheet(data)) == 32
    with pytest.raises(DataError, match="holds 32"):
        decode_sheet(data, 33)
    with pytest.raises(ValueError, match="a sheet holds"):
        encode_sheet(plain(257))
