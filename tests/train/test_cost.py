"""Probing: nothing is changed by it, and what it says is near to what happens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ilk import compute
from ilk.errors import NotEnoughMemory
from ilk.train import check_memory, probe, state_of


def parts(seed: int = 0) -> dict[str, Any]:
    with compute.seeded(seed):
        net = nn.Sequential(
            nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Dropout(0.1), nn.Flatten(), nn.Linear(16 * 36, 4)
        )
    return {"network": net, "optimizer": torch.optim.Adam(net.parameters()), "draws": compute.generator(seed)}


def probed(p: dict[str, Any], **options: Any) -> Any:
    def batch(b: int) -> tuple[Tensor, Tensor]:
        return torch.arange(b), torch.rand((b, 1, 8, 8), generator=p["draws"])

    defaults = {"batch_size": 64, "n_steps": 1000}
    return probe(
        lambda index, images: p["network"](images).square().mean(),
        batch,
        network=p["network"],
        optimizer=p["optimizer"],
        generators=[p["draws"]],
        **{**defaults, **options},
    )


@pytest.mark.parametrize("trained", [False, True])
def test_everything_is_as_it_was(trained: bool) -> None:
    p = parts()
    if trained:
        pairs = [(torch.arange(4), torch.rand(4, 1, 8, 8, generator=p["draws"]))]
        p["network"](pairs[0][1]).square().mean().backward()
        p["optimizer"].step()
        p["optimizer"].zero_grad()
    before, rng = state_of(**p), torch.get_rng_state()
    p["network"].eval()
    probed(p)
    after = state_of(**p)
    assert before.keys() == after.keys()
    assert all(torch.equal(torch.as_tensor(before[key]), torch.as_tensor(after[key])) for key in before)
    assert torch.equal(rng, torch.get_rng_state())
    assert not p["network"].training
    assert all(parameter.grad is None for parameter in p["network"].parameters())


def test_everything_is_as_it_was_after_an_error() -> None:
    p = parts()
    before = state_of(**p)
    with pytest.raises(ZeroDivisionError):
        probe(
            lambda index, images: 1 / 0,
            lambda b: (torch.arange(b), torch.rand((b, 1, 8, 8), generator=p["draws"])),
            batch_size=4, n_steps=1, network=p["network"], optimizer=p["optimizer"], generators=[p["draws"]],
        )  # fmt: skip
    assert all(
        torch.equal(torch.as_tensor(a), torch.as_tensor(b))
        for a, b in zip(before.values(), state_of(**p).values(), strict=True)
    )


def test_what_it_says_fits_together() -> None:
    cost = probed(parts())
    assert cost.seconds == pytest.approx(1000 * 64 / cost.images_per_second)
    weights = sum(p.nbytes for p in parts()["network"].parameters())
    assert cost.memory > 4 * weights + 64 * 16 * 36 * 4 * 3
    assert probed(parts(), batch_size=128).memory > 1.7 * cost.memory
    assert cost.as_record().keys() == {"seconds", "bytes", "images_per_second"}


def test_too_little_memory_is_named_before_the_whole_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    p, sizes = parts(), []
    need = probed(parts()).memory

    def batch(b: int) -> tuple[Tensor, Tensor]:
        sizes.append(b)
        return torch.arange(b), torch.rand((b, 1, 8, 8))

    options = {"batch_size": 64, "n_steps": 10, "network": p["network"], "optimizer": p["optimizer"]}
    monkeypatch.setattr(compute, "free_memory", lambda device: int(need / 0.79))
    probe(lambda i, x: p["network"](x).square().mean(), batch, **options)
    sizes.clear()
    monkeypatch.setattr(compute, "free_memory", lambda device: int(need / 0.81))
    with pytest.raises(NotEnoughMemory, match=r"batches of 64 images, more than 80% .* batch_size or image_size"):
        probe(lambda i, x: p["network"](x).square().mean(), batch, **options)
    assert sizes == [8]


def test_memory_alone_is_that_of_the_probe_seen_with_8_images_and_leaves_no_trace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    p, sizes = parts(), []
    need, before, rng = probed(parts()).memory, state_of(**p), torch.get_rng_state()

    def batch(b: int) -> tuple[Tensor, Tensor]:
        sizes.append(b)
        return torch.arange(b), torch.rand((b, 1, 8, 8), generator=p["draws"])

    def checked() -> int:
        return check_memory(
            lambda i, x: p["network"](x).square().mean(), batch,
            batch_size=64, network=p["network"], optimizer=p["optimizer"], generators=[p["draws"]],
        )  # fmt: skip

    assert checked() == need
    monkeypatch.setattr(compute, "free_memory", lambda device: int(need / 0.81))
    with pytest.raises(NotEnoughMemory, match="batches of 64 images"):
        checked()
    assert sizes == [8, 8]
    after = state_of(**p)
    assert all(torch.equal(torch.as_tensor(before[key]), torch.as_tensor(after[key])) for key in before)
    assert torch.equal(rng, torch.get_rng_state())


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_memory_is_near_the_truth() -> None:
    """Against the largest resident set of a process that trains."""
    code = """
import torch
from torch import nn
from ilk.train import probe
def peak():  # KiB; unlike ru_maxrss it does not begin with what the parent had
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
torch.set_num_threads(1)
net = nn.Sequential(*[layer for c in (3, 64, 64) for layer in (nn.Conv2d(c, 64, 3), nn.BatchNorm2d(64), nn.ReLU())])
optimizer = torch.optim.RMSprop(net.parameters())
draw = lambda b: (torch.arange(b), torch.rand(b, 3, 64, 64))
step = lambda i, x: net(x).square().mean()
step(*draw(4)).backward()
before = peak()
cost = probe(step, draw, batch_size=96, n_steps=1, network=net, optimizer=optimizer)
print(cost.memory / 1024 / (peak() - before))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert 0.7 < float(done.stdout) < 1.5


def test_long_ones_say_what_to_do() -> None:
    cost = probed(parts(), n_steps=10**9)
    assert "preset=quick" in cost.note(["quick"])
    assert "GPU" in cost.note(["paper"])
    assert probed(parts(), n_steps=1).note(["quick"]) is None
