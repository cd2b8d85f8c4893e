"""Steps that a GPU records: without one, a stand-in repeats them, and they are the plain steps to the bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from dac_parts import CPU, learner, table_of

from ilk.errors import ArgumentError
from ilk.methods import DAC
from ilk.methods.dac import config as setup
from ilk.methods.dac.cuda_graph import Graphs


def test_a_graph_needs_a_gpu() -> None:
    with pytest.raises(ArgumentError, match="the device is cpu"):
        DAC(2, preset="tiny", device="cpu", settings={"graph": True}).fit(np.zeros((4, 8, 8), np.uint8))


def test_a_gpu_records_steps_on_pixels() -> None:
    table, gpu = table_of("released_star", 28), torch.device("cuda")
    assert setup.graphed(table, gpu)
    assert not setup.graphed({**table, "graph": False}, gpu)
    assert not setup.graphed({**table, "selection": "random"}, gpu)
    assert not setup.graphed({**table, "network": "features"}, gpu)
    assert not setup.graphed(table, CPU)
    with pytest.raises(ArgumentError, match="ready-made features"):
        setup.graphed({**table, "network": "features", "graph": True}, gpu)


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
        ("seed", {"batch_size": 16, "steps": 3}),
        ("paper", {"batch_size": 16}),
    ],
)
def test_recorded_steps_are_the_steps(preset: str, changed: dict[str, Any]) -> None:
    still = {"rotation": 0.0, "shift": 0.0, "zoom": [1.0, 1.0], "flip": False, "channel_shift": 0.0, "scale": 1.0}
    plain, other = (learner(preset, **still, **changed) for _ in range(2))
    other.graphs = Graphs(other, repeated)
    for epoch in range(2):
        shares, losses_ = [], []
        for made in (plain, other):
            made.begin(0.8 - 0.1 * epoch, 0.5)
            losses_.append([made.train(portion, epoch) for portion in made.portions()])
            shares.append(made.shares())
        assert losses_[0] == losses_[1]
        assert shares[0] == shares[1]
    for mine, others in zip(plain.net.state_dict().values(), other.net.state_dict().values(), strict=True):
        assert torch.equal(mine, others)


def test_recorded_steps_see_altered_images() -> None:
    plain, other = (learner("released_star", chunk=40, batch_size=16) for _ in range(2))
    other.alter = {}
    for made in (plain, other):
        made.graphs = Graphs(made, repeated)
        made.begin(0.9, 0.9)
        made.train(made.portions()[0], 0)
    assert not torch.equal(plain.net.trunk[0].weight, other.net.trunk[0].weight)


def test_no_more_bytes_are_altered_ahead_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ilk.methods.dac.cuda_graph._BYTES", 70 * 8 * 8 * 4)
    made = learner("tiny")
    graphs = Graphs(made, record=lambda body: body)
    assert graphs.block == 70
    read: list[int] = []
    whole = made.pool.read
    monkeypatch.setattr(made.pool, "read", lambda rows: read.append(len(rows)) or whole(rows))
    sizes = [len(images) for _, images in graphs._altered(made.portions()[0])]
    assert sum(read) == sum(sizes) == 10 * 120
    assert max(read) <= 70


def test_several_processes_take_no_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    table, gpu = table_of("released_star", 28), torch.device("cuda")
    assert setup.graphed(table, gpu)
    monkeypatch.setattr("ilk.compute.world_size", lambda: 2)
    assert not setup.graphed(table, gpu)
    with pytest.raises(ArgumentError, match="between processes"):
        setup.graphed({**table, "graph": True}, gpu)
