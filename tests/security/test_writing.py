"""Nothing is written through a link or a guessable name; what is no file is never replaced."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from trial import SMALL, Ilk, refused, tree

import ilk as package
from ilk import disk, runs
from ilk.data.shards import Store, write_whole
from ilk.errors import DataError, RunError
from ilk.files import make_thumb, write_thumbs

HEADER = {"method": "transfer", "params": {}, "source": {"spec": "/p", "n": 2}, "summary": {}, "identity": {"k": 3}}


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file of the user's, and a folder of theirs around it."""
    folder = tmp_path / "victim"
    folder.mkdir()
    (folder / "bashrc").write_text("precious")
    return folder


# -- the helper --------------------------------------------------------------------------------------------------------


def test_the_temporary_name_is_new_and_random(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    for _ in range(3):
        with disk.replacing(tmp_path / "a.txt") as file:
            seen.append(Path(file.name).name)
            assert Path(file.name).parent == tmp_path
            file.write(b"new")
    assert len({*seen}) == 3
    assert all(disk.is_temporary(name) and str(os.getpid()) not in name.split("-") for name in seen)
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "guessed.tmp").symlink_to(tmp_path / "victim")  # even where somebody could guess it
    monkeypatch.setattr("ilk.disk.writing.temporary_name", lambda: "guessed.tmp")
    with pytest.raises(FileExistsError, match=r"b\.txt"), disk.replacing(tmp_path / "b.txt") as file:
        file.write(b"lost")
    assert (tmp_path / "victim").read_text() == "precious"
    assert not (tmp_path / "b.txt").exists()


def test_all_or_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    with contextlib.suppress(KeyboardInterrupt), disk.replacing(tmp_path / "a.txt") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    with pytest.raises(FileNotFoundError, match=r"no/a\.txt"), disk.replacing(tmp_path / "no" / "a.txt"):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_modes_follow_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        disk.write_bytes(tmp_path / "a", b"a")
        disk.write_tensors(tmp_path / "b", {"x": np.zeros(3)})
        write_whole(tmp_path / "cache" / "c", b"c")
    finally:
        os.umask(before)
    for path in (tmp_path / "a", tmp_path / "b", tmp_path / "cache" / "c"):
        assert stat.S_IMODE(path.stat().st_mode) == mode, path


def test_links_are_replaced_and_not_followed(tmp_path: Path, victim: Path) -> None:
    for write in (
        lambda path: disk.write_bytes(path, b"new"),
        lambda path: disk.write_tensors(path, {"x": np.zeros(1)}),
        lambda path: runs.write_json(path, {}),
    ):
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(victim / "bashrc")
        write(tmp_path / "link")
        assert not (tmp_path / "link").is_symlink()
    assert (victim / "bashrc").read_text() == "precious"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["a pipe", "a folder"])
def test_what_is_no_file_is_refused_by_name(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "odd")
    kind = (tmp_path / "odd").lstat().st_mode
    for write in (
        lambda path: disk.write_bytes(path, b""),
        lambda path: disk.write_tensors(path, {}),
        lambda path: runs.write_json(path, {}),
    ):
        with pytest.raises(OSError, match=r"(pipe|folder).*odd"):
            write(tmp_path / "odd")
    assert (tmp_path / "odd").lstat().st_mode == kind
    assert [p.name for p in tmp_path.iterdir()] == ["odd"]


# -- commands ----------------------------------------------------------------------------------------------------------


def test_a_shipped_run_full_of_links(ilk: Ilk, finished_copy: Path, victim: Path) -> None:
    """The reproducer, without 32,768 links: the old temporary names and every output are links to the user's file."""
    pid = os.getpid()
    names = ["report.html", "scores.json", *(f".{name}.{pid}" for name in ("report.html", "scores.json", "run.json"))]
    for name in (*names, "plots/sizes.png", f"plots/.sizes.png.{pid}"):
        (finished_copy / name).unlink(missing_ok=True)
        (finished_copy / name).symlink_to(victim / "bashrc")
    assert ilk("evaluate", "run", "--labels", "prefix").code == 0
    assert ilk("report", "run").code == 0
    package.report.write_plots(runs.load_run(finished_copy))
    assert (victim / "bashrc").read_text() == "precious"
    assert (finished_copy / "report.html").stat().st_size > 10_000
    assert not (finished_copy / "report.html").is_symlink()


def test_folders_of_a_run_that_are_links(ilk: Ilk, finished_copy: Path, victim: Path) -> None:
    (victim / "contact-0.png").write_text("mine")
    shutil.rmtree(finished_copy / "plots")
    (finished_copy / "plots").symlink_to(victim)
    before = tree(victim)
    with pytest.raises(OSError, match="link"):
        package.report.write_plots(runs.load_run(finished_copy))
    assert tree(victim) == before
    shutil.rmtree(finished_copy / "thumbs")
    (finished_copy / "thumbs").symlink_to(victim)
    with pytest.raises(OSError, match="link"):
        write_thumbs(finished_copy / "thumbs", [make_thumb(np.zeros((9, 9), np.uint8))])
    assert tree(victim) == before


@pytest.mark.parametrize("name", ["model", "plots", "features.npy", "images.parquet", ".lock", "cache", "checkpoint"])
@pytest.mark.parametrize("options", [(), ("--overwrite",)], ids=["", "overwrite"])
def test_a_shipped_partial_run(
    ilk: Ilk, home: Path, photos: Path, victim: Path, name: str, options: tuple[str, ...]
) -> None:
    command = ("cluster", photos, "-o", "run", "-k", "3", *SMALL, *options)
    (home / "run.partial").mkdir()
    identity = {"ilk_run": 1, "status": "running", "identity": {}}
    (home / "run.partial" / "run.json").write_text(json.dumps(identity))
    target = victim if name in ("model", "plots", "cache", "checkpoint") else victim / "bashrc"
    (home / "run.partial" / name).symlink_to(target)
    before = tree(victim)
    said = ilk(*command)
    assert tree(victim) == before
    if options and name != ".lock":
        assert said.code == 0, said
        assert not any(path.is_symlink() for path in (home / "run").rglob("*"))
    else:
        refused(said, name, "link")


def test_a_partial_run_that_is_a_link(home: Path, victim: Path) -> None:
    (home / "run.partial").symlink_to(victim)
    before = tree(victim)
    for overwrite in (False, True):
        with pytest.raises(RunError, match=r"run\.partial.*link"):
            runs.begin("run", HEADER, overwrite=overwrite)
    (home / "new.partial").symlink_to(victim / "new")
    with pytest.raises(RunError, match=r"new\.partial.*link"):
        runs.begin("new", HEADER)
    assert tree(victim) == before


def test_links_in_a_cache(tmp_path: Path, victim: Path) -> None:
    for kind in ("features", "files"):
        (tmp_path / "cache").mkdir(exist_ok=True)
        (tmp_path / "cache" / kind).symlink_to(victim)
    before = tree(victim)
    with pytest.raises(DataError, match="link"):
        Store(tmp_path / "cache" / "features" / "key", 3)
    with pytest.raises(DataError, match="link"):
        write_whole(tmp_path / "cache" / "files" / "a.safetensors", b"")
    assert tree(victim) == before


# -- outputs that are no files -----------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="/dev/stdout")
@pytest.mark.parametrize("to_file", [False, True], ids=["pipe", "file"])
def test_tables_to_stdout(photos: Path, finished: Path, tmp_path: Path, to_file: bool) -> None:
    """In a process of its own: what matters is where its file descriptors lead."""
    if not Path("/dev/stdout").exists():
        pytest.skip("no /dev/stdout")
    before = os.lstat("/dev/stdout")
    command = [sys.executable, "-m", "ilk", "predict", finished, photos, "-o", "/dev/stdout", "--no-cache"]
    out = tmp_path / "out.csv"
    with open(out, "wb") as file:
        file.write(b"# kept\n")
        file.flush()
        done = subprocess.run(
            [str(word) for word in command], stdout=file if to_file else subprocess.PIPE, stderr=subprocess.PIPE
        )
    assert done.returncode == 0, done.stderr
    text = out.read_bytes() if to_file else b"# kept\n" + done.stdout
    lines = text.decode().splitlines()
    assert lines[0] == "# kept"
    assert lines[1].startswith('"path","group","group_name"')
    assert len(lines) == 2 + 36
    assert b"placed" in done.stderr
    assert os.lstat("/dev/stdout") == before


def test_a_pipe_gets_the_table(ilk: Ilk, home: Path, photos: Path, finished: Path) -> None:
    os.mkfifo(home / "table")
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append((home / "table").read_text()))
    reader.start()
    assert ilk("predict", finished, photos, "-o", "table").code == 0
    reader.join(timeout=30)
    assert got[0].count("\n") == 37
    assert stat.S_ISFIFO((home / "table").lstat().st_mode)


def test_a_report_is_not_put_in_the_place_of_a_pipe(ilk: Ilk, finished_copy: Path) -> None:
    (finished_copy / "report.html").unlink()
    os.mkfifo(finished_copy / "report.html")
    refused(ilk("report", "run"), "pipe", "report.html")
    assert stat.S_ISFIFO((finished_copy / "report.html").lstat().st_mode)
