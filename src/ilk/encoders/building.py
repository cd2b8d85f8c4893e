"""From a name to a frozen encoder, and back from what a run remembers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ilk import compute
from ilk.data import ImageSource, OwnFeatures, square
from ilk.encoders import backend, bundled, names, pretrained
from ilk.encoders import weights as weights_module
from ilk.encoders.auto import bundled_choice, choose
from ilk.encoders.classic import build_classic
from ilk.encoders.contest import agreement
from ilk.encoders.facts import remembered
from ilk.encoders.frozen import SETTINGS, FrozenEncoder, check_settings
from ilk.encoders.given import NAME as GIVEN
from ilk.encoders.given import build_given, rebuild_given
from ilk.encoders.gradients import build_gradients
from ilk.encoders.joined import join, share_files
from ilk.encoders.learned import build_learned
from ilk.encoders.loading import build_timm, open_home
from ilk.encoders.own import build_own, is_own, name_of, rebuild_own
from ilk.encoders.pixels import build_pixels
from ilk.encoders.remembered import Remembered, identify, remember
from ilk.errors import ArgumentError, DataError, RunError

__all__ = ["build", "rebuild", "remember_file"]

_PRECISIONS = ("auto", "fp32", "bf16")


def build(
    name: Any = "auto",
    *,
    weights: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    source: ImageSource | None = None,
    device: str | torch.device = "auto",
    precision: str = "auto",
    cache: str | Path | None = None,
    hub: Path | None = None,
) -> FrozenEncoder:
    """Build a frozen encoder.

    Parameters
    ----------
    name : str, callable or nn.Module
        "auto" (see `ilk.encoders.auto`), a short name (see `ilk.encoders.names`), "pixels", "gradients", "classic",
        "learned" (written by `ilk.SimCLR.save`), any model of timm, several of these joined by "+", or an encoder of
        your own: an object, or ``module:function``.
    weights : path or address, optional
        Safetensors file or state dict for a model of timm, or the file of "learned". With "auto" the file says which
        network it belongs to. Otherwise remembered and bundled weights and the local caches are searched, then the
        weights of a network that was asked for by name are downloaded. Given weights are remembered in `cache`.
    settings : mapping, optional
        See `SETTINGS`.
    source : ImageSource, optional
        The images to come: decides "auto", the size of "pixels", and is what a converted network is checked on. Where
        they bring features of the user's own along, the encoder is "features".
    device : {"auto", "cpu", "cuda", "cuda:N"}
    precision : {"auto", "fp32", "bf16"}
        "auto" on a CPU is bf16 only where it is measured faster and agrees with fp32 (cosine ≥ .99); on a GPU bf16.
    cache : path, optional
        Where converted networks and weights are kept; a temporary folder, removed with the encoder, otherwise.
    hub : path, optional
        Stand-in for the user's ``HF_HOME`` (tests).

    Raises
    ------
    ArgumentError
        Unknown name, setting, device or precision; more than 8 GiB of flattened maps for the images of `source`.
    DataError
        Weights that are missing, damaged, or of another model.
    MissingDependency
        timm does not load.

    Notes
    -----
    The first time a model is used on a CPU it is converted for OpenVINO (2 to 10 s).
    """
    _check(GIVEN if isinstance(source, OwnFeatures) else name, weights, precision)
    if isinstance(source, OwnFeatures):
        return build_given(source, name_of(name) if is_own(name) else name, settings)
    asked = _Asked(dict(settings or {}), source, compute.device(device), precision, cache, hub)
    if is_own(name):
        return replace(build_own(name, settings, asked.device), why=f"{name_of(name)}, your own")
    if name == "auto" and weights is None:
        encoder = _chosen(asked)
    else:
        file = None if weights is None else weights_module.local(weights, asked.kept)
        wanted = [_owner(file, asked.kept)] if name == "auto" and file is not None else names.parts(str(name))
        encoder = _side_by_side(wanted, asked, file)
        encoder.why = encoder.why or _reason(str(name), encoder, file)
    return encoder


@dataclass
class _Asked:
    """What the caller of `build` wants, but for the name."""

    settings: dict[str, Any]
    source: ImageSource | None
    device: torch.device
    precision: str
    cache: str | Path | None
    hub: Path | None

    @property
    def kept(self) -> Path | None:
        return None if self.cache is None else Path(self.cache).expanduser()


def _chosen(asked: _Asked) -> FrozenEncoder:
    """Return the encoder that "auto" comes to."""
    found = choose(asked.source, asked.hub, asked.kept)
    encoder = _side_by_side([found.name], asked, None)
    compared = ""
    if found.contested and asked.source is not None:
        other = _one("gradients", replace(asked, settings=_own_settings(asked.settings, "gradients", True)), None)
        network, plain = agreement(asked.source, encoder), agreement(asked.source, other)
        compared = f"small pictures with colours; halves of them agree on groups by {network:.2f} with a network"
        if plain >= network:
            return replace(other, why=f"gradients: {compared}, by {plain:.2f} with gradients")
        compared += f", by {plain:.2f} with gradients. "
    if found.bundled:
        speed = remembered(
            asked.kept, ("speed", encoder.key, encoder.workers), lambda: _images_per_second(encoder, asked.device)
        )
        n = 0 if asked.source is None else len(asked.source)
        name, found.why = bundled_choice(n, float(speed), encoder.workers)
        if name == "balanced":
            second = names.parts(name)[1]
            settings, signed = _split(asked.settings, True)
            encoder = join([encoder, _one(second, replace(asked, settings=settings), None)], signed)
    encoder.why = compared + found.why
    encoder.notes[:0] = found.notes
    return encoder


def _images_per_second(encoder: FrozenEncoder, on_device: torch.device) -> float:
    """Return how many images a second one call at a time encodes: the best of three, rounded to two digits."""
    pixels = backend.synthetic(encoder.batch_size, *square(encoder.image_size))
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        encoder(pixels)
        best = min(best, time.perf_counter() - start)
    return float(f"{len(pixels) / max(best, 1e-9):.2g}")


def _side_by_side(wanted: list[str], asked: _Asked, file: Path | None) -> FrozenEncoder:
    """Build one encoder, or several and join them."""
    if len(wanted) > 1 and file is not None:
        raise ArgumentError(
            f"weights={str(file)!r}: they can belong to one of {', '.join(wanted)} only. "
            "Remember them first: ilk encoders add FILE"
        )
    settings, signed = _split(asked.settings, len(wanted) > 1)
    several = len(wanted) > 1
    parts = [_one(name, replace(asked, settings=_own_settings(settings, name, several)), file) for name in wanted]
    if len(parts) == 1 and not signed:
        return parts[0]
    return join(parts, signed)


def _split(settings: Mapping[str, Any], default: bool) -> tuple[dict[str, Any], bool]:
    """Return the settings of the parts, and whether their numbers get a signed square root."""
    rest = {key: value for key, value in settings.items() if key != "signed_sqrt"}
    signed = check_settings(settings, tuple(SETTINGS), "").get("signed_sqrt") if "signed_sqrt" in settings else None
    return rest, default if signed is None else bool(signed)


def _own_settings(settings: Mapping[str, Any], name: str, several: bool) -> dict[str, Any]:
    """Return those of `settings` that the encoder `name` has; where it is alone, it refuses what it does not have."""
    if not several or name not in names.BUILT_IN:
        return dict(settings)
    return {key: value for key, value in settings.items() if key in ("image_size", "resize")}


def _one(name: str, asked: _Asked, file: Path | None) -> FrozenEncoder:
    """Build a single encoder."""
    if name == GIVEN:
        raise ArgumentError(
            f"encoder {GIVEN!r}: give the features too, with --features FILE (ilk.open_images(SOURCE, features=…))."
        )
    if name == "pixels":
        return build_pixels(asked.settings, asked.source)
    if name == "gradients":
        return build_gradients(asked.settings, asked.source)
    if name == "classic":
        weak = "hand-made features (HOG + colour) say little about photos; a pretrained encoder says far more"
        return replace(build_classic(asked.settings), notes=[weak])
    home = open_home(asked.cache)
    if name == "learned":
        encoder = home.keeping(lambda folder: build_learned(file, asked.settings, asked.device, folder / "weights"))
        return replace(encoder, home=home, notes=[*encoder.notes, *home.notes])
    return build_timm(
        name, file, asked.settings, asked.source, asked.device, asked.precision, cache=home, hub=asked.hub
    )


def _owner(file: Path, kept: Path | None) -> str:
    """Return the network that a file of weights belongs to."""
    return identify(file, bundled.renamed(weights_module.read(file)), kept)


def _check(name: Any, weights: str | Path | None, precision: str) -> None:
    if precision not in _PRECISIONS:
        raise ArgumentError(f"precision={precision!r}: must be one of {', '.join(_PRECISIONS)}")
    if weights is not None and (is_own(name) or name in ("pixels", "gradients", "classic", GIVEN)):
        raise ArgumentError(f"weights={str(weights)!r}: encoder {name_of(name)!r} takes none")


def _reason(name: str, encoder: FrozenEncoder, file: Path | None) -> str:
    stands = "" if encoder.name == name or name == "auto" else f" ({encoder.name})"
    given = f", with the weights in {file.name}" if file is not None else ""
    return f"{encoder.name if name == 'auto' else name}{stands}, as asked{given}"


def rebuild(
    spec: Mapping[str, Any],
    weights_file: str | Path | Sequence[str | Path] | None = None,
    *,
    own: Any = None,
    device: str | torch.device = "auto",
    precision: str = "auto",
    cache: str | Path | None = None,
) -> FrozenEncoder:
    """Build the encoder that `FrozenEncoder.spec` described, without the original weights' file or any network.

    Raises
    ------
    RunError
        `weights_file` is missing or does not hold the weights of that encoder; or it was the user's own, and `own` is
        none.
    """
    on_device = compute.device(device)
    if spec.get("own") is True:
        return replace(rebuild_own(spec, own, on_device), why="as in the run")
    if "parts" in spec:
        return _rebuild_joined(spec, weights_file, device, precision, cache)
    try:
        name, settings, wanted = str(spec["name"]), dict(spec["settings"]), spec["weights_hash"]
        if name == GIVEN:
            return rebuild_given(spec)
        if name == "pixels":
            return replace(build_pixels({"resize": settings["resize"]}, None, spec), why="as in the run")
        if name == "gradients":
            return replace(build_gradients({"resize": settings["resize"]}, None, spec), why="as in the run")
        if name == "classic":
            return replace(build_classic(settings), why="as in the run")
        exact = precision if precision != "auto" else str(spec["precision"])
        made_by = str(spec["backend"])
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise RunError(f"the description of the run's encoder is damaged ({error}); run the command again") from None
    (file,) = share_files([spec], weights_file)
    if file is None or not file.is_file():
        raise RunError(f"the weights of the run's encoder {name} are missing ({file}); run the command again")
    if name == "learned":
        home = open_home(cache)
        learned = home.keeping(lambda folder: build_learned(file, None, on_device, folder / "weights"))
        if learned.weights_hash != wanted:
            raise RunError(f"{file} does not hold the weights the run was made with; run the command again")
        return replace(learned, why="as in the run", home=home)
    encoder = build_timm(
        name, file, settings, None, on_device, exact, cache=open_home(cache), wanted=wanted, plain=made_by == "torch"
    )
    encoder.why = "as in the run"
    if encoder.key != spec["key"]:
        encoder.notes.append(
            f"the run was encoded by {spec['backend']} in {spec['precision']}, this is {encoder.backend} in "
            f"{encoder.precision}: features differ a little"
        )
    return encoder


def _rebuild_joined(
    spec: Mapping[str, Any], files: Any, device: str | torch.device, precision: str, cache: str | Path | None
) -> FrozenEncoder:
    """Build encoders that stood side by side again."""
    try:
        specs, signed = [dict(part) for part in spec["parts"]], bool(spec["settings"]["signed_sqrt"])
        shared = share_files(specs, files)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"the description of the run's encoder is damaged ({error}); run the command again") from None
    if not specs or any("parts" in part for part in specs):
        raise RunError("the description of the run's encoder is damaged (its parts); run the command again")
    parts = [
        rebuild(part, file, device=device, precision=precision, cache=cache)
        for part, file in zip(specs, shared, strict=True)
    ]
    encoder = join(parts, signed)
    encoder.why = "as in the run"
    return encoder


def remember_file(path: str | Path, cache: str | Path, name: str | None = None) -> Remembered:
    """Keep a file of weights in `cache` for the next time; `name` is its network, which the file may say itself.

    Raises
    ------
    DataError
        The file is missing, damaged, or not of that network; or nothing says of which it is.
    """
    file, kept = Path(path).expanduser(), Path(cache).expanduser()
    state = bundled.renamed(weights_module.read(file))
    owner = identify(file, state, kept) if name is None else names.parts(name)[0]
    if name is not None and not pretrained.fits(state, owner, kept):
        raise DataError(f"the weights in {str(file)!r} are not those of {owner}: names or shapes of parameters differ.")
    return remember(kept, owner, state, file)
