"""Bad use of runs, tables and disks: one clear line on stderr, exit code 1, and nothing is changed."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from trial import SMALL, Ilk, refused, tree, write_images

from ilk import runs

# -- runs --------------------------------------------------------------------------------------------------------------


def cut(path: Path, size: int = 100) -> None:
    path.write_bytes(path.read_bytes()[:size])


def change(path: Path, **entries: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **entries}), "utf-8")


def swap_weights(run: Path) -> None:
    state = json.loads((run / "model" / "state.json").read_text("utf-8"))
    state["encoder"] |= {"name": "test_vit", "weights_hash": "0" * 32}
    del state["state.safetensors"]  # as runs of before there were checksums
    (run / "model" / "state.json").write_text(json.dumps(state), "utf-8")
    change(run / "run.json", checksums={})


DAMAGES: dict[str, tuple[Callable[[Path], Any], str, list[str]]] = {
    "truncated run.json": (lambda run: cut(run / "run.json"), "info", ["run.json is damaged"]),
    "run.json is a list": (lambda run: (run / "run.json").write_text("[]"), "info", ["run.json is damaged"]),
    "run.json says little": (
        lambda run: (run / "run.json").write_text('{"ilk_run": 1, "status": "done"}'),
        "info",
        ["run.json is damaged", "method", "--overwrite"],
    ),
    "a newer format": (lambda run: change(run / "run.json", ilk_run=99), "info", ["newer ilk", "99", "Upgrade"]),
    "no run.json": (lambda run: (run / "run.json").unlink(), "info", ["not an ilk run"]),
    "no run": (lambda run: shutil.rmtree(run), "info", ["no run at run"]),
    "no model": (lambda run: shutil.rmtree(run / "model"), "predict", ["state.safetensors is missing", "--overwrite"]),
    "truncated model": (lambda run: cut(run / "model/state.safetensors"), "predict", ["model", "damaged"]),
    "empty model": (lambda run: cut(run / "model/state.safetensors", 0), "predict", ["model", "damaged"]),
    "model is a list": (lambda run: (run / "model/state.json").write_text("[]"), "predict", ["model", "damaged"]),
    "model says nothing": (lambda run: (run / "model/state.json").write_text("{}"), "predict", ["damaged"]),
    "weights are gone": (swap_weights, "predict", ["weights", "test_vit", "missing"]),
    "unknown method": (lambda run: change(run / "run.json", method="none"), "predict", ["no method 'none'"]),
    "truncated table": (lambda run: cut(run / "assignments.parquet"), "report", ["assignments.parquet", "damaged"]),
    "another table": (
        lambda run: shutil.copy(run / "images.parquet", run / "assignments.parquet"),
        "evaluate",
        ["assignments.parquet", "no column group"],
    ),
    "no table": (lambda run: (run / "images.parquet").unlink(), "info", ["images.parquet", "--overwrite"]),
    "truncated groups": (lambda run: cut(run / "clusters.json"), "info", ["clusters.json", "damaged"]),
    "groups are a dict": (lambda run: (run / "clusters.json").write_text('{"a": 1}'), "info", ["clusters.json"]),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_runs(ilk: Ilk, home: Path, photos: Path, finished_copy: Path, kind: str) -> None:
    damage, command, words = DAMAGES[kind]
    damage(finished_copy)
    before = tree(home)
    more = {"predict": [photos, "-o", "table.csv"], "evaluate": ["--labels", "prefix"]}.get(command, [])
    said = ilk(command, "run", *more)
    refused(said, *words)
    assert tree(home) == before


def test_another_file_in_the_place_of_the_encoders_weights(
    ilk: Ilk, home: Path, photos: Path, vit_weights: Path
) -> None:
    from safetensors.torch import load_file, save_file

    said = ilk("cluster", photos, "-o", "run", "-k", "2", "--encoder", "test_vit", "--weights", vit_weights)
    assert said.code == 0
    kept = home / "run" / "model" / "encoder.safetensors"
    other = {key: tensor + 1 for key, tensor in load_file(kept).items()}
    kept.unlink()  # a link to the cache
    save_file(other, kept)
    before = tree(home)
    refused(ilk("predict", "run", photos, "-o", "table.csv"), "encoder.safetensors", "not hold the weights")
    cut(kept)
    refused(ilk("predict", "run", photos), "encoder.safetensors", "damaged")
    kept.unlink()
    refused(ilk("predict", "run", photos), "weights", "missing")
    assert before.keys() - tree(home).keys() == {str(kept)}


def test_a_run_is_never_replaced_unasked(ilk: Ilk, home: Path, photos: Path, finished_copy: Path) -> None:
    other = write_images(home / "other", 8, seed=3)
    before = tree(home)
    refused(ilk("cluster", photos, "-o", "run", "-k", "2", *SMALL), "other settings", "-k was 3, not 2")
    refused(ilk("cluster", other, "-o", "run", "-k", "3", *SMALL), "other images", str(photos), "--overwrite")
    refused(ilk("cluster", other, "-o", "run", "-k", "9", *SMALL, "--overwrite"), "8 images are too few")
    refused(ilk("cluster", "run"), "is a run that ilk wrote")
    cut(finished_copy / "run.json")
    again = tree(home)
    refused(ilk("cluster", other, "-o", "run", "-k", "3", *SMALL, "--overwrite"), "damaged", "by hand")
    assert tree(home) == again
    assert before.keys() == again.keys()


def test_a_run_that_is_being_written_elsewhere(ilk: Ilk, home: Path, photos: Path) -> None:
    writer = runs.begin("run", {"identity": {}})
    before = tree(home)
    refused(ilk("cluster", photos, "-o", "run", "-k", "3", *SMALL), "another process", "-o")
    refused(ilk("cluster", photos, "-o", "run", "-k", "3", *SMALL, "--overwrite"), "another process")
    refused(ilk("info", "run"), "no run at run", "unfinished")
    refused(ilk("info", "run.partial"), "unfinished", "command that started it")
    assert tree(home) == before
    writer.discard()
    assert tree(home) == {}


def test_the_source_changed_since_the_run_was_begun(
    ilk: Ilk, home: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = shutil.copytree(photos, home / "photos")
    with monkeypatch.context() as patch:
        patch.setattr("ilk._record.write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert ilk("cluster", "photos", "-o", "run", "-k", "3", *SMALL).code == 130
    (source / "0_0000.png").unlink()
    before = tree(home)
    refused(ilk("cluster", "photos", "-o", "run", "-k", "3", *SMALL), "before its files changed", "--overwrite")
    assert tree(home) == before


# -- tables ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("out", "words"),
    [("a.txt", [".csv or .parquet"]), ("no/a.csv", ["no folder no"]), ("dir.csv", ["is a folder"])],
)
def test_tables_that_cannot_be_written(
    ilk: Ilk, home: Path, photos: Path, finished: Path, out: str, words: list[str]
) -> None:
    (home / "dir.csv").mkdir()
    refused(ilk("predict", finished, photos, "-o", out), *words)
    assert [path.name for path in home.iterdir()] == ["dir.csv"]


# -- the disk ----------------------------------------------------------------------------------------------------------


def full(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    "where",
    ["ilk._kept.write_rows", "ilk.runs.writing.write_json", "ilk.runs.writing.save_state", "ilk.files.write_thumbs"],
)
@pytest.mark.usefixtures("no_report")
def test_no_space_left(ilk: Ilk, home: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    command = ("cluster", photos, "-o", "run", "-k", "3", *SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(where, full)
        refused(ilk(*command), "cannot write", "No space left")
    assert {path.name for path in home.iterdir()} <= {"run.partial"}
    said = ilk(*command)
    assert said.code == 0, said
    assert sorted(path.name for path in home.iterdir()) == ["run"]
    assert not any(path.name.startswith(".") for path in (home / "run").rglob("*"))


def test_no_space_left_for_a_table(
    ilk: Ilk, home: Path, photos: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyarrow.csv.write_csv", full)
    refused(ilk("predict", finished, photos, "-o", "a.csv"), "cannot write a.csv", "No space left")
    assert tree(home) == {}
