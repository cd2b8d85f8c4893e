"""Steps that a GPU records: without one, a stand-in repeats them, and they are the plain steps to the bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from dac_parts import CPU, begin, settings_of, training

from ilk.errors import ArgumentError
from ilk.methods import DAC
from ilk.methods.dac.cuda_graph import Graphs
from ilk.methods.dac.settings import records_graphs


def test_a_graph_needs_a_gpu() -> None:
    with pytest.raises(ArgumentError, match="the device is cpu"):
        DAC(2, preset="tiny", device="cpu", settings={"cuda_graphs": True}).fit(np.zeros((4, 8, 8), np.uint8))


def test_a_gpu_records_steps_on_pixels() -> None:
    settings, gpu = settings_of("released_star", 28), torch.device("cuda")
    assert records_graphs(settings, gpu)
    assert not records_graphs(settings.replace(cuda_graphs=False), gpu)
    assert not records_graphs(settings.replace(selection="random"), gpu)
    assert not records_graphs(settings.replace(network="features"), gpu)
    assert not records_graphs(settings, CPU)
    with pytest.raises(ArgumentError, match="ready-made features"):
        records_graphs(settings.replace(network="features", cuda_graphs=True), gpu)


def repeated(body: Callable[[], object]) -> Callable[[], object]:
    """Stand in for the recording of a GPU: run a few times first, as it does, then whenever it is asked to."""
    body()
    body()
    return body


@pytest.mark.parametrize(
    ("preset", "changed"),
    [
        ("released_star", {"batch_size": 16, "chunk": 40, "inner_epochs": 2, "loss": "binary", "consistency": 10.0}),
        ("released_star", {"batch_size": 16, "chunk": 40, "drop_last": False}),
        ("released_dac", {"batch_size": 16, "chunk": 40, "inner_epochs": 2}),
        ("keras_port", {"batch_size": 16, "steps_per_epoch": 3}),
        ("paper", {"batch_size": 16}),
    ],
)
def test_recorded_steps_are_the_steps(preset: str, changed: dict[str, Any]) -> None:
    still = {"rotation": 0.0, "translate": 0.0, "zoom": [1.0, 1.0], "flip": False, "channel_shift": 0.0,
             "contrast_scale": 1.0}  # fmt: skip
    plain, other = (training(preset, **still, **changed) for _ in range(2))
    other.graphs = Graphs(other, repeated)
    for epoch in range(2):
        shares, losses_ = [], []
        for made in (plain, other):
            begin(made, 0.8 - 0.1 * epoch, 0.5)
            losses_.append([float(made.update(portion)) for portion in made.units(epoch)])
            shares.append(made.shares())
        assert losses_[0] == losses_[1]
        assert shares[0] == shares[1]
    for mine, others in zip(plain.network.state_dict().values(), other.network.state_dict().values(), strict=True):
        assert torch.equal(mine, others)


def test_recorded_steps_see_augmented_images() -> None:
    plain, other = (training("released_star", chunk=40, batch_size=16) for _ in range(2))
    other.augmented = lambda images: images
    for made in (plain, other):
        made.graphs = Graphs(made, repeated)
        begin(made, 0.9, 0.9)
        made.update(made.units(0)[0])
    assert not torch.equal(plain.network.trunk[0].weight, other.network.trunk[0].weight)


def test_no_more_bytes_are_augmented_ahead_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ilk.methods.dac.cuda_graph._BYTES", 70 * 8 * 8 * 4)
    made = training("tiny")
    graphs = Graphs(made, record=lambda body: body)
    assert graphs.block == 70
    read: list[int] = []
    whole = made.dataset.read
    monkeypatch.setattr(made.dataset, "read", lambda rows: read.append(len(rows)) or whole(rows))
    sizes = [len(images) for _, images in graphs._augmented(made.units(0)[0])]
    assert sum(read) == sum(sizes) == 10 * 120
    assert max(read) <= 70


def test_several_processes_take_no_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    settings, gpu = settings_of("released_star", 28), torch.device("cuda")
    assert records_graphs(settings, gpu)
    monkeypatch.setattr("ilk.compute.world_size", lambda: 2)
    assert not records_graphs(settings, gpu)
    with pytest.raises(ArgumentError, match="between processes"):
        records_graphs(settings.replace(cuda_graphs=True), gpu)
