"""A network of timm with its weights as a frozen encoder: found, checked, converted, kept."""

from __future__ import annotations

import functools
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from ilk import compute, disk
from ilk.data import ImageSource, square
from ilk.data.shards import not_kept
from ilk.data.sources import evenly
from ilk.encoders import backend, bundled, pretrained, runners, weights
from ilk.encoders.facts import remembered
from ilk.encoders.frozen import DECODE_VERSION, Forward, FrozenEncoder, check_room, digest
from ilk.encoders.padding import IMAGES, trained_padding
from ilk.encoders.remembered import find, remember, sound
from ilk.errors import DataError, RunError

__all__ = ["Home", "build_timm", "open_home"]

_PROBE = 16
_FEW = 2000  # images whose flattened maps hardly ever are too large: timm need not be asked for their size first
_BATCH_CPU, _BATCH_GPU = 8, 64

Kept = TypeVar("Kept")


class Home:
    """The cache, or a temporary folder that is removed when the encoder is.

    Attributes
    ----------
    path : Path
        Where things are looked for, and kept.
    temporary : bool
    notes : list of str
        Says so where the cache must not be written.
    """

    def __init__(self, path: Path, temporary: bool) -> None:
        self.path, self.temporary = path, temporary
        self.notes: list[str] = []
        self._spare: Path | None = None
        if temporary:
            weakref.finalize(self, shutil.rmtree, path, ignore_errors=True)

    def keeping(self, keep: Callable[[Path], Kept]) -> Kept:
        """Return what `keep` made below the folder that it is called with: the cache, or a temporary one.

        Raises
        ------
        DataError
            From `keep`, for any other reason than that the cache must not be written.
        """
        try:
            return keep(self.path)
        except DataError as error:
            if self.temporary or not disk.forbidden(error):
                raise
            self.notes = [not_kept(self.path, error)]
        if self._spare is None:
            self._spare = Path(tempfile.mkdtemp(prefix="ilk-encoder-"))
            weakref.finalize(self, shutil.rmtree, self._spare, ignore_errors=True)
        return keep(self._spare)


def open_home(cache: str | Path | None) -> Home:
    """Return where networks are kept: in `cache`, or where there is none in a folder of this process."""
    if cache is None:
        return Home(Path(tempfile.mkdtemp(prefix="ilk-encoder-")), temporary=True)
    return Home(Path(cache).expanduser(), temporary=False)


def build_timm(
    name: str,
    file: Path | None,
    settings: Mapping[str, Any] | None,
    source: ImageSource | None,
    on_device: torch.device,
    precision: str,
    *,
    cache: Home,
    hub: Path | None = None,
    wanted: str | None = None,
    plain: bool = False,
) -> FrozenEncoder:
    """Return the timm network `name`; its weights come from `file`, else from where they are, else from the hub."""
    kept = None if cache.temporary or wanted is not None else cache.path
    entry = find(kept, name) if file is None else None
    if entry is not None and kept is not None:
        settings, file = {**entry.settings, **(settings or {})}, sound(kept, entry)
    what = pretrained.recipe(name, settings, cache.path)
    if what.pool == "flatten" and source is not None and len(source) > _FEW:  # few are checked when they are encoded
        check_room(len(source), pretrained.flat_width(what), what.pool)  # before any weights are fetched or images read
    given = file
    file = file or bundled.file(name) or weights.locate(what.cfg, hub) or weights.fetch(name, what.cfg, hub)
    whole = bundled.renamed(weights.read(file))
    noticed = ""
    if given is not None and wanted is None and "pad_type" not in (settings or {}):
        noticed = _noticed_padding(what, whole, file, source, kept)
        what = replace(what, pad_type="same") if noticed else what
    state = pretrained.trimmed(whole, what)
    content = weights.content(state)
    if wanted is not None and content != wanted:
        raise RunError(f"{file} does not hold the weights the run was made with; run the command again")
    forward, verdict, backend_name = _runner(what, state, content, file, source, on_device, precision, cache, plain)
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
        batch_size=_BATCH_CPU if on_device.type == "cpu" else _BATCH_GPU,
        workers=compute.threads(),
        backend=verdict.backend,
        precision=verdict.precision,
        weights_hash=content,
        weights_file=cache.keeping(lambda home: weights.keep(state, content, home / "weights")),
        home=cache,
    )
    if given is not None and kept is not None and entry is None:
        pads = {key: value for key, value in what.settings.items() if key == "pad_type"}
        cache.keeping(lambda home: remember(home, name, whole, given, pads))
    encoder.notes = [note for note in (verdict.note, noticed, *cache.notes) if note]
    if entry is not None:
        encoder.why = f"{name}, with the weights remembered from {Path(entry.origin).name}"
    return encoder


def _noticed_padding(
    what: pretrained.Recipe, state: weights.State, file: Path, source: ImageSource | None, kept: Path | None
) -> str:
    """Return a note where weights that were given seem to be trained with TensorFlow's padding, else nothing."""
    if source is None or not len(source):
        return ""
    question = ("padding", what.name, weights.content(state))
    pad_type = remembered(kept, question, lambda: trained_padding(what, state, _pixels(source, what, IMAGES), file))
    if pad_type != "same":
        return ""
    return (
        f"{file.name} seems to be trained with TensorFlow's padding (its classifier is surer of these images with it), "
        "so pad_type=same is used; --set pad_type=default uses timm's"
    )


def _runner(
    what: pretrained.Recipe,
    state: weights.State,
    content: str,
    file: Path,
    source: ImageSource | None,
    on_device: torch.device,
    precision: str,
    cache: Home,
    plain: bool,
) -> tuple[Forward, backend.Verdict, str]:
    """Return the runner, what is known about it, and the back end's name for the key."""
    make = functools.partial(pretrained.network, what, state, file)
    size = square(what.image_size)
    if on_device.type == "cpu" and not plain:
        key = digest(what.name, what.settings, what.crop_pct, content, DECODE_VERSION)
        probe: Callable[[], Tensor] = functools.partial(_probe, source, what)
        convert = functools.partial(backend.on_cpu, make, probe, key=key, size=size, workers=compute.threads())
        forward, verdict = cache.keeping(lambda home: convert(home, precision=precision))
    else:
        graph = make()
        bf16 = precision == "bf16" or (precision == "auto" and on_device.type == "cuda")
        verdict = backend.Verdict("torch", "bf16" if bf16 else "fp32", 0, 1.0)
        batch = _BATCH_CPU if on_device.type == "cpu" else _BATCH_GPU
        forward = runners.TorchRunner(graph, batch, verdict.precision, on_device)
    if not verdict.n_features:
        verdict = replace(verdict, n_features=forward(backend.synthetic(1, *size)).shape[1])
    return forward, verdict, verdict.backend if on_device.type == "cpu" else "torch-cuda"


def _probe(source: ImageSource | None, what: pretrained.Recipe) -> Tensor:
    """Return uint8 (m, 3, h, w): images of the source where there are at least 4, else synthetic ones."""
    if source is not None and len(source):
        pixels = _pixels(source, what, _PROBE)
        if len(pixels) >= 4:
            return pixels
    return backend.synthetic(_PROBE, *square(what.image_size))


def _pixels(source: ImageSource, what: pretrained.Recipe, most: int) -> Tensor:
    """Return uint8 (m, 3, h, w): up to `most` evenly spaced readable images of the source."""
    block = source.sized(what.image_size, what.resize, what.crop_pct).scan(evenly(len(source), most))
    return block.pixels[torch.from_numpy(block.ok)].expand(-1, 3, -1, -1)
