"""The two ways to run a network: torch, and OpenVINO on the CPU.

A runner takes uint8 (b, 3, h, w) of its own size and returns float32 (b, d). Batches are cut and padded to one fixed
size, so the features of an image do not depend on its company. Several threads may call it at once.
"""

from __future__ import annotations

import contextlib
import importlib
import queue
import sys
import threading
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ilk.errors import MissingDependency

__all__ = ["OpenVinoRunner", "TorchRunner", "convert", "openvino", "supports_bf16"]

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_TELEMETRY = "openvino_telemetry"
_import_lock = threading.Lock()


def _rows(pixels: Tensor, batch: int) -> Tensor:
    """Return contiguous uint8 (batch, h, w, 3), zeros below the rows of `pixels`; a view of channels-last memory."""
    rows = pixels.permute(0, 2, 3, 1).contiguous()
    if len(rows) == batch:
        return rows
    padded = rows.new_zeros((batch, *rows.shape[1:]))
    padded[: len(rows)] = rows
    return padded


class TorchRunner:
    """Runs a graph with torch: one core per call on the CPU, one call at a time on a GPU."""

    def __init__(self, graph: nn.Module, batch: int, precision: str, device: torch.device) -> None:
        self.batch = batch
        self._device = device
        self._half = precision == "bf16"
        self._graph = graph.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._lock: Any = contextlib.nullcontext() if device.type == "cpu" else threading.Lock()

    def __call__(self, pixels: Tensor) -> Floats:
        found = []
        with self._lock, torch.inference_mode(), torch.autocast(self._device.type, torch.bfloat16, enabled=self._half):
            for part in torch.split(pixels, self.batch):
                rows = _rows(part, self.batch).to(self._device)
                found.append(self._graph(rows)[: len(part)].float().cpu())
        result: Floats = torch.cat(found).numpy()
        return result


# OpenVINO -------------------------------------------------------------------------------------------------------------


def openvino() -> ModuleType:
    """Import OpenVINO without its telemetry, or raise MissingDependency.

    ``import openvino`` itself reports "import" to Google Analytics, and so does every ``convert_model``, unless the
    package openvino_telemetry cannot be imported: then OpenVINO takes its own empty stub. So that import is made to
    fail here, for the whole process; and `convert` calls the front end directly instead of ``convert_model``, which
    holds even if the user's program imported OpenVINO before us. A test checks both.

    The first time that it turns one of its types into one of NumPy's, OpenVINO lets go of the interpreter's lock while
    it holds a lock of its own: two threads that begin at once can wait for each other for ever. So it is done here.
    """
    with _import_lock:
        if "openvino" not in sys.modules:
            sys.modules.setdefault(_TELEMETRY, None)  # type: ignore[arg-type]
        try:
            found = importlib.import_module("openvino")
            found.Type.u8.to_dtype()
            return found
        except (ImportError, OSError, RuntimeError) as error:
            short = " ".join(str(error).split())[:120]
            raise MissingDependency(f"OpenVINO is not installed or does not load ({short})") from None


def convert(graph: nn.Module, shape: tuple[int, int, int, int], path: Path) -> None:
    """Convert a graph that takes uint8 `shape` = (b, h, w, 3) to OpenVINO, and write ``path`` (.xml) and its .bin.

    The weights stay fp32. Costs 2 to 10 s.
    """
    ov = openvino()
    decoder = importlib.import_module("openvino.frontend.pytorch.ts_decoder").TorchScriptPythonDecoder
    example = torch.zeros(shape, dtype=torch.uint8)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch.jit.trace is deprecated, yet it is what the decoder uses
        # the check of a trace runs the network three times more; our own check compares results
        traced = decoder(graph, example_input=(example,), trace_kwargs={"check_trace": False})
        front_end = ov.frontend.FrontEndManager().load_by_framework("pytorch")
        model = front_end.convert(front_end.load(traced))
    model.reshape(list(shape))
    ov.save_model(model, str(path), compress_to_fp16=False)


def supports_bf16() -> bool:
    """Return whether this CPU computes in bf16 (AMX or AVX512-BF16)."""
    return "BF16" in openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVinoRunner:
    """Runs a converted graph: `workers` streams of one thread each, so that as many callers keep all cores busy."""

    def __init__(self, path: Path, batch: int, precision: str, workers: int) -> None:
        core = openvino().Core()
        self.batch = batch
        options = {
            "NUM_STREAMS": workers,
            "INFERENCE_NUM_THREADS": workers,
            "ENABLE_CPU_PINNING": False,  # the callers decode on the same cores
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        }
        compiled = core.compile_model(core.read_model(str(path)), "CPU", options)
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(workers):
            self._requests.put(compiled.create_infer_request())

    def __call__(self, pixels: Tensor) -> Floats:
        request = self._requests.get()
        found = []
        try:
            for start in range(0, len(pixels), self.batch):
                part = pixels[start : start + self.batch]
                rows = _rows(part, self.batch).numpy()
                found.append(request.infer([rows], share_inputs=True, share_outputs=True)[0][: len(part)].copy())
        finally:
            self._requests.put(request)
        return np.concatenate(found)
