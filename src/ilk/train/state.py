"""Networks, optimizers and generators as one flat mapping, and back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ilk.errors import RunError

__all__ = ["restore", "state_of"]

Part = nn.Module | torch.optim.Optimizer | torch.Generator

_PLAIN = (bool, int, float, str)
_GENERATORS = (16, 5056)  # bytes of the state of a generator on a GPU, and on a CPU
_HOW = ("capturable", "foreach", "fused")  # how an optimizer computes, on the device at hand: not part of its state


def state_of(**parts: Part) -> dict[str, Any]:
    """Return the state of all `parts` as one flat mapping of CPU tensors and plain values.

    Parameters
    ----------
    **parts : nn.Module, Optimizer or Generator
        Their names become the first word of every key: ``network.0.weight``, ``optimizer.3.square_avg``, ``draws``.

    Returns
    -------
    dict
        Copies: training on does not change them. Generators are uint8 tensors.

    Examples
    --------
    >>> net = nn.Linear(2, 1)
    >>> sorted(state_of(net=net, sgd=torch.optim.SGD(net.parameters(), lr=0.5), draws=torch.Generator()))[:3]
    ['draws', 'net.bias', 'net.weight']
    """
    state: dict[str, Any] = {}
    for name, part in parts.items():
        if isinstance(part, torch.Generator):
            state[name] = part.get_state()
        elif isinstance(part, nn.Module):
            state |= {f"{name}.{key}": _kept(value) for key, value in part.state_dict().items()}
        else:
            record = part.state_dict()
            for row, slots in record["state"].items():
                state |= {f"{name}.{row}.{key}": _kept(value) for key, value in slots.items() if value is not None}
            for number, group in enumerate(record["param_groups"]):
                plain = {key: v for key, v in group.items() if isinstance(v, _PLAIN) and key not in _HOW}
                state |= {f"{name}.group{number}.{key}": value for key, value in plain.items()}
    return state


def restore(state: Mapping[str, Any], **parts: Part) -> None:
    """Put `parts` into the state that `state_of` returned for parts of the same names.

    Parameters
    ----------
    state
        May hold more; arrays may be NumPy's, as they come back from the disk. A generator of another kind of device
        begins anew, at a seed made of the state.

    Raises
    ------
    RunError
        The state is of another network or method.
    """
    for name, part in parts.items():
        try:
            if isinstance(part, torch.Generator):
                _restore_generator(_tensor(state[name]).to(torch.uint8), part)
            elif isinstance(part, nn.Module):
                own = part.state_dict()
                part.load_state_dict({key: _tensor(state[f"{name}.{key}"]).reshape(own[key].shape) for key in own})
            else:
                _restore_optimizer(state, name, part)
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise RunError(f"the checkpoint does not fit ({name}: {error}); start anew with --overwrite") from None


def _restore_generator(state: Tensor, generator: torch.Generator) -> None:
    if state.numel() in _GENERATORS and state.numel() != generator.get_state().numel():
        generator.manual_seed(int.from_bytes(hashlib.blake2b(state.numpy().tobytes(), digest_size=7).digest()))
    else:
        generator.set_state(state)


def _restore_optimizer(state: Mapping[str, Any], name: str, optimizer: torch.optim.Optimizer) -> None:
    record = optimizer.state_dict()
    slots: dict[int, dict[str, Any]] = {}
    for key, value in state.items():
        if not key.startswith(f"{name}."):
            continue
        where, _, slot = key.removeprefix(f"{name}.").partition(".")
        if where.startswith("group"):
            if slot in _HOW:  # older states have it
                continue
            group = record["param_groups"][int(where.removeprefix("group"))]
            # a pair such as Adam's betas is no plain value: it is what the constructor of the optimizer said
            group[slot] = value
        else:
            slots.setdefault(int(where), {})[slot] = value if isinstance(value, _PLAIN) else _tensor(value)
    optimizer.load_state_dict({"state": slots, "param_groups": record["param_groups"]})
    for parameter, mine in optimizer.state.items():
        for slot, value in mine.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.stride() != parameter.stride():
                # fused optimizers take it for granted that slots lie in memory as their weights do (channels last)
                mine[slot] = torch.empty_like(parameter, dtype=value.dtype).copy_(value).detach()


def _kept(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    kept = value.detach().to("cpu", torch.float32 if value.dtype == torch.bfloat16 else value.dtype)
    return kept.clone() if kept.data_ptr() == value.data_ptr() else kept


def _tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else torch.from_numpy(np.array(value))
