"""SCAN as a whole: learning on real digits, every stage resumed, heads chosen without labels, folders and encoders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from patterned import patterns
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.metrics import adjusted_rand_score

from ilk import metrics, runs
from ilk.data import open_images
from ilk.errors import ArgumentError, Interrupted, RunError
from ilk.methods import SCAN
from ilk.methods.scan import config, diagnostics
from ilk.methods.scan.simclr import SimCLR

PRESETS = SCAN.presets


@pytest.fixture(scope="module")
def fitted() -> SCAN:
    """Not to be changed."""
    return SCAN(3, preset="tiny").fit(patterns(60)[0])


def epochs_of(model: SCAN) -> list[dict[str, Any]]:
    return [record for record in model.history_ if "epoch" in record]


# -- it learns ---------------------------------------------------------------------------------------------------------


def digits() -> tuple[np.ndarray, np.ndarray, float]:
    """The digits inside scikit-learn, 8 × 8; what they are; accuracy of K-means on the pixels."""
    data = load_digits()
    found = KMeans(10, n_init=10, random_state=0).fit_predict(data.data)
    return np.round(data.images * 255 / 16).astype(np.uint8), data.target, metrics.accuracy(data.target, found)


def scored(images: np.ndarray, truth: np.ndarray, preset: str, seed: int = 0, **settings: Any) -> float:
    model = SCAN(10, preset=preset, settings=settings, random_state=seed).fit(images)
    return metrics.accuracy(truth, model.labels_)


def test_from_scratch_neighbours_make_the_difference_on_digits() -> None:
    """A small network from scratch is above K-means on pixels; with neighbours drawn at random it is not."""
    images, truth, kmeans = digits()
    short = {"image_size": 16, "pretext_epochs": 3, "cluster_epochs": 20}
    assert scored(images, truth, "small", **short) > kmeans + 0.05
    assert scored(images, truth, "small", **short, neighbors="random") < kmeans - 0.2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_small_is_above_kmeans_on_every_seed(seed: int) -> None:
    images, truth, kmeans = digits()
    assert scored(images, truth, "small", seed, image_size=16) > kmeans
    assert scored(images, truth, "small", seed, image_size=16, neighbors="random") < kmeans - 0.2


def test_heads_on_frozen_pixels_are_above_kmeans_on_them() -> None:
    images, truth, kmeans = digits()
    assert scored(images, truth, "frozen", encoder="pixels", cluster_epochs=30) > kmeans + 0.02


def test_self_labelling_teaches_augmented_copies_the_group_of_the_image() -> None:
    images, truth = patterns(60)
    settings = {"selflabel_epochs": 20, "selflabel_lr": 3e-3}
    model = SCAN(3, preset="tiny", settings=settings).fit(images)
    records = [record for record in epochs_of(model) if record["stage"] == "selflabel"]
    losses = [record["loss"] for record in records]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    assert records[-1]["skipped"] == 0
    assert adjusted_rand_score(truth, model.labels_) == 1


# -- heads -------------------------------------------------------------------------------------------------------------


def test_the_head_of_the_least_loss_is_kept(fitted: SCAN) -> None:
    assert len(fitted.head_losses_) == 5
    assert fitted.network_.heads.count == 1
    cluster = [record for record in epochs_of(fitted) if record["stage"] == "cluster"]
    assert cluster[-1]["head_loss"] == pytest.approx(min(fitted.head_losses_), abs=1e-3)


def test_heads_are_compared_as_by_a_loop_over_anchors_and_neighbours() -> None:
    from ilk.networks.scan import build_heads

    generator = torch.Generator().manual_seed(0)
    features = torch.randn(12, 4, generator=generator)
    heads = build_heads(4, 3, 2, generator=generator)
    nearest = torch.randint(12, (12, 3), generator=generator)
    settings = PRESETS["frozen"].replace(select_weight=2.0, confidence_threshold=0.5)
    evaluator = diagnostics.Evaluator(nearest, settings, 0)
    found = evaluator(heads, features[evaluator.rows])
    for head in range(2):
        p = heads(features)[:, head].softmax(1).detach().double().numpy()
        consistency = -np.mean([np.log(p[i] @ p[j]) for i in range(12) for j in nearest[i].tolist()])
        mean = p.mean(0)
        assert found.losses[head] == pytest.approx(consistency + 2 * (mean * np.log(mean)).sum(), rel=1e-4)
    groups, record = found.summary(None)
    best = heads(features)[:, found.best]
    assert np.array_equal(groups, best.argmax(1).numpy())
    same = np.mean([groups[i] == groups[j] for i in range(12) for j in nearest[i].tolist()])
    assert record["neighbors"] == pytest.approx(same, abs=1e-4)
    confident = (best.softmax(1).max(1).values > 0.5).float().mean()
    assert 0 < float(confident) < 1
    assert record["confident"] == pytest.approx(float(confident), abs=1e-4)


def test_the_best_epoch_is_kept_where_asked_for() -> None:
    """A learning rate that ruins what was there: the last epoch is not the best one."""
    images, truth = patterns(60)
    settings = {"keep": "best", "selflabel_epochs": 0, "cluster_epochs": 12, "select_weight": 5.0}
    model = SCAN(3, preset="tiny", settings=settings).fit(images)
    cluster = [record["head_loss"] for record in epochs_of(model) if record["stage"] == "cluster"]
    assert min(model.head_losses_) == pytest.approx(min(cluster), abs=1e-3)
    assert adjusted_rand_score(truth, model.labels_) == 1


# -- neighbours --------------------------------------------------------------------------------------------------------


def test_neighbours_are_those_of_the_features(fitted: SCAN) -> None:
    rows = fitted.nearest_
    assert rows.shape == (60, 5)
    assert not (rows == np.arange(60)[:, None]).any()
    truth = patterns(60)[1]
    assert np.mean(truth[rows] == truth[:, None]) > 0.95


@pytest.mark.parametrize("where", ["projection", "representation"])
def test_an_image_may_be_its_own_neighbour_as_in_the_published_code(where: str) -> None:
    model = SCAN(3, preset="tiny", settings={"mine_self": True, "mine_on": where}).fit(patterns(60)[0])
    assert model.nearest_.shape == (60, 6)
    assert np.array_equal(model.nearest_[:, 0], np.arange(60))


def test_random_neighbours_are_never_the_image_itself() -> None:
    model = SCAN(3, preset="tiny", settings={"neighbors": "random"}).fit(patterns(60)[0])
    assert not (model.nearest_ == np.arange(60)[:, None]).any()
    truth = patterns(60)[1]
    assert np.mean(truth[model.nearest_] == truth[:, None]) < 0.5


# -- every stage goes on -----------------------------------------------------------------------------------------------

VARIANTS: dict[str, dict[str, Any]] = {
    "frozen encoder, labelled too": {"network": "features", "encoder": "pixels", "selflabel_epochs": 3},
    "whole network, strong": {"tune": "all", "cluster_augment": "strong", "cluster_epochs": 4, "cluster_lr": 1e-2},
    "heads, augmented": {"cluster_augment": "pretext", "cluster_epochs": 4},
    "best epoch, ema teacher": {"keep": "best", "teacher": "ema", "ema_decay": 0.9, "cluster_epochs": 4},
    "ema into the network": {"ema_decay": 0.9, "ema_into_network": True, "cluster_epochs": 4},
    "keras": {
        **{
            key: PRESETS["keras_literal"][key]
            for key in ("contrast", "dropout", "lr_schedule", "decay_steps", "projector")
        },
        **{
            key: PRESETS["keras_literal"][key]
            for key in ("bce_on_prob_as_logit", "all_neighbors", "mine_on_raw_pixels")
        },
        **{key: PRESETS["keras_literal"][key] for key in ("decoupled_wd_unscaled", "pretext_optimizer", "rotation")},
        "cluster_optimizer": "adamw",
        "cluster_augment": "pretext",
        "cluster_epochs": 3,
        "representation_dim": 8,
    },
    "sgd": {"pretext_optimizer": "sgd", "cluster_optimizer": "sgd", "cluster_epochs": 3, "lr_schedule": "constant"},
}


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS.keys())
def test_every_stage_of_every_variant_goes_on_to_the_bit(settings: dict[str, Any], tmp_path: Path) -> None:
    images, _ = patterns(40)
    straight = SCAN(3, preset="tiny", settings=settings).fit(images)
    last: dict[str, int] = {}
    for record in epochs_of(straight):
        last.setdefault(record["stage"], record["epoch"])
    assert set(last) >= {"cluster", "selflabel"}
    for epoch in [*last.values(), max(last.values()) - 1]:

        def stop(record: dict[str, Any], state: Any, epoch: int = epoch) -> bool:
            if record.get("epoch") == epoch:
                runs.save_state(tmp_path / str(epoch), state())
            return bool(record.get("epoch") == epoch)

        with pytest.raises(Interrupted, match="the same command goes on"):
            SCAN(3, preset="tiny", settings=settings).fit(images, on_epoch=stop)
        state = runs.load_state(tmp_path / str(epoch))
        again = SCAN(3, preset="tiny", settings=settings).fit(images, resume=state)
        assert [r["loss"] for r in epochs_of(again)] == [r["loss"] for r in epochs_of(straight)]
        assert np.array_equal(again.probabilities_, straight.probabilities_)
        assert np.array_equal(again.predict(images), straight.labels_)


def test_a_state_of_other_settings_or_images_is_refused() -> None:
    kept: dict[str, Any] = {}

    def keep(record: dict[str, Any], state: Any) -> bool:
        if record.get("epoch") == 1:
            kept.update(state())
        return "epoch" in record

    images, _ = patterns(60)
    with pytest.raises(Interrupted):
        SCAN(3, preset="tiny").fit(images, on_epoch=keep)
    with pytest.raises(RunError, match=r"other settings \(cluster_epochs\)"):
        SCAN(3, preset="tiny", settings={"cluster_epochs": 9}).fit(images, resume=kept)
    with pytest.raises(RunError, match=r"other settings \(n_clusters\)"):
        SCAN(4, preset="tiny").fit(images, resume=kept)
    with pytest.raises(RunError, match="other images"):
        SCAN(3, preset="tiny").fit(images[:50], resume=kept)
    with pytest.raises(RunError, match="lacks"):
        SCAN(3, preset="tiny").fit(images, resume={k: v for k, v in kept.items() if k != "lengths"})
    with pytest.raises(RunError, match="another version of ilk"):
        SCAN(3, preset="tiny").fit(images, resume={k: v for k, v in kept.items() if k != "format"})


# -- what goes wrong is said -------------------------------------------------------------------------------------------


def test_steps_without_a_confident_image_are_skipped_and_counted() -> None:
    images, _ = patterns(60)
    unsure = {"confidence_threshold": 1.0, "cluster_epochs": 2}
    model = SCAN(3, preset="tiny", settings=unsure).fit(images)
    plain = SCAN(3, preset="tiny", settings={**unsure, "selflabel_epochs": 0}).fit(images)
    assert [record["skipped"] for record in epochs_of(model) if record["stage"] == "selflabel"] == [1, 1]
    assert any("no image above the threshold" in note for note in model.notes_)
    assert torch.equal(model.network_.heads.linear.weight, plain.network_.heads.linear.weight)


def test_collapse_is_said_with_its_cure() -> None:
    record = {"active": 2, "balance": 0.5, "neighbors": 0.9}
    assert "entropy_weight" in str(diagnostics.alarm(record, 3, 128))
    assert "cluster_batch" in str(diagnostics.alarm({**record, "active": 50}, 50, 128))
    assert "representation" in str(diagnostics.alarm({**record, "active": 3, "neighbors": 0.3}, 3, 128))
    assert diagnostics.alarm({**record, "active": 3}, 3, 128) is None


def test_without_the_entropy_everything_collapses_and_the_run_says_so() -> None:
    settings = {"entropy_weight": 0.0, "neighbors": "random", "n_heads": 1, "cluster_epochs": 40, "selflabel_epochs": 0}
    model = SCAN(3, preset="tiny", settings=settings).fit(patterns(60)[0])
    assert len(np.unique(model.labels_)) == 1
    assert any("entropy_weight" in note for note in model.notes_)


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        ({"network": "resnet19"}, "resnet18"),
        ({"tune": "al"}, "'all'"),
        ({"cluster_augment": "strng"}, "strong"),
        ({"cluster_batch": 1}, "at least 2"),
        ({"teacher": "ema"}, "ema_decay=.999"),
        ({"confidence_threshold": 2}, "0 to 1"),
        ({"crop": 3}, "two numbers"),
        ({"contrast": "two"}, "tiled"),
        ({"flip": 1}, "true or false"),
        ({"n_heads": "auto"}, "n_heads='auto'"),
        ({"keep": "auto"}, "keep='auto'"),
    ],
)
def test_what_is_wrong_is_named(settings: dict[str, Any], hint: str) -> None:
    with pytest.raises(ArgumentError, match=hint):
        SCAN(3, preset="tiny", settings=settings).resolved()
    with pytest.raises(ArgumentError, match="ilk cluster SOURCE"):
        SCAN("auto").resolved()  # type: ignore[arg-type]


# -- presets and pictures ----------------------------------------------------------------------------------------------


def test_presets_of_papers_are_their_configuration_files() -> None:
    ten, twenty, stl = (PRESETS[f"paper_{name}"] for name in ("cifar10", "cifar20", "stl10"))
    assert (ten["cluster_batch"], ten["cluster_epochs"], ten["n_heads"]) == (128, 50, 1)
    assert (twenty["cluster_batch"], twenty["cluster_epochs"]) == (512, 100)
    assert (stl["cluster_batch"], stl["cluster_epochs"], stl["selflabel_epochs"], stl["cutout"]) == (128, 100, 100, 32)
    assert ten["lr_floor"] * ten["pretext_lr"] == pytest.approx(4e-4)
    literal, fixed = PRESETS["keras_literal"], PRESETS["keras_fixed"]
    quirks = ("mine_on_raw_pixels", "bce_on_prob_as_logit", "tf_softmax_grad", "column_max_shift")
    assert all(literal[key] and not fixed[key] for key in (*quirks, "decoupled_wd_unscaled"))
    assert (literal["entropy_weight"], fixed["entropy_weight"]) == (1.0, 5.0)
    assert all(ten[key] == value for key, value in SimCLR.presets["paper"].items())


def test_keys_of_before_work_and_say_what_they_are_called_now() -> None:
    """The strength of colours too: it was that of the brightness, and is SimCLR's."""
    colours = {"jitter": 0.4, "grey": 0.3, "shift": 0.1}
    network = {"projection": 32, "representation": 16, "pretext_decay": 0.01, "schedule": "steps"}
    labelling = {"balance": False, "threshold": 0.9, "ema": 0.5, "selflabel_decay": 0.02}
    before = colours | network | labelling
    with pytest.warns(DeprecationWarning, match="is now") as seen:
        found = SCAN(3, preset="tiny", settings=before).resolved()
    assert len(seen) == len(before)
    assert "jitter=0.4 is now color_jitter=0.5" in str(seen[0].message)
    now = {"color_jitter": 0.5, "grayscale": 0.3, "translate": 0.1, "projection_dim": 32, "representation_dim": 16}
    now |= {"pretext_weight_decay": 0.01, "lr_schedule": "steps", "class_weighted": False, "confidence_threshold": 0.9}
    now |= {"ema_decay": 0.5, "selflabel_weight_decay": 0.02}
    assert found == SCAN(3, preset="tiny", settings=now).resolved()
    assert SCAN.settings_of({**before, "n_heads": 3, "long_gone": 1}).color_jitter == 0.5


def test_every_augmentation_is_what_its_strength_says() -> None:
    """The ranges of brightness and hue by SimCLR's s: .8 s and .2 s; without settings nothing happens."""
    from ilk.methods.inputs.augmentation import AugmentationSettings, augment_unit

    noise = torch.Generator().manual_seed(0)
    gray = torch.full((4000, 1, 2, 2), 0.4)
    assert torch.equal(augment_unit(gray, AugmentationSettings(), noise), gray)
    factors = augment_unit(gray, AugmentationSettings(color_jitter=0.5), noise)[:, 0, 0, 0] / 0.4
    assert (float(factors.min()), float(factors.max())) == pytest.approx((0.6, 1.4), abs=0.01)
    assert float((factors == 1).float().mean()) == pytest.approx(0.2, abs=0.03)
    red = torch.zeros(4000, 3, 2, 2)
    red[:, 0] = 0.5  # its hue is 0, and its green is 6 times the hue that it gets, up to a sixth of the circle
    shown = augment_unit(red, AugmentationSettings(color_jitter=0.5), noise)[:, :, 0, 0]
    spread = shown.max(1).values - shown.min(1).values
    hue = (shown[:, 1] - shown[:, 2]) / spread.clamp(min=1e-6) / 6
    assert (float(hue.min()), float(hue.max())) == pytest.approx((-0.1, 0.1), abs=0.005)
    pale = augment_unit(red, AugmentationSettings(grayscale=0.3), noise)
    assert float((pale[:, 0] == pale[:, 1]).all((1, 2)).float().mean()) == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("preset", ["paper_cifar10", "keras_literal"])
def test_a_large_preset_takes_a_step_in_every_stage(preset: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), np.uint8)
    stages = {"pretext_epochs": 1, "cluster_epochs": 1, "selflabel_epochs": 1, "image_size": 16, "n_neighbors": 2}
    model = SCAN(2, preset=preset, settings=stages).fit(images)
    assert [record["stage"] for record in epochs_of(model)] == ["pretext", "cluster", "selflabel"]
    assert model.predict(images).shape == (6,)


def test_figures_are_images_neighbours_and_prototypes(fitted: SCAN) -> None:
    found = {figure["name"]: runs.checked_figure(figure) for figure in fitted.figures()}
    assert list(found) == ["augmented", "neighbors", "prototypes"]
    assert len(found["prototypes"]["rows"]) == 3
    assert found["neighbors"]["rows"][0]["images"].shape[0] == 6


def test_automatic_is_frozen_without_a_gpu() -> None:
    model = SCAN(3, settings={"encoder": "pixels", "cluster_epochs": 3}).fit(patterns(60)[0])
    assert model.settings_.network == "features"
    assert any("frozen" in note for note in model.notes_)


@pytest.mark.parametrize("given", [{"network": "tiny"}, {"settings": {"network": "tiny"}}])
def test_automatic_trains_a_network_that_is_named(given: dict[str, Any]) -> None:
    short = {"pretext_epochs": 1, "cluster_epochs": 1, "image_size": 8, "n_neighbors": 5}
    model = SCAN(3, device="cpu", **{**given, "settings": {**given.get("settings", {}), **short}}).fit(patterns(60)[0])
    assert (model.settings_.network, model.settings_.pretext_lr) == ("tiny", PRESETS["small"].pretext_lr)
    assert [record["stage"] for record in epochs_of(model)] == ["pretext", "cluster"]
    assert any("preset=small" in note for note in model.notes_)
    assert not any("frozen encoder" in note for note in model.notes_)


def test_automatic_on_a_gpu() -> None:
    images, gpu = open_images(patterns(60)[0]), torch.device("cuda")
    names = {network: config.automatic(images, gpu, network)[0] for network in (None, "resnet18", "small", "features")}
    assert names == {None: "scratch", "resnet18": "scratch", "small": "small", "features": "frozen"}


def test_a_network_that_nobody_trained_is_told() -> None:
    settings = {"network": "tiny", "image_size": 8, "cluster_epochs": 1}
    model = SCAN(3, preset="frozen", settings=settings).fit(patterns(60)[0])
    assert any("untrained network" in note and "pretext_epochs=" in note for note in model.notes_)
    for trained in ({"pretext_epochs": 1}, {"weights": "a file"}, {"network": "features"}):
        extra = {key: value for key, value in trained.items() if key == "weights"}
        inner = {**settings, **{key: value for key, value in trained.items() if key != "weights"}}
        assert not config.untrained(PRESETS["frozen"].replace(**inner, extra=extra))
