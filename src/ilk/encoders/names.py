"""Short names of encoders, and several of them side by side: `fast`, `dinov2`, `a+b`."""

from __future__ import annotations

from collections.abc import Mapping

from ilk.errors import ArgumentError, nearest

__all__ = ["BALANCED", "BUILT_IN", "FAST", "SHORT", "parts", "similar"]

FAST = "tf_efficientnet_lite0"
BALANCED = "tf_efficientnet_lite0+tf_efficientnet_lite2"

SHORT: Mapping[str, str] = {
    "fast": FAST,
    "balanced": BALANCED,
    "dinov2": "vit_small_patch14_dinov2.lvd142m",
    "dinov2_base": "vit_base_patch14_dinov2.lvd142m",
    "dinov3": "vit_small_patch16_dinov3.lvd1689m",
    "dino": "vit_small_patch16_224.dino",
    "clip": "vit_base_patch32_clip_224.openai",
    "siglip": "vit_base_patch16_siglip_224.webli",
    "convnext": "convnext_tiny.in12k_ft_in1k",
}
"""Short name -> models of timm, joined by + where there are several."""

BUILT_IN = ("pixels", "gradients", "classic", "learned", "features")


def parts(name: str) -> list[str]:
    """Return the encoders that `name` stands for, in order, short names resolved.

    Raises
    ------
    ArgumentError
        A part is empty, "auto", or there twice.

    Examples
    --------
    >>> parts("fast"), parts("fast+gradients")
    (['tf_efficientnet_lite0'], ['tf_efficientnet_lite0', 'gradients'])
    >>> parts("balanced")
    ['tf_efficientnet_lite0', 'tf_efficientnet_lite2']
    """
    found: list[str] = []
    for asked in name.split("+"):
        word = asked.strip()
        found += SHORT.get(word, word).split("+")
    if len(found) > 1:
        for one in found:
            if one in ("", "auto"):
                raise ArgumentError(f"encoder {name!r}: name every part, for example --encoder fast+gradients.")
        if len(set(found)) < len(found):
            raise ArgumentError(f"encoder {name!r}: {max(found, key=found.count)} is there twice.")
    return found


def similar(name: str, others: list[str]) -> str:
    """Return " Did you mean …?" for a name that is none, or nothing."""
    return nearest(name, ["auto", *SHORT, *BUILT_IN, *others])
