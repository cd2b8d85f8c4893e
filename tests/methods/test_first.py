"""First groups: a sample is encoded and shown before the rest, and the final groups keep its ids."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from trial import Ilk, write_images

from ilk import encoders
from ilk.data import open_images
from ilk.methods import TransferClustering
from ilk.methods.preview import SAMPLE, UNDECIDED, kept_ids
from ilk.metrics import ari


def patterns(n: int, groups: int = 4, seed: int = 0) -> np.ndarray:
    """Images of `groups` patterns under noise, the smallest number the least frequent."""
    rng = np.random.default_rng(seed)
    base = np.random.default_rng(1).integers(0, 256, (groups, 8, 8))
    weights = np.arange(1, groups + 1) / np.arange(1, groups + 1).sum()
    kinds = rng.choice(groups, n, p=weights)
    return np.clip(base[kinds] + rng.normal(0, 10, (n, 8, 8)), 0, 255).astype(np.uint8)


def fitted(x: Any, k: int | str = 4, **options: Any) -> tuple[TransferClustering, list[dict[str, Any]]]:
    told: list[dict[str, Any]] = []
    model = TransferClustering(k, encoder=options.pop("encoder", "pixels"), preset="tiny", **options)
    return model.fit(x, on_epoch=lambda record, _: bool(told.append(record))), told


def best_permutation(final: np.ndarray, first: np.ndarray, k: int) -> int:
    """Images that keep their id under the best of all renamings."""
    return max(int((np.array(p)[final] == first).sum()) for p in itertools.permutations(range(k)))


@pytest.mark.parametrize("seed", range(20))
def test_ids_are_kept_by_as_many_images_as_any_renaming_can(seed: int) -> None:
    rng = np.random.default_rng(seed)
    k = int(rng.integers(2, 6))
    first = rng.integers(0, k, 60)
    final = np.where(rng.random(60) < 0.7, rng.permutation(k)[first], rng.integers(0, k, 60))
    ids = kept_ids(final, first, k)
    assert sorted(ids) == list(range(k))
    assert int((ids[final] == first).sum()) == best_permutation(final, first, k)


def test_ids_beyond_the_final_number_move_into_the_free_ones() -> None:
    ids = kept_ids(np.array([0, 0, 1, 1, 2, 2]), np.array([5, 5, 0, 0, 9, 9]), 3)
    assert ids[1] == 0
    assert ids.tolist() == [1, 0, 2]


def test_noise_has_no_say() -> None:
    assert kept_ids(np.array([-1, -1, -1, 0]), np.array([0, 0, 0, 1]), 2).tolist() == [1, 0]


@pytest.mark.parametrize("files", [False, True])
def test_the_sample_comes_first_and_its_groups_keep_their_ids(files: bool, tmp_path: Path) -> None:
    pixels = patterns(SAMPLE + 150)
    x: Any = pixels
    if files:
        for i, image in enumerate(pixels):
            Image.fromarray(image).save(tmp_path / f"{i:04}.png")
        x = tmp_path
    model, told = fitted(x)
    at = next(i for i, record in enumerate(told) if record["stage"] == "first")
    before = [record["done"] for record in told[:at] if "done" in record]
    assert max(before, default=0) < len(pixels)  # shown while there was more to encode
    record = told[at]
    assert record["n"] == SAMPLE
    assert sum(group["size"] for group in record["groups"]) == SAMPLE
    assert [len(cells) for cells in record["thumbs"]] == [min(12, g["size"]) for g in record["groups"]]
    names = open_images(x).names()
    for group in record["groups"]:
        assert {int(model.labels_[names.index(name)]) for name in group["examples"]} == {group["id"]}


def test_without_the_sample_the_ids_would_be_others() -> None:
    """The sample has its groups in another order of size than the whole set, and its ids win."""
    rows = np.unique(np.linspace(0, 999, SAMPLE).astype(int))
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, (2, 8, 8))
    kinds = np.ones(1000, np.int64)
    kinds[rows[:200]] = 0  # pattern 0: 200 of the 300 in the sample, 200 of 1,000 in all
    x = np.clip(base[kinds] + rng.normal(0, 8, (1000, 8, 8)), 0, 255).astype(np.uint8)
    model, _ = fitted(x, 2)
    assert np.bincount(model.labels_).tolist() == [200, 800]
    assert model.labels_[rows[0]] == 0
    assert np.array_equal(model.labels_, model.predict(x))
    assert np.array_equal(model.probabilities_.argmax(1), model.labels_)


def test_a_set_no_larger_than_the_sample_has_none() -> None:
    model, told = fitted(patterns(SAMPLE))
    assert not [record for record in told if record["stage"] == "first"]
    assert (np.diff(np.bincount(model.labels_)) <= 0).all()


def test_the_number_is_open_where_it_is_to_be_chosen() -> None:
    _, told = fitted(patterns(400), "auto")
    record = next(record for record in told if record["stage"] == "first")
    assert not record["k_given"]
    assert len(record["groups"]) == UNDECIDED


def test_the_same_groups_from_a_cache_that_knows_every_image(tmp_path: Path) -> None:
    write_images(tmp_path / "photos", SAMPLE + 60, groups=4)
    runs = [fitted(tmp_path / "photos", cache=tmp_path / "cache") for _ in range(2)]
    firsts = [next(record for record in told if record["stage"] == "first") for _, told in runs]
    assert firsts[0]["groups"] == firsts[1]["groups"]
    for once, again in zip(firsts[0]["thumbs"], firsts[1]["thumbs"], strict=True):
        # a shard keeps thumbnails as WebP, which is not exact
        assert np.abs(once.astype(int) - again).mean() < 12
    assert np.array_equal(runs[0][0].labels_, runs[1][0].labels_)


def test_nothing_is_encoded_twice_for_it(tmp_path: Path) -> None:
    write_images(tmp_path / "photos", SAMPLE + 60)
    source = open_images(tmp_path / "photos")
    encoder = encoders.build("pixels", source=source)
    seen: list[int] = []

    class Sample:
        rows = np.arange(100, 140)

        def __call__(self, rows: np.ndarray, features: np.ndarray, thumbs: Any) -> None:
            assert rows.tolist() == list(range(100, 140))
            assert len(features) == 40
            assert thumbs(rows[:3]).shape == (3, 48, 48, 3)
            seen.append(len(rows))

    found = encoders.encode(source, encoder, cache=tmp_path / "cache", first=Sample())
    plain = encoders.encode(source, encoder, cache=None)
    assert seen == [40]
    assert found.n_encoded == len(source)
    assert np.array_equal(found.features, plain.features)
    assert np.array_equal(found.rows, plain.rows)


def test_odd_files_and_twins_in_the_sample_do_no_harm(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "photos", SAMPLE + 40)
    paths = sorted(folder.iterdir())
    for path in paths[:60]:
        path.write_bytes(b"no image")
    for path in paths[60:100]:
        path.write_bytes(paths[200].read_bytes())
    model, told = fitted(folder, 3)
    record = next(record for record in told if record["stage"] == "first")
    assert record["n"] < SAMPLE - 60
    truth = np.array([int(path.name[0]) for path in paths])[100:]
    assert ari(truth, model.labels_[100:]) == 1.0


def test_identical_images_have_no_first_groups_and_the_usual_error() -> None:
    with pytest.raises(ValueError, match="all 400 images are the same one"):
        fitted(np.zeros((400, 8, 8), np.uint8))


def test_the_command_shows_them_with_a_picture_while_it_runs(ilk: Ilk, tmp_path: Path, no_report: None) -> None:
    write_images(tmp_path / "photos", SAMPLE + 40)
    options = ("--encoder", "pixels", "--set", "preset=tiny", "-k", 3, "-o", "run")
    said = ilk("cluster", tmp_path / "photos", *options)
    assert said.code == 0, said.err
    head, _, rest = said.out.partition("first    groups of 300 images")
    assert head.startswith("found")
    assert "group 0" in rest
    assert "look at" in rest
    assert rest.index("look at") < rest.index("encoded  in")
    assert not list(Path("run").glob("first-groups*"))


def test_the_picture_shows_every_thumbnail_in_its_row(tmp_path: Path) -> None:
    from ilk.report import write_first

    red, blue = np.zeros((2, 3, 48, 48, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    write_first(tmp_path / "first.png", ["0: 3 of 6", "1: 3 of 6"], [red, blue])
    with Image.open(tmp_path / "first.png") as image:
        rows = np.asarray(image.convert("RGB"))
    is_red, is_blue = (rows == (255, 0, 0)).all(2), (rows == (0, 0, 255)).all(2)
    assert is_red.sum() == is_blue.sum() == 3 * 96 * 96
    assert np.flatnonzero(is_red.any(1)).max() < np.flatnonzero(is_blue.any(1)).min()
