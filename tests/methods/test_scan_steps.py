"""Single steps of SCAN's trainings: steps that are left out, the average of the weights, what Keras does otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ilk.data import ArrayImages
from ilk.errors import Diverged, Interrupted
from ilk.methods import SCAN
from ilk.methods.inputs.dataset import FeatureDataset, PixelDataset
from ilk.methods.reporter import Reporter
from ilk.methods.scan import keras
from ilk.methods.scan.pretext import Pretext, build_network
from ilk.methods.scan.stage import make_optimizer
from ilk.methods.scan.training_step import Clustering, build_scan
from ilk.networks.scan import build_heads

PRESETS = SCAN.presets
CPU = torch.device("cpu")


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


def pretext(preset: str, n: int = 40, **settings: Any) -> Pretext:
    """A training of a tiny network on `n` images."""
    table = PRESETS[preset].replace(network="tiny", stem="small", pretext_batch=8, **settings)
    dataset = PixelDataset(ArrayImages(images(n, 8)), CPU)
    return Pretext(build_network(table, 1, 0), dataset, table, 0, False)


def clustering(preset: str, n: int = 10, **settings: Any) -> Clustering:
    """A training of heads on `n` rows of features, its neighbours mined."""
    table = PRESETS[preset].replace(**{"tune": "heads", "n_neighbors": 3, **settings})
    rows = np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32)
    dataset = FeatureDataset(rows, CPU)
    net = build_scan(None, dataset, table, 3, 0)
    found = Clustering(net, None, dataset, table, 0, False, Reporter([], None))
    found.start()
    return found


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_first_step_that_is_left_out_leaves_nothing_behind(momentum: float) -> None:
    """What follows it is what torch does without it."""
    net, plain = linear(), linear()
    mine = make_optimizer("selflabel", net, PRESETS["tiny"].replace(selflabel_optimizer="sgd", momentum=momentum))
    lr, decay = PRESETS["tiny"].selflabel_lr, PRESETS["tiny"].selflabel_weight_decay
    theirs = torch.optim.SGD(plain.parameters(), lr, momentum=momentum, weight_decay=decay, fused=True)
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
    labelling = {"teacher": "ema", "ema_decay": 0.9, "selflabel_epochs": 3, "confidence_threshold": 0.4}
    table = {**settings, **labelling, "cluster_epochs": 2}
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


def test_a_fit_that_goes_on_does_not_mine_again(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[str, Any] = {}

    def stop(record: dict[str, Any], state: Any) -> bool:
        if record.get("stage") == "cluster" and "epoch" in record:
            kept.update(state())
        return bool(kept)

    straight = SCAN(3, preset="tiny").fit(images())
    with pytest.raises(Interrupted):
        SCAN(3, preset="tiny").fit(images(), on_epoch=stop)
    again = SCAN(3, preset="tiny").fit(images(), resume=kept)
    stages = [[record["stage"] for record in model.history_ if "seconds" in record] for model in (straight, again)]
    assert stages == [["encode", "pretext", "mine", "cluster", "selflabel"], ["encode", "cluster", "selflabel"]]
    assert np.array_equal(again.nearest_, straight.nearest_)


@pytest.mark.parametrize("stage", ["pretext", "cluster", "selflabel"])
def test_a_loss_that_is_no_number_is_said_with_its_cure(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from ilk.methods.scan import pretext as first
    from ilk.methods.scan import training_step as later

    module, name = {
        "pretext": (first.losses, "nt_xent"),
        "cluster": (later.losses, "neighbor_loss"),
        "selflabel": (later.losses, "confident_loss"),
    }[stage]
    plain = getattr(module, name)

    def broken(*values: Any, **how: Any) -> Any:
        found = plain(*values, **how)
        return found * torch.nan if stage == "pretext" else found._replace(loss=found.loss * torch.nan)

    monkeypatch.setattr(module, name, broken)
    with pytest.raises(Diverged, match=rf"no longer finite in epoch \d+ \({stage}\): lower {stage}_lr="):
        SCAN(3, preset="tiny").fit(images())


# -- neighbours of an epoch --------------------------------------------------------------------------------------------


def test_an_image_stands_beside_one_of_its_neighbours_drawn_anew_each_epoch() -> None:
    stage = clustering("frozen", 30, cluster_batch=8)
    seen = set()
    for epoch in range(30):
        stage.begin(epoch)
        units = stage.units(epoch)
        assert [len(index) for index, _ in units] == [8, 8, 8]
        index, other = (torch.cat(part) for part in zip(*units, strict=True))
        assert len(set(index.tolist())) == 24
        at = (stage.nearest[index] == other[:, None]).float()
        assert (at.sum(1) == 1).all()
        seen |= set(at.argmax(1).tolist())
        again = stage.units(epoch)
        assert all(torch.equal(a, b) for a, b in zip(units[1], again[1], strict=True))
    assert seen == {0, 1, 2}


@pytest.mark.parametrize(("n", "size"), [(10, 4), (9, 4), (8, 4), (5, 2)])
@pytest.mark.parametrize("short", [False, True])
def test_an_epoch_has_the_batches_it_says(n: int, size: int, short: bool) -> None:
    stage = clustering("frozen", n, cluster_batch=size, short_batch=short, all_neighbors=True)
    stage.begin(0)
    units = stage.units(0)
    assert len(units) == stage.n_steps()
    assert all(other.shape == (len(index), 3) for index, other in units)
    if short:
        assert sorted(torch.cat([index for index, _ in units]).tolist()) == list(range(n))
        assert min(len(index) for index, _ in units) >= 2
    else:
        assert {len(index) for index, _ in units} == {size}


# -- what Keras does otherwise -----------------------------------------------------------------------------------------


def test_keras_has_its_own_head_epsilon_and_last_batch() -> None:
    heads = build_heads(6, 4, 10, generator=torch.Generator().manual_seed(0), glorot=True)
    assert not heads.linear.bias.any()
    assert 0.7 < float(heads.linear.weight.detach().abs().max()) <= (6 / (6 + 4)) ** 0.5
    for kind in ("adam", "adamw"):
        settings = PRESETS["tiny"].replace(cluster_optimizer=kind, adam_eps=1e-7)
        assert make_optimizer("cluster", linear(), settings).param_groups[0]["eps"] == 1e-7
    assert {name for name, settings in PRESETS.items() if settings.short_batch} == {"keras_literal"}
    assert {name for name, settings in PRESETS.items() if settings.adam_eps == 1e-7} == {"keras_literal", "keras_fixed"}
    assert pretext("keras_literal", 36).n_steps() == 5
    assert pretext("keras_fixed", 36).n_steps() == 4


@pytest.mark.parametrize("lr", [0.1, 1e-3])
def test_unscaled_decay_takes_the_same_share_whatever_the_rate(lr: float) -> None:
    """Without a gradient, a step of AdamW is the decay alone; torch multiplies it by the learning rate."""
    net = linear()
    table = PRESETS["tiny"].replace(cluster_optimizer="adamw", cluster_lr=lr, cluster_weight_decay=0.01)
    for unscaled, share in ((True, 0.01), (False, 0.01 * lr)):
        optimizer = make_optimizer("cluster", net, table.replace(decoupled_wd_unscaled=unscaled))
        before = net.weight.detach().clone()
        for p in net.parameters():
            p.grad = torch.zeros_like(p)
        optimizer.step()
        assert float((net.weight.detach() / before).mean()) == pytest.approx(1 - share, rel=1e-6)


def test_the_learning_rate_of_keras_falls_step_by_step_and_the_decay_stays() -> None:
    stage = pretext("keras_literal", decay_steps=4, lr_floor=0.1)
    decay = []
    for epoch in range(2):
        stage.begin(epoch)
        for unit in stage.units(epoch):
            stage.update(unit)
            group = stage.optimizer.param_groups[0]
            decay.append(group["lr"] * group["weight_decay"])
    assert stage.done == 10
    assert stage.optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * stage.settings.pretext_lr)
    assert decay == pytest.approx([stage.settings.pretext_weight_decay] * 10)


def test_the_networks_of_keras_begin_with_its_heads() -> None:
    """In a training, not only where it is asked for; and its optimizers have the epsilon."""
    dataset = PixelDataset(ArrayImages(np.zeros((2, 8, 8), np.uint8)), CPU)
    for network, glorot in (("resnet50v2", True), ("tiny", False)):
        table = PRESETS["keras_literal"].replace(network=network, representation_dim=8, projection_dim=8)
        contrast = build_network(table, 1, 0)
        net = build_scan(contrast, dataset, table, 3, 0)
        assert (not net.heads.linear.bias.any()) == glorot
        stage = Clustering(net, contrast, dataset, table, 0, False, Reporter([], None))
        assert stage.optimizer.param_groups[0]["eps"] == 1e-7


def test_neighbours_of_keras_are_mined_on_raw_pixels() -> None:
    dataset = PixelDataset(ArrayImages(images(3)), CPU, torch.full((1,), 0.5), torch.full((1,), 0.2))
    assert np.array_equal(keras.raw_pixels(dataset)(torch.arange(3))[:, 0].round().numpy(), images(3))
