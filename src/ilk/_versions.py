"""What made a run: the versions of ilk and of what its numbers depend on, and the commit of a checkout."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import platform
import shutil
import subprocess
from pathlib import Path

from ilk import __version__

_PACKAGES = ("torch", "timm", "openvino", "numpy", "scipy", "scikit-learn", "umap-learn", "Pillow")


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions of ilk, Python and what the numbers depend on."""
    found = {"ilk": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


@functools.cache
def commit() -> str | None:
    """Return the commit of the checkout ilk runs from, or None for an installed package."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    git = shutil.which("git")
    if git is None:
        return None
    answer = subprocess.run([git, "-C", str(root), "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True)  # noqa: S603
    return answer.stdout.strip() or None
