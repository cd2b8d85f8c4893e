"""Leaving SCAN and SimCLR within an epoch; memory that is looked at before every stage that trains a network."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ilk import compute, runs
from ilk.errors import Interrupted, NotEnoughMemory
from ilk.methods import SCAN
from ilk.methods.scan.pretext import Pretext
from ilk.methods.scan.simclr import SimCLR
from ilk.methods.scan.training_step import Clustering, SelfLabelling
from ilk.methods.training import loop
from ilk.networks.scan import build_contrast

SMALL = {"pretext_batch": 8, "cluster_batch": 8, "selflabel_batch": 8, "cluster_epochs": 2, "confidence_threshold": 0.4}
VARIANTS: dict[str, dict[str, Any]] = {
    "whole network, ema": {"tune": "all", "cluster_augment": "strong", "teacher": "ema", "ema_decay": 0.9},
    "heads on features that stand still, best epoch": {"keep": "best", "cluster_epochs": 4},
    "all neighbours": {"all_neighbors": True, "lr_schedule": "steps", "dropout": 0.1},
    "sgd, short last batch": {"pretext_optimizer": "sgd", "selflabel_optimizer": "sgd", "short_batch": True},
}


def images(n: int = 26, side: int = 8) -> np.ndarray:
    """n images of three patterns under noise."""
    rng = np.random.default_rng(0)
    shapes = rng.integers(0, 256, (3, side, side))
    return np.clip(shapes[np.arange(n) % 3] + rng.normal(0, 15, (n, side, side)), 0, 255).astype(np.uint8)


def losses(model: Any) -> list[dict[str, Any]]:
    return [record for record in model.history_ if "loss" in record]


def leave_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for seconds in ("SHOW_EVERY", "LEAVE_EVERY"):
        monkeypatch.setattr(loop, seconds, 0.0)


@functools.cache
def straight_through(table: str) -> SCAN:
    """Not to be changed."""
    return SCAN(3, preset="tiny", settings=json.loads(table)).fit(images())


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS.keys())
@pytest.mark.parametrize("stage", ["pretext", "cluster", "selflabel"])
def test_a_fit_left_within_an_epoch_goes_on_to_the_bit(
    settings: dict[str, Any], stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = {**SMALL, **settings}
    straight = straight_through(json.dumps(table))
    leave_anywhere(monkeypatch)
    seen: list[dict[str, Any]] = []

    def stop(record: dict[str, Any], state: Any) -> bool:
        if "done" in record and record["stage"] == stage:
            seen.append(record)
        if len(seen) == 3:
            runs.save_state(tmp_path, state())
        return len(seen) == 3

    with pytest.raises(Interrupted, match="within epoch"):
        SCAN(3, preset="tiny", settings=table).fit(images(), on_epoch=stop)
    assert 0 < seen[-1]["step"] < seen[-1]["steps"]
    assert seen[-1]["done"] < seen[-1]["total"]
    again = SCAN(3, preset="tiny", settings=table).fit(images(), resume=runs.load_state(tmp_path))
    assert losses(again) == losses(straight)
    assert np.array_equal(again.probabilities_, straight.probabilities_)


def test_simclr_left_within_an_epoch_goes_on_to_the_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    straight = SimCLR(preset="tiny", batch_size=8).fit(images())
    leave_anywhere(monkeypatch)

    def stop(record: dict[str, Any], state: Any) -> bool:
        if record.get("done") == 4 and record["stage"] == "pretext":
            runs.save_state(tmp_path, state())
            return True
        return False

    with pytest.raises(Interrupted, match="within epoch 2 of 2"):
        SimCLR(preset="tiny", batch_size=8).fit(images(), on_epoch=stop)
    again = SimCLR(preset="tiny", batch_size=8).fit(images(), resume=runs.load_state(tmp_path))
    assert again.history_ == straight.history_
    assert np.array_equal(again.transform(images()), straight.transform(images()))


def test_a_place_within_an_epoch_is_offered_every_ten_seconds_alone() -> None:
    records: list[dict[str, Any]] = []
    SimCLR(preset="tiny", batch_size=8).fit(images(), on_epoch=lambda record, state: records.append(record))
    assert not [record for record in records if record["stage"] == "pretext" and "done" in record]


@pytest.mark.parametrize(
    ("stage", "kind"), [("pretext", Pretext), ("cluster", Clustering), ("selflabel", SelfLabelling)]
)
def test_memory_is_looked_at_before_each_stage(stage: str, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """With little of it from that stage on, the error names the stage's batch."""
    little = kind.check_memory

    def checked(self: Any) -> None:
        monkeypatch.setattr(compute, "free_memory", lambda device: 1000)
        little(self)

    monkeypatch.setattr(kind, "check_memory", checked)
    with pytest.raises(NotEnoughMemory, match=f"Make {stage}_batch or image_size smaller"):
        SCAN(3, preset="tiny", settings={"tune": "all", "cluster_augment": "strong"}).fit(images())


def test_memory_of_simclr_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "free_memory", lambda device: 1000)
    with pytest.raises(NotEnoughMemory, match="Make batch_size or image_size smaller"):
        SimCLR(preset="tiny").fit(images())


def test_looking_at_memory_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {**SMALL, "tune": "all", "cluster_augment": "strong", "teacher": "ema", "ema_decay": 0.9}
    looked = straight_through(json.dumps(table))
    for kind in (Pretext, Clustering, SelfLabelling):
        monkeypatch.setattr(kind, "check_memory", lambda self: None)
    plain = SCAN(3, preset="tiny", settings=table).fit(images())
    assert losses(looked) == losses(plain)
    assert np.array_equal(looked.probabilities_, plain.probabilities_)


def test_networks_are_put_back_in_the_mode_of_each_part() -> None:
    from ilk import train

    net = build_contrast("tiny", 1, generator=torch.Generator().manual_seed(0))
    net.encoder.eval()
    modes = [module.training for module in net.modules()]
    train.check_memory(
        lambda index, x: net.train()(x).square().mean(),
        lambda b: (torch.arange(b), torch.randn(b, 1, 8, 8)),
        batch_size=4,
        network=net,
        optimizer=torch.optim.SGD(net.parameters(), 0.1),
    )
    assert [module.training for module in net.modules()] == modes
