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
    assert images.samples == Samples(uint16=(304.0, 355.0))
    first, second = (images.read([i])[0, 0].numpy().astype(int) for i in (0, 1))
    assert second.mean() - first.mean() > 60  # alone, both would reach from black to white
    assert any("304" in note and "355" in note and "range=" in note for note in images.notes)


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


def test_nothing_is_looked_at_where_all_have_eight_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = folder_of(tmp_path / "set", {f"{i}.jpg": pillow(np.zeros((8, 8), np.uint8), "JPEG") for i in range(3)})
    listing = open_source(place)
    monkeypatch.setattr(type(listing), "read", lambda *_: pytest.fail("read"))
    assert survey(listing) == (Samples(), [])


def test_samples_survive_a_journey() -> None:
    samples = Samples((1.0, 2.5), None, (-3.0, 4.0), (3, 2, 1))
    assert Samples.from_told(samples.told()) == samples
    assert Samples.decoded(samples.encoded()) == samples
    assert Samples().key() == ""
    assert Samples.decoded(b"") == Samples()
    assert samples.key() != Samples((1.0, 2.5), None, (-3.0, 4.0)).key()


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
    assert found.cluster.tolist() == [labels["cold00.tif"]]
    model = run.model()
    model.save(tmp_path / "model.ilk")
    for one in (model, ilk.load(tmp_path / "model.ilk")):
        assert one.samples == Samples.from_told(told)
        assert one.predict([cold / "alone.tif"]).tolist() == [labels["cold00.tif"]]


def test_the_user_says_so_on_the_command_line(tmp_path: Path) -> None:
    from ilk import jobs

    place = folder_of(tmp_path / "set", {f"{i}.tif": tiff((RAMP * 50 * (i + 1)).astype(np.uint16)) for i in range(8)})
    options = {"n_clusters": 2, "encoder": "pixels", "preset": "tiny", "range": "0,1000"}
    run = jobs.cluster(place, tmp_path / "run", options=options)
    assert run.header["source"]["samples"]["uint16"] == [0, 1000]
    with pytest.raises(ArgumentError, match="range"):
        jobs.cluster(place, tmp_path / "other", options={**options, "range": "some"})
