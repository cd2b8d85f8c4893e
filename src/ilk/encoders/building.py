"""From a name to a frozen encoder, and back from what a run remembers."""

from __future__ import annotations

import functools
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ilk import compute
from ilk.data import ImageSource, square
from ilk.data.sources import evenly
from ilk.encoders import backend, pretrained, runners, weights
from ilk.encoders.auto import Choice, choose
from ilk.encoders.classic import build_classic
from ilk.encoders.frozen import DECODE_VERSION, Forward, FrozenEncoder, check_room, digest
from ilk.encoders.learned import build_learned
from ilk.encoders.pixels import build_pixels
from ilk.errors import ArgumentError, RunError

__all__ = ["build", "rebuild"]

_PROBE = 16
_FEW = 2000  # images whose flattened maps hardly ever are too large: timm need not be asked for their size first
_BATCH_CPU, _BATCH_GPU = 8, 64
_PRECISIONS = ("auto", "fp32", "bf16")


def build(
    name: str = "auto",
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
    name : str
        "auto" (see `ilk.encoders.auto`), "pixels", "classic", "learned" (written by `ilk.SimCLR.save`), or any model of
        timm.
    weights : path, optional
        Safetensors file or state dict for a model of timm, or the file of "learned"; otherwise the local caches are
        searched, then the weights are downloaded.
    settings : mapping, optional
        See `SETTINGS`.
    source : ImageSource, optional
        The images to come: decides "auto", the size of "pixels", and is what a converted network is checked on.
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
    _check(name, weights, precision)
    place = compute.device(device)
    kept = None if cache is None else Path(cache).expanduser()
    found = choose(source, hub, settings, kept) if name == "auto" else Choice(name, _reason(name, weights))
    if found.name == "pixels":
        encoder = build_pixels(settings, source)
    elif found.name == "classic":
        encoder = build_classic(settings)
    elif found.name == "learned":
        home = _home(cache)
        encoder = build_learned(weights, settings, place, home.path / "weights")
        encoder._home = home  # type: ignore[attr-defined]
    else:
        file = Path(weights).expanduser() if weights is not None else found.file
        encoder = _pretrained(found.name, file, settings, source, place, precision, cache=_home(cache), hub=hub)
    encoder.why = found.why
    encoder.notes[:0] = found.notes
    if found.name == "classic" and name != "auto":
        encoder.notes.append(
            "hand-made features (HOG + colour) say little about photos; a pretrained encoder says far more"
        )
    return encoder


def _check(name: str, weights: str | Path | None, precision: str) -> None:
    if precision not in _PRECISIONS:
        raise ArgumentError(f"precision={precision!r}: must be one of {', '.join(_PRECISIONS)}")
    if weights is not None and name in ("pixels", "classic", "auto"):
        raise ArgumentError(f"weights={str(weights)!r}: encoder {name!r} takes none; name the model they belong to")


def _reason(name: str, weights: str | Path | None) -> str:
    return f"{name}, as asked" + (f", with the weights in {Path(weights).name}" if weights is not None else "")


def rebuild(
    spec: Mapping[str, Any],
    weights_file: str | Path | None = None,
    *,
    device: str | torch.device = "auto",
    precision: str = "auto",
    cache: str | Path | None = None,
) -> FrozenEncoder:
    """Build the encoder that `FrozenEncoder.spec` described, without the original weights' file or any network.

    Raises
    ------
    RunError
        `weights_file` is missing or does not hold the weights of that encoder.
    """
    try:
        name, settings, wanted = str(spec["name"]), dict(spec["settings"]), spec["weights_hash"]
        if name == "pixels":
            return replace(build_pixels({"resize": settings["resize"]}, None, spec), why="as in the run")
        if name == "classic":
            return replace(build_classic(settings), why="as in the run")
        exact = precision if precision != "auto" else str(spec["precision"])
        own = str(spec["backend"])
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise RunError(f"the description of the run's encoder is damaged ({error}); run the command again") from None
    if weights_file is None or not Path(weights_file).is_file():
        raise RunError(f"the weights of the run's encoder {name} are missing ({weights_file}); run the command again")
    place = compute.device(device)
    file = Path(weights_file)
    if name == "learned":
        home = _home(cache)
        learned = build_learned(file, None, place, home.path / "weights")
        if learned.weights_hash != wanted:
            raise RunError(f"{file} does not hold the weights the run was made with; run the command again")
        learned._home = home  # type: ignore[attr-defined]
        return replace(learned, why="as in the run")
    encoder = _pretrained(
        name, file, settings, None, place, exact, cache=_home(cache), wanted=wanted, plain=own == "torch"
    )
    encoder.why = "as in the run"
    if encoder.key != spec["key"]:
        encoder.notes.append(
            f"the run was encoded by {spec['backend']} in {spec['precision']}, this is {encoder.backend} in "
            f"{encoder.precision}: features differ a little"
        )
    return encoder


class _Home:
    """The cache, or a temporary folder that is removed when the encoder is."""

    def __init__(self, path: Path, temporary: bool) -> None:
        self.path = path
        if temporary:
            weakref.finalize(self, shutil.rmtree, path, ignore_errors=True)


def _home(cache: str | Path | None) -> _Home:
    if cache is None:
        return _Home(Path(tempfile.mkdtemp(prefix="ilk-encoder-")), temporary=True)
    return _Home(Path(cache).expanduser(), temporary=False)


def _pretrained(
    name: str,
    file: Path | None,
    settings: Mapping[str, Any] | None,
    source: ImageSource | None,
    place: torch.device,
    precision: str,
    *,
    cache: _Home,
    hub: Path | None = None,
    wanted: str | None = None,
    plain: bool = False,
) -> FrozenEncoder:
    what = pretrained.recipe(name, settings, cache.path)
    if what.pool == "flatten" and source is not None and len(source) > _FEW:  # few are checked when they are encoded
        check_room(len(source), pretrained.flat_width(what), what.pool)  # before any weights are fetched or images read
    file = file or weights.locate(what.cfg, hub) or weights.fetch(name, what.cfg, hub)
    state = pretrained.trimmed(weights.read(file), what)
    content = weights.content(state)
    if wanted is not None and content != wanted:
        raise RunError(f"{file} does not hold the weights the run was made with; run the command again")
    forward, verdict, backend_name = _runner(what, state, content, file, source, place, precision, cache, plain)
    size = square(what.image_size)
    mean_std = [list(what.cfg.mean), list(what.cfg.std)]
    how = [size, what.crop_pct, mean_std, backend_name, verdict.precision]
    encoder = FrozenEncoder(
        name=name,
        settings=what.settings,
        key=digest("pretrained", 1, DECODE_VERSION, name, content, what.settings, how),
        image_size=what.image_size,
        n_features=verdict.n_features,
        forward=forward,
        resize=what.resize,
        crop_pct=what.crop_pct,
        batch_size=_BATCH_CPU if place.type == "cpu" else _BATCH_GPU,
        workers=compute.threads(),
        backend=verdict.backend,
        precision=verdict.precision,
        weights_hash=content,
        weights_file=weights.keep(state, content, cache.path / "weights"),
        notes=[verdict.note] if verdict.note else [],
    )
    encoder._home = cache  # type: ignore[attr-defined]  # the temporary folder lives as long as the encoder
    return encoder


def _runner(
    what: pretrained.Recipe,
    state: weights.State,
    content: str,
    file: Path,
    source: ImageSource | None,
    place: torch.device,
    precision: str,
    cache: _Home,
    plain: bool,
) -> tuple[Forward, backend.Verdict, str]:
    """Return the runner, what is known about it, and the back end's name for the key."""
    make = functools.partial(pretrained.network, what, state, file)
    size = square(what.image_size)
    if place.type == "cpu" and not plain:
        key = digest(what.name, what.settings, what.crop_pct, content, DECODE_VERSION)
        probe: Callable[[], Tensor] = functools.partial(_probe, source, what)
        forward, verdict = backend.on_cpu(
            make,
            probe,
            cache.path,
            key=key,
            size=size,
            precision=precision,
            workers=compute.threads(),
        )
    else:
        graph = make()
        half = precision == "bf16" or (precision == "auto" and place.type == "cuda")
        verdict = backend.Verdict("torch", "bf16" if half else "fp32", 0, 1.0)
        batch = _BATCH_CPU if place.type == "cpu" else _BATCH_GPU
        forward = runners.TorchRunner(graph, batch, verdict.precision, place)
    if not verdict.n_features:
        verdict = replace(verdict, n_features=forward(backend.synthetic(1, *size)).shape[1])
    return forward, verdict, verdict.backend if place.type == "cpu" else "torch-cuda"


def _probe(source: ImageSource | None, what: pretrained.Recipe) -> Tensor:
    """Return uint8 (m, 3, h, w): images of the source where there are at least 4, else synthetic ones."""
    if source is not None and len(source):
        block = source.sized(what.image_size, what.resize, what.crop_pct).scan(evenly(len(source), _PROBE))
        pixels = block.pixels[torch.from_numpy(block.ok)]
        if len(pixels) >= 4:
            return pixels.expand(-1, 3, -1, -1)
    return backend.synthetic(_PROBE, *square(what.image_size))
