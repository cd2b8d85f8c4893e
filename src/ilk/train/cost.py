"""What a training will cost, found out by a few of its own steps; afterwards everything is as it was."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ilk import compute
from ilk.errors import NotEnoughMemory

__all__ = ["Cost", "Step", "check_memory", "choose_bf16", "probe"]

_FEW = 8  # images in the step that measures memory
_STEPS, _SECONDS = 5, 2.0  # at most, for the steps that measure time
_SHARE = 0.8  # of the free memory
_BACKWARD = (
    1.5  # memory of a step / memory of what its forward pass keeps: gradients of the largest maps stand beside it
)
_LONG = 30 * 60.0
_WORTH = 200_000  # images in all epochs: a shorter training gains less than a probe takes
_QUICKER = {
    "robust": "--set preset=robust starts from the default's groups, photos on frozen features: minutes",
    "quick": "--set preset=quick trains on frozen features, in minutes",
    "frozen": "--set preset=frozen takes ready-made features, preset=small trains a small network for minutes",
}
_SHORTER = "fewer epochs or smaller images make it shorter"

Step = Callable[[Tensor, Tensor], Tensor]
"""(index, images) of one batch -> its loss, a scalar tensor."""

Batch = Callable[[int], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Cost:
    """What training will take.

    Attributes
    ----------
    seconds : float
        Of all steps.
    memory : int
        Bytes on the device: network, optimizer and one step.
    images_per_second : float
    device : str
    """

    seconds: float
    memory: int
    images_per_second: float
    device: str

    def as_record(self) -> dict[str, Any]:
        """Return it as plain data, for the record of the stage's beginning."""
        return {"seconds": self.seconds, "bytes": self.memory, "images_per_second": self.images_per_second}

    def note(self, presets: Iterable[str] = ()) -> str | None:
        """Return a warning if this is more than half an hour on a CPU, with what to do about it.

        Examples
        --------
        >>> Cost(5400.0, 0, 90.0, "cpu").note(["paper"])[:60]
        'training takes about 1.5 hours on this CPU: work for a GPU, '
        """
        if self.seconds <= _LONG or not self.device.startswith("cpu"):
            return None
        known = set(presets)
        advice = next((text for preset, text in _QUICKER.items() if preset in known), _SHORTER)
        pieces = "work for a GPU, or for several evenings (--slice MINUTES, and the same command goes on)"
        return f"training takes about {self.seconds / 3600:.1f} hours on this CPU: {pieces}; {advice}"


def probe(
    step: Step,
    batch: Batch,
    *,
    batch_size: int,
    n_steps: int,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    generators: Iterable[torch.Generator] = (),
    device: str | torch.device = "cpu",
) -> Cost:
    """Train for a few steps, measure them, and put everything back as it was, to the bit.

    Parameters
    ----------
    step : callable (index, images) -> loss
    batch : callable (b) -> (index, images)
        Gives a batch of b images.
    batch_size, n_steps : int
        Of the training.
    network, optimizer, generators
        All that `step` and `batch` change.

    Raises
    ------
    NotEnoughMemory
        A step would take more than 80 % of the memory that is free on `device`. Found out with 8 images, so that the
        probe itself fits.

    Notes
    -----
    Time: at most 6 steps, and none after 2 s. Memory is what the forward pass keeps for the backward pass, times 1.5,
    and weights, gradients and slots of the optimizer.
    """
    where = torch.device(device)
    with _put_back(network, optimizer, generators, where):
        memory = _memory(step, batch, batch_size, optimizer, where)
        one = _timed(step, lambda: batch(batch_size), optimizer, where)
    return Cost(one * n_steps, memory, batch_size / max(one, 1e-9), str(where))


def check_memory(
    step: Step,
    batch: Batch,
    *,
    batch_size: int,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    generators: Iterable[torch.Generator] = (),
    device: str | torch.device = "cpu",
    setting: str = "batch_size",
) -> int:
    """Train one step on 8 images, refuse what does not fit, and put everything back as it was, to the bit.

    Parameters
    ----------
    step, batch, batch_size, network, optimizer, generators, device
        As `probe` has them, which does this too, and measures the time besides.
    setting : str
        What the user calls the size of the batch.

    Returns
    -------
    int
        Bytes that the training takes on `device`: network, optimizer and one step.

    Raises
    ------
    NotEnoughMemory
        More than 80 % of the memory that is free on `device`.

    Examples
    --------
    >>> net = nn.Linear(4, 1)
    >>> sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    >>> def batch(b):
    ...     return torch.arange(b), torch.zeros(b, 4)
    >>> check_memory(lambda i, x: net(x).square().mean(), batch, batch_size=32, network=net, optimizer=sgd) < 10_000
    True
    """
    where = torch.device(device)
    with _put_back(network, optimizer, generators, where):
        return _memory(step, batch, batch_size, optimizer, where, setting)


@contextlib.contextmanager
def _put_back(
    network: nn.Module, optimizer: torch.optim.Optimizer, generators: Iterable[torch.Generator], where: torch.device
) -> Iterator[None]:
    """Leave all of this as it was, whatever happens inside."""
    compute.keep_freed()
    weights = {key: value.clone() for key, value in network.state_dict().items()}
    slots = copy.deepcopy(optimizer.state_dict())
    draws = [(generator, generator.get_state()) for generator in generators]
    training = [(module, module.training) for module in network.modules()]
    try:
        with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):
            yield
    finally:
        network.load_state_dict(weights)
        for module, was in training:
            module.training = was
        optimizer.zero_grad(set_to_none=True)
        optimizer.state.clear()
        optimizer.load_state_dict(slots)
        for generator, state in draws:
            generator.set_state(state)


def _memory(
    step: Step,
    batch: Batch,
    batch_size: int,
    optimizer: torch.optim.Optimizer,
    where: torch.device,
    setting: str = "batch_size",
) -> int:
    """Return the bytes that the training takes, by one step on a few images; raise if there are not as many."""
    few = min(_FEW, batch_size)
    kept = _step(step, batch(few), optimizer)
    memory = int(_BACKWARD * kept * batch_size / few) + _held(optimizer)
    free = compute.free_memory(where)
    if memory > _SHARE * free:
        raise NotEnoughMemory(
            f"training takes about {memory / 1e9:.1f} GB for batches of {batch_size:,} images, more than {_SHARE:.0%} "
            f"of the {free / 1e9:.1f} GB that are free ({where}). Make {setting} or image_size smaller."
        )
    return memory


def _step(step: Step, pair: tuple[Tensor, Tensor], optimizer: torch.optim.Optimizer) -> int:
    """Train one step; return the bytes that its forward pass keeps for the backward pass."""
    kept: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    optimizer.zero_grad(set_to_none=True)
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        loss = step(*pair)
    loss.backward()  # type: ignore[no-untyped-call]
    compute.average_gradients(p for group in optimizer.param_groups for p in group["params"])
    optimizer.step()
    weights = {p.untyped_storage().data_ptr() for group in optimizer.param_groups for p in group["params"]}
    return sum(size for where, size in kept.items() if where not in weights)


def _held(optimizer: torch.optim.Optimizer) -> int:
    """Return the bytes of weights, gradients and the optimizer's slots."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    slots = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
    return sum(2 * int(p.nbytes) for p in parameters) + sum(int(slot.nbytes) for slot in slots)


def _timed(
    step: Step, batch: Callable[[], tuple[Tensor, Tensor]], optimizer: torch.optim.Optimizer, device: torch.device
) -> float:
    """Return the seconds of one step: the median of a few, after one that warms up."""
    taken: list[float] = []
    begin = time.perf_counter()
    for number in range(_STEPS + 1):
        start = time.perf_counter()
        _step(step, batch(), optimizer)
        compute.wait(device)
        now = time.perf_counter()
        if number:
            taken.append(now - start)
        if now - begin > _SECONDS:
            break
    taken = taken or [now - start]
    return sorted(taken)[len(taken) // 2]


def choose_bf16(
    precision: str,
    device: str | torch.device,
    speed: Callable[[bool], float] | None = None,
    images: int | None = None,
) -> bool:
    """Return whether a network should run in bfloat16.

    Parameters
    ----------
    precision : {"auto", "fp32", "bf16"}
        "auto": where the device has units for it and `speed` says that it is a tenth faster; without `speed`, or for
        a short training, on a GPU only.
    device
        Where the training runs.
    speed : callable (bf16) -> images per second, optional
        A short probe.
    images : int, optional
        How many the training sees in all; fewer than 200,000 are not worth a probe, and stay in float32.

    Examples
    --------
    >>> choose_bf16("bf16", "cpu"), choose_bf16("auto", "cpu")
    (True, False)
    """
    if precision != "auto":
        return precision == "bf16"
    where = torch.device(device)
    gpu = where.type == "cuda"
    if not compute.has_bf16(where):
        return False
    if speed is None or (images is not None and images < _WORTH):
        return gpu
    return speed(True) > 1.1 * speed(False)
