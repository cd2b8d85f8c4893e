"""Kills, other processes, and updates that are damaged or of somebody else."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small import OPTIONS
from trial import Ilk, refused, tree, write_images

import ilk as package
from ilk import runs
from ilk.errors import RunError
from ilk.runs import Run

KILLED = """
import builtins, os, signal
import ilk.layout, ilk.report
from pathlib import Path
ilk.report.write_plots = lambda run, source=None: []
ilk.report.write_report = lambda run, out=None, source=None: run.path / "report.html"
left = {after}
last = {last!r}
def counted(call):
    def one(*arguments, **options):
        global left
        if "updates" in str(arguments[0]):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)
    return one
os.open, os.rename, os.replace, os.mkdir, os.unlink, os.rmdir = map(
    counted, (os.open, os.rename, os.replace, os.mkdir, os.unlink, os.rmdir)
)
def named(self, target, rename=Path.rename):
    if self.name == "0001.partial" and last == "before it has its name":
        os.kill(os.getpid(), signal.SIGKILL)
    done = rename(self, target)
    if self.name == "0001.partial" and last == "as it has its name":
        os.kill(os.getpid(), signal.SIGKILL)
    return done
Path.rename = named
Path.rename, Path.replace, Path.mkdir, Path.unlink = map(counted, (Path.rename, Path.replace, Path.mkdir, Path.unlink))
"""


@pytest.fixture
def updated(home: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run of 30 images that 9 joined, after one was renamed and one was lost."""
    with monkeypatch.context() as patch:
        patch.setattr("ilk.layout.map_2d", lambda space, **_: space[:, :2])
        patch.setattr("ilk.report.write_plots", lambda run, source=None: [])
        patch.setattr("ilk.report.write_report", lambda run, out=None, source=None: run.path / "report.html")
        source = write_images(home / "source", 30)
        run = package.cluster(source, "run", options=OPTIONS, names=False)
        (source / "0_0000.png").rename(source / "renamed.png")
        (source / "1_0001.png").unlink()
        write_images(source / "new", 9, seed=4)
        shutil.copytree("run", "before")
        package.update(run)
        return package.load_run("run")


def said(run: Run) -> tuple[Any, ...]:
    images = run.images()
    return (images["path"], images["gone"], images["status"], run.hashes(), run.labels().tolist(), len(run.features()))


@pytest.mark.parametrize("after", [2, 14, 27, "before it has its name", "as it has its name"])
@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_a_killed_update_is_there_or_not(updated: Run, ilk_process: Ilk, after: int | str) -> None:
    whole = said(updated)
    shutil.rmtree("run")
    shutil.copytree("before", "run")
    before = said(package.load_run("run"))
    points = {"after": after if isinstance(after, int) else 10**6, "last": repr(after)}
    code = KILLED
    for name, value in points.items():
        code = code.replace("{last!r}" if name == "last" else "{after}", str(value))
    killed = ilk_process("update", "run", first=code)
    assert killed.code == -9
    now = said(package.load_run("run"))
    assert now in (before, whole)
    assert (now == whole) == (after == "as it has its name")
    done = package.update("run")
    assert done.nothing == (now == whole)
    assert said(package.load_run("run")) == whole
    assert sorted(path.name for path in Path("run/updates").iterdir()) == ["0001"]


def test_one_at_a_time(updated: Run, home: Path) -> None:
    write_images(home / "source" / "new", 12, seed=4)
    writer = runs.UpdateWriter(updated)
    before = tree(home / "run")
    with pytest.raises(RunError, match="is being written by another process"):
        package.update("run")
    assert tree(home / "run") == before
    writer.discard()
    late = package.load_run("run")
    assert len(late.updates) == 1
    assert len(package.update("run").names) == 3
    before = tree(home / "run")
    with pytest.raises(RunError, match="meanwhile"):
        runs.UpdateWriter(late)
    assert tree(home / "run") == before
    assert len(late.labels()) == len(late.images()["path"]) == 39  # what it looked at first


def test_what_a_killed_process_left_is_removed(updated: Run, home: Path) -> None:
    left = home / "run" / "updates" / "0002.partial"
    left.mkdir()
    (left / "features.npy").write_bytes(b"half of it")
    (left / "thumbs").mkdir()
    assert said(package.load_run("run")) == said(updated)
    write_images(home / "source" / "new", 12, seed=4)
    assert package.update("run").number == 2
    assert not left.exists()
    assert package.load_run("run").features().shape[0] == 42


def rewritten(file: Path, **columns: Any) -> None:
    table = pq.read_table(file).to_pydict()
    pq.write_table(pa.table({**table, **columns}), file)


def record(path: Path, **entries: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **entries}), "utf-8")


def linked(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


DAMAGES: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "no update.json": (lambda one: (one / "update.json").unlink(), ["update.json", "missing or damaged"]),
    "a list": (lambda one: (one / "update.json").write_text("[]"), ["update.json"]),
    "says nothing": (lambda one: (one / "update.json").write_text("{}"), ["update.json", "no ilk_update"]),
    "newer": (lambda one: record(one / "update.json", ilk_update=9), ["newer ilk", "Upgrade"]),
    "of another run": (lambda one: record(one / "update.json", before=31), ["update.json", "31 images; it has 30"]),
    "negative": (lambda one: record(one / "update.json", n=-1), ["update.json"]),
    "too many rows": (lambda one: record(one / "update.json", n=10**9), ["images.parquet", "update.json says"]),
    "no source": (lambda one: record(one / "update.json", source={}), ["update.json", "no source/prefix"]),
    "a source that is code": (lambda one: record(one / "update.json", source=["x"]), ["update.json"]),
    "no images": (lambda one: (one / "images.parquet").unlink(), ["images.parquet"]),
    "cut images": (lambda one: (one / "images.parquet").write_bytes(b"PAR1"), ["images.parquet"]),
    "index from 0": (lambda one: rewritten(one / "images.parquet", index=range(9)), ["images.parquet", "count"]),
    "a status": (lambda one: rewritten(one / "images.parquet", status=["x"] * 9), ["images.parquet", "status"]),
    "one path twice": (lambda one: rewritten(one / "images.parquet", path=["a.png"] * 9), ["two images of one path"]),
    "path of another": (
        lambda one: rewritten(one / "images.parquet", path=["2_0002.png", *map(str, range(8))]),
        ["two images of one path"],
    ),
    "a copy of nothing": (
        lambda one: rewritten(one / "images.parquet", duplicate_of=["x"] * 9),
        ["images.parquet", "not there"],
    ),
    "no groups": (lambda one: (one / "assignments.parquet").unlink(), ["assignments.parquet"]),
    "rows of before": (
        lambda one: rewritten(one / "assignments.parquet", index=range(9)),
        ["assignments.parquet", "not in images.parquet"],
    ),
    "no group": (lambda one: rewritten(one / "assignments.parquet", group=[-7] * 9), ["assignments.parquet", "group"]),
    "no changes": (lambda one: (one / "changes.parquet").unlink(), ["changes.parquet"]),
    "changes beyond": (
        lambda one: rewritten(one / "changes.parquet", index=[29, 30]),
        ["changes.parquet", "not there before"],
    ),
    "changes twice": (lambda one: rewritten(one / "changes.parquet", index=[3, 3]), ["changes.parquet"]),
    "changes gone": (lambda one: rewritten(one / "changes.parquet", gone=[0, 2]), ["changes.parquet", "gone"]),
    "changes nameless": (lambda one: rewritten(one / "changes.parquet", path=["", "x"]), ["changes.parquet"]),
    "a link": (linked, ["updates", "link"]),
    "a gap": (lambda one: one.rename(one.with_name("0002")), ["updates", "0001"]),
    "a linked table": (lambda one: linked(one / "images.parquet"), ["images.parquet", "link"]),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_updates_are_named(ilk: Ilk, updated: Run, home: Path, kind: str) -> None:
    damage, words = DAMAGES[kind]
    damage(home / "run" / "updates" / "0001")
    before = tree(home)
    for command in (("info", "run"), ("export", "run", "out", "--as", "csv"), ("update", "run")):
        refused(ilk(*command), *words)
    assert tree(home) == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("features.npy", np.zeros((9, 3), np.float16)),
        ("features.npy", np.zeros((8, 144), np.float16)),
        ("features.npy", np.zeros((9, 144), np.int64)),
        ("map.npy", np.zeros((9, 3), np.float32)),
    ],
)
def test_damaged_arrays_are_named(updated: Run, name: str, value: Any) -> None:
    width = updated.features().shape[1]
    path = updated.updates[0].folder / name
    value = value[:, :1].repeat(width, 1) if value.shape[1] == 144 else value
    np.save(path, value)
    run = package.load_run("run")
    with pytest.raises(RunError, match=name):
        run.features() if name == "features.npy" else run.map()


def test_the_folder_of_updates_is_no_link(ilk: Ilk, updated: Run, home: Path) -> None:
    linked(home / "run" / "updates")
    refused(ilk("info", "run"), "updates", "a link")


def test_a_full_disk_leaves_the_run_as_it_was(
    ilk: Ilk, updated: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write_images(home / "source" / "new", 12, seed=4)
    before = {name: at for name, at in tree(home / "run").items() if not name.endswith("updates")}
    for where in ("ilk.jobs.arrivals._features", "ilk.files.write_thumbs", "ilk.runs.growing.write_json"):
        with monkeypatch.context() as patch:
            patch.setattr(where, full)
            refused(ilk("update", "run"), "No space left", "as before")
        assert {name: at for name, at in tree(home / "run").items() if not name.endswith("updates")} == before
