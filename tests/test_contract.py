"""What every estimator in `ilk.methods.__all__` promises. A new method is covered by standing in that list."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onlookers import Untouchable, global_state
from PIL import Image
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score

from ilk import methods, runs
from ilk.errors import ArgumentError, DataError, IlkError, Interrupted
from ilk.methods import ImageClusterer

K, EACH, SIDE = 3, 20, 12
TRUTH = np.repeat(np.arange(K), EACH)


def three_groups(seed: int = 0) -> np.ndarray:
    """Sixty images of three patterns under noise: uint8 (60, 12, 12)."""
    rng = np.random.default_rng(seed)
    patterns = np.repeat(np.random.default_rng(7).integers(0, 256, (K, SIDE, SIDE)), EACH, 0)
    return np.clip(patterns + rng.normal(0, 15, (K * EACH, SIDE, SIDE)), 0, 255).astype(np.uint8)


def options_of(cls: type[ImageClusterer]) -> dict[str, Any]:
    """The smallest preset; frozen features where the method has an encoder to choose."""
    wanted = {"n_clusters": K, "preset": "tiny", "encoder": "pixels", "device": "cpu"}
    return {key: value for key, value in wanted.items() if key in cls._get_param_names()}


ALIKE = {"Spectral", "Agglomerative", "UMAPMixture", "RandomGroups"}
ALIKE |= {"SparseAutoencoder", "DenoisingAutoencoder", "Deconvolutional", "SWWAE", "VAE", "GAN"}
"""Methods that share their code with another one that is tried: these are tried under ``-m slow``."""

EVERY = [pytest.param(name, marks=[pytest.mark.slow] if name in ALIKE else []) for name in methods.__all__]


@pytest.fixture(params=EVERY)
def cls(request: pytest.FixtureRequest) -> type[ImageClusterer]:
    return getattr(methods, request.param)


@pytest.fixture
def finds(cls: type[ImageClusterer]) -> None:
    """For what only a method that looks at the images can do."""
    if cls is methods.RandomGroups:
        pytest.skip("groups at random: nothing is found")


@pytest.fixture
def model(cls: type[ImageClusterer]) -> ImageClusterer:
    return cls(**options_of(cls))


@pytest.fixture(scope="module")
def fitted_models() -> dict[type[ImageClusterer], ImageClusterer]:
    return {}


@pytest.fixture
def fitted(cls: type[ImageClusterer], fitted_models: dict) -> ImageClusterer:
    """The method fitted on `three_groups()`, once per module: not to be changed."""
    if cls not in fitted_models:
        fitted_models[cls] = cls(**options_of(cls)).fit(three_groups())
    return fitted_models[cls]


# -- options -----------------------------------------------------------------------------------------------------------


def test_constructor_only_stores(cls: type[ImageClusterer]) -> None:
    defaults = cls()
    assert vars(defaults) == defaults.get_params(deep=False)
    markers = {name: object() for name in cls._get_param_names()}  # no constructor may check or convert
    model = cls(**markers)
    assert vars(model) == markers
    assert cls().set_params(**markers).get_params(deep=False) == markers


def test_clone_is_equal_and_unfitted(fitted: ImageClusterer) -> None:
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert not hasattr(copy, "labels_")
    assert np.array_equal(copy.fit(three_groups()).labels_, fitted.labels_)


def test_every_preset_has_the_same_keys(cls: type[ImageClusterer]) -> None:
    assert "tiny" in cls.presets
    assert len({frozenset(table) for table in cls.presets.values()}) == 1
    assert not cls.other_settings & set(cls.presets["tiny"])


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"preset": "tinny"}, "'tiny'"),
        ({"settings": {"no such key": 1}}, "no such key"),
        ({"settings": [1]}, "mapping"),
    ],
)
def test_unknown_options_are_named(cls: type[ImageClusterer], options: dict[str, Any], hint: str) -> None:
    with pytest.raises(ArgumentError, match=hint):
        cls(**{**options_of(cls), **options}).fit(three_groups())


def test_unknown_setting_names_the_nearest(cls: type[ImageClusterer]) -> None:
    for key in cls.presets["tiny"]:
        typo = key + "x"
        for refuse in (lambda t=typo: cls(settings={t: 1}).resolved(), lambda t=typo: cls.from_options({t: 1})):
            with pytest.raises(ArgumentError, match=f"Did you mean '{key}'"):
                refuse()


def test_flat_options_find_their_places(cls: type[ImageClusterer]) -> None:
    key, value = next(iter(cls.presets["tiny"].items()))
    model = cls.from_options({**options_of(cls), key: value} if key not in cls._get_param_names() else options_of(cls))
    assert model.get_params(deep=False).items() >= options_of(cls).items()
    assert model.resolved()[key] == value


# -- fit ---------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("finds")
def test_fit_returns_self_and_finds_obvious_groups(model: ImageClusterer) -> None:
    assert model.fit(three_groups()) is model
    assert adjusted_rand_score(TRUTH, model.labels_) == 1


def test_learned_attributes(fitted: ImageClusterer) -> None:
    n = K * EACH
    assert (fitted.labels_.dtype, fitted.labels_.shape) == (np.int64, (n,))
    assert fitted.n_clusters_ == K
    assert fitted.probabilities_.shape == (n, K)
    assert np.isfinite(fitted.probabilities_).all()
    assert fitted.probabilities_.min() >= 0
    assert fitted.probabilities_.sum(1).max() <= 1 + 1e-5
    assert np.array_equal(fitted.probabilities_.argmax(1), fitted.labels_)
    features = fitted.transform(three_groups())
    assert features.dtype == fitted.cluster_centers_.dtype == np.float32
    assert fitted.cluster_centers_.shape == (K, features.shape[1])
    means = [features[fitted.labels_ == group].mean(0) for group in range(K)]
    np.testing.assert_allclose(fitted.cluster_centers_, means, atol=1e-3)
    assert all(isinstance(record, dict) for record in fitted.history_)


def test_same_seed_same_result(cls: type[ImageClusterer], fitted: ImageClusterer) -> None:
    again = cls(**options_of(cls)).fit(three_groups())
    assert np.array_equal(again.labels_, fitted.labels_)
    assert np.array_equal(again.probabilities_, fitted.probabilities_)


def test_images_are_not_changed_and_may_be_read_only(model: ImageClusterer, fitted: ImageClusterer) -> None:
    images = three_groups()
    before = images.tobytes()
    images.flags.writeable = False
    assert np.array_equal(model.fit(images).labels_, fitted.labels_)
    model.predict(images)
    assert images.tobytes() == before


def test_nothing_global_is_touched(model: ImageClusterer) -> None:
    random.random(), np.random.random(), torch.rand(1)  # noqa: NPY002 - away from whatever an earlier fit seeded
    before, running = global_state(), set(threading.enumerate())
    model.fit(three_groups()).predict(three_groups(1))
    for one, other in zip(before, global_state(), strict=True):
        assert one == other
    assert set(threading.enumerate()) == running


def test_labels_are_never_looked_at(model: ImageClusterer, fitted: ImageClusterer) -> None:
    assert np.array_equal(model.fit(three_groups(), Untouchable()).labels_, fitted.labels_)
    with pytest.raises(AssertionError, match="touched"):  # the guard works
        len(Untouchable())


@pytest.mark.usefixtures("finds")
@pytest.mark.parametrize(
    "images",
    [
        three_groups(),
        three_groups()[..., None],
        np.repeat(three_groups()[..., None], 3, 3),
        torch.tensor(three_groups()),
    ],
    ids=["grey", "one channel", "colour", "tensor"],
)
def test_layouts_of_the_same_images_agree(model: ImageClusterer, images: Any) -> None:
    assert adjusted_rand_score(TRUTH, model.fit(images).labels_) == 1


def test_hook_is_called_and_can_stop(cls: type[ImageClusterer]) -> None:
    records = []
    cls(**options_of(cls)).fit(three_groups(), on_epoch=lambda record, state: records.append(record))
    assert records
    assert all(isinstance(record, dict) for record in records)
    calls = []
    model = cls(**options_of(cls))
    try:
        model.fit(three_groups(), on_epoch=lambda record, state: calls.append(record) or True)
    except IlkError:
        assert not hasattr(model, "labels_")
    else:
        assert model.stopped_
    assert len(calls) < len(records)


# -- training ----------------------------------------------------------------------------------------------------------


def epochs_of(model: ImageClusterer) -> list[dict[str, Any]]:
    """The records of a training, one per epoch; none where a method has nothing to train."""
    return [record for record in model.history_ if {"stage", "epoch", "epochs"} <= record.keys()]


def test_epochs_are_told(fitted: ImageClusterer) -> None:
    records = epochs_of(fitted)
    if not records:
        pytest.skip("nothing to train")
    assert [record["epoch"] for record in records if record["epoch"]] == list(range(1, records[-1]["epochs"] + 1))
    assert all(np.isfinite(record["loss"]) for record in records if record["epoch"])


def test_training_goes_on_to_the_bit(cls: type[ImageClusterer], fitted: ImageClusterer, tmp_path: Path) -> None:
    """Stopped after its first epoch and in the middle, kept on the disk, gone on with: nothing can be told apart."""
    records = epochs_of(fitted)
    if not records:
        pytest.skip("nothing to train")
    last = records[-1]["epochs"]
    for epoch in sorted({1, (last + 1) // 2} - {last}):
        folder = tmp_path / str(epoch)

        def stop(record: dict[str, Any], state: Any, epoch: int = epoch, folder: Path = folder) -> bool:
            if record.get("epoch") != epoch:
                return False
            runs.save_state(folder, state())
            return True

        model = cls(**options_of(cls))
        try:
            model.fit(three_groups(), on_epoch=stop)
        except Interrupted:
            pass
        else:
            assert model.stopped_
        told: list[dict[str, Any]] = []
        again = cls(**options_of(cls)).fit(
            three_groups(), on_epoch=lambda record, _, told=told: told.append(record), resume=runs.load_state(folder)
        )
        assert next(record["epoch"] for record in told if "epoch" in record) == epoch + 1
        assert np.array_equal(again.labels_, fitted.labels_)
        assert np.array_equal(again.probabilities_, fitted.probabilities_)
        assert [record["loss"] for record in epochs_of(again) if record["epoch"]] == [
            record["loss"] for record in records if record["epoch"]
        ]
        for name, model in (("again", again), ("straight", fitted)):
            runs.save_state(tmp_path / name, model.state())
        both = [(tmp_path / name / "state.safetensors").read_bytes() for name in ("again", "straight")]
        assert both[0] == both[1]


# -- odd input ---------------------------------------------------------------------------------------------------------

FLAT = np.ones((1, SIDE, SIDE), np.uint8)
ODD = {
    "no image": three_groups()[:0],
    "one image": three_groups()[:1],
    "fewer images than groups": three_groups()[:2],
    "as many images as groups": three_groups()[::EACH],
    "identical images": np.repeat(three_groups()[:1], 30, 0),
    "black": FLAT.repeat(30, 0) * 0,
    "two flat images": np.concatenate([FLAT.repeat(15, 0) * 10, FLAT.repeat(15, 0) * 200]),
    "flat images": np.arange(60, dtype=np.uint8)[:, None, None] * FLAT,
    "one pixel each": np.arange(60, dtype=np.uint8)[:, None, None],
    "copies of three": np.repeat(three_groups()[::EACH], 20, 0),
    "one odd image out": np.concatenate([FLAT.repeat(40, 0), three_groups()[:1]]),
    "noise": np.random.default_rng(0).integers(0, 256, (80, SIDE, SIDE), np.uint8),
}


@pytest.mark.parametrize("k", [1, 2, 3, 20])
@pytest.mark.parametrize("images", ODD.values(), ids=ODD.keys())
def test_odd_images_give_a_result_or_a_named_error(cls: type[ImageClusterer], images: np.ndarray, k: int) -> None:
    try:
        model = cls(**{**options_of(cls), "n_clusters": k}).fit(images)
    except IlkError as error:
        assert str(error)  # noqa: PT017 - either is right
        return
    assert model.labels_.shape == (len(images),)
    assert np.isfinite(model.probabilities_).all()
    assert np.isfinite(model.cluster_centers_).all()
    assert np.array_equal(model.predict(images), model.labels_)


@pytest.mark.parametrize(
    "images",
    [
        three_groups() / 255,
        three_groups().astype(object),
        three_groups().astype(np.int64),
        three_groups()[0],
        three_groups()[:, 0],
        three_groups()[None, None],
        [three_groups()[0], three_groups()[1]],
        None,
        7,
    ],
    ids=["float", "object", "int64", "one image", "rows", "rank 5", "list of arrays", "None", "number"],
)
def test_what_is_not_images_is_a_data_error(model: ImageClusterer, fitted: ImageClusterer, images: Any) -> None:
    for use in (model.fit, fitted.predict):
        with pytest.raises(DataError):
            use(images)


def test_exact_duplicates_share_their_twins_group(model: ImageClusterer) -> None:
    noise = ODD["noise"]
    doubled = np.concatenate([noise, noise[::-1], noise[:5]])
    labels = model.fit(doubled).labels_
    assert np.array_equal(labels[:80], labels[80:160][::-1])
    assert np.array_equal(labels[:5], labels[160:])
    assert np.array_equal(model.probabilities_[:5], model.probabilities_[160:])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, image in enumerate(three_groups()):
        Image.fromarray(image).save(tmp_path / f"{i:03d}.png")
    (tmp_path / "030.png").write_bytes(b"not an image at all")
    return tmp_path


def test_an_unreadable_file_is_no_group_and_stops_nothing(model: ImageClusterer, folder: Path) -> None:
    labels = model.fit(folder).labels_
    assert labels[30] == -1
    assert not model.probabilities_[30].any()
    if not isinstance(model, methods.RandomGroups):
        assert adjusted_rand_score(np.delete(TRUTH, 30), np.delete(labels, 30)) == 1
    assert labels.min() == -1 < np.delete(labels, 30).min()
    assert np.array_equal(model.predict(folder), labels)
    assert np.isnan(model.transform(folder)).all(1).nonzero()[0].tolist() == [30]


def test_a_folder_of_nothing_readable_is_a_named_error(model: ImageClusterer, tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.png").write_bytes(b"not an image at all")
    with pytest.raises(DataError, match="none of the 3"):
        model.fit(tmp_path)


# -- use ---------------------------------------------------------------------------------------------------------------


def test_predict_agrees_with_labels(fitted: ImageClusterer) -> None:
    images = three_groups()
    assert np.array_equal(fitted.predict(images), fitted.labels_)
    assert fitted.predict(images).dtype == np.int64
    some = np.random.default_rng(0).permutation(len(images))[:17]
    assert np.array_equal(fitted.predict(images[some]), fitted.labels_[some])


@pytest.mark.usefixtures("finds")
def test_new_images_of_the_same_kind_are_placed_right(fitted: ImageClusterer) -> None:
    assert np.mean(fitted.predict(three_groups(seed=1)) == fitted.labels_) > 0.95


def test_unfitted_says_so(model: ImageClusterer) -> None:
    from sklearn.exceptions import NotFittedError

    for use in (model.predict, model.transform):
        with pytest.raises((NotFittedError, IlkError)):
            use(three_groups())


def test_state_survives_the_disk(cls: type[ImageClusterer], fitted: ImageClusterer, tmp_path: Path) -> None:
    runs.save_state(tmp_path, fitted.state())
    options = {"weights_file": getattr(fitted.encoder_, "weights_file", None)} if hasattr(fitted, "encoder_") else {}
    loaded = cls.from_state(runs.load_state(tmp_path), **options)
    for images in (three_groups(), three_groups(1), ODD["noise"]):
        assert np.array_equal(loaded.predict(images), fitted.predict(images))
        assert np.array_equal(loaded.transform(images), fitted.transform(images))
    assert loaded.n_clusters_ == fitted.n_clusters_
    assert np.array_equal(loaded.cluster_centers_, fitted.cluster_centers_)
    runs.save_state(tmp_path / "again", loaded.state())  # what was loaded can be kept again
    assert (tmp_path / "again" / "state.safetensors").read_bytes() == (tmp_path / "state.safetensors").read_bytes()
