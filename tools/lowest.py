"""The lowest versions that pyproject.toml allows, as constraints for pip.

    python tools/lowest.py test > lowest.txt
    python -m pip install -c lowest.txt -e '.[test]'

What is named in pyproject.toml is pinned to its lower bound; what comes with that is left to pip, as with
``uv pip install --resolution lowest-direct``. The workflow's job "lowest" runs the tests with these.
"""

import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8"))["project"]


def named(extras: list[str]) -> list[Requirement]:
    """The requirements of ilk itself and of these extras, extras that an extra names included."""
    found = [Requirement(line) for line in PROJECT["dependencies"]]
    todo, seen = list(extras), set()
    while todo:
        extra = todo.pop()
        if extra in seen:
            continue
        seen.add(extra)
        for requirement in map(Requirement, PROJECT["optional-dependencies"][extra]):
            if requirement.name == PROJECT["name"]:
                todo.extend(sorted(requirement.extras))
            else:
                found.append(requirement)
    return found


def pinned(requirement: Requirement) -> str:
    """``name>=1.2; marker`` as ``name==1.2; marker``. One without a lower bound is a mistake in pyproject.toml."""
    lower = [part.version for part in requirement.specifier if part.operator in (">=", "==", "~=")]
    if len(lower) != 1:
        raise SystemExit(f"pyproject.toml: {requirement} has no lower bound")
    return f"{requirement.name}=={lower[0]}" + (f"; {requirement.marker}" if requirement.marker else "")


if __name__ == "__main__":
    print("\n".join(sorted({pinned(requirement) for requirement in named(sys.argv[1:])}, key=str.lower)))
