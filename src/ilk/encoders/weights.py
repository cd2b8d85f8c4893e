"""Weights: found, downloaded, read, named by their content, and kept. Pickle is never executed."""

from __future__ import annotations

import hashlib
import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ilk import disk
from ilk.errors import DataError
from ilk.files import is_address
from ilk.files.addresses import local_path, refuse_mangled
from ilk.files.remote import downloaded

__all__ = ["State", "architecture", "content", "fetch", "keep", "local", "locate", "read"]

State = dict[str, Tensor]

_FILES = ("model.safetensors", "pytorch_model.bin")
_SAYS = ("architecture", "arch", "model_name")
_TIMEOUT = 3.0  # seconds for the first answer of the hub
_WRAPPERS = ("state_dict", "model", "model_state", "state_dict_ema", "model_ema")


def locate(cfg: Any, hub: Path | None = None) -> Path | None:
    """Return the file with the weights of a timm model if it is on this machine, else None.

    Parameters
    ----------
    cfg : Facts, or timm's PretrainedCfg
    hub : Path, optional
        A folder laid out like ``HF_HOME`` (``hub/models--…``), with ``checkpoints/`` like torch's; the user's own
        caches otherwise.
    """
    from huggingface_hub import try_to_load_from_cache

    if cfg.hf_hub_id:
        for name in _names(cfg):
            found = try_to_load_from_cache(_repo(cfg)[0], name, cache_dir=_hub(hub), revision=_repo(cfg)[1])
            if isinstance(found, str) and Path(found).is_file():
                return Path(found)
    if cfg.url:
        home = hub if hub is not None else Path(torch.hub.get_dir())
        checkpoint: Path = home / "checkpoints" / cfg.url.rpartition("/")[2]
        if checkpoint.is_file():
            return checkpoint
    return None


def fetch(name: str, cfg: Any, hub: Path | None = None) -> Path:
    """Download the weights of a timm model into the local cache, and return the file.

    A first question with a short timeout finds out within a few seconds whether there is a network at all. The file
    gets its name only when it is whole.

    Raises
    ------
    DataError
        No network, or no such weights.
    """
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

    constants.HF_HUB_DISABLE_TELEMETRY = True  # also where no command line has set the variable

    help_ = "give them with --weights FILE (safetensors or a state dict)"
    if not cfg.hf_hub_id:
        raise DataError(f"there are no published weights for {name!r}; {help_}")
    repo, revision = _repo(cfg)
    reason = "nothing there"
    for file in _names(cfg):
        try:
            get_hf_file_metadata(hf_hub_url(repo, file, revision=revision), timeout=_TIMEOUT)
            return Path(hf_hub_download(repo, file, revision=revision, cache_dir=_hub(hub)))
        except EntryNotFoundError:
            continue
        except (HfHubHTTPError, OSError, RuntimeError) as error:
            reason = _short(error)
        except Exception as error:  # the HTTP client's own errors: which client it is differs between releases
            reason = _short(error)
        break
    raise DataError(
        f"the weights of {name!r} are not on this machine and cannot be downloaded from {repo} ({reason}); "
        f"go online once, or {help_}"
    )


def local(given: str | Path, cache: Path | None) -> Path:
    """Return the file of weights; what lies at an address is downloaded into the cache, once for each state of it.

    Raises
    ------
    DataError
        The address cannot be read.
    """
    refuse_mangled(str(given))
    if not (isinstance(given, str) and is_address(given)):
        return Path(given).expanduser()
    if (here := local_path(given)) is not None:
        return here
    return downloaded(given, Path(tempfile.mkdtemp(prefix="ilk-weights-")) if cache is None else cache / "downloads")


def read(path: Path) -> State:
    """Read a safetensors file or a torch state dict (``weights_only=True``) as CPU tensors.

    Raises
    ------
    DataError
        Missing, damaged, or not weights.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise DataError(f"weights={str(path)!r}: no such file")
    with path.open("rb") as file:
        start = file.read(9)
    torch_file = start[:2] == b"PK" or start[:1] == b"\x80"
    if start[:2] == b"PK":
        _check_packed(path)
    try:
        if torch_file:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                loaded = torch.load(path, map_location="cpu", weights_only=True)
        else:
            loaded = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f"weights {str(path)!r} are damaged or not weights ({_short(error)}); get them again") from None
    except Exception as error:  # torch.load raises whatever it stumbles over: UnpicklingError, EOFError, KeyError …
        raise DataError(
            f"weights {str(path)!r} are damaged, or hold more than a plain state dict ({type(error).__name__}); "
            "save the state dict as safetensors"
        ) from None
    return _state(loaded, path)


def _check_packed(path: Path) -> None:
    """Raise DataError where a torch file would unpack to more than it is: torch itself never packs tightly."""
    try:
        with zipfile.ZipFile(path) as archive:
            whole = sum(info.file_size for info in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # what is wrong with it is said by whoever reads it
    if whole > 2 * path.stat().st_size + 2**20:
        raise DataError(f"weights {str(path)!r} would unpack to {whole >> 20:,} MiB; save them as safetensors")


def architecture(path: Path) -> str | None:
    """Return the network that a file of weights says it belongs to, or None.

    It is read from the header of safetensors, from a checkpoint's ``arch`` or ``architecture``, or from a
    ``config.json`` beside the file, as the hub has it.
    """
    words: dict[str, Any] = {}
    try:
        with disk.opened(path, follow=True) as head:
            start = head.read(2)
        if start == b"PK":
            _check_packed(path)
            loaded = torch.load(path, map_location="meta", weights_only=True)
            words = dict(loaded) if isinstance(loaded, Mapping) else {}
        else:
            from safetensors import safe_open

            with safe_open(path, "pt") as file:
                words = file.metadata() or {}
    except Exception:  # it is only asked for its name: `read` says what is wrong with it
        words = {}
    beside = path.with_name("config.json")
    if not any(key in words for key in _SAYS):
        try:
            said = disk.read_json(beside, limit=2**20, follow=True)
            words = said if isinstance(said, dict) else {}
        except (OSError, ValueError):
            words = {}
    return next((str(words[key]) for key in _SAYS if isinstance(words.get(key), str)), None)


def _state(loaded: Any, path: Path) -> State:
    for wrapper in _WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            loaded = loaded[wrapper]
            break
    if not isinstance(loaded, Mapping):
        raise DataError(f"weights {str(path)!r} hold a {type(loaded).__name__}, not a state dict")
    state = {str(key).removeprefix("module."): value for key, value in loaded.items() if isinstance(value, Tensor)}
    if not state:
        raise DataError(f"weights {str(path)!r} hold no tensors")
    for key, value in state.items():
        if wrong := _wrong(value):
            raise DataError(f"weights {str(path)!r}: {key!r} {wrong}; save plain tensors as safetensors")
    return state


def _wrong(value: Tensor) -> str:
    """Say why a tensor is none that weights are made of; empty where it is."""
    if value.layout != torch.strided or value.is_quantized or value.is_meta:
        return "is sparse, quantised or empty of values"
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        return f"of shape {tuple(value.shape)} holds fewer values than it says"
    return "is of complex numbers" if value.is_complex() else ""


def content(state: Mapping[str, Tensor]) -> str:
    """Return 32 hex digits that name the tensors: names, types, shapes and bytes. About 1 s a GB."""
    found = hashlib.blake2b(digest_size=16)
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        found.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def keep(state: Mapping[str, Tensor], name: str, folder: Path) -> Path:
    """Write ``folder/<name>.safetensors`` unless it is there, all or nothing, and return it.

    What is there is read: damaged weights are replaced. That takes as long as `content`.
    """
    path = folder / f"{name}.safetensors"
    if _sound(path, name):
        return path
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        disk.own_folder(folder)
        disk.write_tensors(path, tensors, torch=True)
    except OSError as error:
        raise DataError(
            f"cannot write {path}: {error.strerror or error}; free some space or choose another cache"
        ) from None
    return path


def _sound(path: Path, name: str) -> bool:
    """Whether `path` holds the tensors whose content is `name`."""
    try:
        return path.is_file() and content(read(path)) == name
    except (DataError, OSError):
        return False


def _names(cfg: Any) -> tuple[str, ...]:
    return (cfg.hf_hub_filename,) if cfg.hf_hub_filename else _FILES


def _repo(cfg: Any) -> tuple[str, str | None]:
    repo, _, revision = str(cfg.hf_hub_id).partition("@")
    return repo, revision or None


def _hub(hub: Path | None) -> Path | None:
    return None if hub is None else hub / "hub"


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text[:100] + ("…" if len(text) > 100 else "") or type(error).__name__
