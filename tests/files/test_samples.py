"""Samples beyond 8 bits: one rule for black and white, of a file alone and of a whole set."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from ilk.data import open_images
from ilk.errors import ArgumentError
from ilk.files import Samples, decode, open_source, survey

RAMP = np.linspace(0.1, 0.9, 64)[None].repeat(64, 0)
Values = NDArray[np.generic]


def tiff(values: Values, **options: object) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, values, **{"photometric": "minisblack", **options})
    return out.getvalue()


def pillow(values: Values, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(values).save(out, kind, **options)
    return out.getvalue()


def grey(data: bytes, samples: Samples = Samples()) -> NDArray[np.int16]:  # noqa: B008
    found = decode(data, None, samples=samples)
    assert found.reason is None
    assert found.pixels is not None
    return found.pixels[..., 0].astype(np.int16)


def test_a_bright_pixel_does_not_blacken_a_picture_of_floats() -> None:
    plain = RAMP.astype(np.float32)
    bright = plain.copy()
    bright[0, 0] = 2.5
    np.testing.assert_allclose(grey(tiff(plain)), np.rint(plain * 255), atol=1)
    np.testing.assert_allclose(grey(tiff(bright))[1:], grey(tiff(plain))[1:], atol=3)


def test_twelve_bits_in_sixteen_are_seen() -> None:
    for kind in ("TIFF", "PNG"):
        found = grey(pillow((RAMP * 4095).astype(np.uint16), kind))
        assert found.min() <= 1
        assert found.max() >= 254
    full = (RAMP * 65535).astype(np.uint16)  # reaches the upper half: the type's own range
    np.testing.assert_allclose(grey(pillow(full, "PNG")), np.rint(full / 257), atol=1)


def test_a_stated_depth_decides_for_its_file() -> None:
    import struct

    values = (RAMP * 1000).astype("<u2")
    data = values.tobytes()
    tags = [(256, 4, 64), (257, 4, 64), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1), (278, 4, 64)]
    packed = bytearray()
    for a, b in values.reshape(-1, 2).tolist():  # 12 bits a sample, two in three bytes
        packed += bytes((a >> 4, (a & 15) << 4 | b >> 8, b & 255))
    tags.append((279, 4, len(packed)))
    head = b"II*\0" + struct.pack("<I", 8 + len(packed)) + bytes(packed)
    data = (
        head + struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", t, k, 1, v) for t, k, v in tags) + bytes(4)
    )
    np.testing.assert_allclose(grey(data), np.rint(values * (255 / 4095)), atol=1)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.float64])
def test_no_data_is_left_out_of_the_range(dtype: type) -> None:
    values = (RAMP * 1000 + 500).astype(dtype)
    values[:8] = -9999
    found = grey(tiff(values, extratags=[(42113, 2, 5, "-9999", True)]))
    assert (found[:8] == 0).all()
    assert found[8:].max() - found[8:].min() > 250
    np.testing.assert_allclose(found[10], np.rint((values[10] - values[10].min()) / np.ptp(values[10]) * 255), atol=3)


def test_no_data_by_pillows_own_tag() -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[42113] = "-9999"
    tags.tagtype[42113] = 2
    values = (RAMP * 1000).astype(np.float32)
    values[:8] = -9999
    assert grey(pillow(values, "TIFF", tiffinfo=tags))[8:].std() > 60


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_zero_may_be_white(dtype: type) -> None:
    values = (RAMP * np.iinfo(dtype).max).astype(dtype)
    straight, turned = grey(tiff(values)), grey(tiff(np.bitwise_not(values), photometric="miniswhite"))
    np.testing.assert_allclose(straight, turned, atol=1)
    assert straight[0, -1] > straight[0, 0] + 150


@pytest.mark.parametrize(
    "values",
    [RAMP.astype(np.float64), RAMP.astype(np.float16), np.repeat(RAMP[..., None], 3, 2).astype(np.float32)],
    ids=["float64", "float16", "RGB float32"],
)
def test_floats_that_pillow_refuses(values: Values) -> None:
    rgb = values.ndim == 3
    found = grey(tiff(values, photometric="rgb" if rgb else "minisblack"))
    np.testing.assert_allclose(found, np.rint(RAMP * 255), atol=2)


def test_bands_are_chosen() -> None:
    bands = np.stack([np.full((32, 32), 100 * (i + 1), np.uint16) for i in range(13)], -1)
    data = tiff(bands, planarconfig="contig")
    shown = decode(data, None, samples=Samples(uint16=(0.0, 2000.0))).pixels
    assert shown is not None
    assert shown[0, 0].tolist() == [13, 26, 38]  # bands 1, 2, 3 of 2000
    shown = decode(data, None, samples=Samples(uint16=(0.0, 2000.0), bands=(4, 3, 2))).pixels
    assert shown is not None
    assert shown[0, 0].tolist() == [51, 38, 26]
    assert decode(data, None, samples=Samples(bands=(14,))).reason == "has 13 bands: there is no band 14"


def test_colours_of_sixteen_bits_keep_their_depth() -> None:
    values = np.repeat((RAMP * 1023)[..., None], 3, 2).astype(np.uint16)
    assert grey(tiff(values, photometric="rgb")).max() >= 254


def test_what_cannot_be_read_is_named() -> None:
    volume = tiff(np.zeros((4, 16, 16, 16), np.float64), volumetric=True, tile=(16, 16, 16))
    reason = decode(volume, (8, 8)).reason
    assert reason is not None
    assert "TIFF" in reason
    assert "header cannot be read" not in reason


def test_a_reason_is_one_printable_line() -> None:
    data = bytearray(tiff(np.zeros((8, 8, 7), np.uint16), planarconfig="contig"))
    at = data.index(b"\x03\x01\x03\0\x01\0\0\0\x01\0")  # compression: none
    data[at + 8 : at + 10] = b"\x01\x01"
    reason = decode(bytes(data), (4, 4)).reason
    assert reason is not None
    assert reason.isprintable()
    assert "7 bands of uint16 (compression 257)" in reason


def test_values_of_eight_bits_in_a_wider_type_are_taken_as_they_are() -> None:
    ramp = np.arange(256, dtype=np.int32)[None].repeat(16, 0)
    assert grey(tiff(ramp))[0].tolist() == ramp[0].tolist()
    assert grey(tiff(ramp.astype(np.float32)))[0].tolist() == ramp[0].tolist()


# -- the set -----------------------------------------------------------------------------------------------------------


def folder_of(path: Path, pictures: dict[str, bytes]) -> Path:
    path.mkdir()
    for name, data in pictures.items():
        (path / name).write_bytes(data)
    return path


def test_two_files_with_the_same_value_look_the_same(tmp_path: Path) -> None:
    dark, light = (RAMP * 40 + 300).astype(np.uint16), (RAMP * 40 + 320).astype(np.uint16)
    place = folder_of(tmp_path / "thermal", {"a.png": pillow(dark, "PNG"), "b.tif": tiff(light)})
    images = open_images(place)
    assert images.samples.uint16 is not None
    np.testing.assert_allclose(images.samples.uint16, (304, 356), atol=1)
    first, second = (images.read([i])[0, 0].numpy().astype(int) for i in (0, 1))
    assert second.mean() - first.mean() > 60  # alone, both would reach from black to white
    assert any("as black" in note and "range=" in note for note in images.notes)


def test_the_user_says_what_is_black_and_white(tmp_path: Path) -> None:
    place = folder_of(tmp_path / "one", {"a.tif": tiff((RAMP * 100).astype(np.uint16))})
    whole, half = (open_images(place, range=asked).read([0]).numpy().max() for asked in ("dtype", "0,180"))
    assert whole == 0
    assert half in (127, 128)
    for wrong in ("bright", "5,1", (1, 2, 3)):
        with pytest.raises(ArgumentError, match="LOW,HIGH"):
            open_images(place, range=wrong)
    with pytest.raises(ArgumentError, match="bands"):
        open_images(place, bands="1,2")


def test_stacks_and_bands_are_said(tmp_path: Path) -> None:
    stack = tiff(np.zeros((5, 32, 32), np.uint8))
    many = tiff(np.zeros((32, 32, 7), np.uint8), planarconfig="contig")
    _, notes = survey(open_source(folder_of(tmp_path / "set", {"a.tif": stack, "b.tif": many})))
    assert any("1 of 2 files looked at hold several pages" in note for note in notes)
    assert any("7 bands" in note for note in notes)


def test_a_few_are_looked_at_where_all_are_called_like_pictures_of_eight_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = {f"{i:02d}.jpg": pillow(np.zeros((8, 8), np.uint8), "JPEG") for i in range(40)}
    listing = open_source(folder_of(tmp_path / "set", pictures))
    seen: list[int] = []
    read = type(listing).read
    monkeypatch.setattr(type(listing), "read", lambda self, i: (seen.append(i), read(self, i))[1])
    assert survey(listing) == (Samples(), [])
    assert len(seen) <= 16


def test_endings_do_not_hide_samples(tmp_path: Path) -> None:
    pictures = {f"{i}.jpg": pillow((RAMP * (1000 if i % 2 else 30_000)).astype(np.uint16), "PNG") for i in range(4)}
    samples, _ = survey(open_source(folder_of(tmp_path / "set", pictures)))
    assert samples.uint16 is not None
    assert samples.uint16[1] == 27_000


def test_values_come_from_all_over_a_picture(tmp_path: Path) -> None:
    wide = np.random.default_rng(0).integers(1000, 9000, (1024, 2048)).astype(np.uint16)
    wide[:, :8] = 100  # the dark edge of a sensor
    samples, _ = survey(open_source(folder_of(tmp_path / "set", {"a.tif": tiff(wide)})))
    assert samples.uint16 is not None
    assert 8500 < samples.uint16[1] < 9000


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.linspace(0, 4e9, 4096).reshape(64, 64).astype(np.uint32), [0, 128, 191, 255]),
        (np.linspace(-128, 127, 4096).reshape(64, 64).astype(np.int8), [0, 128, 191, 255]),
        (np.linspace(-3e4, 3e4, 4096).reshape(64, 64).astype(np.int16), [0, 128, 191, 255]),
    ],
    ids=["uint32", "int8", "int16"],
)
def test_signs_and_sizes_of_integers(values: Values, expected: list[int]) -> None:
    found = grey(tiff(values))
    np.testing.assert_allclose([found[0, 0], found[32, 0], found[48, 0], found[63, 63]], expected, atol=2)


def fits(raw: Values, bits: int, *cards: str) -> bytes:
    lines = [f"{'SIMPLE':8}= {'T':>20}", f"{'BITPIX':8}= {bits:20d}", f"{'NAXIS':8}= {2:20d}"]
    lines += [f"{'NAXIS1':8}= {raw.shape[1]:20d}", f"{'NAXIS2':8}= {raw.shape[0]:20d}", *cards, "END"]
    head = "".join(line.ljust(80) for line in lines).encode()
    body = raw.tobytes()
    return head.ljust(-(-len(head) // 2880) * 2880) + body.ljust(-(-len(body) // 2880) * 2880, b"\0")


def test_fits_is_signed_shifted_and_upside_down() -> None:
    ramp = np.linspace(0, 65535, 4096).reshape(64, 64)
    shifted = fits((ramp - 32768).astype(">i2"), 16, f"{'BZERO':8}= {32768.0:20}")
    np.testing.assert_allclose(grey(shifted), np.rint(ramp[::-1] / 257), atol=1)
    signed = np.linspace(-100, 1000, 4096).reshape(64, 64)
    np.testing.assert_allclose(grey(fits(signed.astype(">i2"), 16)), np.rint((signed[::-1] + 100) / 1100 * 255), atol=2)
    blank = signed.astype(">i2")
    blank[:32] = -9999
    found = grey(fits(blank, 16, f"{'BLANK':8}= {-9999:20d}"))
    assert (found[32:] == 0).all()
    assert found[:32].max() == 255
    floats = fits(RAMP.astype(">f4"), -32)
    np.testing.assert_allclose(grey(floats), np.rint(RAMP[::-1] * 255), atol=1)
    assert decode(floats[:3000], (8, 8)).reason == "truncated FITS: it ends too early"


def test_a_tiff_in_sixteen_bits_is_read_as_one_in_eight() -> None:
    plain = np.zeros((40, 80, 3), np.uint8)
    plain[:20], plain[20:] = (200, 60, 50), (50, 60, 200)
    deep = plain.astype(np.uint16) * 257
    whole = Samples(dtype=True)
    turned = [(274, "H", 1, 6, True)]
    one, other = (decode(tiff(v, photometric="rgb", extratags=turned), None, samples=whole) for v in (plain, deep))
    assert (one.width, one.height) == (other.width, other.height) == (40, 80)
    assert one.pixels is not None
    assert (one.pixels == other.pixels).all()
    clear = np.dstack([plain, np.tile(np.array([0, 255], np.uint8), (40, 40))])
    one, other = (
        decode(tiff(v, photometric="rgb", extrasamples=["unassalpha"]), None, samples=whole)
        for v in (clear, clear.astype(np.uint16) * 257)
    )
    assert one.pixels is not None
    assert other.pixels is not None
    assert np.abs(one.pixels.astype(int) - other.pixels).max() <= 1
    assert other.pixels[0, 0].tolist() == [255] * 3


def test_the_first_page_may_be_a_small_copy() -> None:
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as file:
        file.write(np.full((12, 16, 3), 90, np.uint8), photometric="rgb", subfiletype=1)
        file.write(np.full((120, 160, 3), 200, np.uint8), photometric="rgb", subfiletype=0)
    found = decode(out.getvalue(), None)
    assert (found.width, found.height) == (160, 120)
    assert found.pixels is not None
    assert found.pixels[0, 0].tolist() == [200] * 3


def test_what_the_user_asks_for_is_followed(tmp_path: Path) -> None:
    pgm = b"P5 64 64 65535\n" + (RAMP * 63 + 300).astype(">u2").tobytes()
    assert grey(pgm, Samples((300.0, 363.0), (300.0, 363.0))).max() >= 225
    stated = b"P5 64 64 1023\n" + (RAMP * 1023).astype(">u2").tobytes()
    np.testing.assert_allclose(grey(stated, Samples((0.0, 9.0))), np.rint(RAMP * 255), atol=1)  # its depth is stated
    for top in (100, 10_000):
        found = grey(tiff((RAMP * top).astype(np.int16)), Samples(dtype=True))
        assert abs(int(found.max()) - (0.9 * top + 32768) / 65535 * 255) <= 1


def test_colours_that_are_read_by_half_are_said(tmp_path: Path) -> None:
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(16 * 6) for _ in range(16))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0))
    png = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert decode(png, None).reason is None
    place = folder_of(tmp_path / "set", {"a.png": png, "b.png": pillow((RAMP * 999).astype(np.uint16), "PNG")})
    assert any("1 of 2 files looked at have colours or opacity of 16 bits" in note for note in open_images(place).notes)


def test_a_range_is_for_files() -> None:
    for wrong in ({"range": "0,9"}, {"bands": 2}):
        with pytest.raises(ArgumentError, match="arrays are uint8 pixels already"):
            open_images(np.zeros((3, 8, 8), np.uint8), **wrong)
        with pytest.raises(ArgumentError, match="features have no pixels"):
            open_images(np.zeros((3, 8), np.float32), **wrong)


def test_samples_survive_a_journey() -> None:
    samples = Samples((1.0, 2.5), None, (-3.0, 4.0), bands=(3, 2, 1))
    assert Samples.from_record(samples.as_record()) == samples
    assert Samples.decoded(samples.encoded()) == samples
    assert Samples().key() == ""
    assert Samples.decoded(b"") == Samples()
    assert samples.key() != Samples((1.0, 2.5), None, (-3.0, 4.0)).key()
    assert Samples((1234560.0, 1234562.0)).key() != Samples((1234562.0, 1234564.0)).key()
    assert Samples.from_record(Samples(dtype=True).as_record()) == Samples(dtype=True)


# -- a run -------------------------------------------------------------------------------------------------------------


def test_new_images_are_read_as_those_of_the_run_were(tmp_path: Path) -> None:
    import ilk
    from ilk import jobs

    rng = np.random.default_rng(0)
    pictures = {}
    for i in range(16):  # a warm spot on cold ground, or none: values from 300 to 363
        values = rng.integers(300, 310, (32, 32)).astype(np.uint16)
        if i % 2:
            values[8:24, 8:24] += 50
        pictures[f"{'spot' if i % 2 else 'cold'}{i:02d}.tif"] = tiff(values)
    place = folder_of(tmp_path / "set", pictures)
    run = jobs.cluster(place, tmp_path / "run", options={"n_clusters": 2, "encoder": "pixels", "preset": "tiny"})
    told = run.header["source"]["samples"]
    assert told["uint16"][0] == 300
    assert 355 <= told["uint16"][1] <= 360
    assert any("--set range=" in note for note in run.header["summary"]["warnings"])
    labels = dict(zip(run.images()["path"], run.labels().tolist(), strict=True))
    cold = folder_of(tmp_path / "new", {"alone.tif": pictures["cold00.tif"]})  # by its own values it would be all noise
    found = jobs.predict(run, cold)
    assert found.group.tolist() == [labels["cold00.tif"]]
    model = run.model()
    model.save(tmp_path / "model.ilk")
    for one in (model, ilk.load(tmp_path / "model.ilk")):
        assert one.samples == Samples.from_record(told)
        assert one.predict([cold / "alone.tif"]).tolist() == [labels["cold00.tif"]]


def test_the_user_says_so_on_the_command_line(tmp_path: Path) -> None:
    from ilk import jobs

    place = folder_of(tmp_path / "set", {f"{i}.tif": tiff((RAMP * 50 * (i + 1)).astype(np.uint16)) for i in range(8)})
    options = {"n_clusters": 2, "encoder": "pixels", "preset": "tiny", "range": "0,1000"}
    run = jobs.cluster(place, tmp_path / "run", options=options)
    assert run.header["source"]["samples"]["uint16"] == [0, 1000]
    with pytest.raises(ArgumentError, match="range"):
        jobs.cluster(place, tmp_path / "other", options={**options, "range": "some"})
