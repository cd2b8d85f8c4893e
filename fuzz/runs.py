"""Damaged run folders through the commands that read them, in this process."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import ilk
from fuzz import mutating
from fuzz.judging import Case, Verdict, one_line
from ilk.cli import main

__all__ = ["Runs"]

_JSON, _TENSORS, _TABLE, _ARRAY = ".json", ".safetensors", ".parquet", ".npy"
_KINDS = {_JSON: mutating.json_of, _TENSORS: mutating.tensors, _TABLE: mutating.table, _ARRAY: mutating.array}
_OFTEN = {_JSON: 5, _TENSORS: 4, _TABLE: 3, _ARRAY: 3}  # the others, pictures and pages: 1
_COMMANDS: dict[str, tuple[int, list[str]]] = {
    # how often, and what is typed: {run}, {out}, {new} and {other} are put in
    "info": (14, ["{run}"]),
    "info --json": (6, ["{run}", "--json"]),
    "predict": (8, ["{run}", "{new}", "-o", "{out}/placed.csv", "--no-cache"]),
    "predict one": (5, ["{run}", "{new}/0.png", "--no-cache"]),
    "evaluate": (8, ["{run}", "--labels", "prefix"]),
    "compare": (10, ["{run}", "{other}", "--moved", "{out}/moved.csv"]),
    "compare back": (5, ["{other}", "{run}"]),
    "export folders": (6, ["{run}", "{out}/e", "--mode", "copy"]),
    "export csv": (7, ["{run}", "{out}/e", "--as", "csv"]),
    "export parquet": (6, ["{run}", "{out}/e", "--as", "parquet"]),
    "export atlas": (3, ["{run}", "{out}/e", "--as", "embedding-atlas"]),
    "export fiftyone": (3, ["{run}", "{out}/e", "--as", "fiftyone"]),
    "report": (2, ["{run}", "-o", "{out}/r.html"]),
    "correct --list": (3, ["{run}"]),
    "correct --undo": (2, ["{run}", "--undo"]),
}


def _a_line(data: bytes, rng: random.Random) -> bytes:
    """Change one line of a journal."""
    lines = data.splitlines()
    at = rng.randrange(len(lines))
    lines[at] = b" ".join(mutating.json_of(lines[at], rng).split())
    return b"\n".join(lines) + b"\n"


_KINDS[".jsonl"] = _a_line
_OFTEN[".jsonl"] = 8  # in one of the runs only


class Runs:
    """The fuzzer `runs`."""

    def __init__(self, scratch: Path) -> None:
        self._base, self._work = scratch / "runs", scratch / "work"
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            self._runs = _made(self._base)
        self._files = {
            name: {file: (run / file).read_bytes() for file in _read_files(run)} for name, run in self._runs.items()
        }
        for command in _COMMANDS:  # what is imported late is no cost of a mutant
            self.verdict(Case("auto", _packed("auto", {}, [command])))

    def seeds(self) -> dict[str, bytes]:
        """Return nothing: a run is many files, so coverage cannot lead from one to the next."""
        return {}

    def mutant(self, rng: random.Random) -> Case:
        """Return one of the runs with one or two files damaged, and a command."""
        name = rng.choice(sorted(self._runs))
        held = self._files[name]
        changed: dict[str, bytes | None] = {}
        for _ in range(rng.choice([1, 1, 1, 2])):
            weights = [_OFTEN.get(Path(file).suffix, 1) for file in held]
            file = rng.choices(list(held), weights)[0]
            changed[file] = _changed(file, changed.get(file) or held[file], rng)
        weights = [often for often, _ in _COMMANDS.values()]
        commands = rng.choices(list(_COMMANDS), weights, k=1)
        return Case(f"{name}/{next(iter(changed))}", _packed(name, changed, commands))

    def verdict(self, case: Case) -> Verdict:
        """Run the commands; the first wrong answer counts."""
        told = json.loads(case.data)
        run, out = self._work / "run", self._work / "out"
        shutil.rmtree(self._work, ignore_errors=True)
        out.mkdir(parents=True)
        changed = {file: None if data is None else base64.b64decode(data) for file, data in told["changed"].items()}
        self._lay(self._runs.get(told["base"]), run, changed)
        others = sorted(other for name, other in self._runs.items() if name != told["base"])
        places = {"run": run, "out": out, "new": self._base / "images", "other": others[0]}
        outcomes = []
        for command in told["commands"]:
            arguments = [command.split()[0], *(text.format(**places) for text in _COMMANDS[command][1])]
            code, wrong = _answer(arguments)
            outcomes.append(f"{command.split()[0]} {code}")
            if wrong is None and (placed := out / "placed.csv").exists():
                words = placed.read_text("utf-8", "replace").lower()
                wrong = "a number that is none, in the table" if ",nan," in words or ",inf," in words else None
            if wrong is not None:
                return Verdict(outcomes[-1], f"{command}: {wrong}")
        return Verdict(outcomes[0])

    def _lay(self, base: Path | None, run: Path, changed: Mapping[str, bytes | None]) -> None:
        """Make the run at `run`: links to the files of `base` (ilk never writes into a file of two names)."""
        names = self._files[base.name] if base is not None else ()
        for name in {*names, *changed}:
            target = run / name
            target.parent.mkdir(parents=True, exist_ok=True)
            data = changed.get(name)
            if name not in changed and base is not None:
                os.link(base / name, target)
            elif data is not None:
                target.write_bytes(data)

    def keep(self, case: Case, target: Path) -> Path:
        """Write a folder: the whole run, and the commands."""
        told = json.loads(case.data)
        shutil.rmtree(target, ignore_errors=True)
        changed = {file: None if data is None else base64.b64decode(data) for file, data in told["changed"].items()}
        self._lay(self._runs.get(told["base"]), target / "run", changed)
        (target / "commands.json").write_text(json.dumps(told["commands"]), "utf-8")
        (target / "changed.json").write_text(json.dumps(sorted(changed)), "utf-8")
        return target

    def load(self, path: Path) -> Case:
        """Read such a folder."""
        run = path / "run"
        held: dict[str, bytes | None] = {
            str(file.relative_to(run)): file.read_bytes() for file in sorted(run.rglob("*")) if file.is_file()
        }
        return Case(path.name, _packed(None, held, json.loads((path / "commands.json").read_text("utf-8"))))


def _read_files(run: Path) -> list[str]:
    """Return the files of `run` but for the page, which nothing reads."""
    files = (str(path.relative_to(run)) for path in sorted(run.rglob("*")) if path.is_file())
    return [file for file in files if file != "report.html"]


def _packed(base: str | None, changed: Mapping[str, bytes | None], commands: list[str]) -> bytes:
    texts = {file: None if data is None else base64.b64encode(data).decode() for file, data in changed.items()}
    return json.dumps({"base": base, "changed": texts, "commands": commands}).encode()


def _changed(file: str, data: bytes, rng: random.Random) -> bytes | None:
    if rng.random() < 0.02:
        return None
    change = _KINDS.get(Path(file).suffix)
    if change is not None and rng.random() > 0.2:
        try:
            return change(data, rng)
        except (ValueError, KeyError, TypeError, OSError, RecursionError, OverflowError, IndexError):
            pass  # this kind of damage does not fit this file
        except Exception as error:  # safetensors and pyarrow have errors of their own
            if type(error).__module__.partition(".")[0] not in ("safetensors", "safetensors_rust", "pyarrow"):
                raise
    return mutating.bytes_of(data, rng, ends=True)


def _answer(arguments: list[str]) -> tuple[int, str | None]:
    """Return the exit code of a command, and what is wrong with its answer."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    said = err.getvalue()
    errors = [line for line in said.splitlines() if line.startswith("ilk:")]
    if code not in (0, 1):
        return code, f"exit code {code}: {said[-300:]}"
    if wrong := one_line(said or "nothing"):
        return code, wrong
    if "\x1b" in said or "\x1b" in out.getvalue():
        return code, "an escape code on the terminal"
    if code == 1 and len(errors) != 1 and arguments[0] != "export":  # an export says what it could not take as a list
        return code, f"{len(errors)} lines of error: {said[-300:]}"
    return code, None


def _made(base: Path) -> dict[str, Path]:
    """Return runs by name, made now from images made now: of several methods, with and without files and scores."""
    rng = np.random.default_rng(0)
    images = base / "images"
    images.mkdir(parents=True)
    patterns = rng.integers(0, 256, (3, 12, 12))
    pixels = np.clip(patterns[np.arange(36) % 3] + rng.normal(0, 14, (36, 12, 12)), 0, 255).astype(np.uint8)
    photos = base / "photos"
    photos.mkdir()
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(photos / f"{i % 3}_{i}.png")
    for i in range(3):
        Image.fromarray(pixels[i]).save(images / f"{i}.png")
    small = {"encoder": "pixels", "cache": None}
    runs: dict[str, tuple[str, dict[str, Any], str]] = {
        "auto": ("transfer", {**small, "n_clusters": "auto", "preset": "tiny"}, "prefix"),
        "fixed": ("transfer", {**small, "n_clusters": 3, "preset": "tiny"}, "none"),
        "kmeans": ("kmeans", {"n_clusters": 3, "cache": None}, "prefix"),
        "dec": ("dec", {"n_clusters": 3, "cache": None, "preset": "tiny"}, "none"),
    }
    made: dict[str, Path] = {}
    for name, (method, options, labels) in runs.items():
        ilk.cluster(photos, base / name, method=method, options=options, labels=labels)
        made[name] = base / name
    corrections = ilk.load_run(made["fixed"]).corrections
    corrections.new([0, 3], "mine")
    corrections.merge(0, 1)
    corrections.split(2)
    corrections.confirm(5)
    corrections.note(2, "a note")
    corrections.undo()
    return made
