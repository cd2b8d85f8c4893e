"""DeepCluster in slices: resumed is undisturbed, and cost and memory are known before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from patterned import SECOND, patterns

import ilk as package
from ilk import compute, metrics, runs
from ilk.errors import Interrupted, NotEnoughMemory, RunError
from ilk.methods import DeepCluster

# -- resuming ----------------------------------------------------------------------------------------------------------

KINDS = {
    "fresh heads": {},
    "one head": {"reset_head": False},
    "second version": SECOND,
    "second version, first clustering": {**SECOND, "recluster": False},
    "larc, cosine": {"optimizer": "larc", "schedule": "cosine", "warmup": 1},
}


@pytest.mark.parametrize("settings", KINDS.values(), ids=KINDS.keys())
def test_resumed_is_undisturbed_to_the_bit(settings: dict[str, Any], tmp_path: Path) -> None:
    whole = DeepCluster(3, preset="tiny", settings=settings).fit(patterns()[0])
    for epoch in (1, 2):

        def stop(record: dict[str, Any], state: Any, epoch: int = epoch) -> bool:
            if record.get("epoch") == epoch:
                runs.save_state(tmp_path, state())
            return record.get("epoch") == epoch

        with pytest.raises(Interrupted, match=f"after epoch {epoch} of 3"):
            DeepCluster(3, preset="tiny", settings=settings).fit(patterns()[0], on_epoch=stop)
        again = DeepCluster(3, preset="tiny", settings=settings).fit(patterns()[0], resume=runs.load_state(tmp_path))
        for name, value in whole.network_.state_dict().items():
            assert torch.equal(value, again.network_.state_dict()[name]), (epoch, name)
        assert np.array_equal(whole.probabilities_, again.probabilities_)
        strip = [{k: v for k, v in r.items() if k != "seconds"} for r in whole.history_]
        assert strip == [{k: v for k, v in r.items() if k != "seconds"} for r in again.history_]


def test_a_checkpoint_of_another_job_is_refused() -> None:
    states: list[dict[str, Any]] = []
    DeepCluster(3, preset="tiny").fit(
        patterns()[0], on_epoch=lambda record, state: states.append(state()) if record.get("epoch") == 1 else None
    )
    with pytest.raises(RunError, match="other settings"):
        DeepCluster(3, preset="tiny", random_state=1).fit(patterns()[0], resume=states[0])
    with pytest.raises(RunError, match="other images"):
        DeepCluster(3, preset="tiny").fit(patterns()[0][:60], resume=states[0])


def test_a_job_in_slices_is_the_undisturbed_one(
    tmp_path: Path, no_report: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ilk.layout.map_2d", lambda space, **_: space[:, :2])
    images, _ = patterns()
    np.savez(tmp_path / "set.npz", x=images)
    options = {"n_clusters": 3, "preset": "tiny"}

    def job(name: str, **more: Any) -> runs.Run:
        return package.cluster(tmp_path / "set.npz", tmp_path / name, method="deepcluster", options=options, **more)

    whole = job("whole")
    slices = 0
    while True:
        try:
            sliced = job("sliced", max_seconds=1e-6)
            break
        except Interrupted:
            slices += 1
    assert slices == 2
    for file in ("assignments.parquet", "features.npy", "model/state.safetensors"):
        assert (sliced.path / file).read_bytes() == (whole.path / file).read_bytes(), file
    assert whole.header["encoder"]["name"] == "DeepCluster network tiny, 8 px"
    assert {figure["name"] for figure in whole.figures()} >= {"groups-first", "groups-last", "agreement"}
    found = package.predict(whole, tmp_path / "set.npz")
    assert found.group.tolist() == whole.assignments()["group"]


@pytest.mark.parametrize("settings", [{}, SECOND], ids=["first", "second"])
def test_measuring_the_cost_changes_nothing(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    straight = DeepCluster(3, preset="tiny", settings=settings).fit(patterns()[0])
    monkeypatch.setattr("ilk.methods.deepcluster.training._MANY_STEPS", 1)
    told: list[dict[str, Any]] = []
    measured = DeepCluster(3, preset="tiny", settings=settings).fit(
        patterns()[0], on_epoch=lambda record, _: told.append(record)
    )
    cost = next(record["estimate"] for record in told if "estimate" in record)
    assert cost["seconds"] > 0
    assert np.array_equal(measured.probabilities_, straight.probabilities_)


@pytest.mark.parametrize("settings", [{}, SECOND], ids=["first", "second"])
def test_too_little_memory_is_named_before_a_short_training_too(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compute, "free_memory", lambda device: 1000)
    with pytest.raises(NotEnoughMemory, match="batches of 32 images"):
        DeepCluster(3, preset="tiny", settings=settings).fit(patterns()[0])


def test_small_presets_of_both_versions_on_real_digits() -> None:
    from sklearn.datasets import load_digits

    data = load_digits()
    images = np.round(data.images[:300] * 255 / 16).astype(np.uint8)
    model = DeepCluster(10, preset="v2_small", epochs=2, image_size=16, n_fine=30).fit(images)
    assert model.settings_["crop_sizes"] == [16, 10]
    assert model.encoded_.features.shape == (300, 128)
    assert metrics.nmi(data.target[:300], model.labels_) > 0.3
    assert next(record["clusters"] for record in model.history_ if "clusters" in record) > 20
