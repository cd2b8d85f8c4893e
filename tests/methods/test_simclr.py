"""SimCLR alone: it learns, goes on, and its encoder serves other methods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from patterned import patterns
from sklearn.metrics import adjusted_rand_score

import ilk
from ilk import methods, runs
from ilk.errors import ArgumentError, DataError, Interrupted, RunError
from ilk.methods.scan.simclr import SimCLR


@pytest.fixture(scope="module")
def fitted() -> SimCLR:
    """Not to be changed."""
    return SimCLR(preset="tiny", epochs=4).fit(patterns(60)[0])


@pytest.fixture(scope="module")
def file(fitted: SimCLR, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fitted.save(tmp_path_factory.mktemp("simclr") / "encoder.safetensors")


def test_copies_come_together_and_the_loss_falls() -> None:
    records = SimCLR(preset="tiny", epochs=30).fit(patterns(60)[0]).history_
    assert [record["epoch"] for record in records] == list(range(1, 31))
    for key, sign in (("loss", 1), ("positive_similarity", -1)):
        first, last = (np.mean([record[key] for record in part]) for part in (records[:5], records[-5:]))
        assert sign * last < sign * first


def test_it_is_no_clusterer_but_a_public_name(fitted: SimCLR) -> None:
    assert ilk.SimCLR is SimCLR
    assert "SimCLR" not in methods.__all__
    features = fitted.transform(patterns(60)[0])
    assert features.shape == (60, fitted.n_features_)
    assert features.dtype == np.float32


def test_features_do_not_depend_on_company(fitted: SimCLR) -> None:
    images, _ = patterns(60)
    features = fitted.transform(images)
    assert np.array_equal(fitted.transform(images[7:9]), features[7:9])


def test_features_of_what_is_no_image_are_nan(fitted: SimCLR, tmp_path: Path) -> None:
    (tmp_path / "odd.png").write_bytes(b"no image")
    found = fitted.transform(tmp_path)
    assert found.shape == (1, fitted.n_features_)
    assert np.isnan(found).all()


@pytest.mark.parametrize("stopped", [1, 3])
def test_it_goes_on_to_the_bit_and_may_be_taken_further(fitted: SimCLR, stopped: int, tmp_path: Path) -> None:
    images, _ = patterns(60)

    def stop(record: dict[str, Any], state: Any) -> bool:
        if record.get("epoch") == stopped:
            runs.save_state(tmp_path, state())
        return bool(record.get("epoch") == stopped)

    with pytest.raises(Interrupted):
        SimCLR(preset="tiny", epochs=4).fit(images, on_epoch=stop)
    state = runs.load_state(tmp_path)
    again = SimCLR(preset="tiny", epochs=4).fit(images, resume=state)
    assert again.history_ == fitted.history_
    assert np.array_equal(again.transform(images), fitted.transform(images))
    assert len(SimCLR(preset="tiny", epochs=6).fit(images, resume=state).history_) == 6
    with pytest.raises(RunError, match=r"other settings \(random_state\)"):
        SimCLR(preset="tiny", random_state=1).fit(images, resume=state)
    for other in ({"temperature": 0.5}, {"pretext_lr": 0.1}, {"translate": 0.0}):
        with pytest.raises(RunError, match=rf"other settings \({next(iter(other))}\)"):
            SimCLR(preset="tiny", settings=other).fit(images, resume=state)
    with pytest.raises(RunError, match="bf16"):
        SimCLR(preset="tiny", precision="bf16").fit(images, resume=state)


def test_every_method_takes_its_encoder(fitted: SimCLR, file: Path) -> None:
    images, truth = patterns(60)
    own = fitted.transform(images)
    found = [
        methods.TransferClustering(3, encoder="learned", weights=file, preset="tiny").fit(images),
        methods.SCAN(3, preset="frozen", settings={"encoder": "learned", "weights": str(file), "n_neighbors": 5}).fit(
            images
        ),
    ]
    for model in found:
        np.testing.assert_allclose(model.transform(images), own, atol=2e-3)
        assert adjusted_rand_score(truth, model.labels_) == 1
        assert np.array_equal(model.predict(images), model.labels_)


def test_a_network_may_begin_with_what_was_learnt(fitted: SimCLR, file: Path) -> None:
    images, truth = patterns(60)
    begin = {"weights": str(file), "pretext_epochs": 0}
    still = methods.SCAN(3, preset="tiny", settings={**begin, "selflabel_epochs": 0}).fit(images)
    np.testing.assert_allclose(still.transform(images), fitted.transform(images), atol=2e-3)
    assert adjusted_rand_score(truth, still.labels_) == 1
    with pytest.raises(ArgumentError, match="network="):
        methods.SCAN(3, preset="small", settings=begin).fit(images)
    with pytest.raises(ArgumentError, match="mine_on=representation"):
        methods.SCAN(3, preset="tiny", settings={**begin, "mine_on": "projection"}).fit(images)


def test_a_run_keeps_the_encoder_it_was_made_with(file: Path, tmp_path: Path) -> None:
    images, _ = patterns(60)
    options = {"n_clusters": 3, "encoder": "learned", "weights": str(file), "preset": "tiny"}
    run = ilk.cluster(images, tmp_path / "run", options=options)
    file.rename(tmp_path / "gone")
    try:
        found = ilk.predict(run, images)
    finally:
        (tmp_path / "gone").rename(file)
    assert np.array_equal(found.group, run.assignments()["group"])


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    images, _ = patterns(9)
    with pytest.raises(ArgumentError, match="weights="):
        methods.TransferClustering(2, encoder="learned", preset="tiny").fit(images)
    (tmp_path / "other.safetensors").write_bytes(b"not weights")
    with pytest.raises(DataError, match="damaged"):
        methods.TransferClustering(2, encoder="learned", weights=tmp_path / "other.safetensors").fit(images)
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(2, np.float32)}, tmp_path / "strange.safetensors")
    with pytest.raises(DataError, match=r"SimCLR\.save"):
        methods.TransferClustering(2, encoder="learned", weights=tmp_path / "strange.safetensors").fit(images)
    with pytest.raises(ArgumentError, match="'tiny'"):
        SimCLR(preset="tinny").fit(images)
    with pytest.raises(ArgumentError, match="resnet18"):
        SimCLR(network="features").fit(images)
