"""Notes on groups that say little of what is in the images: they come where they should, and not elsewhere."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

import ilk
from ilk import cautions
from ilk.vectors import neighbors


def directions(n: int, d: int = 40, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def near(x: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    rows = torch.from_numpy(x)
    return neighbors(rows, rows, 10, exclude_self=True)[0].numpy()


def scene(n: int, step: float, seed: int = 1) -> npt.NDArray[np.float32]:
    """A chain: each is `step` away from the one before, so that the ends are far apart."""
    walk = np.random.default_rng(seed).normal(size=(n, 40))
    walk *= step / np.linalg.norm(walk, axis=1, keepdims=True)
    start = np.zeros(40)
    start[0] = 1
    return (start + np.cumsum(walk, 0)).astype(np.float32)


def test_shots_of_one_scene_that_take_most_groups() -> None:
    x = np.concatenate([scene(400, cautions.CLOSE / 20), directions(150)])
    labels = np.concatenate([np.repeat(np.arange(8), 50), np.repeat([8, 9], 75)])
    (note,) = cautions.near_copies(x, labels, near(x))
    assert note.startswith("400 of 550 images are nearly the same")
    assert "they take 8 of 10 groups" in note
    (note,) = cautions.near_copies(7 * x, labels, near(x))  # their length says nothing
    assert "400 of 550" in note


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_chains_of_wide_features_are_those_of_a_double_loop(dtype: type) -> None:
    """Among others whose steps are a little too long, in more numbers than the short coordinates have."""
    rng = np.random.default_rng(0)
    x = np.zeros((120, 300))
    x[:, 0] = 1
    for row in range(1, 120):
        step = rng.normal(size=300)
        x[row] = x[row - 1] + step * cautions.CLOSE * (0.98 if row % 40 else 1.1) / np.linalg.norm(step)
        x[row] /= np.linalg.norm(x[row])
    order = rng.permutation(120)
    x = x[order].astype(dtype)
    unit = x.astype(float) / np.linalg.norm(x.astype(float), axis=1, keepdims=True)
    index = near(x.astype(np.float32))
    scene = np.arange(120)
    for i, j in itertools.product(range(40 * 120), range(10)):
        i, j = i % 120, index[i % 120, j]
        if np.linalg.norm(unit[i] - unit[j]) < cautions.CLOSE:
            scene[[i, j]] = scene[[i, j]].min()
    sizes = np.bincount(scene)
    (note,) = cautions.near_copies(x, order // 10, index)
    assert note.startswith(f"{sizes.max()} of 120 images")
    assert 20 < sizes.max() < 100


def test_duplicates_count_as_images() -> None:
    x = np.concatenate([scene(40, cautions.CLOSE / 20), directions(60)])
    labels = np.concatenate([np.repeat([0, 1], 20), np.repeat([2, 3], 30)])
    counts = np.concatenate([np.full(40, 5), np.ones(60, np.int64)])
    (note,) = cautions.near_copies(x, labels, near(x), counts)
    assert note.startswith("200 of 260 images")
    assert "2 of 4 groups" in note


def test_all_images_the_same() -> None:
    x = scene(100, cautions.CLOSE / 50)
    (note,) = cautions.near_copies(x, np.arange(100) % 28, near(x))
    assert "100 of 100" in note
    assert "all 28 groups" in note


@pytest.mark.parametrize(
    ("x", "labels"),
    [
        (directions(500), np.arange(500) % 10),
        # a burst in one group is what everybody wants
        (np.concatenate([scene(400, cautions.CLOSE / 20), directions(150)]), np.repeat([0, 1, 2], [400, 75, 75])),
        # few of many
        (
            np.concatenate([scene(30, cautions.CLOSE / 20), directions(500)]),
            np.concatenate([np.arange(30) % 3, np.full(500, 4)]),
        ),
        # two hundred pairs
        (np.repeat(directions(200), 2, axis=0), np.arange(400) % 4),
        (scene(100, 0.001), np.full(100, -1)),
    ],
    ids=["unlike", "one group", "few", "pairs", "no group"],
)
def test_nothing_is_said_of_other_groups(x: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> None:
    assert cautions.near_copies(x, labels, near(x)) == []


def test_groups_that_follow_the_size() -> None:
    size = np.where(np.arange(200) % 2, 72, 400)
    groups = np.where(np.arange(200) % 2, 0, 1 + np.arange(200) % 3)
    names = [f"{i}.jpg" for i in range(200)]
    (note,) = cautions.file_traits(groups, size, size, names)
    assert "follow the size in pixels of the files" in note
    assert "100 %" in note
    rng = np.random.default_rng(0)
    assert cautions.file_traits(rng.permutation(groups), size, size, names) == []
    half = np.where(rng.random(200) < 0.85, groups, rng.permutation(groups))  # most, not all
    assert cautions.file_traits(half, size, size, names) != []


def test_groups_that_follow_type_or_shape() -> None:
    rng = np.random.default_rng(0)
    groups = np.arange(120) % 4
    square = np.full(120, 100)
    names = [f"{i}.{'png' if i % 4 < 2 else 'JPEG'}" for i in range(120)]
    (note,) = cautions.file_traits(groups, square, square, names)
    assert "type (jpg, png)" in note
    (note,) = cautions.file_traits(
        groups, np.where(groups < 2, 150, 100), np.where(groups < 2, 100, 150), ["x.jpg"] * 120
    )
    assert "shape" in note
    mixed = ["a.jpg", "a.jpeg", "a.JPG"]  # one type
    assert cautions.file_traits(groups, square, square, [mixed[i % 4 % 3] for i in range(120)]) == []
    # many groups of few images tell much by chance alone
    many = rng.permutation(np.arange(120) % 60)
    assert cautions.file_traits(many, square, square, names) == []


def test_one_group_for_all() -> None:
    (note,) = cautions.collapsed(np.repeat([1, 0], [980, 20]))
    assert note.startswith("group 1 holds 98 % of the images")
    assert cautions.collapsed(np.repeat([0, 1], [900, 100])) == []
    assert cautions.collapsed(np.zeros(100, np.int64)) == []


def test_the_digits_are_as_they_should_be(tmp_path: Path) -> None:
    run = ilk.cluster("digits", tmp_path / "run", options={"n_clusters": 10, "preset": "tiny", "encoder": "pixels"})
    words = ("nearly the same", "follow the", "holds")
    assert [note for note in run.header["summary"]["warnings"] if any(word in note for word in words)] == []


def test_a_run_says_it(tmp_path: Path) -> None:
    """One picture 60 times with a little noise, three others 10 times, of another size and type."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(40, 216, (4, 48, 48))
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(90):
        base = patterns[0, :24, :24] if i < 60 else patterns[1 + i % 3]
        image = (base + rng.integers(-1, 2, base.shape)).astype(np.uint8)
        Image.fromarray(image).save(photos / f"{i}.{'png' if i < 60 else 'bmp'}")
    options = {"n_clusters": 12, "preset": "tiny", "encoder": "classic", "cache": None}
    run = ilk.cluster(photos, tmp_path / "run", options=options, labels="none")
    notes = " | ".join(run.header["summary"]["warnings"])
    page = (run.path / "report.html").read_text("utf-8")
    for words in (
        "60 of 90 images are nearly the same",
        "the groups follow the size in pixels and the type (bmp, png)",
    ):
        assert words in notes
        assert words in page
