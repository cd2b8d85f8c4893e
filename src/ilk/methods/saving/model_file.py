"""A fitted model as one file: safetensors, with its plain values as JSON in the header. Never pickle, never code.

The header's one entry ``ilk_model`` is an object: ``checksum`` of the whole file (BLAKE2b, 64 hex digits, counted as
zeros), ``format`` (a number), ``class``, ``params`` (constructor arguments), ``state`` (plain values), ``weights`` (how
many files of an encoder are inside) and ``versions``. The tensors are ``state.<name>``, and ``weights.<i>`` as bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

import ilk
from ilk import compute, disk
from ilk.data import Samples
from ilk.errors import ArgumentError, DataError, NotEnoughMemory, RunError
from ilk.methods.saving.rebuilding import OF_A_MACHINE, rebuild

__all__ = ["FORMAT", "read", "write"]

FORMAT = 1
_KEY = "ilk_model"
_BLANK = "0" * 64
_HEADER = 64 << 20  # bytes
_CHECKSUM = re.compile(rb'\\"checksum\\":\\"([0-9a-f]{64})\\"')
_SHAPE = {"format": int, "class": str, "own": bool, "params": dict, "state": dict, "weights": int}
_MOST_WEIGHTS = 16
_AGAIN = "Save it again, or get another copy."


def write(model: Any, path: Path, own: bool) -> None:
    """Write the fitted `model` as `path`, whole or not at all; `own` says that its class is not one of ilk's."""
    from safetensors.numpy import save

    check_is_fitted(model, "cluster_centers_")
    arrays: dict[str, npt.NDArray[Any]] = {}
    plain: dict[str, Any] = {}
    for name, value in model.state().items():
        if isinstance(value, np.ndarray) or hasattr(value, "detach"):
            arrays[f"state.{name}"] = np.asarray(value, order="C")
        else:
            plain[name] = value
    files = _weights(getattr(model, "encoder_", None))
    arrays |= {f"weights.{i}": np.fromfile(file, np.uint8) for i, file in enumerate(files)}
    about = {
        "checksum": _BLANK,
        "format": FORMAT,
        "class": type(model).__name__,
        "own": own,
        "params": _params(model),
        "state": plain,
        "weights": len(files),
        "samples": model.samples.as_record(),
        "versions": {"ilk": ilk.__version__},
    }
    data = bytearray(save(arrays, {_KEY: json.dumps(about, separators=(",", ":"), default=_number)}))
    start, stop = _place(data)
    data[start:stop] = hashlib.blake2b(data, digest_size=32).hexdigest().encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with disk.output(path) as file:
            file.write(data)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}. Choose another path for the model.") from None


def read(path: Path, classes: Any, *, device: str, cache: Any, own_encoder: Any) -> Any:
    """Return the model in the file `path`; ``classes(name, own)`` gives its class, or raises."""
    about, arrays = _content(path)
    compute.device(device)
    cls = classes(about["class"], about["own"])
    state = {**about["state"], **{name[6:]: value for name, value in arrays.items() if name.startswith("state.")}}
    with tempfile.TemporaryDirectory(prefix="ilk-model-") as folder:
        files = [Path(folder) / f"{i}.safetensors" for i in range(about["weights"])]
        for i, file in enumerate(files):
            if f"weights.{i}" not in arrays:
                raise _damaged(path, f"weights.{i} is missing")
            arrays[f"weights.{i}"].tofile(file)
        given = files if len(files) > 1 else files[0] if files else None
        try:
            model = rebuild(
                cls, state, f"the model in {path}", _AGAIN,
                params=about["params"], weights_file=given, own_encoder=own_encoder, device=device, cache=cache,
            )  # fmt: skip
            model.samples_ = Samples.from_record(about.get("samples", {}))
            return model
        except (ArgumentError, DataError, RunError) as error:
            raise error if str(path) in str(error) else _damaged(path, error) from None


def _content(path: Path) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Return what the header of a model file says and its arrays, every byte held against the checksum."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    data = _bytes(path)
    try:
        start, stop = _place(data)
        kept = data[start:stop].decode()
        data[start:stop] = _BLANK.encode()
        if hashlib.blake2b(data, digest_size=32).hexdigest() != kept:
            raise ValueError("its checksum differs: other bytes than were written")
        header = disk.parse_json(bytes(data[8 : 8 + _length(data)]))
        about = disk.parse_json(header["__metadata__"][_KEY].encode())
        if not isinstance(about, dict) or not isinstance(about.get("format"), int):
            raise ValueError("no version number")
        if about["format"] > FORMAT:
            raise RunError(
                f"{path} was written by a newer ilk (model format {about['format']}, this one reads up to {FORMAT}). "
                "Upgrade ilk."
            )
        wrong = [key for key, kind in _SHAPE.items() if not isinstance(about.get(key), kind)]
        if wrong or not 0 <= about["weights"] <= _MOST_WEIGHTS:
            raise ValueError(f"no {', '.join(wrong) or 'sound number of weights'}")
        arrays: dict[str, npt.NDArray[Any]] = load(bytes(data))
    except (SafetensorError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from None
    return about, arrays


def _bytes(path: Path) -> bytearray:
    try:
        if not path.is_file():
            what = "is a folder: a run is opened with ilk.load_run" if path.is_dir() else "is no file"
            raise RunError(f"{path} {what if path.exists() else 'does not exist'}.")
        size = path.stat().st_size
        if 4 * size > compute.free_memory():
            raise NotEnoughMemory(f"{path} has {size / 1e9:.1f} GB, and reading it takes four times as much memory.")
        return bytearray(disk.read_bytes(path, size, follow=True))
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}.") from None


def _length(data: bytearray) -> int:
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= min(_HEADER, len(data) - 8):
        raise ValueError("not a model that ilk wrote")
    return length


def _place(data: bytearray) -> tuple[int, int]:
    """Return where the checksum stands."""
    found = _CHECKSUM.search(data, 8, 8 + _length(data))
    if found is None:
        raise ValueError("not a model that ilk wrote")
    return found.span(1)


def _weights(encoder: Any) -> list[Path]:
    """Return the files with the weights of an encoder: none, one, or one for each of its parts."""
    return [Path(file) for file in getattr(encoder, "weights_files", [])]


def _params(model: Any) -> dict[str, Any]:
    """Return the constructor arguments, without objects and without what belongs to this machine."""
    found = {key: value for key, value in model.get_params(deep=False).items() if key not in OF_A_MACHINE}
    if isinstance(found.get("settings"), Mapping):
        found["settings"] = {key: value for key, value in found["settings"].items() if key not in OF_A_MACHINE}
    return {key: value for key, value in found.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(one) for key, one in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _number(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written to a model file")


def _damaged(path: Path, error: object) -> RunError:
    return RunError(f"the model in {path} is damaged ({' '.join(str(error).split())[:200]}). {_AGAIN}")
