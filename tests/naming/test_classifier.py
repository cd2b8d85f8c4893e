"""Which images are looked at, by what; and real photos, by the real network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import softmax as scipy_softmax

from ilk import encoders, naming
from ilk.data import ArrayImages, open_images
from ilk.encoders import FrozenEncoder, encode
from ilk.naming import classifier


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def album(home: Path) -> Path:
    """Crops of the two photos that come with scikit-learn: a temple, a flower."""
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(0)
    (home / "album").mkdir()
    for name, image in zip(("temple", "flower"), load_sample_images().images, strict=True):
        for i in range(16):
            side, left = int(rng.integers(405, 428)), int(rng.integers(0, 120))
            top = int(rng.integers(0, image.shape[0] - side + 1))
            Image.fromarray(image[top : top + side, left : left + side]).save(home / "album" / f"{name}_{i:02}.png")
    return home / "album"


def test_softmax() -> None:
    logits = np.random.default_rng(0).normal(0, 30, (50, 7)).astype(np.float32)
    assert np.allclose(classifier.softmax(logits), scipy_softmax(logits, 1), atol=1e-6)


def test_the_most_central_images_of_each_group() -> None:
    rng = np.random.default_rng(0)
    labels, distance = rng.integers(-1, 5, 300), rng.random(300).astype(np.float32)
    rows = classifier.sample(labels, distance, 7, 1000)
    assert np.bincount(labels[rows]).tolist() == [7] * 5
    for group in range(5):
        mine = rows[labels[rows] == group]
        assert distance[mine].max() < distance[np.setdiff1d(np.flatnonzero(labels == group), mine)].min()
    assert len(classifier.sample(labels, distance, 7, 22)) == 5 * 4
    assert len(classifier.sample(labels, distance, 7, 19)) == 0  # fewer than 4 of each
    assert len(classifier.sample(np.full(9, -1), distance[:9], 7, 99)) == 0


def test_what_a_photo_shows(album: Path, home: Path) -> None:
    """The real network on real photos: its own features as they are, or looked at again, say the same."""
    source = open_images(album)
    fast = encoders.build("fast", device="cpu", cache=home / "cache")
    encoded = encode(source, fast, cache=home / "cache")
    labels = np.array([int("flower" in source.names()[row]) for row in encoded.rows])
    distance = np.zeros(32, np.float32)

    free = classifier.classified(fast, source, encoded, labels, distance)
    looked = classifier.classified(None, source, encoded, labels, distance, device="cpu", cache=home / "cache")
    assert free is not None
    assert looked is not None
    assert np.allclose(free.probabilities, looked.probabilities[np.argsort(_rows(labels))], atol=0.02)
    assert np.array_equal(free.labels, labels)

    found = naming.name_groups(fast, source, encoded, labels, distance)
    words = {group: [one.word for one in guesses] for group, guesses in found.words.items()}
    assert "palace" in words[0]  # a Chinese one; with other crops: building
    assert "daisy" in words[1]
    assert found.notes == []
    chosen = naming.name_groups(fast, source, encoded, labels, distance, words=["flower", "daisies", "palace", "cat"])
    assert {group: [one.word for one in guesses] for group, guesses in chosen.words.items()}[1] == ["daisies"]
    assert chosen.notes == ["words that the network does not know, and never uses: flower"]
    none = naming.name_groups(fast, source, encoded, labels, distance, words=["cat", "dog"])
    assert none.words == {0: [], 1: []}
    assert none.notes == ["none of the words fits any group well enough to be shown"]


def _rows(labels: np.ndarray) -> np.ndarray:
    return classifier.sample(labels, np.zeros(len(labels), np.float32), 24, 720)


# -- with a stand-in for the network -----------------------------------------------------------------------------------


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> FrozenEncoder:
    """1,280 numbers from the mean colour, in the place of the network."""
    mix = torch.rand((3, 1280), generator=torch.Generator().manual_seed(0))

    def forward(pixels: torch.Tensor) -> np.ndarray:
        return (pixels.float().mean((2, 3)) @ mix / 255).numpy()

    made = FrozenEncoder("toy", {}, "toy", 16, 1280, forward)
    monkeypatch.setattr(encoders, "build", lambda name, **_: made)
    return made


def test_other_encoders_have_the_network_look_at_the_central_images(stand_in: FrozenEncoder) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (80, 100, 90, 3), np.uint8)
    source = ArrayImages(pixels)
    other = replace(stand_in, name="other", key="other")
    encoded = encode(source, other)
    labels, distance = np.arange(80) % 2, np.arange(80, dtype=np.float32)
    seen = classifier.classified(other, source, encoded, labels, distance)
    assert seen is not None
    rows = np.r_[np.arange(0, 48, 2), np.arange(1, 48, 2)]
    assert seen.labels.tolist() == labels[rows].tolist()
    wanted = stand_in(source.sized(16).read(encoded.rows[rows]))
    head = encoders.bundled.state(classifier.NETWORK)
    logits = wanted @ head["classifier.weight"].numpy().T + head["classifier.bias"].numpy()
    assert np.allclose(seen.probabilities, scipy_softmax(logits, 1), atol=1e-4)


def test_a_part_of_an_encoder_is_at_hand(monkeypatch: pytest.MonkeyPatch, stand_in: FrozenEncoder) -> None:
    """Two side by side, one of them the network: nothing is built, and its weights decide whether it is the one."""
    head = encoders.bundled.state(classifier.NETWORK)
    backbone = {k: v for k, v in head.items() if "classifier" not in k and not k.endswith("num_batches_tracked")}
    right = encoders.weights.content(backbone)
    part = replace(stand_in, name=classifier.NETWORK, settings={"pool": "gap"}, weights_hash=right)
    source = ArrayImages(np.random.default_rng(0).integers(0, 255, (20, 100, 90, 3), np.uint8))
    encoded = encode(source, stand_in)
    labels, distance = np.arange(20) % 2, np.zeros(20, np.float32)
    built: list[str] = []
    monkeypatch.setattr(encoders, "build", lambda name, **_: built.append(name) or stand_in)
    for hashed, expected in ((right, []), ("of other weights", [classifier.NETWORK])):
        joined = replace(stand_in, name="both", parts=[stand_in, replace(part, weights_hash=hashed)])
        assert classifier.classified(joined, source, encoded, labels, distance) is not None
        assert built == expected


def test_small_images_get_no_words(stand_in: FrozenEncoder) -> None:
    source = ArrayImages(np.random.default_rng(0).integers(0, 255, (40, 64, 30), np.uint8))
    encoded = encode(source, stand_in)
    labels, distance = np.arange(40) % 2, np.zeros(40, np.float32)
    asked: list[int] = []
    found = naming.name_groups(stand_in, source, encoded, labels, distance, before=lambda: asked.append(1))
    assert (found.words, found.notes, asked) == ({}, [], [])
    found = naming.name_groups(stand_in, source, encoded, labels, distance, words=["cat"])
    assert found.words == {}
    assert "these images are small (64 pixels)" in found.notes[0]


def test_too_many_groups(stand_in: FrozenEncoder) -> None:
    source = ArrayImages(np.random.default_rng(0).integers(0, 255, (400, 70, 70), np.uint8))
    found = naming.name_groups(
        stand_in, source, encode(source, stand_in), np.arange(400) // 2, np.zeros(400, np.float32)
    )
    assert found.words == {}
    assert "too many groups" in found.notes[0]
