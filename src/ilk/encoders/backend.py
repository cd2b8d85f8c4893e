"""Which back end runs a network, at which precision: decided once per model by a check, and remembered."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ilk import disk
from ilk.encoders import runners
from ilk.encoders.frozen import Forward, digest
from ilk.errors import DataError, MissingDependency

__all__ = ["AGREE", "Verdict", "cosine", "on_cpu", "synthetic"]

AGREE = 0.99
"""Least cosine, over the images of the probe, between features of a back end and those of torch in fp32."""

_FASTER = 0.9  # bf16 must take at most this share of the time of fp32
_ROUNDS = 3

# Images per inference. Small ones stay in a core's own cache: mobilenetv2_100 on 2 cores, one stream each, images/s:
# 368 with 1, 362 with 2, 350 with 4, 329 with 8, 292 with 16; ResNet-50 and ViT-S gain nothing beyond 2.
_BATCH_OPENVINO, _BATCH_TORCH = 2, 8

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Verdict:
    """What the check of a model found; kept as ``check-<precision>.json`` beside the model."""

    backend: str
    precision: str
    n_features: int
    cosine: float
    note: str = ""
    weights: str = ""  # digest of model.bin
    graph: str = ""  # and of model.xml

    def digest(self) -> str:
        """Return what stands beside the verdict, so that damage of it shows."""
        return digest(asdict(self))


def synthetic(n: int, height: int, width: int) -> Tensor:
    """Return uint8 (n, 3, h, w): smooth random pictures, the same every time."""
    generator = torch.Generator().manual_seed(0)
    layers = [
        torch.nn.functional.interpolate(
            torch.rand((n, 3, side, side), generator=generator), (height, width), mode="bicubic"
        )
        for side in (3, 8, 24)
    ]
    mixed = 0.5 * layers[0] + 0.3 * layers[1] + 0.2 * layers[2]
    return ((mixed - 0.5) * 2.2 + 0.5).clamp(0, 1).mul(255).to(torch.uint8)


def cosine(a: Floats, b: Floats) -> float:
    """Return the least cosine between rows of `a` and `b` (m, d); rows that are zero in both agree."""
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    equal = np.isclose(a, b, rtol=1e-3, atol=1e-6).all(1)
    return float(np.where(equal, 1.0, (a * b).sum(1) / np.maximum(norms, 1e-30)).min())


def on_cpu(
    make: Callable[[], nn.Module],
    probe: Callable[[], Tensor],
    home: Path,
    *,
    key: str,
    size: tuple[int, int],
    precision: str,
    workers: int,
) -> tuple[Forward, Verdict]:
    """Return a runner for the CPU and the verdict behind it.

    Parameters
    ----------
    make : callable
        Gives the torch graph; called only where no converted model is at hand.
    probe : callable
        Gives uint8 (m, 3, h, w) for the check.
    home : Path
        The cache; converted models lie in ``home/models/<key>``.
    precision : {"auto", "fp32", "bf16"}
    """
    try:
        ov = runners.openvino()
    except MissingDependency as error:
        return _torch(make, precision, f"{error}; torch encodes instead, at a fraction of the speed")
    folder = home / "models" / digest(key, _BATCH_OPENVINO, ov.__version__, importlib.metadata.version("timm"))
    verdict = _remembered(folder, precision)
    if verdict is None:
        verdict = _judged(make, probe, folder, size=size, precision=precision, workers=workers)
    if verdict.backend == "torch":
        return _torch(make, verdict.precision, verdict.note)
    return runners.OpenVinoRunner(folder / "model.xml", _BATCH_OPENVINO, verdict.precision, workers), verdict


def _torch(make: Callable[[], nn.Module], precision: str, note: str) -> tuple[Forward, Verdict]:
    graph = make()
    chosen = "bf16" if precision == "bf16" else "fp32"
    runner = runners.TorchRunner(graph, _BATCH_TORCH, chosen, torch.device("cpu"))
    return runner, Verdict("torch", chosen, 0, 1.0, note)


def _remembered(folder: Path, precision: str) -> Verdict | None:
    """Return the kept verdict if its model is whole; a forced precision may be what "auto" came to."""
    for name in dict.fromkeys((precision, "auto")):
        try:
            record = disk.read_json(folder / f"check-{name}.json", follow=True)
            checksum = record.pop("digest")
            verdict = Verdict(**record)
            if checksum != verdict.digest() or precision not in ("auto", verdict.precision):
                continue
            if verdict.backend == "torch" or (verdict.weights, verdict.graph) == _digests(folder):
                return verdict
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            continue
    return None


def _judged(
    make: Callable[[], nn.Module],
    probe: Callable[[], Tensor],
    folder: Path,
    *,
    size: tuple[int, int],
    precision: str,
    workers: int,
) -> Verdict:
    """Convert, compare with torch in fp32, choose the precision, and put the model where it belongs in one move."""
    parent = folder.parent
    temporary = None
    try:
        parent.parent.mkdir(parents=True, exist_ok=True)
        disk.own_folder(parent)
        temporary = parent / disk.temporary_name()
        temporary.mkdir()  # first of all: where it is forbidden, nothing was computed in vain
        graph = make()
        pixels = probe()
        truth = np.concatenate([_plain(graph, part) for part in torch.split(pixels, _BATCH_TORCH)])
        verdict = Verdict("torch", "fp32" if precision == "auto" else precision, truth.shape[1], 1.0)
        try:
            runners.convert(graph, (_BATCH_OPENVINO, *size, 3), temporary / "model.xml")
            verdict = _compared(temporary / "model.xml", pixels, truth, verdict, precision, workers)
        except OSError:
            raise
        except Exception as error:  # the converter raises many kinds; torch does the work then, and a note says so
            short = " ".join(str(error).split())[:100]
            verdict = replace(verdict, note=f"OpenVINO cannot run this model ({short}); torch encodes it, slower")
        bytes_, graph_ = _digests(temporary)
        verdict = replace(verdict, weights=bytes_, graph=graph_)
        record = {**asdict(verdict), "digest": verdict.digest()}
        disk.write_bytes(temporary / f"check-{precision}.json", json.dumps(record).encode())
        _move(temporary, folder)
    except OSError as error:
        raise DataError(
            f"cannot write {parent}: {error.strerror or error}; free some space or choose another cache"
        ) from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return verdict


def _compared(path: Path, pixels: Tensor, truth: Floats, verdict: Verdict, precision: str, workers: int) -> Verdict:
    """Return the verdict on a converted model."""
    names = ["fp32", "bf16"] if precision == "auto" and runners.supports_bf16() else [precision.replace("auto", "fp32")]
    made = {name: runners.OpenVinoRunner(path, _BATCH_OPENVINO, name, workers) for name in names}
    agreement = {name: cosine(_all(runner, pixels), truth) for name, runner in made.items()}
    agreeing = [name for name in names if agreement[name] >= AGREE]
    if not agreeing:
        worst = agreement[names[0]]
        note = (
            f"OpenVINO's features differ from torch's (cosine {worst:.3f} < {AGREE}); torch encodes this model, slower"
        )
        return replace(verdict, cosine=worst, note=note)
    chosen = agreeing[0]
    if len(agreeing) == 2:
        times: dict[str, float] = dict.fromkeys(names, float("inf"))
        for _ in range(_ROUNDS):
            for name in names:
                start = time.perf_counter()
                made[name](pixels[:8])
                times[name] = min(times[name], time.perf_counter() - start)
        chosen = "bf16" if times["bf16"] < _FASTER * times["fp32"] else "fp32"
    return replace(verdict, backend="openvino", precision=chosen, cosine=agreement[chosen])


def _all(runner: runners.OpenVinoRunner, pixels: Tensor) -> Floats:
    return runner(pixels)


def _plain(graph: nn.Module, pixels: Tensor) -> Floats:
    with torch.inference_mode():
        features: Floats = graph(pixels.permute(0, 2, 3, 1).contiguous()).numpy()
    return features


def _move(temporary: Path, folder: Path) -> None:
    """Put a finished folder where it belongs; what another process put there meanwhile is replaced, being equal."""
    for path in temporary.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    if folder.exists() or folder.is_symlink():
        disk.own_folder(folder)
        for path in temporary.iterdir():
            path.replace(folder / path.name)
    else:
        temporary.replace(folder)


def _digests(folder: Path) -> tuple[str, str]:
    """Return the checksums of a converted model: its numbers and its graph; empty where there is none."""
    weights, graph = (folder / name for name in ("model.bin", "model.xml"))
    return (disk.file_digest(weights), disk.file_digest(graph)) if graph.is_file() else ("", "")
