"""An encoder that was learnt here: one file holds its weights and what they are the weights of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ilk import disk
from ilk.encoders import weights
from ilk.encoders.frozen import DECODE_VERSION, FrozenEncoder, check_settings, digest
from ilk.errors import ArgumentError, DataError
from ilk.networks.resnet import build_backbone, dense
from ilk.networks.scan import Encoder

__all__ = ["build_learned", "read_learned", "save_learned"]

_ABOUT = "about"  # the tensor of bytes that says what the weights are of: it survives whatever copies tensors
_BATCH = 64


def save_learned(path: Path, encoder: nn.Module, about: Mapping[str, Any]) -> Path:
    """Write the weights of `encoder` and `about` into one safetensors file, and return it.

    Parameters
    ----------
    about
        ``network, stem, representation, image_size``, and ``mean, std`` of every channel on the scale 0 to 1.

    Raises
    ------
    DataError
        It cannot be written.
    """
    state = {name: value.detach().cpu().contiguous() for name, value in encoder.state_dict().items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        disk.write_tensors(path, {**state, _ABOUT: _bytes(about)}, torch=True)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from None
    return path


def _bytes(about: Mapping[str, Any]) -> Tensor:
    return torch.frombuffer(bytearray(json.dumps(dict(about), sort_keys=True).encode()), dtype=torch.uint8)


def read_learned(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor], str]:
    """Return what `save_learned` was given, the weights, and 32 hex digits that name both.

    Raises
    ------
    DataError
        The file is missing or holds something else.
    """
    state = weights.read(Path(path).expanduser())
    content = weights.content(state)
    try:
        about = dict(disk.parse_json(state.pop(_ABOUT).numpy().tobytes()))
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"weights={str(path)!r} were not written by SimCLR.save ({error})") from None
    return about, state, content


def build_learned(
    path: str | Path | None, settings: Mapping[str, Any] | None, on_device: torch.device, folder: Path
) -> FrozenEncoder:
    """Return the encoder that `save_learned` wrote.

    Parameters
    ----------
    path
        The file.
    settings
        None are known.
    on_device
        Where it runs.
    folder
        Where the weights are kept for the run.

    Raises
    ------
    ArgumentError
        No file was named, or a setting was.
    DataError
        The file is missing or holds something else.
    """
    check_settings(settings, (), "learned")
    if path is None:
        raise ArgumentError("encoder='learned': name the file that SimCLR.save wrote with weights= (--weights FILE).")
    about, state, content = read_learned(path)
    try:
        mean, std = (torch.tensor(about[key], dtype=torch.float32) for key in ("mean", "std"))
        side, channels = int(about["image_size"]), len(mean)
        anything = torch.Generator().manual_seed(0)
        backbone = build_backbone(about["network"], channels, generator=anything, stem=about["stem"])
        width = about["representation"]
        network = Encoder(backbone, None if width is None else dense(backbone.width, int(width), anything))
        network.load_state_dict(state)
        if odd := [key for key, value in state.items() if not torch.isfinite(value).all()]:
            raise ValueError(f"{odd[0]!r} holds values that are not finite")
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise DataError(f"weights={str(path)!r} were not written by SimCLR.save ({error})") from None
    network = network.eval().to(on_device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    kept = weights.keep({**state, _ABOUT: _bytes(about)}, content, folder)
    return FrozenEncoder(
        name="learned",
        settings={},
        key=digest("learned", 1, DECODE_VERSION, content),
        image_size=side,
        n_features=network.width,
        forward=_Forward(network, mean, std, on_device),
        channels=channels,
        batch_size=_BATCH,
        workers=1,
        backend="torch",
        weights_hash=content,
        weights_file=kept,
    )


class _Forward:
    """The network on uint8 batches, always of the same size, so that an image does not depend on its company."""

    def __init__(self, network: Encoder, mean: Tensor, std: Tensor, on_device: torch.device) -> None:
        self.network = network
        self.mean, self.std = mean.view(1, -1, 1, 1).to(on_device), std.view(1, -1, 1, 1).to(on_device)
        self.on_device = on_device

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> npt.NDArray[np.float32]:
        """Return float32 (b, d)."""
        b = len(pixels)
        full = torch.cat([pixels, pixels.new_zeros((_BATCH - b, *pixels.shape[1:]))]) if b < _BATCH else pixels
        unit = full.to(self.on_device).float() / 255
        images = ((unit - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        found: npt.NDArray[np.float32] = self.network(images)[:b].cpu().numpy()
        return found
