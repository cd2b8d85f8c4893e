"""What DAC may begin with: images in the order given, every tied pixel, and the groups of the default pipeline."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dac_parts import dataset_of, images, training
from PIL import Image
from sklearn.datasets import load_digits

from ilk import encoders, metrics
from ilk.data import ArrayImages, open_images, pack
from ilk.errors import ArgumentError
from ilk.methods import DAC, TransferClustering
from ilk.methods.dac import diagnostics, order
from ilk.methods.dac.settings import for_groups, for_images
from ilk.methods.dac.training_step import Training
from ilk.methods.inputs.dataset import FeatureDataset, PixelDataset
from ilk.methods.start import default_groups
from ilk.networks.dac import TiedMaxPool2d

# -- the order of the images -------------------------------------------------------------------------------------------


def test_images_as_they_come_make_chunks_in_their_order_in_every_epoch() -> None:
    made = training("steady", 100, order="given", reshuffle=False, chunk=30)
    for epoch in (0, 1):
        made.begin(epoch)
        assert torch.cat(made.units(epoch)).tolist() == list(range(90))
    assert made.reference.tolist() != sorted(made.reference.tolist()), "statistics are of images at random"
    shuffled = training("steady", 100, reshuffle=False, chunk=30)
    assert torch.cat(shuffled.units(0)).tolist() != list(range(90))
    assert made.reference.tolist() == shuffled.reference.tolist()


@pytest.mark.parametrize(
    ("names", "word"),
    [
        ([f"cats/{i}.png" for i in range(1000)] + ["dogs/1.png"], "cats"),
        ([f"train/cats/{i}.png" for i in range(1000)] + ["train/dogs/1.png", "test/cats/1.png"], "cats"),
        ([f"photos/7_{i}.png" for i in range(1000)] + ["photos/8_1.png"], "7"),
    ],
)
def test_names_that_say_a_class_are_seen(names: list[str], word: str) -> None:
    assert word in (order.alike_by_name(names, 1000) or "")
    assert order.alike_by_name(names, 1001) is None


def test_names_that_say_no_class_are_taken_in_their_order() -> None:
    parts = [f"train/{i}.png" for i in range(1500)] + [f"test/{i}.png" for i in range(500)]
    assert order.alike_by_name(parts, 1000) is None
    assert order.alike_by_name([f"IMG_{i}.png" for i in range(2000)], 1000) is None


def test_variance_between_chunks_is_that_of_their_means() -> None:
    values = np.random.default_rng(0).normal(size=(60, 5)).astype("f4") + np.repeat(np.arange(3), 20)[:, None]
    dataset = FeatureDataset(values, torch.device("cpu"))
    means = np.repeat([values[i : i + 20].mean(0) for i in (0, 20, 40)], 20, axis=0)
    share, chance = means.var(0).sum() / values.var(0).sum(), 2 / 59
    assert order.between_chunks(dataset, 20) == pytest.approx((share - chance) / (1 - chance), rel=1e-4)
    assert order.between_chunks(dataset, 31) == 0, "of one chunk"
    rng = np.random.default_rng(1)
    shuffled = [
        order.between_chunks(FeatureDataset(values[rng.permutation(60)], torch.device("cpu")), 20) for _ in range(200)
    ]
    assert abs(np.mean(shuffled)) < 0.01, "nothing but chance"


def test_images_sorted_by_class_are_shuffled_and_refused_where_their_order_is_asked_for(tmp_path: Path) -> None:
    found = load_digits()
    pixels, settings = (found.images * 15).astype(np.uint8), {"chunk": 150, "bn_affine": False}
    by_class = pixels[np.argsort(found.target, kind="stable")]
    model = DAC(10, preset="released_star", network="mnist", epochs=1, settings={**settings, "inner_epochs": 1})
    assert DAC.presets["released_star"].order == "auto"
    images = PixelDataset(pack(ArrayImages(by_class), 28).images, torch.device("cpu"))
    assert "between chunks" in (order.alike_by_sight(images, 150) or "")
    mixed = PixelDataset(pack(ArrayImages(pixels), 28).images, torch.device("cpu"))
    assert order.alike_by_sight(mixed, 150) is None

    some = np.r_[by_class[:300], by_class[:1]]  # of two digits, one after the other
    model.n_clusters = 2
    model.fit(some)
    assert model.settings_.order == "shuffled"
    assert any(
        note.startswith("chunks are of shuffled images: images that come together are alike") for note in model.notes_
    )
    assert model.fit(np.random.default_rng(0).permutation(some)).settings_.order == "given"
    assert not any("shuffled images" in note for note in model.notes_)
    with pytest.raises(ArgumentError, match=r"order='given': images that come together.*order=shuffled"):
        DAC(2, preset="released_star", network="mnist", settings={**settings, "order": "given"}).fit(some)

    for i, image in enumerate(some[100:260]):
        at = tmp_path / ("ones" if i < 80 else "zeros")
        at.mkdir(exist_ok=True)
        Image.fromarray(image).save(at / f"{i}.png")
    folders = DAC(2, preset="released_star", network="mnist", settings={"order": "given", "chunk": 80})
    with pytest.raises(ArgumentError, match="order='given': the first 80 images have the same folder"):
        folders.fit(tmp_path)


def test_other_chunks_in_every_epoch_have_no_given_order() -> None:
    star = DAC.presets["released_star"]
    of_mnist = {reshuffle: for_images(star.replace(reshuffle=reshuffle), images(4, 28)) for reshuffle in ("auto", True)}
    assert {key: found.order for key, found in of_mnist.items()} == {"auto": "given", True: "shuffled"}
    assert all(for_images(star, images(4, side)).order == "shuffled" for side in (32, 96))
    assert {DAC.presets[name].order for name in ("auto", "robust", "steady", "quick", "small", "tiny")} == {"shuffled"}
    with pytest.raises(ArgumentError, match="reshuffle=false"):
        DAC(3, preset="tiny", settings={"order": "given"}).resolved()


# -- ties --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "size"), [(6, 2), (7, 2), (9, 4)])
def test_every_largest_pixel_of_a_window_gets_the_whole_gradient(side: int, size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 3, (2, 3, side, side), generator=generator).float()  # few values: many ties
    x.requires_grad_()
    pooled = TiedMaxPool2d(size)(x)
    weights = torch.rand(pooled.shape, generator=generator)
    (pooled * weights).sum().backward()
    wanted = torch.zeros_like(x)
    for b, c, i, j in np.ndindex(*pooled.shape):
        window = x.detach()[b, c, i * size : (i + 1) * size, j * size : (j + 1) * size]
        assert pooled[b, c, i, j] == window.max()
        at = wanted[b, c, i * size : (i + 1) * size, j * size : (j + 1) * size]
        at[window == window.max()] = weights[b, c, i, j]
    assert x.grad is not None
    assert torch.equal(x.grad, wanted)
    last = x.detach().contiguous(memory_format=torch.channels_last).requires_grad_()  # as networks have them
    (TiedMaxPool2d(size)(last) * weights).sum().backward()
    assert last.grad is not None
    assert torch.equal(last.grad, wanted)


def test_ties_are_of_the_training_alone() -> None:
    x = np.zeros((60, 8, 8), np.uint8)
    x[:20, 2:6, 2:6] = 200
    x[20:40, :4] = 100
    x[40:, :, 4:] = 255
    x += np.random.default_rng(0).integers(0, 30, x.shape, np.uint8) // 10
    found = {ties: DAC(3, preset="tiny", settings={"max_pool_ties": ties}).fit(x) for ties in ("one", "all")}
    one, tied = (model.transform(x[:4]) for model in found.values())
    assert not np.array_equal(one, tied)
    assert DAC.from_state(found["all"].state()).settings_.max_pool_ties == "all"


# -- groups to start from ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    found: np.ndarray = load_digits(n_class=5).images[:400]
    return (found * 15).astype(np.uint8)


def short(**changed: Any) -> dict[str, Any]:
    return {
        "network": "small",
        "image_size": 16,
        "batch_size": 64,
        "epochs": 1,
        "start_epochs": 8,
        "inner_epochs": 6,
        **changed,
    }


@pytest.mark.parametrize(
    ("network", "k", "n", "batch", "passes", "epochs"),
    [
        ("mnist", 10, 70_000, 128, 1, 4), ("mnist", 10, 5_000, 128, 4, 4), ("small", 10, 200, 128, 12, 4),
        ("features", 153, 1_530, 612, 1, 26), ("features", 500, 9_000, 2_000, 1, 4), ("features", 3, 30, 128, 1, 40),
    ],
)  # fmt: skip
def test_sizes_of_a_training_from_groups(network: str, k: int, n: int, batch: int, passes: int, epochs: int) -> None:
    settings = for_groups(DAC.presets["robust"].replace(network=network), k, n)
    assert (settings.batch_size, settings.chunk, settings.inner_epochs) == (batch, max(1000, batch), passes)
    assert settings.start_epochs == epochs
    assert settings.target_batch == max(32, round(3.2 * k))
    given = for_groups(settings.replace(batch_size=7, inner_epochs=3, chunk=9), k, n)
    assert (given.batch_size, given.chunk, given.inner_epochs) == (7, 9, 3)


def test_a_head_on_features_begins_at_the_centres_of_the_groups() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(50, 6)).astype("f4")
    groups = rng.integers(0, 3, 50)
    dataset = FeatureDataset(features, torch.device("cpu"))
    settings = DAC.presets["robust"].replace(network="features", batch_size=20, start_epochs=1, inner_epochs=1)
    made = Training(dataset, settings, 4, 0, False, groups=groups)  # of the fourth group there is no image
    wanted = [*(features[groups == g].mean(0) for g in range(3)), features.mean(0)]
    np.testing.assert_allclose(made.network.trunk[0].weight.detach().numpy(), np.stack(wanted), rtol=1e-5)


def test_a_training_from_groups_learns_those_groups_and_goes_on_by_its_own(digits: np.ndarray) -> None:
    model = DAC(5, preset="robust", settings=short()).fit(digits)
    assert any("starts from the groups" in note for note in model.notes_)
    assert not any("have ended in" in note for note in model.notes_)
    epochs = [record for record in model.history_ if record.get("epoch", 0)]
    assert [record["upper"] for record in epochs] == [0.5] * 8 + [0.9]
    encoded = encoders.encode(open_images(digits), encoders.build("auto", source=open_images(digits)), cache=None)
    groups = default_groups(encoded.features, 5, 0).labels[encoded.position]
    assert metrics.agreement(groups, model.labels_)["ari"] > 0.95
    given = short(start="random", epochs=9)
    del given["start_epochs"]
    random = DAC(5, preset="robust", settings=given).fit(digits)
    assert metrics.agreement(groups, random.labels_)["ari"] < 0.9, "without the start another grouping is found"


def test_targets_are_the_groups_in_the_first_epochs_and_the_networks_own_later() -> None:
    groups = np.arange(120) % 3
    made = training("robust", 120, start_epochs=2, chunk=60)
    made = type(made)(made.dataset, made.settings, 3, 0, False, groups=groups)
    made.memory["groups"] = groups
    rows = torch.tensor([5, 0, 7])
    made.begin(1)
    assert made.made_targets(rows).argmax(1).tolist() == [2, 0, 1]
    assert made.made_targets(rows).sum().item() == 3
    made.begin(2)
    assert not torch.equal(made.made_targets(rows), torch.eye(3)[[2, 0, 1]])


def test_groups_in_one_entry_are_held_to_entries_of_their_own() -> None:
    groups = np.arange(120) % 3
    made = training("robust", 120, start_epochs=3, chunk=60)
    made = type(made)(made.dataset, made.settings, 3, 0, False, groups=groups)
    rows, images = torch.arange(30), made.dataset.read(torch.arange(30))

    def loss(epoch: int, now: list[int]) -> tuple[list[int], float, float]:
        """Return entries of the groups, the loss and that of the pairs alone, where the network has them in `now`."""
        made.memory["groups"] = np.array(now)[groups]
        made.begin(epoch)
        made.frozen = made.made_targets(rows)
        at = made.frozen.argmax(1)
        assert torch.equal(made.frozen, torch.eye(3)[at])
        pairs = made.pairs(made.label_features(images), made.frozen).loss
        return at[:3].tolist(), made.loss(rows, images).item(), pairs.item()

    at, both, pairs = loss(1, [2, 2, 1])
    assert sorted(at) == [0, 1, 2]
    assert at[2] == 1, "what has an entry of its own keeps it"
    features = made.label_features(images).detach().numpy().clip(1e-7, 1 - 1e-7)
    entropy = -np.where(np.eye(3)[np.array(at)[groups[:30]]] > 0, np.log(features), np.log(1 - features)).mean()
    assert both - pairs == pytest.approx(entropy, rel=1e-4)
    for epoch, now in ((1, [2, 0, 1]), (0, [2, 2, 1])):  # each has its own; nothing has been learnt yet
        at, both, pairs = loss(epoch, now)
        assert (at, both) == ([0, 1, 2], pairs)
    made.memory["groups"] = np.zeros(120, np.int64)
    made.begin(3)
    assert made.given.entries is None, "by its own targets the network may put groups together"


def test_groups_that_a_network_has_in_one_entry_are_apart_an_epoch_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs alone may leave two groups in one entry for long."""
    found = load_digits()
    source, kinds = ArrayImages((found.images[:500] * 15).astype(np.uint8)), found.target[:500]
    settings = DAC.presets["robust"].replace(network="tiny", batch_size=64, start_epochs=4, inner_epochs=6, lr=3e-3)
    settings, dataset = for_images(settings, source, 10), dataset_of(pack(source, 8).images)

    sharing = diagnostics.sharing

    def shared(seed: int) -> list[int]:
        """Return how many groups share an entry after each epoch."""
        made, counts = Training(dataset, settings, 10, seed, False, groups=kinds), []
        made.start()
        for epoch in range(4):
            made.begin(epoch)
            for unit in made.units(epoch):
                made.update(unit)
            made.end(epoch)
            counts.append(sharing(kinds, made.memory["groups"])[0])
        return counts

    def still(runs: list[list[int]]) -> int:
        return sum(then > 0 and later > 0 for counts in runs for then, later in itertools.pairwise(counts))

    assert still([shared(seed) for seed in range(4)]) == 0
    monkeypatch.setattr(diagnostics, "sharing", lambda taught, now: (0, 0))
    assert still([shared(seed) for seed in range(4)]) > 0


@pytest.mark.parametrize("entries", [None, [1, 2, 0]])
def test_a_training_that_goes_on_holds_the_groups_where_it_held_them(entries: list[int] | None) -> None:
    made = training("robust", 120, start_epochs=3, chunk=60)
    made = type(made)(made.dataset, made.settings, 3, 0, False, groups=np.arange(120) % 3)
    made.memory["groups"] = np.array(entries or [0, 1, 2])[np.arange(120) % 3 * bool(entries is None)]
    made.begin(1)
    made.keep()
    again = type(made)(made.dataset, made.settings, 3, 0, False, groups=np.arange(120) % 3)
    again.memory = made.memory
    again.restored()
    rows = torch.arange(9)
    assert torch.equal(again.made_targets(rows), made.made_targets(rows))
    assert (again.given.entries is None) is (made.given.entries is None) is (entries is None)


@pytest.mark.parametrize("changed", [{"targets": "batch"}, {"n_trials": 2}, {"start_epochs": 0}])
def test_what_a_start_from_groups_needs_is_said(changed: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match="start='groups'"):
        DAC(3, preset="robust", settings=changed).resolved()


def test_epochs_on_groups_without_groups_are_read_by_nothing() -> None:
    with pytest.raises(ArgumentError, match="start=random"):
        DAC(3, preset="tiny", settings={"start_epochs": 3}).resolved()


def test_many_groups_of_few_images_are_kept() -> None:
    """Targets are made in batches that hold several images of each group: in batches of 32, groups run together."""
    rng = np.random.default_rng(0)
    kinds = np.repeat(np.arange(120), 10)
    centres = 2 * rng.normal(size=(12, 32))[np.arange(120) % 12] + 0.5 * rng.normal(size=(120, 32))  # in 12 families
    features = (centres[kinds] + 0.3 * rng.normal(size=(1200, 32))).astype("f4")
    start = TransferClustering(120).fit(features).labels_
    kept, lost = (
        metrics.agreement(start, DAC(120, preset="robust", settings=settings).fit(features).labels_)["ari"]
        for settings in (None, {"target_batch": 32})
    )
    assert kept > 0.95
    assert lost < 0.8


def test_groups_that_run_together_are_said(digits: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of one kind, drawn at random: no network can tell them from the others."""

    def torn(features: Any, k: int, seed: int) -> Any:
        found = default_groups(features, k - 1, seed)
        some = (found.labels == 0) & (np.random.default_rng(0).random(len(found.labels)) < 0.15)
        return found._replace(labels=np.where(some, k - 1, found.labels))

    monkeypatch.setattr("ilk.methods.dac.estimator.default_groups", torn)
    model = DAC(6, preset="robust", settings=short(start_epochs=1)).fit(digits)  # none is held to an entry of its own
    assert any(note.startswith("2 of the 6 groups that the training began with have") for note in model.notes_)
