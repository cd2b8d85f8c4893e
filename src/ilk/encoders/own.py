"""An encoder of the user's own: any function, a torch module, or a model of timm with its weights in it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ilk.data import Resize, Size, square
from ilk.encoders.frozen import DECODE_VERSION, FrozenEncoder, check_settings, digest
from ilk.errors import ArgumentError, RunError

__all__ = ["build_own", "is_own", "name_of", "rebuild_own"]

Own = Callable[[Any], Any]

_ALLOWED = ("image_size", "resize", "encoder_key")
_SIDE = 224
_BATCH = 32


def is_own(encoder: Any) -> bool:
    """Return whether `encoder` is the user's own: an object, or the name ``module:function`` of one."""
    return not isinstance(encoder, str) or ":" in encoder


def name_of(encoder: Any) -> str:
    """Return how an own encoder is called in runs and messages.

    >>> name_of(np.mean), name_of("mine:embed")
    ('numpy:mean', 'mine:embed')
    """
    if isinstance(encoder, str):
        return encoder
    named = encoder if hasattr(encoder, "__qualname__") else type(encoder)
    return f"{named.__module__}:{named.__qualname__}"


def build_own(encoder: Own | str, settings: Mapping[str, Any] | None, on_device: torch.device) -> FrozenEncoder:
    """Return a frozen encoder around an object of the user's own.

    Parameters
    ----------
    encoder : callable, nn.Module or str
        * A function gets a uint8 array (b, h, w, 3) and returns numbers (b, d), as an array or a tensor.
        * A torch module gets a float32 tensor (b, 3, h, w) with values from 0 to 1, in eval mode and without gradients.
          A model of timm gets its images normalised and sized as its own configuration says; its classifier is used
          where it has one, so make it with ``num_classes=0``.
        * ``"module:name"`` names one of these, or a function without arguments that makes a module.
    settings
        ``image_size`` (default 224, or that of a timm model), ``resize``, and ``encoder_key``: a name for these
        features. Equal keys mean equal features, so features are kept in the cache only where a key is given.

    Raises
    ------
    ArgumentError
        Nothing of that name, not callable, or not one vector of equal length for each image.
    """
    name = name_of(encoder)
    wanted = check_settings(settings, _ALLOWED, name)
    run = _found(encoder) if isinstance(encoder, str) else encoder
    if not callable(run):
        raise ArgumentError(f"encoder {name!r} cannot be called: give a function, a torch module or module:function.")
    size: Size = wanted.get("image_size") or _own_size(run) or _SIDE
    resize: Resize = wanted.get("resize", "crop")
    forward: Any = _Module(run, on_device, name) if isinstance(run, nn.Module) else _Function(run, name)
    height, width = square(size)
    trial = forward(torch.zeros((2, 3, height, width), dtype=torch.uint8))
    given = wanted.get("encoder_key")
    resolved = {"image_size": size, "resize": resize, "encoder_key": given}
    return FrozenEncoder(
        name=name,
        settings=resolved,
        key=digest("own", 1, DECODE_VERSION, given or name, [height, width], resize, trial.shape[1]),
        image_size=size,
        n_features=trial.shape[1],
        forward=forward,
        resize=resize,
        batch_size=_BATCH,
        workers=1,  # whether it may be called by several threads at once is not known
        backend="own",
        own=True,
        lasting=given is not None,
    )


def rebuild_own(spec: Mapping[str, Any], encoder: Any, on_device: torch.device) -> FrozenEncoder:
    """Return the own encoder that `spec` describes, around `encoder`, which has to be given again.

    Raises
    ------
    RunError
        No own encoder was given, or its vectors are of another length.
    """
    name = str(spec["name"])
    if encoder is None or not is_own(encoder):
        again = f"--encoder {name}" if ":" in name and "<" not in name else "--encoder module:function"
        raise RunError(
            f"this run was encoded by your own encoder {name}, which a run does not hold: give it again "
            f"({again}, or encoder= in Python)."
        )
    settings = {key: value for key, value in dict(spec["settings"]).items() if value is not None}
    found = build_own(encoder, settings, on_device)
    if found.n_features != spec["n_features"]:
        raise RunError(
            f"encoder {found.name} gives {found.n_features} numbers an image, the run was made with "
            f"{spec['n_features']}: it is not the encoder of this run."
        )
    return found


def _found(name: str) -> Any:
    module, _, attribute = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for step in attribute.split("."):
            found = getattr(found, step)
    except (ImportError, AttributeError, ValueError) as error:
        raise ArgumentError(
            f"encoder {name!r} cannot be loaded: {error}. Write it as module:function, where the module is a file "
            "of this folder or is installed."
        ) from None
    if isinstance(found, type) and issubclass(found, nn.Module):
        return found()
    return found


def _own_size(run: Any) -> Size | None:
    size = _timm_config(run).get("input_size")
    if size is not None:
        return (int(size[1]), int(size[2])) if size[1] != size[2] else int(size[1])
    side = getattr(run, "image_size", None)
    return side if isinstance(side, int) and 8 <= side <= 1024 else None


def _timm_config(run: Any) -> Mapping[str, Any]:
    config = getattr(run, "pretrained_cfg", None)
    return config if isinstance(run, nn.Module) and isinstance(config, Mapping) else {}


class _Function:
    """Arrays in, vectors out."""

    def __init__(self, run: Own, name: str) -> None:
        self.run, self.name = run, name

    def __call__(self, pixels: Tensor) -> npt.NDArray[np.float32]:
        rows = np.ascontiguousarray(pixels.permute(0, 2, 3, 1).cpu().numpy())
        return _vectors(self.run(rows), len(rows), self.name)


class _Module:
    """Float images in, vectors out."""

    def __init__(self, run: nn.Module, on_device: torch.device, name: str) -> None:
        self.run, self.on_device, self.name = run.eval().to(on_device), on_device, name
        config = _timm_config(run)
        self.mean = torch.tensor(config.get("mean", (0.0,) * 3), device=on_device).view(1, 3, 1, 1)
        self.std = torch.tensor(config.get("std", (1.0,) * 3), device=on_device).view(1, 3, 1, 1)

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> npt.NDArray[np.float32]:
        images = (pixels.to(self.on_device).float() / 255 - self.mean) / self.std
        return _vectors(self.run(images), len(pixels), self.name)


def _vectors(found: Any, n: int, name: str) -> npt.NDArray[np.float32]:
    if isinstance(found, Tensor):
        found = found.detach().float().cpu().numpy()
    try:
        vectors = np.asarray(found, np.float32)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"encoder {name!r} does not return numbers ({error}).") from None
    if vectors.ndim != 2 or len(vectors) != n or not vectors.shape[1]:
        raise ArgumentError(
            f"encoder {name!r} got {n} images and returned shape {vectors.shape}; expected ({n}, d), a vector each."
        )
    return vectors
