"""Inside `methods`: what all share imports no method, no method imports another, and nothing goes round in circles."""

from __future__ import annotations

import ast
from pathlib import Path

from ilk.methods import REGISTRY

SOURCE = Path(__file__).resolve().parents[1] / "src"
METHODS = {path.partition(".")[0] for path in REGISTRY.values()}


def modules() -> dict[str, Path]:
    """Every module of ilk by its dotted name."""
    found = {}
    for path in (SOURCE / "ilk").rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


KNOWN = modules()


def imports(path: Path) -> set[str]:
    """Modules of ilk that a file imports when it is imported itself, and those only its types need."""
    found = set()
    tree = ast.parse(path.read_text("utf-8"))
    late = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in late:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("ilk"):
            named = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in KNOWN else node.module for name in named}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in KNOWN}
    return found


def room(name: str) -> str:
    """The part of `ilk.methods` that a module is in."""
    return name.split(".")[2] if name.count(".") > 1 else ""


def test_what_is_shared_knows_no_method_and_no_method_another() -> None:
    for name, path in KNOWN.items():
        if not name.startswith("ilk.methods.") or room(name) == "":
            continue
        for other in imports(path):
            if other.startswith("ilk.methods.") and room(other) in METHODS:
                assert room(name) == room(other), f"{name} imports {other}"


def test_nothing_goes_round_in_circles() -> None:
    graph = {name: imports(path) & KNOWN.keys() for name, path in KNOWN.items() if path.name != "__init__.py"}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join([*way[way.index(name) :], name])
        if name in done:
            return
        for other in graph.get(name, ()):
            visit(other, (*way, name))
        done.add(name)

    for name in graph:
        visit(name, ())
