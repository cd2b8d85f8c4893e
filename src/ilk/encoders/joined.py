"""Encoders side by side: every image is decoded once, seen by each of them, and gets one long vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ilk.data import square
from ilk.encoders.frozen import FrozenEncoder, digest
from ilk.errors import RunError

__all__ = ["join", "share_files"]

Floats = npt.NDArray[np.float32]


def join(parts: Sequence[FrozenEncoder], signed_sqrt: bool = True) -> FrozenEncoder:
    """Return the encoder whose vectors are those of `parts`, one after the other.

    Images are decoded at the size of the largest part; the others get them scaled down. The vector of each part is
    brought to length 1, so that none outweighs another, with `signed_sqrt` after every number x became
    sign(x) · √|x|: a few large numbers no longer decide what is near.

    Parameters
    ----------
    parts
        One or more. A single one is worth joining for the signed square root alone.
    signed_sqrt

    Notes
    -----
    Cost: that of the parts, and about 0.5 ms of one core for each image and part that is not the largest.
    """
    largest = max(parts, key=lambda part: square(part.image_size))
    noted = list(dict.fromkeys(note for part in parts for note in part.notes))
    return FrozenEncoder(
        name="+".join(part.name for part in parts),
        settings={"signed_sqrt": signed_sqrt},
        key=digest("joined", 1, [part.key for part in parts], signed_sqrt, square(largest.image_size)),
        image_size=largest.image_size,
        n_features=sum(part.n_features for part in parts),
        forward=_Forward(parts, signed_sqrt),
        resize=largest.resize,
        crop_pct=largest.crop_pct,
        channels=max(part.channels for part in parts),
        batch_size=max(part.batch_size for part in parts),
        workers=min(part.workers for part in parts),
        backend=largest.backend,
        precision=largest.precision,
        weights_hash=digest([part.weights_hash for part in parts]),
        parts=[replace(part, notes=[]) for part in parts],
        notes=noted,
    )


class _Forward:
    """uint8 (b, c, h, w) → float32 (b, sum of widths)."""

    def __init__(self, parts: Sequence[FrozenEncoder], signed_sqrt: bool) -> None:
        self.parts = list(parts)
        self.signed_sqrt = signed_sqrt

    def __call__(self, pixels: Tensor) -> Floats:
        found = []
        for part in self.parts:
            size = square(part.image_size)
            own = pixels
            if tuple(pixels.shape[-2:]) != size:  # the crop is made already: scaling is all that is left
                own = torch.nn.functional.interpolate(pixels, size=size, mode="bicubic", antialias=True)
            features = part(own)
            if self.signed_sqrt:
                features = np.sign(features) * np.sqrt(np.abs(features))
            found.append(features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12))
        joined: Floats = np.concatenate(found, axis=1)
        return joined


def share_files(
    specs: Sequence[Mapping[str, Any]], files: Path | str | Sequence[Path | str] | None
) -> list[Path | None]:
    """Return the weights' file of each part that `specs` describe; parts without weights have none.

    Raises
    ------
    RunError
        Fewer or more files than parts with weights.
    """
    given = [] if files is None else [files] if isinstance(files, str | Path) else list(files)
    wanted = [spec.get("weights_hash") is not None for spec in specs]
    if sum(wanted) != len(given):
        name = "+".join(str(spec.get("name")) for spec in specs)
        raise RunError(
            f"weights of the run's encoder {name} are missing: {len(given)} of {sum(wanted)} files are there; "
            "run the command again"
        )
    left = iter(given)
    return [Path(next(left)) if wants else None for wants in wanted]
