"""What timm says about its networks, remembered: to import timm costs more than to load a converted network."""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ilk import disk
from ilk.data.shards import write_whole
from ilk.encoders.frozen import digest
from ilk.errors import DataError, MissingDependency

__all__ = ["Facts", "facts", "remembered", "timm"]


def timm() -> ModuleType:
    """Import timm, or raise MissingDependency. Costs 2 s the first time, so nothing imports it at its top."""
    try:
        import timm as found
    except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision built for another torch
        short = " ".join(str(error).split())[:120]
        raise MissingDependency(
            f"pretrained encoders need timm, which does not load ({short}); "
            "install torch, torchvision and timm together, or use --encoder pixels | classic"
        ) from None
    return found  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Facts:
    """One network of timm: where its weights are, and what images it takes. Plain values."""

    hf_hub_id: str | None
    hf_hub_filename: str | None
    url: str | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    input_size: tuple[int, ...]
    fixed_input_size: bool
    crop_pct: float
    classifier: tuple[str, ...]
    num_classes: int


def facts(name: str, kept: Path | None = None) -> Facts | None:
    """Return what timm knows of the network `name`, or None where it knows no such network.

    Parameters
    ----------
    kept
        The cache: what was asked before is read from there, without timm.

    Raises
    ------
    MissingDependency
        timm does not load, and the answer is not in the cache.
    """
    found = remembered(kept, ("facts", name), lambda: _asked(name), _plausible)
    return None if found is None else Facts(**{key: _tupled(value) for key, value in found.items()})


def _plausible(found: Any) -> bool:
    """Whether kept facts can be those of a network: a cache may be anybody's."""
    if not isinstance(found, dict) or found.keys() != Facts.__dataclass_fields__.keys():
        return False
    texts = {"hf_hub_id": r"[\w.-]+/[\w.-]+(@[\w.-]+)?", "hf_hub_filename": r"[\w-][\w.-]*", "url": r"https://\S+"}
    named = all(found[key] is None or re.fullmatch(how, str(found[key])) for key, how in texts.items())
    lists = all(isinstance(found[key], list) for key in ("mean", "std", "input_size", "classifier"))
    numbers = [found["crop_pct"], found["num_classes"]]
    for key in ("mean", "std", "input_size"):
        numbers += found[key] if lists else [""]
    return named and lists and all(isinstance(number, int | float) and number < 2**20 for number in numbers)


def _asked(name: str) -> dict[str, Any] | None:
    models = timm().models
    cfg = models.get_pretrained_cfg(name) if models.is_model(name) else None
    if cfg is None:
        return None
    classifier = cfg.classifier or ()
    return {
        "hf_hub_id": cfg.hf_hub_id,
        "hf_hub_filename": cfg.hf_hub_filename,
        "url": cfg.url or None,
        "mean": list(cfg.mean),
        "std": list(cfg.std),
        "input_size": list(cfg.input_size),
        "fixed_input_size": bool(cfg.fixed_input_size),
        "crop_pct": float(cfg.crop_pct),
        "classifier": [classifier] if isinstance(classifier, str) else list(classifier),
        "num_classes": int(cfg.num_classes),
    }


def remembered(
    kept: Path | None,
    question: tuple[Any, ...],
    ask: Callable[[], Any],
    plausible: Callable[[Any], bool] = lambda answer: True,
) -> Any:
    """Return the answer (plain JSON) to a `question` about timm: from the cache `kept`, else by asking.

    Answers belong to one version of timm. None is never kept, nor is an error; what is damaged, or not `plausible`, is
    asked anew.
    """
    try:
        version = importlib.metadata.version("timm")
    except importlib.metadata.PackageNotFoundError:
        return ask()
    path = None if kept is None else kept / "models" / "timm" / f"{digest(version, *question)}.json"
    if path is not None:
        try:
            found = disk.read_json(path, follow=True)
            same = isinstance(found, Mapping) and found.get("question") == json.loads(json.dumps(question))
            if same and plausible(found["answer"]):
                return found["answer"]
        except (OSError, ValueError, KeyError):
            pass
    answer = ask()
    if path is not None and answer is not None:
        try:
            write_whole(path, json.dumps({"question": question, "answer": answer}).encode())
        except DataError:  # a memory only saves time
            return answer
    return answer


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
