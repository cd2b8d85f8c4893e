"""Which ilk this is, and what made a run: versions of what its numbers depend on, and the commit of a checkout.

The version comes from the tag (docs/releasing.md); no file is edited for a release. `version` is asked by
``ilk.__version__`` and by setuptools when a package is built, which loads this file alone: it imports nothing of ilk.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import platform
import re
import shutil
import subprocess
from pathlib import Path

_FIRST = "0.1.0"  # what a checkout without any tag is on its way to
_PACKAGES = ("torch", "timm", "openvino", "numpy", "scipy", "scikit-learn", "umap-learn", "Pillow")


@functools.cache
def version() -> str:
    """Return the version of ilk, as PEP 440 writes it.

    In a checkout that is the tag ``v1.2.3`` of its commit; 4 commits later it is ``1.2.4.dev4+g`` and the commit, also
    where ilk is installed from there (``pip install -e``). An archive that git made, an unpacked source distribution
    and an installed package carry it in a file. Where nothing says it, it is ``0+unknown``.
    """
    source = Path(__file__).resolve().parents[1]
    if source.name == "src":
        for found in (_checkout(source.parent), _archive(source.parent), _distribution(source.parent)):
            if found is not None:
                return found
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version("ilk")
    return "0+unknown"


def _checkout(root: Path) -> str | None:
    """Ask git, where `root` is a checkout of its own and not a folder inside of another one."""
    if not (root / ".git").exists():
        return None
    described = _git(root, "describe", "--tags", "--long", "--match", "v[0-9]*")
    if described is not None:
        return _released(described)
    count, commit = _git(root, "rev-list", "--count", "HEAD"), _git(root, "rev-parse", "--short=9", "HEAD")
    return None if count is None or commit is None else f"{_FIRST}.dev{count}+g{commit}"


def _archive(root: Path) -> str | None:
    """Read what ``git archive`` filled in: the tag as ``git describe`` gives it, and the commit."""
    with contextlib.suppress(OSError):
        lines = (root / ".git_archival.txt").read_text("utf-8").splitlines()
        facts = dict(line.partition(": ")[::2] for line in lines)
        if (found := _released(facts.get("describe", ""))) is not None:
            return found
        if re.fullmatch(r"[0-9a-f]{7,40}", commit := facts.get("commit", "")):
            return f"{_FIRST}.dev0+g{commit}"
    return None


def _distribution(root: Path) -> str | None:
    """Read the metadata at the top of an unpacked source distribution."""
    with contextlib.suppress(OSError):
        found = re.search(r"^Version: (\S+)$", (root / "PKG-INFO").read_text("utf-8"), re.MULTILINE)
        return found and found[1]
    return None


def _released(described: str) -> str | None:
    """Return the version for ``v1.2.3-4-g0123abc`` or ``v1.2.3``; None where that is something else.

    >>> _released("v1.2.3-0-g0123abc"), _released("v1.2.3-4-g0123abc"), _released("v2.0rc1"), _released("v2.0rc1-1-gab")
    ('1.2.3', '1.2.4.dev4+g0123abc', '2.0rc1', '2.0rc2.dev1+gab')
    """
    found = re.fullmatch(r"v(\d+(?:\.\d+)*(?:(?:a|b|rc)\d+)?)(?:-(\d+)-(g[0-9a-f]+))?", described)
    if found is None:
        return None
    release, distance, commit = found.groups()
    if not int(distance or 0):
        return release
    following = re.sub(r"\d+$", lambda last: str(int(last[0]) + 1), release)
    return f"{following}.dev{distance}+{commit}"


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions of ilk, Python and what the numbers depend on."""
    found = {"ilk": version(), "python": platform.python_version()}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


@functools.cache
def commit() -> str | None:
    """Return the commit of the checkout ilk runs from, or None for an installed package."""
    root = Path(__file__).resolve().parents[2]
    return _git(root, "rev-parse", "--short=12", "HEAD") if (root / ".git").exists() else None


def _git(root: Path, *words: str) -> str | None:
    """Return what git answers in `root`, or None: there is no git, it refuses, or it has nothing to say."""
    git = shutil.which("git")
    if git is None:
        return None
    answer = subprocess.run([git, "-C", str(root), *words], capture_output=True, text=True, check=False)  # noqa: S603
    return answer.stdout.strip() or None if answer.returncode == 0 else None
