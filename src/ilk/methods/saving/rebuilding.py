"""From what a model left behind to the model: of a class that the caller knows, bounded and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from ilk import compute
from ilk.errors import IlkError, RunError
from ilk.methods.base import ImageClusterer

__all__ = ["OF_A_MACHINE", "rebuild"]

_MAKERS = {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.eye, torch.empty_strided}
_ERRORS = (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)
_NOT_SHAPE = ("generator", "device", "out", "pin_memory")
_FREE, _TIMES = 2**29, 16  # a network takes a few times the bytes of its arrays: half precision is widened
OF_A_MACHINE = ("cache", "device", "precision", "verbose", "weights")
"""Constructor arguments that no other machine, and no other person, can make use of."""


class _Bounded(TorchFunctionMode):
    """Refuses tensors that what is loaded cannot fill: settings say how large a network is, and may say anything."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._left = most

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _MAKERS:
            plain = {key: value for key, value in kwargs.items() if key not in _NOT_SHAPE}
            self._left -= func(*args, **plain, device="meta").nbytes
            if self._left < 0:
                raise ValueError("its settings describe a far larger network than its arrays")
        return func(*args, **kwargs)


def rebuild(
    cls: type[Any], state: Mapping[str, Any], where: str, again: str, *, params: Any = None, **options: Any
) -> Any:
    """Return the fitted model that `state` is of, ready for its first image.

    Parameters
    ----------
    cls
        The class; never one that a file chose: see `ilk.methods.registered`.
    state
        What its `state` returned.
    where, again
        For messages: what is damaged, and what to do then.
    params : mapping, optional
        Constructor arguments of the model that was kept; those that belong to a machine are passed over.
    **options
        Of `from_state`: ``weights_file, device, precision, cache``.

    Raises
    ------
    RunError
        `state` is none of such a model: something is missing, of another shape, or not finite.
    """
    weights = options.get("weights_file")
    files = [] if weights is None else weights if isinstance(weights, list | tuple) else [weights]
    size = sum(getattr(value, "nbytes", 0) for value in state.values())
    size += sum(Path(file).stat().st_size for file in files if Path(file).is_file())
    compute.device(options.get("device", "auto"))  # what is asked for is no damage
    try:
        with _Bounded(_TIMES * size + _FREE):
            model = cls.from_state(state, **options)
    except IlkError:  # it says what is wrong itself
        raise
    except _ERRORS as error:
        raise _damaged(where, error, again) from None
    try:
        _take(model, params or {})
        _try(model)
    except (IlkError, *_ERRORS) as error:
        raise _damaged(where, error, again) from None
    return model


def _damaged(where: str, error: Exception, again: str) -> RunError:
    words = str(error) if isinstance(error, IlkError) else f"{type(error).__name__}: {error}"
    return RunError(f"{where} is damaged ({' '.join(words.split())[:200]}). {again}")


def _take(model: Any, params: Mapping[str, Any]) -> None:
    """Give `model` the constructor arguments it was kept with: it can be cloned, and its limits hold.

    Not an encoder that is code (``module:function``): a later fit would import it, and a file never says what code to
    run. The caller gives it again.
    """
    if isinstance(model, ImageClusterer):
        known = set(model._get_param_names()) - {*OF_A_MACHINE}
        model.set_params(**{name: value for name, value in params.items() if name in known and not _code(value)})


def _code(value: Any) -> bool:
    """Whether a kept argument, or something within it, is a name that would be imported."""
    if isinstance(value, str):
        return re.fullmatch(r"[^/\\]*[\w.]+:\w[\w.]*", value) is not None
    if isinstance(value, Mapping):
        return any(_code(inner) for inner in value.values())
    return isinstance(value, list | tuple) and any(_code(inner) for inner in value)


def _try(model: Any) -> None:
    """Raise unless the centre of a group can be placed; whatever is made ready at the first image is ready then."""
    if not isinstance(model, ImageClusterer):
        return
    centers = np.asarray(model.cluster_centers_)
    encoder = getattr(model, "encoder_", None)
    if centers.ndim != 2 or len(centers) != model.n_clusters_ or not len(centers):
        raise ValueError(f"centres of shape {centers.shape} for {model.n_clusters_} groups")
    if encoder is not None and encoder.n_features != centers.shape[1]:
        raise ValueError(f"{encoder.n_features} features, {centers.shape[1]} in its centres")
    proba = model._proba(np.asarray(centers[:1], np.float32))  # features of the user's own may be beyond half precision
    if proba.shape != (1, len(centers)) or not np.isfinite(proba).all():
        raise ValueError(f"probabilities of shape {proba.shape}, or not finite")
    model.decide(proba)
