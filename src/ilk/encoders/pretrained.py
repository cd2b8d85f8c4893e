"""Backbones of timm as frozen encoders: which input, which output, and weights that fit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ilk import compute
from ilk.data import Resize, Size, square
from ilk.encoders import names
from ilk.encoders.facts import Facts, facts, remembered, timm
from ilk.encoders.frozen import POOLS, check_settings
from ilk.encoders.weights import State
from ilk.errors import ArgumentError, DataError

__all__ = ["Recipe", "fits", "flat_width", "network", "recipe", "trimmed"]

_VIT_SIDE = 224
_ALLOWED = ("image_size", "pool", "pad_type", "resize")
_NEEDS_HEAD = ("logits", "softmax")


@dataclass(frozen=True)
class Recipe:
    """Everything about a pretrained encoder but its weights."""

    name: str
    cfg: Facts
    image_size: Size
    pool: str
    pad_type: str
    resize: Resize
    crop_pct: float

    @property
    def settings(self) -> dict[str, Any]:
        """The resolved settings, as plain JSON."""
        return {"image_size": self.image_size, "pool": self.pool, "pad_type": self.pad_type, "resize": self.resize}

    @property
    def transformer(self) -> bool:
        """Whether the network was made for one input size, its positions being learned."""
        return self.cfg.fixed_input_size


def recipe(name: str, settings: Mapping[str, Any] | None = None, kept: Path | None = None) -> Recipe:
    """Return what `name` and `settings` mean; with a cache `kept`, timm is asked once and not loaded again.

    Networks without a fixed input size take their own; transformers take 224 pixels with interpolated positions (timm's
    518 for DINOv2 costs five times as much).

    Raises
    ------
    ArgumentError
        An unknown model or setting, or a pool the model cannot give.
    """
    cfg = facts(name, kept)
    if cfg is None:
        known = [*timm().list_models(), *timm().list_pretrained()]
        some = (
            " Use auto, fast, balanced, dinov2, pixels, gradients, a model of timm, or your own as module:function "
            "(`ilk encoders` lists some)."
        )
        raise ArgumentError(f"encoder {name!r} is unknown." + (names.similar(name, known) or some))
    wanted = check_settings(settings, _ALLOWED, name)
    own = _VIT_SIDE if cfg.fixed_input_size and cfg.input_size[-1] > _VIT_SIDE else int(cfg.input_size[-1])
    size: Size = wanted.get("image_size", own)
    height, width = square(size)
    asked = Recipe(
        name=name,
        cfg=cfg,
        image_size=height if height == width else (height, width),
        pool=wanted.get("pool", "auto"),
        pad_type=wanted.get("pad_type", "default"),
        resize=wanted.get("resize", "crop"),
        crop_pct=1.0 if wanted.get("resize") == "stretch" else float(cfg.crop_pct),
    )
    question = ("pool", name, asked.settings)
    return replace(asked, pool=str(remembered(kept, question, lambda: _pool(asked), POOLS.__contains__)))


def flat_width(what: Recipe) -> int:
    """Return how many numbers the flattened map of `what` has, from shapes alone: no weights, no memory, 0.5 s."""
    with torch.device("meta"), torch.inference_mode():
        images = torch.zeros(1, 3, *square(what.image_size))
        return int(_model(what, {}).eval().forward_features(images).numel())


def trimmed(state: State, what: Recipe) -> State:
    """Return `state` without a classifier that the pool does not use and without counters of batch norm."""
    kept = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    if what.pool in _NEEDS_HEAD:
        return kept
    return {key: value for key, value in kept.items() if not _is_head(key, what)}


def fits(state: State, name: str, kept: Path | None = None) -> bool:
    """Return whether `state` has the names and shapes of the timm model `name`; a classifier may be missing."""
    what = recipe(name, None, kept)
    with torch.device("meta"), compute.seeded(0):
        own = timm().create_model(name, pretrained=False).state_dict()
    shapes = {key: tuple(value.shape) for key, value in own.items() if not key.endswith("num_batches_tracked")}
    found = {key: tuple(value.shape) for key, value in state.items() if not key.endswith("num_batches_tracked")}
    backbone = {key: shape for key, shape in shapes.items() if not _is_head(key, what)}
    free = {"pos_embed", "mask_token"}  # positions are interpolated
    if any(found.get(key) != shape for key, shape in backbone.items() if key not in free):
        return False
    return all(key in shapes or key in free or _is_head(key, what) for key in found)


def _is_head(key: str, what: Recipe) -> bool:
    return any(key.startswith(f"{classifier}.") for classifier in what.cfg.classifier)


class _Graph(nn.Module):
    """uint8 (b, h, w, 3) → float32 (b, d): normalisation, network and pooling in one graph."""

    scale: Tensor
    shift: Tensor

    def __init__(self, model: nn.Module, what: Recipe) -> None:
        super().__init__()
        self.model = model
        self.pool = what.pool
        self.prefix = int(getattr(model, "num_prefix_tokens", 0) or 0)
        mean, std = torch.tensor(what.cfg.mean), torch.tensor(what.cfg.std)
        self.register_buffer("scale", (1 / (255 * std)).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", (-mean / std).view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        images = pixels.permute(0, 3, 1, 2).float() * self.scale + self.shift
        model: Any = self.model
        if self.pool in _NEEDS_HEAD:
            logits = model(images).float()
            return torch.softmax(logits, dim=1) if self.pool == "softmax" else logits
        features = model.forward_features(images)
        if self.pool == "flatten":
            return features.flatten(1).float()  # type: ignore[no-any-return]
        if self.pool == "cls":
            return features[:, 0].float()  # type: ignore[no-any-return]
        if features.ndim == 3:
            return features[:, self.prefix :].mean(1).float()  # type: ignore[no-any-return]
        return model.forward_head(features, pre_logits=True).flatten(1).float()  # type: ignore[no-any-return]


def network(what: Recipe, state: State, origin: str | Path) -> nn.Module:
    """Return the graph uint8 (b, h, w, 3) → float32 (b, d) in eval mode with fp32 weights.

    Raises
    ------
    DataError
        The weights are not of this model; the message names keys and shapes.
    """
    model = _model(what, state)
    _load(model, what, dict(state), origin)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return _Graph(model, what).eval()


def _model(what: Recipe, state: State) -> Any:
    options: dict[str, Any] = {}
    if what.pad_type == "same":
        options["pad_type"] = "same"
    if what.transformer and square(what.image_size) != what.cfg.input_size[1:]:
        options["img_size"] = square(what.image_size)
    if what.pool in _NEEDS_HEAD:
        if not what.cfg.classifier or what.cfg.num_classes == 0:
            raise ArgumentError(f"pool={what.pool!r}: {what.name} has no classifier; use gap, cls or flatten")
        head = state.get(f"{what.cfg.classifier[0]}.weight")
        options["num_classes"] = what.cfg.num_classes if head is None else len(head)
    else:
        options["num_classes"] = 0
    try:
        with compute.seeded(0):  # the caller's random numbers stay as they are
            return timm().create_model(what.name, pretrained=False, **options)
    except (TypeError, AssertionError, ValueError) as error:
        asked = ", ".join(f"{key}={value}" for key, value in options.items() if key != "num_classes")
        short = " ".join(str(error).split())[:120]
        raise ArgumentError(f"{what.name} cannot be made with {asked or 'these settings'} ({short})") from None


def _pool(what: Recipe) -> str:
    with torch.device("meta"):  # the shape of the network without its memory: 0.1 s
        model = _model(what, {})
    token = getattr(model, "cls_token", None) is not None and getattr(model, "num_prefix_tokens", 0) > 0
    if what.pool == "auto":
        return "cls" if token and getattr(model, "global_pool", "") == "token" else "gap"
    if what.pool == "cls" and not token:
        raise ArgumentError(f"pool='cls': {what.name} has no class token; use gap, flatten, logits or softmax")
    return what.pool


def _load(model: Any, what: Recipe, state: State, origin: str | Path) -> None:
    """Put `state` into `model`, positions interpolated, half precision made whole."""
    own = {key: value for key, value in model.state_dict().items() if not key.endswith("num_batches_tracked")}
    state = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    if "mask_token" in state and "mask_token" not in own:
        del state["mask_token"]  # of pretraining only
    position = state.get("pos_embed")
    if position is not None and "pos_embed" in own and position.shape != own["pos_embed"].shape:
        state["pos_embed"] = _resampled(position, model)
    missing, unexpected = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    shapes = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(own[key].shape)}"
        for key in sorted(own.keys() & state.keys())
        if state[key].shape != own[key].shape
    ]
    found = [_some("missing", missing), _some("of another network", unexpected), _some("of another shape", shapes)]
    if any(found):
        text = "; ".join(part for part in found if part)
        raise DataError(f"the weights in {str(origin)!r} are not those of {what.name}: {text}")
    odd = next((key for key, value in state.items() if not torch.isfinite(value).all()), None)
    if odd is not None:
        raise DataError(f"the weights in {str(origin)!r} hold values that are not finite (in {odd!r})")
    model.load_state_dict(state, strict=False)


def _some(kind: str, keys: list[str]) -> str:
    if not keys:
        return ""
    rest = ", …" if len(keys) > 3 else ""
    return f"{len(keys)} {kind} ({', '.join(keys[:3])}{rest})"


def _resampled(position: Tensor, model: Any) -> Tensor:
    """Return position embeddings (1, tokens, d) for the grid of `model`, bicubic with antialiasing."""
    from timm.layers import resample_abs_pos_embed

    prefix = 0 if getattr(model, "no_embed_class", False) else int(getattr(model, "num_prefix_tokens", 1))
    grid = getattr(getattr(model, "patch_embed", None), "grid_size", None)
    tokens = position.shape[1] - prefix if position.ndim == 3 else 0
    if grid is None or tokens < 1 or math.isqrt(tokens) ** 2 != tokens or position.shape[2] != model.embed_dim:
        return position
    result: Tensor = resample_abs_pos_embed(position, new_size=list(grid), num_prefix_tokens=prefix)
    return result
