"""The one training loop, tried on a small stage: order of calls, records, stops, states, refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ilk import compute
from ilk.errors import Diverged, Interrupted, NotEnoughMemory, RunError
from ilk.methods.reporter import Reporter
from ilk.methods.training import GradientStage, Plan, Run, loop, run, seeds_of

Hook = Callable[[dict[str, Any], Callable[[], dict[str, Any]]], bool | None]
N, WIDTH = 50, 4


class Regression(GradientStage):
    """Learns to double rows of numbers, with noise on them."""

    def __init__(self, epochs: int = 3, lr: float = 0.05, name: str = "train", calls: list[str] | None = None) -> None:
        self.name = name
        self.epochs = epochs
        self.n_images = N
        self.batch_size = 16
        self.device = torch.device("cpu")
        self.memory = {}
        self.calls = [] if calls is None else calls
        draws, noise = seeds_of(0, 2)
        self.draws, self.noise = compute.generator(draws), compute.generator(noise)
        with compute.seeded(0):
            self.network = nn.Linear(WIDTH, WIDTH)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=lr, momentum=0.9)
        self.rows = torch.randn(N, WIDTH, generator=compute.generator(5))

    def start(self) -> None:
        self.calls.append(f"{self.name} start")

    def begin(self, epoch: int) -> None:
        self.calls.append(f"{self.name} begin {epoch}")
        super().begin(epoch)

    def loss(self, index: Tensor, unit: Any) -> Tensor:
        rows = self.rows[index]
        noisy = rows + 0.1 * torch.randn(rows.shape, generator=self.noise)
        return (self.network(noisy) - 2 * rows).square().mean()

    def end(self, epoch: int) -> dict[str, Any]:
        self.calls.append(f"{self.name} end {epoch}")
        return {"weight": float(self.network.weight.detach().sum())}

    def finish(self) -> None:
        self.calls.append(f"{self.name} finish")


def trained(hook: Hook | None = None, resume: Any = None, calls: Any = None, **options: Any) -> Run:
    plans = [
        Plan("first", 2, lambda: Regression(2, name="first", calls=calls, **options)),
        Plan("none", 0, lambda: pytest.fail("a stage without epochs is left out")),
        Plan("second", 3, lambda: Regression(3, name="second", calls=calls, **options)),
    ]
    return run(plans, Reporter([], hook), identity={"lr": 0.05, **options}, n_images=N, resume=resume)


@pytest.fixture
def every_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every unit may be left at."""
    monkeypatch.setattr(loop, "SHOW_EVERY", 0.0)
    monkeypatch.setattr(loop, "LEAVE_EVERY", 0.0)


def test_stages_come_one_after_another() -> None:
    calls: list[str] = []
    done = trained(calls=calls)
    assert calls == [
        *("first start", "first begin 0", "first end 0", "first begin 1", "first end 1", "first finish"),
        *("second start", "second begin 0", "second end 0", "second begin 1", "second end 1"),
        *("second begin 2", "second end 2", "second finish"),
    ]
    assert [(r["stage"], r["epoch"], r["epochs"]) for r in done.history] == [
        *(("first", 1, 5), ("first", 2, 5), ("second", 3, 5), ("second", 4, 5), ("second", 5, 5)),
    ]
    assert done.history[4]["loss"] < done.history[2]["loss"]


def test_the_loss_is_the_mean_over_batches() -> None:
    stage = Regression(1, lr=0.0)
    done = run([Plan("train", 1, lambda: stage)], Reporter([], None), identity={}, n_images=N)
    again = Regression(1, lr=0.0)
    again.begin(0)
    parts = [float(again.loss(index, index).detach()) for index in again.units(0)]
    assert [len(index) for index in again.units(0)] == [16, 16, 16, 2]
    assert done.history[0]["loss"] == pytest.approx(np.mean(parts), abs=1e-6)


def test_it_is_the_loop_one_would_write() -> None:
    stage, other = Regression(2), Regression(2)
    run([Plan("train", 2, lambda: stage)], Reporter([], None), identity={}, n_images=N)
    for _ in range(2):
        order = torch.randperm(N, generator=other.draws)
        for index in torch.split(order, 16):
            other.optimizer.zero_grad()
            other.loss(index, index).backward()
            other.optimizer.step()
    assert torch.equal(stage.network.weight, other.network.weight)
    assert torch.equal(stage.network.bias, other.network.bias)


def test_the_host_waits_once_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    class Quiet(Regression):
        def check_memory(self) -> None:
            pass

        def end(self, epoch: int) -> dict[str, Any]:
            return {}

    stage = Quiet(3)
    stage.begin(0)
    waits: list[int] = []
    for name in ("item", "__float__", "tolist", "cpu", "__bool__"):
        real = getattr(Tensor, name)
        monkeypatch.setattr(Tensor, name, lambda self, *a, _r=real, **k: (waits.append(1), _r(self, *a, **k))[1])
    run([Plan("train", 3, lambda: stage)], Reporter([], None), identity={}, n_images=N)
    assert len(waits) == 3


def test_gradients_are_averaged_before_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "average_gradients", lambda parameters: [p.grad.zero_() for p in parameters])
    stage = Regression(1)
    before = stage.network.weight.detach().clone()
    run([Plan("train", 1, lambda: stage)], Reporter([], None), identity={}, n_images=N)
    assert torch.equal(before, stage.network.weight)


@pytest.mark.usefixtures("every_unit")
@pytest.mark.parametrize("at", range(20))
def test_left_anywhere_and_gone_on_with_to_the_bit(at: int) -> None:
    whole = trained()
    kept: dict[str, Any] = {}
    points: list[dict[str, Any]] = []

    def stop(record: dict[str, Any], state: Any) -> bool:
        if "epoch" in record or "done" in record:
            points.append(record)
            if len(points) == at + 1:
                kept.update(state())
        return bool(kept)

    with pytest.raises(Interrupted, match=r"(after|within) epoch \d of 5; the same command goes on"):
        trained(stop)
    again = trained(resume=kept)
    for name, value in whole.stages[-1].network.state_dict().items():
        assert torch.equal(again.stages[-1].network.state_dict()[name], value), name
    assert again.history == whole.history


@pytest.mark.usefixtures("every_unit")
def test_a_stage_that_was_left_is_not_begun_again() -> None:
    kept: dict[str, Any] = {}

    def stop(record: dict[str, Any], state: Any) -> bool:
        if record.get("stage") == "second" and "done" in record:
            kept.update(state())
        return bool(kept)

    with pytest.raises(Interrupted):
        trained(stop)
    calls: list[str] = []
    trained(resume=kept, calls=calls)
    assert calls[:2] == ["second end 0", "second begin 1"]
    assert "second start" not in calls
    assert not [call for call in calls if call.startswith("first")]


def test_states_of_others_are_refused_in_one_line() -> None:
    states: list[dict[str, Any]] = []
    trained(lambda record, state: states.append(state()) if "epoch" in record else None)
    kept = states[0]
    for changed, words in (
        ({}, None),
        ({"settings": kept["settings"].replace("0.05", "0.5")}, r"other settings \(lr\)"),
        ({"settings": kept["settings"].replace(f'"n_images": {N}', '"n_images": 9')}, "other images"),
        ({"format": 1}, "another version of ilk"),
    ):
        if words is None:
            assert len(trained(resume={**kept, **changed}).history) == 5
            continue
        with pytest.raises(RunError, match=words + ".*--overwrite") as caught:
            trained(resume={**kept, **changed})
        assert "\n" not in str(caught.value)
    for key in ("stage", "epoch", "unit", "history", "lengths", "memory", "memory.0.order"):
        with pytest.raises(RunError, match=f"lacks '{key}'"):
            trained(resume={name: value for name, value in kept.items() if name != key})


def test_a_stage_may_have_had_enough() -> None:
    class Short(Regression):
        def end(self, epoch: int) -> dict[str, Any]:
            self.epochs = 2
            return {}

    done = run([Plan("train", 9, lambda: Short(9))], Reporter([], None), identity={}, n_images=N)
    assert [(r["epoch"], r["epochs"]) for r in done.history] == [(1, 2), (2, 2)]


@pytest.mark.usefixtures("every_unit")
def test_a_loss_that_is_no_number_is_said_at_once_with_its_cure() -> None:
    class Broken(Regression):
        cure = "lower the_rate="
        steps = 0

        def loss(self, index: Tensor, unit: Any) -> Tensor:
            type(self).steps += 1
            return super().loss(index, unit) * (float("nan") if type(self).steps == 3 else 1.0)

        def check_memory(self) -> None:
            pass

    with pytest.raises(Diverged, match=r"no longer finite in epoch 1 .*lower the_rate="):
        run([Plan("train", 50, lambda: Broken(50))], Reporter([], None), identity={}, n_images=N)
    assert Broken.steps == 3


def test_what_does_not_fit_into_memory_is_refused_before_the_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "free_memory", lambda place=None: 100)
    with pytest.raises(NotEnoughMemory, match="batch_size"):
        trained()


def test_a_long_training_is_estimated_and_nothing_changes_by_it() -> None:
    records: list[dict[str, Any]] = []
    plain = Regression(600)
    plans = [Plan("train", 600, lambda: plain)]
    run(plans, Reporter([], lambda record, state: records.append(record)), identity={}, n_images=N)
    estimate = next(record["estimate"] for record in records if "estimate" in record)
    assert estimate["seconds"] > 0
    assert len([record for record in records if "estimate" in record]) == 1
    other = Regression(600)
    for epoch in range(600):
        other.begin(epoch)
        for unit in other.units(epoch):
            other.update(unit)
    assert torch.equal(plain.network.weight, other.network.weight)


def test_stages_of_one_name_are_one_for_the_reader() -> None:
    records: list[dict[str, Any]] = []
    plans = [Plan("train", 1, lambda: Regression(1)), Plan("train", 2, lambda: Regression(2))]
    run(plans, Reporter([], lambda record, state: records.append(record)), identity={}, n_images=N)
    assert len([record for record in records if record.get("begin")]) == 1
    assert [record["epoch"] for record in records if "epoch" in record] == [1, 2, 3]
