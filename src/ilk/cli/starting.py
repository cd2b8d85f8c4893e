"""What has to be so before the first heavy import: threads, the garbage collector, and where compiled code is kept."""

from __future__ import annotations

import gc
import os
from pathlib import Path

from ilk import disk, kernels
from ilk.cli import options

__all__ = ["compiled", "prepare"]


def prepare(whole_process: bool) -> None:
    """Set this process up; with `whole_process`, what its other users would notice too."""
    _threads()
    _places()
    kernels.keep(*compiled())
    if whole_process:
        # importing torch, scikit-learn and the rest makes a million objects that stay: looking through them again and
        # again takes a fifth of the time of the imports (3.8 s of CPU; 3.1 s with these thresholds)
        gc.set_threshold(50_000, 10, 10)


def _threads() -> None:
    # torch's threads wait for each other by spinning; beside any other busy program that makes them up to ten times
    # slower (neighbours of 14,000 rows: 14 s instead of 1.4 s). Sleeping at once makes small steps slow on an idle
    # machine (19 ms instead of 11), so where the library knows how, they spin for some microseconds first
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    # nothing is counted anywhere: not by ilk, and not by what it uses
    for name in ("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_UPDATE_CHECK", "DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        os.environ.setdefault(name, "1")
    # large tensors in pages of 2 MiB: with batches of 1,000 small images a step is a fifth faster
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def compiled() -> list[Path]:
    """Return where compiled code may be kept, best first: the user's own cache, else a folder of theirs in /tmp.

    Never below ``--cache DIR``: that may come from somebody else, and what is compiled is run.
    """
    own = kernels.own_temporary()
    return [own] if (home := options.default_cache()) is None else [home / "kernels", own]


def _places() -> None:
    """Give numba and matplotlib a folder for their files where their own ones cannot be written.

    numba would not import umap-learn at all, matplotlib would look through all fonts in every process.
    """
    if "NUMBA_CACHE_DIR" not in os.environ and not kernels.numba_can_import():
        os.environ["NUMBA_CACHE_DIR"] = str(kernels.private_or_new(compiled()))
    if "MPLCONFIGDIR" not in os.environ and any(home is None or disk.unwritable(home) for home in _homes()):
        os.environ["MPLCONFIGDIR"] = str(kernels.private_or_new(compiled()) / "matplotlib")


def _homes() -> list[Path | None]:
    """Return the folders in which matplotlib keeps its settings and its cache; None where there is no home."""
    try:
        home = Path.home()
    except RuntimeError:
        return [None]
    pairs = (("XDG_CONFIG_HOME", ".config"), ("XDG_CACHE_HOME", ".cache"))
    return [Path(os.environ.get(variable) or home / name) / "matplotlib" for variable, name in pairs]
