"""DAC as a whole: learning on real digits, predictions that do not depend on company, resuming, folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from patterned import patterns
from PIL import Image
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.metrics import adjusted_rand_score

from ilk import compute, metrics, runs
from ilk.errors import ArgumentError, Diverged, Interrupted, NotEnoughMemory, RunError
from ilk.methods import DAC
from ilk.methods.dac.training_step import Training, label_features


@pytest.fixture(scope="module")
def fitted() -> DAC:
    """Fitted on patterns sorted by class: not to be changed."""
    return DAC(3, preset="tiny").fit(patterns()[0])


# -- it learns ---------------------------------------------------------------------------------------------------------


def digits() -> tuple[np.ndarray, np.ndarray, float]:
    """The digits inside scikit-learn, 8 × 8; what they are; accuracy of K-means on the pixels."""
    data = load_digits()
    found = KMeans(10, n_init=10, random_state=0).fit_predict(data.data)
    return np.round(data.images * 255 / 16).astype(np.uint8), data.target, metrics.accuracy(data.target, found)


def scored(images: np.ndarray, truth: np.ndarray, **options: Any) -> float:
    return metrics.accuracy(truth, DAC(10, **options).fit(images).labels_)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_small_digits_beat_kmeans_on_pixels_and_random_pairs_do_not(seed: int) -> None:
    images, truth, kmeans = digits()
    assert scored(images, truth, preset="small", random_state=seed) > kmeans
    assert scored(images, truth, preset="small", random_state=seed, settings={"selection": "random"}) < kmeans


def test_pairs_make_the_difference_on_digits() -> None:
    """A third of one training on a shorter way of the threshold, with pairs chosen by similarity and by chance."""
    images, truth, kmeans = digits()
    short: dict[str, Any] = {"preset": "small", "n_trials": 1}
    way = {"threshold_epochs": 6, "upper_threshold": [0.9, 0.5], "lower_threshold": [0.9, 0.5]}
    learnt = scored(images, truth, **short, settings=way)
    chance = scored(images, truth, **short, settings={**way, "selection": "random"})
    assert learnt > chance + 0.1, "what one training reaches hangs on the last bits of the processor's arithmetic"
    assert chance < kmeans - 0.08


def test_images_sorted_by_class_are_learnt_like_shuffled_ones(fitted: DAC) -> None:
    images, truth = patterns()
    order = np.random.default_rng(0).permutation(len(images))
    shuffled = DAC(3, preset="tiny").fit(images[order]).labels_
    assert adjusted_rand_score(truth, fitted.labels_) == adjusted_rand_score(truth[order], shuffled) == 1


# -- predictions -------------------------------------------------------------------------------------------------------


def test_sorted_images_get_the_groups_of_shuffled_ones(fitted: DAC) -> None:
    images, _ = patterns()
    order = np.random.default_rng(0).permutation(len(images))
    assert np.array_equal(fitted.predict(images)[order], fitted.predict(images[order]))
    np.testing.assert_allclose(fitted.predict_proba(images)[order], fitted.predict_proba(images[order]), atol=1e-3)
    new, _ = patterns(60, seed=3)  # batches of one class each
    for part in np.split(new, 3):
        assert np.array_equal(fitted.predict(part), fitted.predict(new)[np.isin(np.arange(60), _where(new, part))])


def _where(whole: np.ndarray, part: np.ndarray) -> np.ndarray:
    return np.array([np.flatnonzero((whole == image).all((1, 2)))[0] for image in part])


def test_the_batch_at_hand_would_have_spoilt_images_of_one_class(fitted: DAC) -> None:
    """Why predictions use fixed statistics: on those of a one-class batch, the class falls apart."""
    images, truth = patterns()
    pixels = torch.from_numpy(images[truth == 0])[:, None].float() / 255 - fitted.mean_.view(1, -1, 1, 1)
    small = torch.nn.functional.interpolate(pixels, (8, 8), mode="area")
    with torch.no_grad():
        found = fitted.network_(small).argmax(1)
    assert len(found.unique()) > 1
    assert len(set(fitted.labels_[truth == 0])) == 1


def test_a_single_new_image_is_placed_and_so_is_a_single_training_image(fitted: DAC) -> None:
    images, _ = patterns()
    new, _ = patterns(seed=9)
    for row in (0, 40, 80):
        assert fitted.predict(images[row : row + 1]).tolist() == [fitted.labels_[row]]
        assert fitted.predict(new[row : row + 1]).tolist() == [fitted.labels_[row]]
    assert fitted.predict(images[:0]).shape == (0,)


def test_label_features_have_length_1_and_say_the_group(fitted: DAC) -> None:
    features = fitted.transform(patterns()[0])
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-3)
    assert features.min() >= 0
    assert np.array_equal(features.argmax(1), fitted.labels_)
    assert fitted.figures()[0]["panels"][2]["labels"].tolist() == fitted.labels_[np.arange(90)].tolist()


def test_grey_and_colour_may_meet(fitted: DAC) -> None:
    images, _ = patterns()
    colour = np.repeat(images[..., None], 3, 3)
    assert np.mean(fitted.predict(colour) == fitted.labels_) > 0.95
    model = DAC(3, preset="tiny").fit(colour)
    assert np.mean(model.predict(images) == model.labels_) > 0.95


def test_pictures_of_a_loaded_model_and_of_one_whose_assignments_were_too_many_name_their_epochs(
    fitted: DAC, monkeypatch: pytest.MonkeyPatch
) -> None:
    def titles(model: DAC) -> list[str]:
        return [panel["title"] for panel in model.figures()[0]["panels"]]

    assert titles(DAC.from_state(fitted.state())) == titles(fitted)
    assert titles(fitted)[1:] == ["Intermediate stage (epoch 2)", "Final stage (epoch 4)"]
    monkeypatch.setattr("ilk.methods.dac.training_step._KEPT", 0)
    model = DAC(3, **{**SHORT, "n_trials": 2}).fit(patterns()[0])
    assert model.assignments_.shape == (0, 90)
    assert titles(model)[2] == titles(DAC.from_state(model.state()))[2] == "Final stage (epoch 2)"


# -- history -----------------------------------------------------------------------------------------------------------


def test_history_shows_what_happens_without_labels(fitted: DAC) -> None:
    epochs = [record for record in fitted.history_ if "epoch" in record]
    assert [record["epoch"] for record in epochs] == list(range(5))
    assert set(epochs[1]) >= {"loss", "upper", "lower", "positive", "selected", "active", "largest", "agreement"}
    assert 1 / 32 < epochs[-1]["positive"] < 0.6
    assert epochs[-1]["selected"] == 1
    assert fitted.assignments_.shape == (5, 90)
    assert fitted.assignments_.dtype == np.uint8
    assert np.mean(fitted.assignments_[-1] == fitted.labels_) > 0.99
    assert fitted.notes_ == []


def test_two_thresholds_select_more_and_more_pairs() -> None:
    model = DAC(3, preset="released_dac", network="tiny", image_size=8, epochs=6,
                settings={"threshold_epochs": 6, "inner_epochs": 2, "chunk": 90}).fit(patterns()[0])  # fmt: skip
    shares = [record["selected"] for record in model.history_ if record.get("epoch")]
    assert shares[0] < shares[-1]
    uppers = [record["upper"] for record in model.history_ if record.get("epoch")]
    assert uppers == sorted(uppers, reverse=True)


# -- restarts and resuming ---------------------------------------------------------------------------------------------


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Report every portion, not one in a second."""
    monkeypatch.setattr("ilk.methods.training.loop.SHOW_EVERY", 0.0)


SHORT: dict[str, Any] = {"preset": "tiny", "epochs": 2, "settings": {"chunk": 40, "inner_epochs": 2}}


def stopped_at(place: int, **options: Any) -> dict[str, Any] | None:
    """State at the given point of a fit, as it comes back from the disk; None where there is no such point."""
    points = []

    def hook(record: dict[str, Any], state: Any) -> bool:
        if not ({"epoch", "done"} & set(record)) or record["stage"] != "train":
            return False
        points.append(state() if len(points) == place else None)
        return len(points) > place

    try:
        DAC(3, **options).fit(patterns()[0], on_epoch=hook)
    except Interrupted as error:
        assert "goes on" in str(error)  # noqa: PT017
    return points[place] if len(points) > place else None


@pytest.mark.usefixtures("reported")
@pytest.mark.parametrize(
    ("options", "points"),
    [
        (SHORT, 15),  # 3 trainings: a record of the untrained network, and of 2 epochs and within them
        ({**SHORT, "n_trials": 1}, 5),
        ({**SHORT, "preset": "released_dac", "network": "tiny", "image_size": 8}, 5),
        ({"preset": "keras_port", "network": "tiny", "image_size": 8, "epochs": 2,
          "settings": {"steps_per_epoch": 150, "batch_size": 16}}, 5),
        ({"preset": "quick", "epochs": 2, "settings": {"encoder": "pixels", "chunk": 40}}, 5),
    ],
)  # fmt: skip
def test_resumed_is_undisturbed_to_the_bit(options: dict[str, Any], points: int, tmp_path: Path) -> None:
    whole = DAC(3, **options).fit(patterns()[0])
    for place in range(20):
        state = stopped_at(place, **options)
        if state is None:
            break
        runs.save_state(tmp_path, state)
        again = DAC(3, **options).fit(patterns()[0], resume=runs.load_state(tmp_path))
        for name, value in whole.network_.state_dict().items():
            assert torch.equal(value, again.network_.state_dict()[name]), (place, name)
        assert np.array_equal(whole.probabilities_, again.probabilities_)
        assert np.array_equal(whole.assignments_, again.assignments_)
        strip = [{k: v for k, v in r.items() if k != "seconds"} for r in whole.history_]
        assert strip == [{k: v for k, v in r.items() if k != "seconds"} for r in again.history_]
    assert place == points


def test_a_stop_within_an_epoch_is_counted_through_all_trainings(reported: None) -> None:
    seen: list[tuple[int, int]] = []

    def hook(record: dict[str, Any], state: Any) -> None:
        if record["stage"] == "train" and "done" in record:
            assert (record["step"], record["steps"]) == (2, 4)
            seen.append((record["done"], record["total"]))

    DAC(3, **SHORT).fit(patterns()[0], on_epoch=hook)
    assert seen == [(done, 12) for done in (1, 3, 5, 7, 9, 11)]


def test_a_checkpoint_of_another_job_is_refused(reported: None) -> None:
    state = stopped_at(1, **SHORT)
    assert state is not None
    with pytest.raises(RunError, match="other settings"):
        DAC(3, **{**SHORT, "random_state": 1}).fit(patterns()[0], resume=state)
    with pytest.raises(RunError, match="other images"):
        DAC(3, **SHORT).fit(patterns()[0][:60], resume=state)
    with pytest.raises(RunError, match="another version of ilk; start anew"):
        DAC(3, **SHORT).fit(patterns()[0], resume={"settings": "{}", "restart": 0, "portion": 1})


def test_a_loss_that_is_not_finite_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Training.loss
    monkeypatch.setattr(Training, "loss", lambda self, *batch: whole(self, *batch) * float("nan"))
    with pytest.raises(Diverged, match=r"no longer finite in epoch 1 \(train\): lower lr="):
        DAC(3, **SHORT).fit(patterns()[0])


def test_names_of_before_work_and_say_what_they_are_called_now(fitted: DAC) -> None:
    with pytest.warns(DeprecationWarning, match="n_init= is now n_trials="):
        assert DAC(3, n_init=2).n_trials == 2
    with pytest.warns(DeprecationWarning, match="preset=seed is now preset=keras_port"):
        assert not DAC(3, preset="seed").resolved().bn_affine
    with pytest.warns(DeprecationWarning, match="sweep=3 is now threshold_epochs=3"):
        assert DAC(3, settings={"sweep": 3}).resolved().threshold_epochs == 3
    nothing = pytest.raises(ArgumentError, match="steps_per_epoch=9: nothing reads it")
    with pytest.warns(DeprecationWarning, match="steps_per_epoch=9"), nothing:
        DAC(3, preset="small", settings={"steps": 9}).resolved()
    state = fitted.state()
    before = {new: old for old, new in fitted.settings_.renamed.items()}
    old = {**state, "table": {before.get(key, key): value for key, value in state["table"].items()}}
    assert {"sweep", "alpha", "graph"} <= set(old["table"])
    assert DAC.from_state(old).settings_ == fitted.settings_


def test_too_little_memory_is_named_before_a_short_training_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "free_memory", lambda device: 1000)
    with pytest.raises(NotEnoughMemory, match="batches of 40 images"):
        DAC(3, **SHORT).fit(patterns()[0])


def test_restarts_are_told_and_the_kept_one_has_the_least_pair_loss_of_the_sound() -> None:
    model = DAC(3, **{**SHORT, "n_trials": 3}).fit(patterns()[0])
    told = [record for record in model.history_ if record.get("stage") == "restart"]
    assert [record["restart"] for record in told] == [0, 1, 2]
    kept = next(record["restart"] for record in model.history_ if record.get("epoch") == 2)
    sound = [r for r in told if r["active"] == 3 and r["entropy"] >= 0.8 * max(r["entropy"] for r in told)] or told
    assert told[kept]["pair_loss"] <= 1.01 * min(r["pair_loss"] for r in sound)
    assert np.array_equal(model.labels_, model.predict(patterns()[0]))


def test_what_decides_between_restarts_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[bool] = []

    def seen(network: Any, dataset: Any, bf16: bool) -> torch.Tensor:
        used.append(bf16)
        return label_features(network, dataset, bf16)

    monkeypatch.setattr("ilk.methods.dac.training_step.label_features", seen)
    for n_trials in (1, 2):
        DAC(3, **SHORT, n_trials=n_trials, precision="bf16").fit(patterns()[0])
    last = [used[at] for at in (3, 7, 11)]  # behind the three records of each training
    assert (last, len(used)) == ([True, False, False], 12)


# -- frozen features ---------------------------------------------------------------------------------------------------


def test_quick_trains_a_head_on_frozen_features(tmp_path: Path) -> None:
    images, truth = patterns()
    model = DAC(3, preset="quick", epochs=3, settings={"encoder": "pixels"}).fit(images)
    assert adjusted_rand_score(truth, model.labels_) == 1
    assert model.encoded_.features.shape == (90, 144)
    assert model.embedding_.shape == (90, 3)
    assert np.array_equal(model.predict(images), model.labels_)
    runs.save_state(tmp_path, model.state())
    loaded = DAC.from_state(runs.load_state(tmp_path))
    assert np.array_equal(loaded.predict(images[::-1]), model.labels_[::-1])
    assert loaded.transform(images[:4]).shape == (4, 144)


def test_quick_places_images_as_it_learnt_them_where_bf16_is_asked_for() -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)  # no groups: the last bits would decide
    model = DAC(6, network="features", epochs=1, precision="bf16", settings={"encoder": "pixels"}).fit(images)
    assert np.array_equal(model.predict(images), model.labels_)
    assert np.array_equal(model.predict_proba(images), model.probabilities_)


# -- the command line, the seed's folders -----------------------------------------------------------------------------


@pytest.fixture
def seed_folders(tmp_path: Path) -> Path:
    """train/ and test/ with 12345678_000001.jpg: the label stands before the underscore."""
    names = ["12345678", "1111111", "222"]
    for folder, n, seed in (("train", 60, 0), ("test", 30, 5)):
        (tmp_path / folder).mkdir()
        images, truth = patterns(n, seed=seed, side=24)
        for i, (image, label) in enumerate(zip(images, truth, strict=True)):
            Image.fromarray(image).save(tmp_path / folder / f"{names[label]}_{i + 1:06}.jpg", quality=95)
    return tmp_path


def test_the_seeds_folders_and_modes(ilk: Any, seed_folders: Path, no_report: None) -> None:
    said = ilk("cluster", seed_folders / "train", "-m", "dac", "-k", 3, "--set", "preset=tiny", "-o", "run", "--json",
               "--labels", "prefix")  # fmt: skip
    assert said.code == 0, said.err
    assert said.json["scores"]["acc"] == 1
    assert said.json["encoder"] == "DAC network tiny, 8 px"
    tested = ilk("evaluate", "run", seed_folders / "test", "--labels", "prefix", "--json")
    assert tested.code == 0, tested.err
    assert tested.json["scores"]["acc"] == 1
    assert tested.json["scores"]["n_scored"] == 30


def test_dac_needs_a_number_of_groups_and_says_so(ilk: Any, seed_folders: Path) -> None:
    said = ilk("cluster", seed_folders / "train", "-m", "dac", "-o", "run")
    assert said.code == 1
    assert "-k" in said.err
