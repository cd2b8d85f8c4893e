"""A fitted model in a program: one image at a time, by several threads, what is most like it, and as one file."""

from __future__ import annotations

import json
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from onlookers import global_state
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from test_contract import EVERY, options_of, three_groups
from toy import Toy

import ilk
from ilk import compute, methods
from ilk.errors import ArgumentError, DataError, RunError
from ilk.methods import ImageClusterer


@pytest.fixture(scope="module", params=EVERY)
def fitted(request: pytest.FixtureRequest) -> ImageClusterer:
    """Each method, fitted on `three_groups()`: not to be changed."""
    cls = getattr(methods, request.param)
    return cls(**options_of(cls)).fit(three_groups())


@pytest.fixture(scope="module")
def transfer() -> ImageClusterer:
    return methods.TransferClustering(**options_of(methods.TransferClustering)).fit(three_groups())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Thirty new images, one that is text, and a copy of the first."""
    root = tmp_path / "new"
    root.mkdir()
    for i, image in enumerate(three_groups(2)[::2]):
        Image.fromarray(image).save(root / f"{i:03}.png")
    (root / "100.png").write_bytes(b"not an image at all")
    (root / "200.png").write_bytes((root / "000.png").read_bytes())
    return root


# -- one by one --------------------------------------------------------------------------------------------------------


def test_an_image_gets_the_same_alone_and_in_company(fitted: ImageClusterer, folder: Path) -> None:
    paths = sorted(folder.iterdir())
    together = fitted.predict_proba(folder)
    alone = np.concatenate([fitted.predict_proba([path]) for path in paths])
    few = np.concatenate([fitted.predict_proba(paths[i : i + 5]) for i in range(0, len(paths), 5)])
    assert np.array_equal(fitted.decide(alone), fitted.decide(together))
    np.testing.assert_allclose(alone, together, atol=2e-3)  # networks see batches of other sizes
    np.testing.assert_allclose(few, together, atol=2e-3)
    if not hasattr(fitted, "network_"):
        assert np.array_equal(alone, together)
        assert np.array_equal(few, together)
    assert fitted.predict(str(paths[0])).tolist() == fitted.decide(together[:1]).tolist()  # a path is a source of one


def test_several_threads_may_ask_at_once(fitted: ImageClusterer, folder: Path) -> None:
    paths = sorted(folder.iterdir())
    truth = [fitted.predict_proba([path])[0] for path in paths]
    training = getattr(getattr(fitted, "network_", None), "training", None)
    kept = {name: value.clone() for name, value in fitted.network_.state_dict().items()} if training is not None else {}
    before = global_state()
    with ThreadPoolExecutor(4) as pool:
        many = pool.submit(fitted.predict_proba, folder)  # the long way, with threads of its own
        found = list(pool.map(lambda path: fitted.predict_proba([path])[0], paths * 3))
        np.testing.assert_allclose(many.result(), truth, atol=2e-3)
    for one, other in zip(found, truth * 3, strict=True):
        assert np.array_equal(one, other)
    assert getattr(getattr(fitted, "network_", None), "training", None) is training
    for name, value in kept.items():  # no statistics were gathered
        assert value.equal(fitted.network_.state_dict()[name]), name
    assert all(one == other for one, other in zip(before, global_state(), strict=True))


def test_nothing_is_loaded_or_hashed_again(transfer: ImageClusterer, folder: Path, monkeypatch: Any) -> None:
    path = folder / "000.png"
    transfer.predict([path])

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr("ilk.encoders.weights.content", refuse)  # (the image is hashed: a copy gets its group)
    monkeypatch.setattr("ilk.methods.assign.voting.NeighborIndex", refuse)
    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    assert transfer.predict([path]).shape == (1,)


# -- the most alike ----------------------------------------------------------------------------------------------------


def test_a_training_image_is_most_like_itself(fitted: ImageClusterer) -> None:
    images = three_groups()
    rows, similarity = fitted.nearest(images, 4)
    assert rows.shape == similarity.shape == (60, 4)
    assert (rows.dtype, similarity.dtype) == (np.int64, np.float32)
    np.testing.assert_allclose(similarity[:, 0], 1, atol=1e-3)
    assert (np.diff(similarity, axis=1) <= 0).all()
    assert similarity.max() <= 1
    features = fitted.transform(images).astype(np.float64)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    for i in (0, 25, 59):  # the oracle: cosines by hand
        np.testing.assert_allclose(similarity[i], (unit[rows[i]] * unit[i]).sum(1), atol=1e-5)
    if not hasattr(fitted, "network_"):
        assert rows[:, 0].tolist() == list(range(60))


def test_nearest_images_are_the_nearest(transfer: ImageClusterer) -> None:
    """Against all cosines: in this preset the plane holds nearly everything, so those that vote are the nearest."""
    queries = three_groups(5)
    a, b = (transfer.transform(images).astype(np.float64) for images in (queries, three_groups()))
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    wanted = np.argsort(-(a @ b.T), 1)[:, :3]
    rows, _ = transfer.nearest(queries, 3)
    assert np.mean([len({*rows[i]} & {*wanted[i]}) for i in range(60)]) > 2.5
    assert (transfer.labels_[rows] == transfer.predict(queries)[:, None]).mean() > 0.95


def test_a_loaded_model_can_be_given_its_images_again(fitted: ImageClusterer, tmp_path: Path) -> None:
    loaded = ilk.load(fitted.save(tmp_path / "model"))
    features, new = fitted.transform(three_groups()).astype(np.float16), three_groups(3)
    with pytest.raises(ArgumentError, match="does not have the features"):
        loaded.nearest(new)
    for wrong in (features[:, :-1], features[:-1] if loaded._placer() else features[:0, :0]):
        with pytest.raises(DataError, match="are not those of the images"):
            loaded.remember(wrong, np.arange(60))
    if loaded._placer():
        with pytest.raises(DataError, match="are not those of the images"):
            loaded.remember(features[::-1].copy(), np.arange(60))
    loaded.remember(features, np.arange(60))
    for one, other in zip(loaded.nearest(new, 4), fitted.nearest(new, 4), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_unreadable_images_are_like_nothing(transfer: ImageClusterer, folder: Path) -> None:
    names = [path.name for path in sorted(folder.iterdir())]
    rows, similarity = transfer.nearest(folder, 2)
    at = names.index("100.png")
    assert rows[at].tolist() == [-1, -1]
    assert similarity[at].tolist() == [0, 0]
    assert rows[names.index("200.png")].tolist() == rows[0].tolist()  # a copy
    assert transfer.nearest([folder / "100.png"])[0].tolist() == [[-1] * 5]
    assert transfer.nearest([folder / "000.png"], 1000)[0].shape == (1, 60)
    for wrong in (0, 1.5, True):
        with pytest.raises(ArgumentError, match="n_neighbors"):
            transfer.nearest(folder, wrong)


def test_duplicates_among_training_images_count_once() -> None:
    images = three_groups()[[5, 5, 0, 5, *range(60)]]
    model = methods.KMeans(**options_of(methods.KMeans)).fit(images)
    assert model.nearest(images[:1], 3)[0][0, 0] == 0
    assert len({*model.nearest(images[:1], 60)[0][0]}) == 60
    again = model.fit(three_groups()[::-1])  # the images of the last fit
    assert again.nearest(three_groups()[:1], 1)[0].tolist() == [[59]]


# -- as one file -------------------------------------------------------------------------------------------------------


def test_a_file_holds_the_whole_model(fitted: ImageClusterer, tmp_path: Path) -> None:
    path = fitted.save(tmp_path / "model.safetensors")
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.safetensors"]
    loaded = ilk.load(path, device="cpu")
    assert type(loaded) is type(fitted)
    for images in (three_groups(), three_groups(1)):
        assert np.array_equal(loaded.predict_proba(images), fitted.predict_proba(images))
        assert np.array_equal(loaded.transform(images), fitted.transform(images))
    assert {**loaded.get_params(), "device": "cpu"} == {**fitted.get_params(), "device": "cpu"}
    assert np.array_equal(clone(loaded).fit(three_groups()).labels_, fitted.labels_)
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_the_weights_of_an_encoder_come_along(tmp_path: Path, vit_weights: Path, folder: Path) -> None:
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(vit_weights.read_bytes())
    options = {**options_of(methods.TransferClustering), "encoder": "test_vit", "weights": weights}
    model = methods.TransferClustering(**options, cache=tmp_path / "cache").fit(three_groups())
    path = model.save(tmp_path / "model")
    weights.unlink()
    found = ilk.load(path, cache=tmp_path / "cache")
    assert np.array_equal(found.predict_proba(folder), model.predict_proba(folder))
    assert found.get_params()["weights"] is None  # a path of another machine
    assert str(tmp_path).encode() not in path.read_bytes()


def test_what_a_file_says_of_limits_holds(tmp_path: Path, transfer: ImageClusterer) -> None:
    strict = clone(transfer).set_params(threshold=0.999999).fit(three_groups())
    loaded = ilk.load(strict.save(tmp_path / "m"))
    new = three_groups(4)
    assert np.array_equal(loaded.predict(new), strict.predict(new))
    assert not np.array_equal(loaded.predict(new), transfer.predict(new))
    with pytest.raises(ArgumentError, match=r"ilk\.load_run"):
        loaded.nearest(new)


def test_only_what_is_fitted_can_be_kept(tmp_path: Path, transfer: ImageClusterer) -> None:
    with pytest.raises(NotFittedError):
        methods.KMeans(3).save(tmp_path / "m")
    path = transfer.save(tmp_path / "new" / "m")
    before = path.read_bytes()
    for wrong in (path / "x", tmp_path / "new"):
        with pytest.raises(RunError, match="cannot write"):
            transfer.save(wrong)
    assert [entry.name for entry in path.parent.iterdir()] == ["m"]
    assert path.read_bytes() == before


def test_a_class_of_ones_own_is_given_not_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Toy().fit(three_groups())
    path = model.save(tmp_path / "toy")
    assert np.array_equal(ilk.load(path, cls=Toy).predict(three_groups(1)), model.predict(three_groups(1)))
    another = methods.KMeans
    monkeypatch.setattr("importlib.import_module", lambda name: pytest.fail(f"imported {name}"))
    with pytest.raises(ArgumentError, match="give the class, cls=Toy"):
        methods.load(path)
    with pytest.raises(ArgumentError, match="cls=KMeans: the model is of the class Toy"):
        methods.load(path, cls=another)
    with pytest.raises(ArgumentError, match="cls=7"):
        methods.load(path, cls=7)


# -- files that are not what they should be ----------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path: Path, transfer: ImageClusterer) -> Path:
    return transfer.save(tmp_path / "model")


def header(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What the header of a model file says, and the arrays."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    return json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["ilk_model"]), safetensors.numpy.load(data)


def forge(path: Path, about: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write a model file with the right checksum, as anybody could."""
    import hashlib

    about = {"checksum": "0" * 64, **{key: value for key, value in about.items() if key != "checksum"}}
    text = json.dumps(about, separators=(",", ":"))
    data = safetensors.numpy.save(arrays, {"ilk_model": text})
    digest = hashlib.blake2b(data, digest_size=32).hexdigest()
    path.write_bytes(data.replace(b"0" * 64, digest.encode(), 1))


def test_forged_like_a_real_one(kept: Path) -> None:
    before = ilk.load(kept).predict(three_groups(1))
    forge(kept, *header(kept))
    assert np.array_equal(ilk.load(kept).predict(three_groups(1)), before)


def test_every_flipped_byte_is_noticed(kept: Path) -> None:
    data = kept.read_bytes()
    places = np.unique(np.linspace(0, len(data) - 1, 400).astype(int)).tolist() + list(range(0, 400, 3))
    for at in places:
        for flip in (0x01, 0x20):
            kept.write_bytes(data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :])
            with pytest.raises(RunError, match="is damaged"):
                ilk.load(kept)
    kept.write_bytes(data)
    assert ilk.load(kept)


@pytest.mark.parametrize("size", [0, 7, 8, 200, -1, -500])
def test_what_is_cut_is_damaged(kept: Path, size: int) -> None:
    kept.write_bytes(kept.read_bytes()[:size])
    with pytest.raises(RunError, match="is damaged"):
        ilk.load(kept)


def test_what_is_no_model_says_so(tmp_path: Path, kept: Path) -> None:
    with pytest.raises(RunError, match=r"does not exist|No such file"):
        ilk.load(tmp_path / "nothing")
    with pytest.raises(RunError, match=r"is a folder: a run is opened with ilk\.load_run"):
        ilk.load(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RunError, match="is no file"):
        ilk.load(tmp_path / "pipe")
    safetensors.numpy.save_file({"a": np.zeros(3)}, tmp_path / "weights")
    for other in (tmp_path / "weights", Path(__file__)):
        with pytest.raises(RunError, match="not a model that ilk wrote"):
            ilk.load(other)
    about, arrays = header(kept)
    forge(kept, {**about, "format": 2}, arrays)
    with pytest.raises(RunError, match=r"newer ilk \(model format 2"):
        ilk.load(kept)


FORGED = {
    "no class": {"class": None},
    "weights that are not there": {"weights": 3},
    "a thousand weights": {"weights": 1000},
    "a state that is a list": {"state": []},
    "an empty state": {"state": {}},
    "params that are none": {"params": {"threshold": "much"}},
    "an encoder that is none": {"state": {"encoder": {"name": "pixels"}, "threshold": 0.2, "voter_votes": 5}},
    "more votes than sense": "votes",
    "an encoder of another width": "width",
}


@pytest.mark.parametrize("change", FORGED.values(), ids=FORGED)
def test_forged_files_are_refused_by_name(kept: Path, change: Any) -> None:
    about, arrays = header(kept)
    if change == "votes":
        about["state"]["voter_votes"] = -1
    elif change == "width":
        about["state"]["encoder"] |= {"image_size": [9, 9], "n_features": 81}
    else:
        about = {**about, **change}
    forge(kept, about, arrays)
    with pytest.raises(RunError, match=rf"^the model in {kept} is damaged .* Save it again"):
        ilk.load(kept)


@pytest.mark.parametrize("name", ["state.voter_space", "state.pca_mean", "state.centers", "state.voter_near_usual"])
@pytest.mark.parametrize("how", ["gone", "cut", "nan", "wider"])
def test_forged_arrays_are_refused_by_name(kept: Path, name: str, how: str) -> None:
    about, arrays = header(kept)
    array = arrays.pop(name)
    if how == "cut":
        arrays[name] = array[:1] if array.ndim == 1 and len(array) > 1 else array[:0]
    elif how == "wider":
        arrays[name] = np.concatenate([array, array], -1)
    elif how == "nan":
        arrays[name] = array * np.float32("nan")
    forge(kept, about, arrays)
    with pytest.raises(RunError, match="is damaged"):
        ilk.load(kept)


def test_a_class_in_a_file_is_only_a_name(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    about, arrays = header(kept)
    monkeypatch.setattr("importlib.import_module", lambda name: pytest.fail(f"imported {name}"))
    for own in (True, False):
        for name in ("os:system", "antigravity", "ilk.methods", "ImageClusterer", "find", "load", "__doc__"):
            forge(kept, {**about, "class": name, "own": own}, arrays)
            with pytest.raises(ArgumentError, match="no method"):
                methods.load(kept)


HUGE = {
    methods.Autoencoder: {"shape": [1, 3000, 3000]},
    methods.VAE: {"table": {"widths": [20_000, 20_000]}},
    methods.GAN: {"shape": [1, 512, 512], "table": {"width": 64}},
    methods.DAC: {"n_clusters": 30_000},
    methods.SCAN: {"n_clusters": 30_000_000},
}
"""Settings of networks of two to four GB."""


@pytest.mark.parametrize("cls", HUGE)
def test_a_network_larger_than_its_file_is_never_built(tmp_path: Path, cls: type[ImageClusterer]) -> None:
    path = cls(**options_of(cls)).fit(three_groups()).save(tmp_path / "m")
    about, arrays = header(path)
    for key, value in HUGE[cls].items():
        about["state"][key] = {**about["state"][key], **value} if isinstance(value, dict) else value
    forge(path, about, arrays)
    compute.forget_peak()
    before = compute.peak_memory()
    with pytest.raises(RunError, match="describe a far larger network"):
        ilk.load(path)
    if before is not None:
        assert compute.peak_memory() - before < 700 * 2**20
