"""Schedules, averages, and a state that goes on to the bit."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ilk import compute, runs
from ilk.errors import RunError
from ilk.train import EMA, choose_bf16, cosine, restore, set_lr, state_of


def network(seed: int = 0) -> nn.Sequential:
    with compute.seeded(seed):
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))


def pairs(n: int = 6, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    x = torch.randn((n, 5, 4), generator=compute.generator(seed))
    return [(torch.arange(5) + 5 * i, x[i]) for i in range(n)]


def loss_of(net: nn.Module) -> Any:
    return lambda index, images: (net(images) - index[:, None] / 10).square().mean()


def steps(loss: Any, batches: Any, optimizer: torch.optim.Optimizer) -> None:
    for index, images in batches:
        optimizer.zero_grad()
        loss(index, images).backward()
        optimizer.step()


def test_average_of_weights() -> None:
    net = network()
    mean = EMA(net, decay=0.75)
    start = net[0].weight.detach().clone()
    sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    expected, seen = start.clone(), []

    for pair in pairs(3):
        steps(loss_of(net), [pair], sgd)
        mean.update()
        seen.append(net[0].weight.detach().clone())
    for weight in seen:
        expected = 0.75 * expected + 0.25 * weight
    torch.testing.assert_close(mean.network[0].weight, expected)
    assert not mean.network[0].weight.requires_grad
    assert torch.equal(mean.network[1].running_mean, net[1].running_mean)


def test_cosine_and_lr() -> None:
    values = [cosine(e, 10, 1.0, 0.1, warmup=2) for e in range(11)]
    assert values[:3] == [0.5, 1.0, 1.0]
    assert values[6] == pytest.approx(0.55)
    assert values[10] == pytest.approx(0.1)
    assert all(a >= b for a, b in itertools.pairwise(values[1:]))
    sgd = torch.optim.SGD(network().parameters(), lr=0.1)
    set_lr(sgd, 0.03)
    assert sgd.param_groups[0]["lr"] == 0.03


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=1e-3, alpha=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=1e-3, betas=(0.5, 0.9)),
    "plain": lambda p: torch.optim.SGD(p, lr=0.05),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_restored_goes_on_to_the_bit(name: str, tmp_path: Path) -> None:
    def start() -> dict[str, Any]:
        net = network()
        return {"network": net, "optimizer": OPTIMIZERS[name](net.parameters()), "draws": compute.generator(1)}

    def epoch(parts: dict[str, Any]) -> None:
        noise = [torch.randn(5, 4, generator=parts["draws"]) for _ in range(6)]
        batches = [(index, images + more) for (index, images), more in zip(pairs(), noise, strict=True)]
        steps(loss_of(parts["network"]), batches, parts["optimizer"])

    undisturbed = start()
    for number in range(4):
        if number == 2:
            set_lr(undisturbed["optimizer"], 0.01)
            kept = state_of(**undisturbed)
        epoch(undisturbed)
    runs.save_state(tmp_path, kept)
    for state in (kept, runs.load_state(tmp_path)):
        resumed = start()
        restore(state, **resumed)
        epoch(resumed)
        epoch(resumed)
        ours, theirs = state_of(**resumed), state_of(**undisturbed)
        assert sorted(ours) == sorted(theirs)
        assert all(
            torch.equal(ours[key], theirs[key]) if isinstance(ours[key], Tensor) else ours[key] == theirs[key]
            for key in ours
        )


def test_a_state_is_a_copy_and_flat() -> None:
    net = network()
    kept = state_of(net=net)
    before = kept["net.0.weight"].clone()
    with torch.no_grad():
        net[0].weight.add_(1)
    assert torch.equal(kept["net.0.weight"], before)
    assert all(isinstance(value, (Tensor, int, float, str)) for value in kept.values())


def test_a_state_of_something_else_is_refused() -> None:
    kept = state_of(net=network())
    with pytest.raises(RunError, match="does not fit"):
        restore(kept, net=nn.Linear(3, 3))
    with pytest.raises(RunError, match="does not fit"):
        restore(kept, draws=torch.Generator())
    with pytest.raises(RunError, match="does not fit"):
        restore({**kept, "draws": torch.zeros(3, dtype=torch.uint8)}, draws=torch.Generator())


def test_a_generator_of_another_kind_of_device_begins_anew_and_alike() -> None:
    gpu = torch.arange(16, dtype=torch.uint8)  # the state of a generator on a GPU has 16 bytes
    drawn = []
    for state in (gpu, gpu, gpu + 1):
        generator = torch.Generator()
        restore({"draws": state}, draws=generator)
        drawn.append(torch.rand(3, generator=generator))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_how_an_optimizer_computes_is_no_part_of_its_state() -> None:
    weights = [nn.Parameter(torch.ones(2))]
    state = state_of(sgd=torch.optim.SGD(weights, lr=0.5, foreach=True))
    other = torch.optim.SGD(weights, lr=0.1, foreach=False)
    restore({**state, "sgd.group0.foreach": True}, sgd=other)
    assert (other.param_groups[0]["lr"], other.param_groups[0]["foreach"]) == (0.5, False)


@pytest.mark.parametrize(("faster", "images", "half"), [(1.2, 10**6, True), (1.05, 10**6, False), (1.05, 1000, True)])
def test_bfloat16_on_a_gpu_is_taken_where_it_is_faster_or_nobody_measures(
    monkeypatch: pytest.MonkeyPatch, faster: float, images: int, half: bool
) -> None:
    monkeypatch.setattr("ilk.compute.has_bf16", lambda place: True)
    assert choose_bf16("auto", "cuda", lambda on: faster if on else 1.0, images=images) is half
    assert choose_bf16("auto", "cuda")  # without a measure
