"""Record the groups of every method and preset that runs in seconds, to hold later code against.

    python tests/methods/golden.py            writes tests/methods/golden.json

Digits, fixed seeds, one thread, single precision. Run it only where a change of results is meant, and say so.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits

from ilk import methods

RECORD = Path(__file__).with_suffix(".json")
IMAGES = 200
SHORT: dict[str, dict[str, Any]] = {  # what makes a preset last seconds; all others run as they are, with two epochs
    "DAC/auto": {"network": "tiny", "image_size": 8, "epochs": 2, "n_trials": 1},
    "DAC/steady": {"network": "tiny", "image_size": 8, "epochs": 2, "n_trials": 1},
    "DAC/released_star": {"network": "tiny", "image_size": 8, "epochs": 2, "n_trials": 1},
    "DAC/released_dac": {"network": "tiny", "image_size": 8, "epochs": 2, "n_trials": 1},
    "DAC/paper": {"network": "tiny", "image_size": 8, "epochs": 2, "n_trials": 1},
    "DAC/keras_port": {"network": "tiny", "image_size": 8, "epochs": 2, "n_trials": 1},
    "DAC/small": {"network": "tiny", "image_size": 8, "epochs": 2, "n_trials": 1},
    "SCAN/scratch": {"network": "tiny", "image_size": 8},
    "SCAN/paper_cifar10": {"network": "tiny", "image_size": 8},
    "SCAN/paper_cifar20": {"network": "tiny", "image_size": 8},
    "SCAN/paper_stl10": {"network": "tiny", "image_size": 8},
    "DeepCluster/v2_small": {"network": "tiny", "image_size": 8},
    "DeepCluster/v2": {"network": "tiny", "image_size": 8},
    "DeepCluster/paper_alexnet": {"network": "tiny", "image_size": 8},
    "DeepCluster/paper_vgg16": {"network": "tiny", "image_size": 8},
    "TURTLE/default": {"steps": 100},
    "TURTLE/paper": {"steps": 100},
}
LEFT_OUT = {  # minutes even so
    "SCAN/keras_literal",
    "SCAN/keras_fixed",
    "TransferClustering/raw_features",  # weights that are not on every machine
    "TEMI/paper",
}


SLOW = {  # ten seconds and more: with ``-m slow``
    "Autoencoder/n2d",
    "DAC/released_dac",
    "DEC/long",
    "DAC/keras_port",
    "DEC/idec",
    "DeepCluster/v2",
    "SCAN/paper_cifar10",
    "SCAN/paper_cifar20",
    "SCAN/paper_stl10",
    "SCAN/scratch",
}


def cases() -> list[str]:
    """Return ``Method/preset`` of all that is recorded."""
    every = [f"{name}/{preset}" for name in methods.__all__ for preset in getattr(methods, name).presets]
    return [case for case in every if case not in LEFT_OUT]


def groups(case: str) -> list[int]:
    """Return the labels that the method and preset of `case` gives to the first digits."""
    name, preset = case.split("/")
    cls = getattr(methods, name)
    table = cls.presets[preset]
    settings = {key: 2 for key in ("epochs", "pretrain_epochs", "refine_epochs") if (table.get(key) or 0) > 2}
    settings |= SHORT.get(case, {})
    wanted = {"n_clusters": 10, "preset": preset, "device": "cpu", "precision": "fp32", "random_state": 0}
    model = cls(
        **{key: value for key, value in wanted.items() if key in cls._get_param_names()},
        settings={key: value for key, value in settings.items() if key in table},
    )
    images = np.round(load_digits().images[:IMAGES] * 255 / 16).astype(np.uint8)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        labels: list[int] = model.fit(images).labels_.tolist()
    finally:
        torch.set_num_threads(threads)
    return labels


def machine() -> dict[str, str]:
    """Return what the last bits of a result depend on."""
    kept = {name: metadata.version(name) for name in ("torch", "numpy", "scipy", "scikit-learn", "umap-learn", "numba")}
    features = ""
    if os.path.exists("/proc/cpuinfo"):  # noqa: PTH110
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        features = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {
        **kept,
        "processor": features or platform.processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }


def main() -> None:
    """Write the record, or only the cases named on the command line into it."""
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    kept = record.get("labels", {}) if sys.argv[1:] else {}
    for case in sys.argv[1:] or cases():
        kept[case] = " ".join(map(str, groups(case)))
        print(case, flush=True)
    RECORD.write_text(json.dumps({"machine": machine(), "labels": kept}, indent=1) + "\n")


if __name__ == "__main__":
    main()
