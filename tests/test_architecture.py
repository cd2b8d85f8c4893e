"""docs/architecture.md, enforced: who may import whom, how large a file may be, and what is done in one module only."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import ilk

ROOT = Path(ilk.__file__).parent
FILES = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in sorted(ROOT.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in FILES.items()}
LINES, FUNCTION, OPTIONS = 400, 60, 12

# package -> packages it may import; its own, `errors`, `disk` and `machine` are always allowed
ALLOWED = {
    "errors": "",
    "disk": "",
    "machine": "",
    "files": "",
    "corrections": "",
    "regroup": "corrections",
    "showing": "",
    "runs": "corrections shards",
    "shards": "files",
    "metrics": "",
    "compute": "",
    "scoring": "runs metrics files",
    "near": "",
    "exports": "runs files near",
    "comparing": "runs metrics report",
    "report": "runs files showing near",
    "gallery": "runs files corrections regroup near exports",
    "data": "files compute shards",
    "vectors": "compute kernels",
    "encoders": "data compute files networks vectors metrics shards",
    "naming": "encoders data",
    "choose": "vectors compute",
    "kernels": "",
    "layout": "vectors compute kernels",
    "describe": "vectors",
    "cautions": "vectors near",
    "augment": "",
    "losses": "",
    "networks": "",
    "train": "compute",
    "methods": "encoders vectors choose layout data compute metrics losses networks augment train near showing",
    "scale": "encoders data compute files vectors",
    "_near": "near runs vectors",
    "_suggested": "describe runs",
    "_versions": "",
    "_kept": "files runs shards",
    "_record": "_kept _near _suggested cautions compute files layout describe report runs",
    "jobs": "_kept _record _versions naming methods data encoders runs corrections regroup report scoring files "
    "showing scale shards",
    "bench": "jobs runs scoring compute",
    "probing": "augment compute data files methods networks report runs",
    "cli": "jobs runs corrections regroup scoring probing exports comparing methods encoders report files bench "
    "kernels gallery showing scale",
    "__main__": "cli",
    # for the type checker: at run time it imports lazily
    "__init__": "_versions methods choose jobs scoring probing exports comparing runs data",
}
# Run.model, Run.similar, Run.regroup and what a notebook shows of a run, when they are asked for
UPWARDS = {("runs.reading", "jobs"), ("runs.asked", "jobs"), ("runs.reading", "regroup"), ("runs.asked", "report")}
TORCH_FREE = (
    "ilk ilk.errors ilk.disk ilk.machine ilk.files ilk.runs ilk.metrics ilk.scoring ilk.report ilk.cli ilk.cli.commands"
)
TORCH_FREE += " ilk.near ilk.corrections ilk.regroup ilk.gallery ilk.exports ilk.comparing ilk.showing ilk.shards"


def package(module: str) -> str:
    return module.split(".")[0]


def imports(tree: ast.Module) -> Iterator[str]:
    """Full dotted names of everything `tree` imports, wherever the statement stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def nodes(kind: type | tuple[type, ...]) -> Iterator[tuple[str, ast.AST]]:
    yield from ((name, node) for name, tree in TREES.items() for node in ast.walk(tree) if isinstance(node, kind))


def lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of `function` without its docstring."""
    first = function.body[0]
    told = first.end_lineno - first.lineno + 1 if ast.get_docstring(function) is not None else 0
    return function.end_lineno - function.lineno + 1 - told


def names(tree: ast.AST) -> set[str]:
    """Names and dotted names (two parts) that are used in `tree`."""
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    dotted = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)]
    return found | {f"{node.value.id}.{node.attr}" for node in dotted} | set(imports(tree))


@pytest.mark.parametrize("module", FILES)
def test_a_package_imports_only_what_it_may(module: str) -> None:
    may = {package(module), "errors", "disk", "machine", "__version__", *ALLOWED[package(module)].split()}
    may |= {other for one, other in UPWARDS if one == module}
    ours = {name.split(".")[1] for name in imports(TREES[module]) if name.startswith("ilk.")}
    assert ours <= may, f"{module} imports {sorted(ours - may)}"


def test_packages_fit_on_a_few_screens() -> None:
    assert {name: n for name, path in FILES.items() if (n := len(path.read_text("utf-8").splitlines())) > LINES} == {}
    functions = list(nodes((ast.FunctionDef, ast.AsyncFunctionDef)))
    assert {f"{name}:{f.name}": n for name, f in functions if (n := lines(f)) > FUNCTION} == {}
    options = {f"{name}:{f.lineno}": f.args for name, f in functions if f.name == "__init__"}
    counts = {at: len(a.posonlyargs) + len(a.args) + len(a.kwonlyargs) - 1 for at, a in options.items()}
    assert {at: n for at, n in counts.items() if n > OPTIONS} == {}


def test_so_do_tests_and_benchmarks() -> None:
    ours = Path(__file__).parent
    beside = [path for folder in ("benchmarks", "fuzz") for path in (ours.parent / folder).glob("*.py")]
    for path in [*ours.rglob("*.py"), *beside]:
        text = path.read_text("utf-8")
        assert len(text.splitlines()) <= LINES, path
        functions = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef))
        assert {f.name: n for f in functions if (n := lines(f)) > FUNCTION} == {}, path


@pytest.mark.parametrize(
    ("what", "where"),
    [
        ({"print", "sys.exit", "os.environ", "os.getenv"}, {"cli", "__main__"}),
        ({"torch.distributed"}, {"compute"}),
        ({"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}, set()),
        ({"ilk.files.truth", "ilk.files.truth.truth", "files.truth"}, {"files", "scoring", "probing", "cli.options"}),
    ],
    ids=["talking to the process", "the process group", "pickle", "labels"],
)
def test_done_in_one_module_only(what: set[str], where: set[str]) -> None:
    users = {name for name, tree in TREES.items() if names(tree) & what}
    assert {name for name in users if name not in where and package(name) not in where} == set()


def test_one_module_imports_ray() -> None:
    found = {name for name, tree in TREES.items() if any(used.split(".")[0] == "ray" for used in imports(tree))}
    assert found == {"scale.ray"}


def test_nothing_loads_pickles_or_catches_everything_silently() -> None:
    calls = ((name, keyword) for name, node in nodes(ast.Call) for keyword in node.keywords)
    loud = {"allow_pickle": False, "weights_only": True}
    for name, keyword in calls:
        if keyword.arg in loud:
            assert isinstance(keyword.value, ast.Constant), name
            assert keyword.value.value is loud[keyword.arg], f"{name}:{keyword.value.lineno}"
    loads = [(name, node) for name, node in nodes(ast.Call) if ast.unparse(node.func) in ("np.load", "torch.load")]
    assert [name for name, node in loads if not loud.keys() & {keyword.arg for keyword in node.keywords}] == []
    assert [f"{name}:{node.lineno}" for name, node in nodes(ast.ExceptHandler) if node.type is None] == []


def test_files_are_written_in_one_place_only() -> None:
    """Whole, under a name nobody can guess, through no link: by `disk`, or not at all."""
    ours = {"disk.write_bytes", "disk.write_tensors"}
    apart = {
        "cli.__init__": "open(os.devnull, 'w')",
        "compute": "Path('/proc/self/clear_refs').write_text('5', 'ascii')",
        "files.helper": "os.fdopen(os.dup(1), 'wb')",  # a pipe
    }
    found = set()
    for name, call in nodes(ast.Call):
        assert isinstance(call, ast.Call)
        what, text = ast.unparse(call.func), ast.unparse(call)
        modes = {a.value for a in [*call.args[1:2], *(k.value for k in call.keywords)] if isinstance(a, ast.Constant)}
        opens = what in ("open", "os.fdopen") and any(isinstance(m, str) and set(m) & set("wxa+") for m in modes)
        by_name = what.rpartition(".")[2] in ("write_bytes", "write_text", "mkstemp", "NamedTemporaryFile", "save_file")
        opens = opens or (what.endswith(".savefig") and ast.unparse(call.args[0]) not in ("file", "buffer", "drawn"))
        if package(name) != "disk" and (opens or (by_name and what not in ours)) and apart.get(name) != text:
            found.add(f"{name}:{call.lineno} {text}")
    assert found == set()


# -- the same, seen from outside ---------------------------------------------------------------------------------------


def python(code: str) -> str:
    """Standard output of `code` in a fresh interpreter."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_lower_floors_need_no_torch() -> None:
    python(f"import sys; sys.modules['torch'] = None\nimport {TORCH_FREE.replace(' ', ', ')}")
    with pytest.raises(AssertionError, match="torch"):  # the guard works
        python("import sys; sys.modules['torch'] = None\nimport ilk.vectors")


def test_import_ilk_costs_nothing() -> None:
    heavy = {"torch", "numpy", "scipy", "sklearn", "PIL", "pyarrow", "pandas", "matplotlib", "typer", "rich", "umap"}
    code = "import sys; before = set(sys.modules); import ilk; print(*sorted(set(sys.modules) - before))"
    loaded = python(code).split()
    assert heavy.isdisjoint(loaded)
    ours = {"ilk", "ilk.errors", "ilk.methods", "ilk.methods.names"}  # the table of methods, by name
    assert {name for name in loaded if name.startswith("ilk")} <= ours


def test_labels_never_reach_the_groups(tmp_path: Path) -> None:
    """The same images with other labels: the same groups to the byte, other scores."""
    rng = np.random.default_rng(0)
    x = (np.repeat(rng.integers(0, 200, (3, 6, 6)), 20, 0) + rng.integers(0, 50, (60, 6, 6))).astype(np.uint8)
    y = np.repeat(np.arange(3), 20)
    runs = []
    for name, labels in (("straight", y), ("shuffled", rng.permutation(y))):
        (tmp_path / name).mkdir()
        np.savez(tmp_path / name / "set.npz", x=x, y=labels)
        options = {"n_clusters": 3, "encoder": "pixels", "preset": "tiny"}
        runs.append(ilk.cluster(tmp_path / name / "set.npz", tmp_path / name / "run", options=options))
    for file in ("assignments.parquet", "images.parquet", "model/state.safetensors", "map.npy", "features.npy"):
        straight, shuffled = ((run.path / file).read_bytes() for run in runs)
        assert straight == shuffled, file
    straight, shuffled = (run.scores() for run in runs)
    assert straight["acc"] == 1 > 0.7 > shuffled["acc"]
