"""No run, however damaged, is answered by "unexpected": one line names the damaged part, and says what to do."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file
from trial import Ilk, Said

from ilk.runs import load_run

VALUES: list[Any] = [None, True, -1, 3.5, float("nan"), float("inf"), 10**30, "", "x", "../../x", [], {}, [[]], ["a"]]

FILES = {
    "run.json": ("info", "csv", "evaluate", "compare", "predict", "report"),
    "clusters.json": ("info", "csv", "predict", "report"),
    "scores.json": ("info", "report"),
    "corrections.jsonl": ("info", "csv", "evaluate", "compare", "correct", "report"),
    "images.parquet": ("info", "csv", "evaluate", "compare", "predict", "report"),
    "assignments.parquet": ("info", "csv", "evaluate", "compare", "predict", "report"),
    "features.npy": ("predict", "atlas", "report"),
    "map.npy": ("atlas", "report"),
    "model/state.json": ("predict",),
    "model/state.safetensors": ("predict",),
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value within `value`; of long lists to the first two."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*path, key))


def change_json(path: Path, rng: random.Random) -> str:
    found = json.loads(path.read_text("utf-8"))
    way = rng.choice(list(places(found)))
    holder = found
    for key in way[:-1]:
        holder = holder[key]
    if rng.random() < 0.3:
        del holder[way[-1]]
        said = "missing"
    else:
        holder[way[-1]] = rng.choice(VALUES)
        said = repr(holder[way[-1]])
    path.write_text(json.dumps(found), "utf-8")
    return f"{'/'.join(map(str, way))} {said}"


def change_table(path: Path, rng: random.Random) -> str:
    columns = pq.read_table(path).to_pydict()
    name = rng.choice(sorted(columns))
    n = len(columns[name])
    kind = rng.choice(["gone", None, "x", -5, 10**12, 0.5, "half"])
    if kind == "gone":
        del columns[name]
    elif kind == "half":
        columns = {column: values[: n // 2] for column, values in columns.items()}
    else:
        columns[name] = [kind] * n
    pq.write_table(pa.table(columns), path)
    return f"{name} {kind}"


def change_array(path: Path, rng: random.Random) -> str:
    array = np.load(path)
    changed = {
        "short": array[:-3],
        "whole numbers": array.astype(np.int8),
        "NaN": np.full_like(array, np.nan),
        "narrow": array[:, :1],
        "flat": array.reshape(-1),
        "infinite": np.full_like(array, np.inf),
    }
    kind = rng.choice(sorted(changed))
    np.save(path, changed[kind])
    return kind


def change_tensors(path: Path, rng: random.Random) -> str:
    """The arrays of the model, with checksums that fit: as a run of before there were any."""
    tensors = {name: array.copy() for name, array in load_file(path).items()}
    name = rng.choice(sorted(tensors))
    array = tensors[name]
    changed: dict[str, Callable[[], Any]] = {
        "half": lambda: array[: len(array) // 2] if array.ndim else np.zeros(3, array.dtype),
        "bytes": lambda: array.astype(np.uint8),
        "-1": lambda: np.full_like(array, -1),
        "flat": lambda: array.reshape(-1) if array.ndim > 1 else array.reshape(1, -1),
        "none": lambda: np.zeros((0, *array.shape[1:]), array.dtype),
        "twice": lambda: np.concatenate([array, array]) if array.ndim else array,
        "large": lambda: np.full_like(array, 10**9),
    }
    kind = rng.choice(["gone", *changed])
    if kind == "gone":
        del tensors[name]
    else:
        tensors[name] = np.ascontiguousarray(changed[kind]())
    save_file(tensors, path)
    for file, key in ((path.with_name("state.json"), "state.safetensors"), (path.parents[1] / "run.json", "checksums")):
        entries = json.loads(file.read_text("utf-8"))
        entries.pop(key, None)
        file.write_text(json.dumps(entries), "utf-8")
    return f"{name} {kind}"


def change_bytes(path: Path, rng: random.Random) -> str:
    data = bytearray(path.read_bytes())
    at = rng.randrange(len(data))
    kind = rng.choice(["cut", "flipped", "empty", "longer", "gone"])
    if kind == "gone":
        path.unlink()
        return kind
    data = {
        "cut": data[:at],
        "flipped": data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :],
        "empty": bytearray(),
        "longer": data[:at] + rng.randbytes(50) + data[at:],
    }[kind]
    path.write_bytes(data)
    return f"{kind} at {at}"


JOURNAL = [
    {"n": 1, "do": "new", "images": ["FIRST"], "to": 3, "name": "mine"},
    {"n": 2, "do": "split", "group": 0, "images": ["FIRST"], "to": 4, "examples": []},
    {"n": 3, "do": "merge", "groups": [1, 0]},
    {"n": 5, "do": "confirm", "images": ["FIRST"], "groups": [3]},
    {"n": 6, "do": "undo"},
    {"n": 9, "do": "note", "group": 1, "text": "a"},
]


def change_journal(path: Path, rng: random.Random) -> str:
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    way = rng.choice([way for way in places(dict(enumerate(lines))) if len(way) > 1])
    holder: Any = lines
    for key in way[:-1]:
        holder = holder[key]
    holder[way[-1]] = rng.choice(VALUES)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")
    return f"{'/'.join(map(str, way))} {holder[way[-1]]!r}"


CHANGES = {
    ".jsonl": change_journal,
    ".json": change_json,
    ".parquet": change_table,
    ".npy": change_array,
    ".safetensors": change_tensors,
}


def answered(said: Said, what: str) -> None:
    assert said.code in (0, 1), (what, said)
    assert "Traceback" not in said.out + said.err, (what, said)
    assert "unexpected" not in said.err, (what, said)
    if said.code == 1:
        lines = said.err.strip().splitlines()
        assert len(lines) == 1, (what, said)
        assert lines[0].startswith("ilk: "), (what, said)
        assert len(lines[0]) < 600, (what, said)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("seed", range(2))
def test_damaged_files(ilk: Ilk, home: Path, photos: Path, finished: Path, file: str, seed: int) -> None:
    rng = random.Random(f"{file} {seed}")
    few = shutil.copytree(photos, home / "few", ignore=lambda _, names: [n for n in names if not n.endswith("0.png")])
    commands: dict[str, tuple[Any, ...]] = {
        "info": ("info", "run"),
        "csv": ("export", "run", "out", "--as", "csv"),
        "atlas": ("export", "run", "out", "--as", "embedding-atlas"),
        "evaluate": ("evaluate", "run", "--labels", "prefix"),
        "compare": ("compare", "run", finished),
        "predict": ("predict", "run", few, "-o", "table.csv"),
        "report": ("report", "run", "-o", "page.html"),
        "correct": ("correct", "run", "--undo"),
    }
    first = load_run(finished).hashes()[0]
    journal = "".join(f"{json.dumps(line)}\n" for line in JOURNAL).replace("FIRST", str(first))
    for turn in range(8):
        shutil.rmtree("run", ignore_errors=True)
        shutil.copytree(finished, "run")
        if turn % 2 or file == "corrections.jsonl":
            (home / "run" / "corrections.jsonl").write_text(journal)
        path = home / "run" / file
        change = CHANGES[path.suffix] if turn % 3 and path.exists() else change_bytes
        what = f"{file} {change(path, rng)}" if path.exists() else "nothing"
        names = FILES[file] if seed == turn == 0 else [name for name in FILES[file] if name != "report"]
        for name in names or ("info",):
            shutil.rmtree("out", ignore_errors=True)
            answered(ilk(*commands[name]), f"{name}: {what}")
