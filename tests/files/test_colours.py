"""Colours are sRGB: profiles of every kind, and none."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin

from ilk.files import decode

COLOURS = [(200, 60, 50), (70, 170, 80), (30, 60, 200), (128, 128, 128), (250, 245, 240), (12, 14, 10)]


def profile(columns: tuple[tuple[float, float, float], ...], gamma: float) -> bytes:
    """A display profile of version 2: the XYZ (D50) of its primaries, and a curve."""

    def fixed(values: tuple[float, ...]) -> bytes:
        return b"".join(struct.pack(">i", round(v * 65536)) for v in values)

    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + b"\0" * 78,
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": b"XYZ \0\0\0\0" + fixed((0.9642, 1.0, 0.8249)),
    }
    for letter, column in zip("rgb", columns, strict=True):
        tags[f"{letter}XYZ".encode()] = b"XYZ \0\0\0\0" + fixed(column)
        tags[f"{letter}TRC".encode()] = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    table, body, at = b"", b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        padded = data + b"\0" * (-len(data) % 4)
        table += name + struct.pack(">II", at + len(body), len(padded))
        body += padded
    head = struct.pack(">I4sI4s4s4s", 132 + len(table) + len(body), b"lcms", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + fixed((0.9642, 1.0, 0.8249))
    return head + bytes(128 - len(head)) + struct.pack(">I", len(tags)) + table + body


SRGB = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
P3 = profile(((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)), 2.2)
ADOBE = profile(((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446)), 2.2)
SWAPPED = profile(SRGB[::-1], 2.2)


def scene() -> Image.Image:
    return Image.fromarray(np.repeat(np.array([COLOURS], np.uint8), 16, 0).repeat(16, 1))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def shown(data: bytes) -> NDArray[np.int16]:
    found = decode(data, None)
    assert found.reason is None
    assert found.pixels is not None
    return found.pixels.astype(np.int16)


@pytest.mark.parametrize("data", [P3, ADOBE, SWAPPED], ids=["Display P3", "Adobe RGB", "red and blue exchanged"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_every_device_shows_the_same_scene(data: bytes, kind: str) -> None:
    there = ImageCms.profileToProfile(
        scene(), ImageCms.createProfile("sRGB"), ImageCms.ImageCmsProfile(io.BytesIO(data)), renderingIntent=1
    )
    assert there is not None
    options = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}[kind]
    found = shown(saved(there, kind, icc_profile=data, **options))
    assert np.abs(found - np.asarray(scene(), np.int16)).max() <= 6
    plain = shown(saved(Image.fromarray(np.asarray(there)), kind, **options))
    assert np.abs(plain - np.asarray(scene(), np.int16)).max() > 12  # the profile did it


def test_srgb_by_another_name_changes_nothing() -> None:
    named = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert (shown(saved(scene(), "PNG", icc_profile=named)) == np.asarray(scene(), np.int16)).all()


@pytest.mark.parametrize("data", [b"no profile at all" * 20, P3[:200], P3[:128] + bytes(400)])
def test_a_damaged_profile_is_left_alone(data: bytes) -> None:
    assert (shown(saved(scene(), "PNG", icc_profile=data)) == np.asarray(scene(), np.int16)).all()


def test_a_profile_of_another_kind_of_picture_is_left_alone() -> None:
    grey = scene().convert("L")
    assert (shown(saved(grey, "PNG", icc_profile=SWAPPED))[..., 0] == np.asarray(grey, np.int16)).all()


def test_alpha_stays() -> None:
    image = scene().convert("RGBA")
    image.putalpha(Image.new("L", image.size, 0))
    image.paste((50, 60, 200, 255), (0, 0, 20, 16))  # red, through a profile that exchanges it with blue
    found = shown(saved(image, "PNG", icc_profile=SWAPPED))
    assert np.abs(found[2, 2] - [200, 60, 50]).max() <= 6
    assert (found[2, 60] == 255).all()


def test_palettes_have_profiles_too() -> None:
    image = Image.fromarray(np.asarray(scene())[..., ::-1].copy()).quantize(16)
    found = shown(saved(image, "PNG", icc_profile=SWAPPED))
    assert np.abs(found - np.asarray(scene(), np.int16)).max() <= 8


def test_the_gamma_of_a_png() -> None:
    linear = np.array([[0.0, 0.02, 0.2, 0.5, 1.0]]).repeat(4, 0)
    expected = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255
    chunks = PngImagePlugin.PngInfo()
    chunks.add(b"gAMA", struct.pack(">I", 100_000))
    data = saved(Image.fromarray(np.rint(linear * 255).astype(np.uint8)), "PNG", pnginfo=chunks)
    np.testing.assert_allclose(shown(data)[..., 0], expected, atol=2)
    usual = PngImagePlugin.PngInfo()
    usual.add(b"gAMA", struct.pack(">I", 45_455))
    same = np.rint(linear * 255).astype(np.uint8)
    assert (shown(saved(Image.fromarray(same), "PNG", pnginfo=usual))[..., 0] == same).all()
