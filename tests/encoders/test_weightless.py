"""Encoders without weights: pixels and classic, against plain loops."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ilk import encoders
from ilk.data import open_images
from ilk.encoders.classic import colour_histogram, hog
from ilk.errors import ArgumentError


def test_pixels_are_the_pixels() -> None:
    images = np.random.default_rng(0).integers(0, 255, (9, 28, 20), np.uint8)
    images[5] = images[2]
    source = open_images(images)
    encoder = encoders.build("pixels", source=source)
    assert encoder.image_size == (28, 20)
    result = encoders.encode(source, encoder)
    assert np.array_equal(
        result.features[result.position], (images.reshape(9, -1) / np.float32(255)).astype(np.float16)
    )
    assert result.status[5] == "duplicate"
    assert sorted(result.rows.tolist()) == [0, 1, 2, 3, 4, 6, 7, 8]
    assert result.sizes.tolist() == [560] * 9
    assert result.thumbs.read([0, 5]).shape == (2, 48, 48, 3)
    assert sum(len(block) for block in result.thumbs.blocks(4)) == 9


def test_pixels_of_large_images_are_brought_to_32() -> None:
    source = open_images(np.zeros((3, 100, 80, 3), np.uint8))
    assert encoders.build("pixels", source=source).n_features == 32 * 32 * 3
    assert encoders.build("pixels", source=source, settings={"image_size": 16}).n_features == 16 * 16 * 3


def test_pixels_of_files_equal_pixels_of_arrays(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (5, 20, 20, 3), np.uint8)
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    folder, array = open_images(tmp_path), open_images(images)
    found = [encoders.encode(source, encoders.build("pixels", source=source)) for source in (folder, array)]
    assert np.array_equal(*(result.features[result.position] for result in found))


def test_pixels_come_back(tmp_path: Path) -> None:
    source = open_images(np.random.default_rng(0).integers(0, 255, (3, 12, 12), np.uint8))
    encoder = encoders.build("pixels", source=source)
    again = encoders.rebuild(encoder.spec())
    assert again.key == encoder.key
    colour = torch.randint(0, 255, (2, 3, 12, 12), dtype=torch.uint8)
    assert np.array_equal(again(colour), encoder(colour))
    assert encoder(colour).shape == (2, 144)
    assert encoders.rebuild(encoders.build("classic").spec()).key == encoders.build("classic").key


def plain_hog(image: np.ndarray) -> np.ndarray:
    """HOG of one (h, w, 3) image, pixel by pixel."""
    grey = image.astype(np.float64) @ [0.299, 0.587, 0.114] / 255
    height, width = grey.shape
    cells = np.zeros((height // 16, width // 16, 9))
    for y in range(height):
        for x in range(width):
            dy = grey[y + 1, x] - grey[y - 1, x] if 0 < y < height - 1 else 0.0
            dx = grey[y, x + 1] - grey[y, x - 1] if 0 < x < width - 1 else 0.0
            place = (math.degrees(math.atan2(dy, dx)) % 180) / 20
            low, share = int(place) % 9, place - int(place)
            cells[y // 16, x // 16, low] += math.hypot(dx, dy) * (1 - share) / 256
            cells[y // 16, x // 16, (low + 1) % 9] += math.hypot(dx, dy) * share / 256
    blocks = []
    for y in range(len(cells) - 1):
        for x in range(len(cells[0]) - 1):
            block = np.concatenate([cells[y, x], cells[y, x + 1], cells[y + 1, x], cells[y + 1, x + 1]])
            block = np.minimum(block / math.sqrt((block**2).sum() + 1e-10), 0.2)
            blocks.append(block / math.sqrt((block**2).sum() + 1e-10))
    return np.concatenate(blocks)


def test_hog_against_a_loop() -> None:
    coarse = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8)
    image = np.asarray(Image.fromarray(coarse).resize((64, 48), Image.Resampling.BICUBIC))
    found = hog(torch.from_numpy(image.copy()).permute(2, 0, 1)[None])[0].numpy()
    np.testing.assert_allclose(found, plain_hog(image), atol=2e-4)


def test_hog_of_edges() -> None:
    image = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    image[0, :, :, 8:24] = 255  # upright edges: the gradient points along x, bin 0
    votes = hog(image)[0].reshape(4, 9)
    assert (votes[:, 0] > 0).all()
    assert votes[:, 2:8].abs().max() == 0
    assert hog(image)[1].abs().max() == 0


def test_colour_histogram_against_numpy() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 10, 10), np.uint8)
    found = colour_histogram(torch.from_numpy(pixels)).numpy()
    for image, row in zip(pixels, found, strict=True):
        truth, _ = np.histogramdd(image.reshape(3, -1).T, bins=4, range=[(0, 256)] * 3)
        np.testing.assert_allclose(row, truth.ravel() / 100, atol=1e-6)


def test_classic_is_bounded_and_finite() -> None:
    encoder = encoders.build("classic")
    assert encoder.n_features == 49 * 36 + 64
    assert "say little" in encoder.notes[0]
    black = encoder(torch.zeros(2, 1, 50, 70, dtype=torch.uint8))
    assert np.isfinite(black).all()
    assert np.allclose(np.linalg.norm(black, axis=1), 1)
    with pytest.raises(ArgumentError, match="at least 32"):
        encoders.build("classic", settings={"image_size": 16})
