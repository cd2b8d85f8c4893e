"""Single steps of SCAN's trainings: steps that are left out, the mode of an average."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ilk.data import ArrayImages
from ilk.errors import Interrupted
from ilk.methods import SCAN
from ilk.methods.inputs.views import Views
from ilk.methods.scan.presets import PRESETS
from ilk.methods.scan.pretext import epoch_of, optimizer_of, steps_of
from ilk.methods.scan.training import Fit, Training
from ilk.methods.scan.training_step import Clustering
from ilk.methods.stages import Stages
from ilk.networks.scan import build_heads


def images(n: int = 40, side: int = 12) -> np.ndarray:
    """n images of three patterns under noise."""
    rng = np.random.default_rng(0)
    shapes = rng.integers(0, 256, (3, side, side))
    return np.clip(shapes[np.arange(n) % 3] + rng.normal(0, 15, (n, side, side)), 0, 255).astype(np.uint8)


def linear() -> nn.Linear:
    net = nn.Linear(512, 64)
    with torch.no_grad():
        net.weight.fill_(0.5)
        net.bias.fill_(0.5)
    return net


def step(net: nn.Linear, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    net(torch.ones(2, 512)).square().mean().backward()
    optimizer.step()


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_first_step_that_is_left_out_leaves_nothing_behind(momentum: float) -> None:
    """What follows it is what torch does without it."""
    net, plain = linear(), linear()
    mine = optimizer_of("sgd", net, 0.01, 1e-4, momentum)
    theirs = torch.optim.SGD(plain.parameters(), 0.01, momentum=momentum, weight_decay=1e-4, fused=True)
    if momentum:
        assert all(not mine.state[p]["momentum_buffer"].any() for p in net.parameters())
    mine.found_inf = torch.ones(())  # type: ignore[attr-defined]
    step(net, mine)
    assert torch.equal(net.weight, linear().weight)
    mine.found_inf = torch.zeros(())  # type: ignore[attr-defined]
    for _ in range(3):
        step(net, mine)
        step(plain, theirs)
    assert torch.equal(net.weight, plain.weight)
    assert torch.equal(net.bias, plain.bias)


@pytest.mark.parametrize("settings", [{"cluster_augment": "strong"}, {"cluster_augment": "strong", "tune": "all"}])
def test_a_labelling_average_goes_on_to_the_bit(settings: dict[str, Any]) -> None:
    """Whatever mode the encoder was in when the average was copied from it."""
    table = {**settings, "teacher": "ema", "ema": 0.9, "cluster_epochs": 2, "selflabel_epochs": 3, "threshold": 0.4}
    kept: dict[str, Any] = {}

    def stop(record: dict[str, Any], state: Any) -> bool:
        if record.get("stage") == "selflabel" and "epoch" in record:
            kept.update(state())
        return bool(kept)

    straight = SCAN(3, preset="tiny", settings=table).fit(images())
    with pytest.raises(Interrupted):
        SCAN(3, preset="tiny", settings=table).fit(images(), on_epoch=stop)
    again = SCAN(3, preset="tiny", settings=table).fit(images(), resume=kept)
    losses = [[record["loss"] for record in model.history_ if "loss" in record] for model in (straight, again)]
    assert losses[0] == losses[1]
    assert np.array_equal(again.probabilities_, straight.probabilities_)


def test_keras_has_its_own_head_epsilon_and_last_batch() -> None:
    heads = build_heads(6, 4, 10, generator=torch.Generator().manual_seed(0), glorot=True)
    assert not heads.linear.bias.any()
    assert 0.7 < float(heads.linear.weight.detach().abs().max()) <= (6 / (6 + 4)) ** 0.5
    for kind in ("adam", "adamw"):
        assert optimizer_of(kind, linear(), 0.1, 0.0, 0.0, eps=1e-7).param_groups[0]["eps"] == 1e-7
    assert {name for name, table in PRESETS.items() if table["short_batch"]} == {"keras_literal"}
    assert {name for name, table in PRESETS.items() if table["adam_eps"] == 1e-7} == {"keras_literal", "keras_fixed"}
    assert steps_of(60_000, 512, short=True) == 118
    assert steps_of(60_000, 512) == 117


@pytest.mark.parametrize(("n", "size"), [(10, 4), (9, 4), (8, 4), (3, 4), (5, 2)])
@pytest.mark.parametrize("short", [False, True])
def test_an_epoch_has_as_many_batches_as_it_says(n: int, size: int, short: bool) -> None:
    found = list(epoch_of(n, size, torch.Generator().manual_seed(0), short=short))
    assert len(found) == steps_of(n, size, short=short)
    if short:
        assert sorted(torch.cat(found).tolist()) == list(range(n))
        assert min(len(part) for part in found) >= 2


def test_the_networks_of_keras_begin_with_its_heads() -> None:
    """In a training, not only where it is asked for; and its optimizers have the epsilon."""
    views = Views(ArrayImages(np.zeros((2, 8, 8), np.uint8)), torch.zeros(1), torch.ones(1), torch.device("cpu"))
    for network, keras in (("resnet50v2", True), ("tiny", False)):
        table = {**PRESETS["keras_literal"], "network": network, "representation": 8, "projection": 8}
        training = Training(Fit(views, table, 3, 0, False), Stages([], None), None)
        net = training._with_heads(1)
        assert (not net.heads.linear.bias.any()) == keras
        stage = Clustering(net, views, table, 0, False, torch.zeros((2, 1), dtype=torch.int64))
        assert stage.optimizer.param_groups[0]["eps"] == 1e-7
