"""The choice of "auto": the best encoder that this machine has, or can get."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ilk.data import ImageSource, is_small
from ilk.encoders import weights
from ilk.encoders.facts import facts
from ilk.errors import DataError, MissingDependency

__all__ = ["KNOWN", "Choice", "available", "cache_size", "choose", "clear_cache"]

# best first: self-supervised on many images, then supervised ones
KNOWN: Mapping[str, str] = {
    "vit_small_patch14_dinov2.lvd142m": "DINOv2 small: self-supervised on 142 M photos; the default",
    "vit_small_patch14_reg4_dinov2.lvd142m": "DINOv2 small with registers",
    "vit_base_patch14_dinov2.lvd142m": "DINOv2 base: better, 4 times the work",
    "vit_small_patch16_dinov3.lvd1689m": "DINOv3 small",
    "vit_small_patch16_224.dino": "DINO small: self-supervised on ImageNet",
    "convnext_tiny.in12k_ft_in1k": "ConvNeXt tiny: supervised",
    "resnet50.a1_in1k": "ResNet-50: supervised",
    "resnet50.tv_in1k": "ResNet-50 as first published: supervised",
    "densenet201.tv_in1k": "DenseNet-201: supervised",
    "efficientnet_b0.ra_in1k": "EfficientNet-B0: supervised, fast",
    "mobilenetv3_large_100.ra_in1k": "MobileNetV3: supervised, fastest",
    "mobilenetv2_100.ra_in1k": "MobileNetV2: supervised, fast",
    "resnet18.a1_in1k": "ResNet-18: supervised, fast",
}
DEFAULT = next(iter(KNOWN))

_OWN = ("features", "pixels", "files", "models", "weights")  # folders of the cache that ilk writes


@dataclass
class Choice:
    """An encoder, the file with its weights, and what to tell the user."""

    name: str
    why: str
    file: Path | None = None
    notes: list[str] = field(default_factory=list)


def choose(
    source: ImageSource | None,
    hub: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    kept: Path | None = None,
) -> Choice:
    """Choose an encoder for the images of `source`; `kept` is the cache, which remembers what timm knows.

    1. Uniform images up to 64 pixels a side: always "pixels". Networks made for photos see a blown-up blur in them, and
       the pixels do better (MNIST: accuracy .97 from pixels with the default pipeline) at no cost.
    2. DINOv2-small, from the local cache or downloaded.
    3. Without a network, the best of `KNOWN` whose weights are on this machine.
    4. "classic", with a loud note.
    """
    small = is_small(source) if source is not None else None
    if small is not None:
        return Choice("pixels", f"pixels, because the images are small and uniform ({small[1]} × {small[0]})")
    try:
        cached = dict(_cached(hub, kept))
        if DEFAULT in cached:
            return Choice(
                DEFAULT, "DINOv2-small, the best for photos of any kind; it is on this machine", cached[DEFAULT]
            )
        try:
            file = weights.fetch(DEFAULT, facts(DEFAULT, kept), hub)
            return Choice(DEFAULT, "DINOv2-small, the best for photos of any kind", file)
        except DataError as error:
            offline = str(error)
    except MissingDependency as error:
        cached, offline = {}, str(error)
    if cached:
        name, file = next(iter(cached.items()))
        return Choice(name, f"{name}, the best encoder on this machine (DINOv2-small is not here)", file, [offline])
    loud = (
        "WEAK ENCODER: no pretrained weights are on this machine, so images are compared by hand-made features "
        f"(HOG + colour), which are near chance on photos. {offline[:1].upper()}{offline[1:]}"
    )
    return Choice("classic", "classic (HOG + colour), because no pretrained weights are at hand", None, [loud])


def _cached(hub: Path | None, kept: Path | None = None) -> Iterator[tuple[str, Path]]:
    """Yield the models of `KNOWN` whose weights are on this machine, best first."""
    for name in KNOWN:
        cfg = facts(name, kept)
        file = None if cfg is None else weights.locate(cfg, hub)
        if file is not None:
            yield name, file


def available(hub: Path | None = None) -> list[dict[str, Any]]:
    """Return one dict per encoder worth naming: name, what, cached (bool), bytes (of the weights; 0 where unknown).

    Any other model of timm works as well.
    """
    rows: list[dict[str, Any]] = []
    try:
        cached = dict(_cached(hub))
    except MissingDependency:
        cached = {}
    for name, what in KNOWN.items():
        size = cached[name].stat().st_size if name in cached else 0
        rows.append({"name": name, "what": what, "cached": name in cached, "bytes": size})
    rows.append(
        {"name": "pixels", "what": "the images themselves: for small uniform images", "cached": True, "bytes": 0}
    )
    rows.append({"name": "learned", "what": "what SimCLR.save wrote: give --weights FILE", "cached": True, "bytes": 0})
    rows.append({"name": "classic", "what": "HOG + colour histogram: the last resort", "cached": True, "bytes": 0})
    return rows


def cache_size(cache: str | Path) -> dict[str, int]:
    """Return the bytes that ilk keeps in `cache`, by kind: features, pixels, files, models, weights."""
    home = Path(cache).expanduser()
    return {
        kind: sum(path.stat().st_size for path in (home / kind).rglob("*") if path.is_file() and not path.is_symlink())
        for kind in _OWN
    }


def clear_cache(cache: str | Path) -> int:
    """Remove what ilk keeps in `cache`, and nothing else; return how many bytes that was."""
    import shutil

    size = sum(cache_size(cache).values())
    for kind in _OWN:
        folder = Path(cache).expanduser() / kind
        if folder.is_symlink() or not folder.is_dir():
            continue
        shutil.rmtree(folder, ignore_errors=True)
    return size
