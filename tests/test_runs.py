"""The run folder: whole or not there, one writer at a time, every damage named."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from trial import tree

from ilk import runs
from ilk.errors import RunError
from ilk.runs import writing

HEADER: dict[str, Any] = {
    "method": "transfer",
    "params": {"k": 3},
    "source": {"spec": "/photos", "n": 2},
    "summary": {},
    "identity": {"method": "transfer", "params": {"k": 3, "seed": 0}, "source": {"spec": "/photos", "n": 2}},
}


def header(**changes: Any) -> dict[str, Any]:
    identity = {**HEADER["identity"], **changes}
    return {**HEADER, "identity": identity}


# -- begin and finish --------------------------------------------------------------------------------------------------


def test_a_run_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "run"
    writer = runs.begin(path, HEADER)
    assert (writer.folder, writer.resumed) == (path.with_name("run.partial"), False)
    assert json.loads((writer.folder / "run.json").read_text())["status"] == "running"
    writer.json("clusters.json", [{"id": np.int64(0), "size": np.float32(2), "where": Path("a"), "x": np.arange(2)}])
    writer.array("map.npy", np.zeros((2, 2), np.float32))
    writer.table("images.parquet", {"index": [0, 1]})
    for name in ("cache", "checkpoint"):
        (writer.folder / name).mkdir()
    assert not path.exists()
    assert writer.finish() == path
    assert sorted(p.name for p in path.parent.iterdir()) == ["run"]
    assert sorted(p.name for p in path.iterdir()) == ["clusters.json", "images.parquet", "map.npy", "run.json"]
    run = runs.load_run(path)
    assert run.header["status"] == "done"
    assert run.header["ilk_run"] == runs.WHOLE
    assert run.clusters() == [{"id": 0, "size": 2.0, "where": "a", "x": [0, 1]}]
    assert run.map().shape == (2, 2)
    assert (run.k_table(), run.scores()) == ([], None)


def test_discard_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    before = tree(tmp_path)
    for path in (tmp_path / "run", tmp_path / "a" / "b" / "run", tmp_path / "mine" / "run"):
        writer = runs.begin(path, HEADER)
        writer.array("map.npy", np.zeros(3))
        writer.discard()
        assert tree(tmp_path) == before


def test_discard_keeps_folders_that_hold_something_else(tmp_path: Path) -> None:
    writer = runs.begin(tmp_path / "a" / "b" / "run", HEADER)
    (tmp_path / "a" / "mine.txt").write_text("mine")
    writer.discard()
    assert [str(p.relative_to(tmp_path)) for p in sorted(tmp_path.rglob("*"))] == ["a", "a/mine.txt"]


def test_overwrite_replaces_at_the_end(tmp_path: Path) -> None:
    runs.begin(tmp_path / "run", HEADER).finish()
    with pytest.raises(RunError, match=r"holds a finished run.*--overwrite"):
        runs.begin(tmp_path / "run", HEADER)
    writer = runs.begin(tmp_path / "run", header(method="other"), overwrite=True)
    assert runs.load_run(tmp_path / "run").header["identity"] == HEADER["identity"]
    writer.finish()
    assert runs.load_run(tmp_path / "run").header["identity"]["method"] == "other"
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("path", [".", "..", "/", "a/.."])
def test_paths_that_name_no_folder(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="cannot be a run"):
        runs.begin(path, HEADER)
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_ilk_did_not_write_is_never_touched(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "a.jpg").write_text("a")
    (tmp_path / "other.partial").mkdir()
    (tmp_path / "other.partial" / "a.jpg").write_text("a")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "run.json").write_text('{"name": "of another program"}')
    (tmp_path / "third.partial").mkdir()
    (tmp_path / "third.partial" / "run.json").write_text('{"name": "of another program"}')
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "file").write_text("a")
    before = tree(tmp_path)
    for name in ("plain", "other", "foreign", "third", "link", "file", "file/run"):
        with pytest.raises(RunError):
            runs.begin(tmp_path / name, HEADER, overwrite=overwrite)
        assert tree(tmp_path) == before, name


def test_a_run_is_not_written_into_a_run(finished_copy: Path) -> None:
    before = sorted(finished_copy.rglob("*"))
    for name in ("x", "thumbs/x"):
        with pytest.raises(RunError, match="lies in the run") as said:
            runs.begin(finished_copy / name, {"identity": {}})
        assert str(finished_copy.parent / "x") in str(said.value)
    assert sorted(finished_copy.rglob("*")) == before


def test_a_disk_that_refuses_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(writing, "write_json", refuse)
    with pytest.raises(RunError, match=r"cannot write to .*Read-only file system"):
        runs.begin(tmp_path / "a" / "run", HEADER)
    assert tree(tmp_path) == {}


# -- resume ------------------------------------------------------------------------------------------------------------


def test_the_same_job_is_resumed(tmp_path: Path) -> None:
    writer = runs.begin(tmp_path / "run", HEADER)
    writer.json("clusters.json", [])
    (writer.folder / ".ilk-0123456789abcdef.tmp").write_text("half written by a process that was killed")
    writer.close()
    again = runs.begin(tmp_path / "run", json.loads(json.dumps(HEADER)))
    assert again.resumed
    assert sorted(p.name for p in again.folder.iterdir()) == [".lock", "clusters.json", "run.json"]
    again.finish()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"params": {"k": 4, "seed": 0}}, "other settings \\(k was 3, not 4\\)"),
        ({"params": {"k": 3}}, "seed was 0, not None"),
        ({"method": "kmeans"}, "method was 'transfer', not 'kmeans'"),
        ({"source": {"spec": "/other", "n": 2}}, "other images \\(/photos, 2 files\\)"),
        ({"source": {"spec": "/photos", "n": 1}}, "before its files changed"),
    ],
)
def test_another_job_is_not_resumed(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    runs.begin(tmp_path / "run", HEADER).close()
    before = tree(tmp_path)
    with pytest.raises(RunError, match=words):
        runs.begin(tmp_path / "run", header(**changes))
    assert tree(tmp_path) == before
    assert runs.difference(HEADER, header(**changes))
    writer = runs.begin(tmp_path / "run", header(**changes), overwrite=True)
    assert not writer.resumed
    writer.close()


def test_an_unfinished_run_of_a_newer_ilk(tmp_path: Path) -> None:
    writer = runs.begin(tmp_path / "run", HEADER)
    writer.update(ilk_run=runs.SCHEMA + 1)
    writer.save()
    writer.close()
    with pytest.raises(RunError, match="newer ilk"):
        runs.begin(tmp_path / "run", HEADER)


# -- the lock ----------------------------------------------------------------------------------------------------------


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    writer = runs.begin(tmp_path / "run", HEADER)
    for overwrite in (False, True):
        with pytest.raises(RunError, match="another process"):
            runs.begin(tmp_path / "run", HEADER, overwrite=overwrite)
    writer.close()
    writer.close()  # twice does no harm
    runs.begin(tmp_path / "run", HEADER).discard()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from ilk import runs; w = runs.begin(sys.argv[1], {'identity': {}});"
        "print('begun', flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")], capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"begun\n")
    assert (tmp_path / "run.partial" / ".lock").exists()
    writer = runs.begin(tmp_path / "run", {"identity": {}})
    assert writer.resumed
    writer.close()


def test_a_lock_file_that_its_holder_removed_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between our opening of the file and our locking it, its holder removes it: the lock on it is worth nothing."""
    seen = os.open
    removed = []

    def opening(path: Any, *arguments: Any) -> int:
        descriptor = seen(path, *arguments)
        if str(path).endswith(".lock") and not removed:
            Path(path).unlink()
            removed.append(path)
        return descriptor

    monkeypatch.setattr(writing.os, "open", opening)
    writer = runs.begin(tmp_path / "run", HEADER)
    assert removed
    with pytest.raises(RunError, match="another process"):
        runs.begin(tmp_path / "run", HEADER)
    writer.close()


def test_a_run_that_was_finished_while_we_waited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = writing.locked

    def lock(folder: Path) -> int:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "run.json").write_text('{"ilk_run": 1}')
        return seen(folder)

    monkeypatch.setattr(writing, "locked", lock)
    with pytest.raises(RunError, match="holds a finished run"):
        runs.begin(tmp_path / "run", HEADER)
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_systems_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    runs.begin(tmp_path / "run", HEADER).finish()
    assert runs.load_run(tmp_path / "run").header["status"] == "done"


# -- state and small files ---------------------------------------------------------------------------------------------


def test_state_comes_back(tmp_path: Path) -> None:
    state = {
        "a": np.arange(6, dtype=np.float16).reshape(2, 3).T,
        "t": torch.ones(2, 2),
        "empty": np.zeros((0, 4), np.int64),
        "name": "x",
        "n": 3,
        "f": 0.1,
        "none": None,
        "list": [1, {"b": [True]}],
        "numpy": np.float32(0.5),
    }
    runs.save_state(tmp_path / "new" / "model", state)
    back = runs.load_state(tmp_path / "new" / "model")
    assert back.keys() == state.keys()
    np.testing.assert_array_equal(back["a"], state["a"])
    assert back["a"].dtype == np.float16
    assert back["t"].tolist() == [[1, 1], [1, 1]]
    assert back["empty"].shape == (0, 4)
    assert [back[key] for key in ("name", "n", "f", "none", "list", "numpy")] == [
        "x",
        3,
        0.1,
        None,
        [1, {"b": [True]}],
        0.5,
    ]
    runs.save_state(tmp_path / "new" / "model", {"n": 4})
    assert runs.load_state(tmp_path / "new" / "model") == {"n": 4}
    assert len(list((tmp_path / "new" / "model").iterdir())) == 2


def test_states_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="object cannot be written"):
        runs.save_state(tmp_path, {"x": object()})
    assert [p.name for p in tmp_path.iterdir()] == ["state.safetensors"]


def test_small_files_are_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    runs.write_json(path, {"old": 1})
    with pytest.raises(TypeError):
        runs.write_json(path, {"new": object()})
    assert json.loads(path.read_text()) == {"old": 1}
    runs.write_json(path, {"name": "日本", "path": "bad\udcff"})
    assert json.loads(path.read_text()) == {"name": "日本", "path": "bad\udcff"}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


# -- load --------------------------------------------------------------------------------------------------------------


def test_loading_what_is_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run at .*/run\.$"):
        runs.load_run(tmp_path / "run")
    with pytest.raises(RunError, match=r"not an ilk run: it has no run\.json"):
        runs.load_run(tmp_path)
    writer = runs.begin(tmp_path / "run", HEADER)
    with pytest.raises(RunError, match="unfinished: give the command"):
        runs.load_run(tmp_path / "run")
    with pytest.raises(RunError, match="is unfinished"):
        runs.load_run(writer.folder)
    writer.finish()
    for schema in (runs.SCHEMA + 1, "x", None):
        runs.write_json(tmp_path / "run" / "run.json", {"ilk_run": schema})
        with pytest.raises(RunError, match="newer ilk"):
            runs.load_run(tmp_path / "run")


def test_labels_by_image(finished: Path) -> None:
    run = runs.load_run(finished)
    assert run.labels().shape == (36,)
    assert np.bincount(run.labels()).tolist() == [12, 12, 12]
    assert [group["size"] for group in run.clusters()] == [12, 12, 12]
    assert run.features().shape[0] == len(run.images()["path"]) == 36


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"not an array", None])
def test_damaged_arrays(finished_copy: Path, content: bytes | None) -> None:
    path = finished_copy / "features.npy"
    path.write_bytes(path.read_bytes()[:-1] if content is None else content)
    with pytest.raises(RunError, match=r"features\.npy is missing or damaged .* --overwrite"):
        runs.load_run(finished_copy).features()


def test_arrays_are_never_unpickled(finished_copy: Path) -> None:
    np.save(finished_copy / "map.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(RunError, match=r"map\.npy"):
        runs.load_run(finished_copy).map()
