"""The choice of "auto": the best encoder that this machine has, or can get."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ilk import shards
from ilk.data import ImageSource, is_small
from ilk.encoders import bundled, names, remembered, weights
from ilk.encoders.contest import is_colourful
from ilk.encoders.facts import facts
from ilk.errors import DataError, MissingDependency

__all__ = [
    "BETTER",
    "KNOWN",
    "Choice",
    "available",
    "bundled_choice",
    "cache_needed_by",
    "cache_size",
    "choose",
    "clear_cache",
]

# best first: self-supervised on many images, then supervised ones
KNOWN: Mapping[str, str] = {
    "vit_small_patch14_dinov2.lvd142m": "DINOv2-small: self-supervised on 142 M photos",
    "vit_small_patch14_reg4_dinov2.lvd142m": "DINOv2-small with registers",
    "vit_base_patch14_dinov2.lvd142m": "DINOv2-base: better, 4 times the work",
    "vit_small_patch16_dinov3.lvd1689m": "DINOv3-small: self-supervised on 1.7 G photos",
    "vit_small_patch16_224.dino": "DINO-small: self-supervised on ImageNet",
    "vit_base_patch32_clip_224.openai": "CLIP ViT-B/32, the image side: photos with captions",
    "vit_base_patch16_siglip_224.webli": "SigLIP ViT-B/16, the image side: photos with captions",
    "convnext_tiny.in12k_ft_in1k": "ConvNeXt tiny: supervised",
    "resnet50.a1_in1k": "ResNet-50: supervised",
    "resnet50.tv_in1k": "ResNet-50 as first published: supervised",
    "densenet201.tv_in1k": "DenseNet-201: supervised",
    "efficientnet_b0.ra_in1k": "EfficientNet-B0: supervised, fast",
    "mobilenetv3_large_100.ra_in1k": "MobileNetV3: supervised, fastest",
    "mobilenetv2_100.ra_in1k": "MobileNetV2: supervised, fast",
    "resnet18.a1_in1k": "ResNet-18: supervised, fast",
}
BETTER = (
    "vit_small_patch14_dinov2.lvd142m",
    "vit_small_patch14_reg4_dinov2.lvd142m",
    "vit_small_patch16_dinov3.lvd1689m",
    "vit_base_patch14_dinov2.lvd142m",
)
"""What "auto" takes before the bundled encoders, where its weights are on this machine."""

WEIGHTLESS: Mapping[str, str] = {
    "gradients": "which way strokes and edges run: for small uniform images",
    "pixels": "the images themselves",
    "learned": "what SimCLR.save wrote: give --weights FILE",
    "classic": "HOG + colour histogram: near chance on photos",
    "features": "your own vectors: give --features FILE (.npy or .parquet)",
}

PATIENCE = 300.0
"""Seconds that "auto" lets the better of the bundled encoders take. Features are kept, so they are spent once."""

_FAST = "EfficientNet-Lite0: supervised on ImageNet; comes with ilk"
_BALANCED = "EfficientNet-Lite0 and -Lite2 side by side: better, 3 times the work; comes with ilk"
_DECODE = 0.0025  # seconds of one core to read and decode a photo
_LARGER = 2.1  # Lite2 at 260 pixels, and scaling for Lite0, against Lite0 alone (OpenVINO, bf16; CPU seconds)
_DINOV2 = 12.0  # DINOv2-small against Lite0, likewise

_OWN = ("features", "pixels", "files", "models", "weights", "parts")  # folders of the cache that ilk writes


@dataclass
class Choice:
    """An encoder, and what to say about it.

    Attributes
    ----------
    bundled : bool
        The name is the faster of the two bundled encoders; `bundled_choice` says which of them it is to be, once the
        speed of this machine is known.
    contested : bool
        Small images with colours: the bundled encoder is to be compared with "gradients" (`ilk.encoders.contest`).
    """

    name: str
    why: str
    notes: list[str] = field(default_factory=list)
    bundled: bool = False
    contested: bool = False


def choose(source: ImageSource | None, hub: Path | None = None, kept: Path | None = None) -> Choice:
    """Choose an encoder for the images of `source`; `kept` is the cache, which remembers what timm knows.

    1. Uniform images up to 64 pixels a side: "gradients". Networks made for photos see a blown-up blur in them; but
       where there are colours they may be small photos, so then the two are to be compared.
    2. A self-supervised network of `BETTER` whose weights are on this machine, DINOv2-small first.
    3. One of the two bundled encoders.

    No network is asked for anything.

    Raises
    ------
    MissingDependency
        timm does not load.
    """
    small = is_small(source) if source is not None else None
    if small is not None and source is not None and is_colourful(source):
        return Choice(names.FAST, "", bundled=True, contested=True)
    if small is not None:
        return Choice("gradients", f"gradients, because the images are small and uniform ({small[1]} × {small[0]})")
    for name, _ in _cached(BETTER, hub, kept):
        own = KNOWN[name].partition(":")[0]
        return Choice(name, f"{own}, the best for photos that is on this machine")
    return Choice(names.FAST, "", bundled=True)


def bundled_choice(n: int, per_core: float, cores: int) -> tuple[str, str]:
    """Return which bundled encoder to take, and why, in one line.

    Parameters
    ----------
    n : int
        Images to come; 0 where that is not known.
    per_core : float
        Images per second that one core sends through EfficientNet-Lite0, decoding apart.
    cores : int
        Cores that work at the same time.

    Returns
    -------
    str, str
        "balanced" where encoding all images with it takes at most `PATIENCE` seconds, else "fast".

    Examples
    --------
    >>> bundled_choice(500, 120, 2)[0], bundled_choice(200_000, 120, 2)[0]
    ('balanced', 'fast')
    """
    fast = n * (1 / per_core + _DECODE) / cores
    both = n * ((1 + _LARGER) / per_core + _DECODE) / cores
    better = (
        "--encoder dinov2 is often better: it downloads 88 MB once and takes about "
        f"{(_DINOV2 / per_core + _DECODE) / ((1 + _LARGER if both <= PATIENCE else 1) / per_core + _DECODE):.0f} times "
        "as long on a CPU"
    )
    if both <= PATIENCE:
        lasts = f"{n:,} images take about {_duration(both)} with it{_IDLE}" if n else "it sees most"
        return "balanced", f"balanced (EfficientNet-Lite0 and -Lite2 side by side): {lasts}. {better}"
    return "fast", (
        f"fast (EfficientNet-Lite0): {n:,} images take about {_duration(fast)} with it{_IDLE}, "
        f"{_duration(both)} with --encoder balanced. {better}"
    )


_IDLE = " where this machine does nothing else"


def _duration(seconds: float) -> str:
    """Return a length of time in few words.

    >>> _duration(4.4), _duration(200), _duration(9000)
    ('4 s', '3 minutes', '2.5 hours')
    """
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} minutes" if seconds < 6000 else f"{seconds / 3600:.1f} hours"


def _cached(wanted: Iterable[str], hub: Path | None, kept: Path | None = None) -> Iterator[tuple[str, Path]]:
    """Yield the models of `wanted` whose weights are on this machine, with their files, in order."""
    for name in wanted:
        entry = remembered.find(kept, name)
        if entry is not None and kept is not None:
            yield name, entry.file(kept)
            continue
        cfg = facts(name, kept)
        file = None if cfg is None else weights.locate(cfg, hub)
        if file is not None:
            yield name, file


def available(hub: Path | None = None, kept: Path | None = None) -> list[dict[str, Any]]:
    """Return one dict per encoder worth naming.

    Any other model of timm works as well.

    Returns
    -------
    list of dict
        ``name`` as one types it; ``model``, what it stands for; ``what``; ``ready``: "bundled", "cached" (in the local
        cache of the hub), "remembered", "always", or "download"; ``cached`` (bool): it needs no network; ``bytes`` of
        the weights, 0 where unknown; ``origin``: the file that remembered weights came from.
    """
    rows: list[dict[str, Any]] = []
    own = {entry.name: entry for entry in remembered.listed(kept)}
    try:
        cached = dict(_cached([name for name in KNOWN if name not in own], hub, None))
    except MissingDependency:
        cached = {}
    shorter = {model: short for short, model in names.SHORT.items()}
    for model, what in {names.FAST: _FAST, names.BALANCED: _BALANCED, **KNOWN}.items():
        files = [bundled.file(part) for part in model.split("+")] if model not in KNOWN else [cached.get(model)]
        ready = "bundled" if model not in KNOWN and all(files) else "cached" if all(files) else "download"
        if model in own:
            ready, files = "remembered", [own[model].file(kept)]  # type: ignore[arg-type]
        rows.append(_row(shorter.get(model, model), model, what, ready, files, own))
    for model in own:
        if model not in KNOWN:
            files = [own[model].file(kept)]  # type: ignore[arg-type]
            rows.append(_row(model, model, "a network of timm, with your weights", "remembered", files, own))
    for name, what in WEIGHTLESS.items():
        rows.append(_row(name, name, what, "always", [], own))
    return rows


def _row(
    name: str, model: str, what: str, ready: str, files: list[Path | None], own: Mapping[str, remembered.Remembered]
) -> dict[str, Any]:
    size = sum(file.stat().st_size for file in files if file is not None)
    row = {"name": name, "model": model, "what": what, "ready": ready, "cached": ready != "download", "bytes": size}
    return row | ({"origin": own[model].origin} if model in own else {})


def cache_size(cache: str | Path) -> dict[str, int]:
    """Return the bytes that ilk keeps in `cache`, by kind: features, pixels, files, models, weights, parts."""
    home = Path(cache).expanduser()
    return {
        kind: sum(path.stat().st_size for path in (home / kind).rglob("*") if path.is_file() and not path.is_symlink())
        for kind in _OWN
    }


def cache_needed_by(cache: str | Path) -> list[Path]:
    """Return the runs that name what is in `cache` instead of having copies of it, as far as the cache knows."""
    return shards.needed_by(Path(cache).expanduser())


def clear_cache(cache: str | Path) -> int:
    """Remove what ilk keeps in `cache`, and nothing else; return how many bytes that was.

    Weights that were given to be remembered stay: they cannot be made again.

    Raises
    ------
    DataError
        A run needs it. Nothing was removed.
    """
    import shutil

    home = Path(cache).expanduser()
    if needing := cache_needed_by(home):
        runs = f"{len(needing):,} runs need it, such as {needing[0]}" if len(needing) > 1 else f"{needing[0]} needs it"
        raise DataError(
            f"the cache {home} was not cleared: {runs}. Copy in what it needs with: ilk gather "
            f"{shlex.quote(str(needing[0]))}; or remove that run."
        )
    shards.forget(home)
    size, stay = sum(cache_size(cache).values()), remembered.kept_files(home)
    for kind in _OWN:
        folder = home / kind
        if folder.is_symlink() or not folder.is_dir():
            continue
        if not any(file.parent == folder for file in stay):
            shutil.rmtree(folder, ignore_errors=True)
            continue
        for path in folder.iterdir():
            if path not in stay and not path.is_dir():
                path.unlink(missing_ok=True)
    return size - sum(cache_size(cache).values())
