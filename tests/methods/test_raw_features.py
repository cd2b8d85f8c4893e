"""The fourth seed's experiment: raw features, K-means, the K of the highest silhouette of all images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score
from trial import Ilk

from ilk import compute, encoders
from ilk.encoders import backend, pretrained
from ilk.errors import ArgumentError, DataError, NotEnoughImages
from ilk.files import large
from ilk.methods import TransferClustering
from ilk.methods import pipeline as steps
from ilk.methods.transfer import raw_features as _seed_steps

SMALL = "test_efficientnet"


def seed(k: int | str = "auto", encoder: str = "pixels", **options: Any) -> TransferClustering:
    return TransferClustering(k, encoder=encoder, preset="raw_features", device="cpu", **options)


def pictures(n: int = 60, groups: int = 4, noise: float = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, groups, n)
    clean = np.random.default_rng(7).integers(0, 256, (groups, 12, 12))[truth]
    return np.clip(clean + rng.normal(0, noise, clean.shape), 0, 255).astype(np.uint8), truth


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of a small network."""
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    with compute.seeded(0):
        model = timm.create_model(SMALL, pretrained=False)
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path)
    return path


# -- what the preset means ---------------------------------------------------------------------------------------------


def test_defaults_are_those_of_the_experiment() -> None:
    table = TransferClustering(preset="raw_features").resolved()
    assert (table["reducer"], table["clusterer"], table["n_init"]) == ("raw", "kmeans", 10)
    assert table["k_grid"] == list(range(2, 11))
    own = {"image_size": 224, "resize": "stretch", "pool": "flatten"}
    assert _seed_steps.encoder_of("raw_features", "auto", {}) == ("densenet201", own)
    softmax = {**own, "pool": "softmax"}
    assert _seed_steps.encoder_of("raw_features", "resnet50", {"pool": "softmax"}) == ("resnet50", softmax)
    assert _seed_steps.encoder_of("kmeans", "resnet50", {}) == ("resnet50", {})


@pytest.mark.parametrize(("name", "columns"), [("resnet50", 2048 * 49), ("densenet201", 1920 * 49)])
def test_the_two_networks_give_flattened_maps_and_probabilities(name: str, columns: int) -> None:
    with compute.seeded(0):
        state = timm.create_model(name, pretrained=False).state_dict()
    images = backend.synthetic(2, 224, 224).permute(0, 2, 3, 1)
    for pool, d in (("flatten", columns), ("softmax", 1000)):
        what = pretrained.recipe(name, _seed_steps.encoder_of("raw_features", name, {"pool": pool})[1])
        assert (what.image_size, what.resize, what.crop_pct) == (224, "stretch", 1.0)
        assert pool != "flatten" or pretrained.flat_width(what) == d
        with torch.inference_mode():
            features = pretrained.network(what, pretrained.trimmed(state, what), "test")(images)
        assert features.shape == (2, d)
        assert float(features.min()) >= 0  # both end in a ReLU, or are probabilities
        if pool == "softmax":
            np.testing.assert_allclose(features.sum(1), 1, rtol=1e-5)


def test_images_are_stretched_not_cut(weights: Path, tmp_path: Path) -> None:
    wide = np.zeros((1, 100, 200, 3), np.uint8)
    wide[:, :, :40] = 255  # a centre crop would never see it
    black = np.zeros_like(wide)
    model = seed(2, SMALL, weights=weights, cache=tmp_path, settings={"pool": "gap"})
    images = np.concatenate([wide, black, wide // 2, black + 9])
    assert model.fit(images).encoder_.image_size == 224
    features = model.transform(images)
    assert np.abs(features[0] - features[1]).max() > 0.01 * np.abs(features[1]).max()
    cut = _seed_steps.encoder_of("raw_features", SMALL, {"resize": "crop"})[1]
    assert cut == {"image_size": 224, "resize": "crop", "pool": "flatten"}  # what the user sets wins


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"reducer": "pca"}, "KChoice"),
        ({"reducer": "none"}, "KChoice"),
        ({"clusterer": "agglomerative"}, "RawChoice"),
        ({"clusterer": "gmm"}, "RawChoice"),
        ({"clusterer": KMeans(4, random_state=0)}, "NoneType"),
        ({"clusterer": "hdbscan"}, "NoneType"),
        ({}, "RawChoice"),
    ],
    ids=str,
)
def test_what_the_user_sets_wins(options: dict[str, Any], kind: str) -> None:
    images, truth = pictures(noise=20)
    model = seed(**options).fit(images)
    assert type(model.k_choice_).__name__ == kind
    assert adjusted_rand_score(truth, model.labels_) == 1
    assert (model.figures() != []) == (kind == "RawChoice")


# -- what it finds -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [20_000, 10], ids=["gram", "direct"])
def test_groups_and_silhouettes_are_those_of_scikit_learn(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_seed_steps, "MOST_FOR_GRAM", most)
    images, _ = pictures(90, noise=90)
    grid = [2, 3, 4, 7, 30, 89]
    model = seed(settings={"k_grid": grid}).fit(images)
    x = model.encoded_.features.astype(np.float64)
    assert [row["k"] for row in model.k_choice_.table] == grid
    for k, labels, row in zip(grid, model.raw_.labels, model.k_choice_.table, strict=True):
        assert set(row) == {"k", "silhouette"}
        assert row["silhouette"] == pytest.approx(silhouette_score(x, labels), abs=1e-4)
        means = np.stack([x[labels == g].mean(0) for g in range(k)])
        inertia = ((x - means[labels]) ** 2).sum()
        assert inertia <= 1.01 * KMeans(k, n_init=10, random_state=0).fit(x).inertia_
    best = max(model.k_choice_.table, key=lambda row: row["silhouette"])["k"]
    assert model.k_choice_.natural == model.n_clusters_ == best
    assert adjusted_rand_score(model.raw_.labels[grid.index(best)], model.labels_[model.encoded_.rows]) == 1
    assert model.k_choice_.suggested() == {"coarse": None, "natural": best, "fine": None}


def test_the_gram_matrix_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images, _ = pictures(90, noise=90)
    settings = {"k_grid": "2-12,40,80"}
    quick = seed(settings=settings).fit(images)
    monkeypatch.setattr(_seed_steps, "MOST_FOR_GRAM", 10)
    direct = seed(settings=settings).fit(images)
    assert np.array_equal(quick.labels_, direct.labels_)
    for a, b in zip(quick.k_choice_.table, direct.k_choice_.table, strict=True):
        assert a == pytest.approx(b, abs=2e-5)


def test_features_are_neither_normalised_nor_reduced() -> None:
    rng = np.random.default_rng(0)
    faint = np.clip(rng.integers(100, 120, (1, 12, 12)) * np.repeat([1, 2], 20)[:, None, None], 0, 255)
    images = np.clip(faint + rng.normal(0, 3, (40, 12, 12)), 0, 255).astype(np.uint8)
    bright = np.repeat([0, 1], 20)  # the same picture twice as bright: the same direction
    assert adjusted_rand_score(bright, seed().fit(images).labels_) == 1
    assert adjusted_rand_score(bright, seed(2, reducer="none").fit(images).labels_) < 0.5


def test_the_number_is_given_with_a_warning() -> None:
    images, _ = pictures()
    model = seed().fit(images)
    assert any("not to be trusted" in note and "without preset=raw_features" in note for note in model.notes_)
    assert model.k_choice_.clear is False
    given = seed(3).fit(images)
    assert (given.n_clusters_, given.k_choice_, given.notes_) == (3, None, [])
    at_the_end = seed(settings={"k_grid": [2, 3]}).fit(images)
    assert "an end of the list" in at_the_end.k_choice_.why


def test_training_images_find_their_own_group_and_new_ones_theirs() -> None:
    images, truth = pictures(120, noise=20)
    model = seed(4).fit(images[:80])
    assert np.array_equal(model.predict(images[:80]), model.labels_)
    assert adjusted_rand_score(truth[80:], model.predict(images[80:])) > 0.95
    again = TransferClustering.from_state(model.state())
    assert np.array_equal(again.predict(images), model.predict(images))


def test_figures_are_plain_data() -> None:
    images, _ = pictures()
    images = np.concatenate([images, images[:5]])  # duplicates are drawn once
    model = seed().fit(images)
    scatter, lines = model.figures()
    assert (scatter["kind"], lines["kind"]) == ("scatter", "lines")
    panel = scatter["panels"][0]
    assert np.array_equal(panel["points"], model.encoded_.features[:, :2].astype("f4"))
    assert np.array_equal(panel["labels"], model.labels_[model.encoded_.rows][:60])
    for row in model.k_choice_.table:
        curve = lines["series"][f"K = {row['k']}"]
        assert (np.diff(curve) >= 0).all()
        assert curve.mean() == pytest.approx(row["silhouette"], abs=0.02)
    assert len(lines["x"]) == len(curve)
    assert len(seed(settings={"k_grid": "2-40"}).fit(images).figures()[1]["series"]) == 9
    assert [figure["kind"] for figure in seed(3).fit(images).figures()] == ["scatter"]


# -- what does not fit -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", ["2-60", [2, 519], 61])
def test_more_groups_than_images_less_one_are_refused_before_any_work(grid: Any) -> None:
    images, _ = pictures()
    said: list[dict[str, Any]] = []
    with pytest.raises(ArgumentError, match=r"k_grid: .* too many for 60 images.*from 2 to 59"):
        seed(settings={"k_grid": grid}).fit(images, on_epoch=lambda record, state: said.append(record))
    assert said == []
    twice = np.concatenate([images, images])  # 120 files, 60 of them distinct
    with pytest.raises(ArgumentError, match=r"too many for (60|120) images"):
        seed(settings={"k_grid": grid}).fit(twice)
    assert seed(settings={"k_grid": 59}).fit(images).n_clusters_ == 59


def test_the_own_list_is_cut_for_few_images() -> None:
    assert [row["k"] for row in seed().fit(pictures(7)[0]).k_choice_.table] == [2, 3, 4, 5, 6]
    with pytest.raises(NotEnoughImages, match="too few to choose"):
        seed().fit(pictures(2)[0])


@pytest.mark.parametrize("grid", ["a", "1-5", [1], 0, True, 2.5, "5-3", ",", [], "2-99999999", {"k": 3}], ids=str)
def test_lists_of_numbers_are_checked(grid: Any) -> None:
    with pytest.raises(ArgumentError, match=r"k_grid=.*such as k_grid="):
        TransferClustering(settings={"k_grid": grid}).resolved()


def test_the_list_holds_for_other_presets_too() -> None:
    model = TransferClustering(encoder="pixels", preset="tiny", settings={"k_grid": "3-5"}).fit(pictures(noise=20)[0])
    assert [row["k"] for row in model.k_choice_.table] == [3, 4, 5]


class _Huge:
    """A source of very many images, none of which may be looked at."""

    shape = (3, 224, 224)

    def __len__(self) -> int:
        return 46_000

    def names(self, index: Any = None) -> list[str]:
        raise AssertionError("names were asked for")

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was asked for")


def test_too_much_is_refused_before_anything_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("ilk.methods.clusterer.open_images", lambda x: x)
    for name, most in (("densenet201", "45,652"), ("resnet50", "42,799")):
        with pytest.raises(ArgumentError, match=f"GiB.*pool=gap.*at most {most} images"):
            seed(encoder=name, cache=tmp_path).fit(_Huge())
        with pytest.raises(DataError, match="weights"):  # the mean is small enough: the next question is the weights
            seed(encoder=name, weights=tmp_path / "none", settings={"pool": "gap"}).fit(_Huge())
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} <= {".json"}  # what timm says of its models


def test_too_much_to_predict_is_refused_as_well(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = encoders.build(SMALL, weights=weights, settings={"pool": "flatten", "image_size": 32}, cache=tmp_path)
    with pytest.raises(ArgumentError, match="pool=gap"):
        encoders.encode(type("Much", (_Huge,), {"__len__": lambda self: 10**8})(), encoder)


def test_raw_features_go_to_other_clusterers_only_if_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "MOST_IN_MEMORY", 1000)
    with pytest.raises(DataError, match="clusterer=kmeans"):
        seed(clusterer="agglomerative").fit(pictures()[0])
    seed().fit(pictures()[0])


def test_features_stay_in_a_file(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "_IN_MEMORY", 0)
    made: list[Any] = []
    real = large.tempfile.TemporaryFile
    monkeypatch.setattr(large.tempfile, "TemporaryFile", lambda **where: made.append(where["dir"]) or real(**where))
    images = np.repeat(pictures(30)[0][..., None], 3, 3)
    model = seed(3, SMALL, weights=weights, cache=tmp_path, settings={"image_size": 64}).fit(images)
    features = model.encoded_.features
    assert isinstance(features, np.memmap)
    assert features.dtype == np.float16
    assert model.embedding_ is features
    assert set(made) == {tmp_path / "features" / model.encoder_.key}
    assert np.array_equal(model.predict(images), model.labels_)


def test_flattened_maps_are_placed_by_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "WIDE", 100)
    monkeypatch.setattr(steps, "MOST_FOR_PCA", 40)
    images, truth = pictures(80, noise=20)
    model = seed(4).fit(images)
    assert model.assigner_.pca.components.shape == (40, 144)
    assert np.array_equal(model.predict(images), model.labels_)
    assert adjusted_rand_score(truth, model.labels_) == 1


# -- the command line --------------------------------------------------------------------------------------------------


def test_a_whole_run(ilk: Ilk, photos: Path, weights: Path, home: Path) -> None:
    said = ilk(
        *("cluster", photos, "-o", "run", "--encoder", SMALL, "--weights", weights, "--json"),
        *("--set", "preset=raw_features", "--set", "k_grid=2-6,35"),
    )
    assert said.code == 0, said.err
    assert [row["k"] for row in said.json["k_table"]] == [2, 3, 4, 5, 6, 35]
    assert said.json["n_clusters"] == said.json["suggested"]["natural"]
    assert any("not to be trusted" in warning for warning in said.json["warnings"])
    assert json.loads((home / "run" / "k_table.json").read_text()) == said.json["k_table"]
    assert (home / "run" / "plots" / "silhouette-per-k.png").is_file()
    assert (home / "run" / "report.html").stat().st_size > 10_000
    assert ilk("predict", "run", photos, "-o", "again.csv").code == 0
    rows = [line.split(",") for line in (home / "again.csv").read_text().splitlines()[1:]]
    assert sum(int(row[1]) >= 0 for row in rows) == 36
    refused = ilk(
        "cluster", photos, "-o", "two", "--encoder", "pixels", "--set", "preset=raw_features", "--set", "k_grid=2,519"
    )
    assert refused.code == 1
    assert "519 groups are too many for 36" in refused.err
