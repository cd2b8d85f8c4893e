"""DeepCluster in slices: resumed is undisturbed, also within an epoch; cost and memory are known before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from patterned import SECOND, patterns

import ilk as package
from ilk import compute, metrics, runs
from ilk.errors import Diverged, Interrupted, NotEnoughMemory, RunError
from ilk.methods import DeepCluster

# -- resuming ----------------------------------------------------------------------------------------------------------

KINDS = {
    "fresh heads": {},
    "one head": {"reset_head": False},
    "second version": SECOND,
    "second version, first clustering": {**SECOND, "recluster": False},
    "larc, cosine": {"optimizer": "larc", "lr_schedule": "cosine", "warmup": 1},
    "inverse sizes": {"sampler": "inverse_size"},
}
TIMES = {"seconds"}  # of a stage


def assert_same(whole: DeepCluster, again: DeepCluster) -> None:
    """Raise unless two models are the same to the bit."""
    for name, value in whole.network_.state_dict().items():
        assert torch.equal(value, again.network_.state_dict()[name]), name
    assert np.array_equal(whole.probabilities_, again.probabilities_)
    strip = [{k: v for k, v in record.items() if k not in TIMES} for record in whole.history_]
    assert strip == [{k: v for k, v in record.items() if k not in TIMES} for record in again.history_]


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
        assert_same(whole, again)


@pytest.mark.parametrize("settings", KINDS.values(), ids=KINDS.keys())
@pytest.mark.parametrize("at", [(0, 1), (1, 1), (2, 2)], ids=["first epoch", "second", "last"])
def test_left_within_an_epoch_it_goes_on_to_the_bit(
    settings: dict[str, Any], at: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last layer, the bank, the centres and the pseudo-labels of the epoch are those it was left with."""
    images = patterns(130)[0]  # four steps an epoch, or five with a rest
    whole = DeepCluster(3, preset="tiny", settings=settings).fit(images)
    monkeypatch.setattr("ilk.methods.training.loop.SHOW_EVERY", 0.0)
    monkeypatch.setattr("ilk.methods.training.loop.LEAVE_EVERY", 0.0)
    epochs: list[int] = []

    def stop(record: dict[str, Any], state: Any) -> bool:
        if "epoch" in record:
            epochs.append(record["epoch"])
        here = record.get("stage") == "train" and "done" in record and (len(epochs), record["step"]) == at
        if here:
            runs.save_state(tmp_path, state())
        return here

    with pytest.raises(Interrupted, match=f"within epoch {at[0] + 1} of 3"):
        DeepCluster(3, preset="tiny", settings=settings).fit(images, on_epoch=stop)
    again = DeepCluster(3, preset="tiny", settings=settings).fit(images, resume=runs.load_state(tmp_path))
    assert_same(whole, again)
    names = {figure["name"] for figure in whole.figures()}
    assert {figure["name"] for figure in again.figures()} == names
    assert whole.figures()[0]["rows"][0]["title"] == again.figures()[0]["rows"][0]["title"]


def test_a_checkpoint_of_another_job_is_refused() -> None:
    states: list[dict[str, Any]] = []
    DeepCluster(3, preset="tiny").fit(
        patterns()[0], on_epoch=lambda record, state: states.append(state()) if record.get("epoch") == 1 else None
    )
    with pytest.raises(RunError, match="other settings"):
        DeepCluster(3, preset="tiny", random_state=1).fit(patterns()[0], resume=states[0])
    with pytest.raises(RunError, match="other images"):
        DeepCluster(3, preset="tiny").fit(patterns()[0][:60], resume=states[0])
    older = {key: value for key, value in states[0].items() if key != "format"}
    with pytest.raises(RunError, match="written by another version of ilk; start anew with --overwrite"):
        DeepCluster(3, preset="tiny").fit(patterns()[0], resume=older)


@pytest.mark.parametrize("settings", [{}, SECOND], ids=["first", "second"])
def test_a_loss_that_is_no_number_is_named_with_its_cure(settings: dict[str, Any]) -> None:
    fast = {**settings, "lr": 100.0, "weight_decay": 1.0}
    with pytest.raises(Diverged, match=r"no longer finite in epoch \d .*: lower lr=, or choose another preset="):
        DeepCluster(3, preset="tiny", settings=fast, epochs=9).fit(patterns()[0])


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
    monkeypatch.setattr("ilk.methods.training.loop._MANY_STEPS", 1)
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
    assert model.settings_.crop_sizes == (16, 10)
    assert model.encoded_.features.shape == (300, 128)
    assert metrics.nmi(data.target[:300], model.labels_) > 0.3
    assert next(record["clusters"] for record in model.history_ if "clusters" in record) > 20
