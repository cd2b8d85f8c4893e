"""Ended from outside, and full disks: nothing is left behind, and the same command goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from trial import CLASSIC, SMALL, Ilk, refused, tree, write_images

from ilk import runs

# the process ends itself in the middle of the encoding, as `kill` would, without any waiting
END = """
import os, signal, sys
from ilk.cli.show import Screen
seen = Screen._advance
def advance(self, done, total):
    seen(self, done, total)
    if done >= 100:
        os.kill(os.getpid(), signal.SIGTERM)
Screen._advance = advance
from ilk.cli import main
sys.exit(main())
"""


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("command", ["cluster", "predict"])
def test_ended_from_outside(home: Path, finished: Path, tmp_path: Path, command: str) -> None:
    (temporary := tmp_path / "temporary").mkdir()
    source = write_images(home / "many", 300)
    arguments = {
        "cluster": ["cluster", str(source), "-o", "run", "--no-cache", *CLASSIC],
        "predict": ["predict", str(finished), str(source), "-o", "table.csv", "--no-cache"],
    }[command]
    done = subprocess.run(
        [sys.executable, "-c", END, *arguments],
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert "ended from outside" in done.stderr
    assert ("goes on from here" in done.stderr) == (command == "cluster")
    assert "Traceback" not in done.stderr
    assert list(temporary.iterdir()) == []
    assert {path.name for path in home.iterdir()} == {"many"} | ({"run.partial"} if command == "cluster" else set())
    assert not list(home.rglob(".ilk-*"))


def test_the_handler_of_the_program_around_it_stays(ilk: Ilk, finished: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert ilk("info", finished).code == 0
    assert signal.getsignal(signal.SIGTERM) == before
    mine: Any = lambda *_: None  # noqa: E731
    signal.signal(signal.SIGTERM, mine)
    try:
        assert ilk("info", finished).code == 0
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


# -- disks that are full -----------------------------------------------------------------------------------------------


class Small:
    """No file may become larger than `size` bytes, as on a disk that is full."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __enter__(self) -> None:
        import resource

        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.before[1]))

    def __exit__(self, *_: object) -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


@pytest.mark.skipif(os.name == "nt", reason="limits of files")
@pytest.mark.parametrize("cache", [True, False])
def test_a_disk_that_is_full_in_every_stage(ilk: Ilk, home: Path, photos: Path, no_report: None, cache: bool) -> None:
    more = ("--cache", home / "cache") if cache else ("--no-cache",)
    command = ("cluster", photos, "-o", "run", *CLASSIC, *more)
    stopped = 0
    for size in (0, 300, 1_500, 3_000, 5_000, 10_000, 20_000, 40_000):
        with Small(size):
            said = ilk(*command)
        if said.code == 0:
            break
        stopped += 1
        refused(said, "cannot write", "too large")
        assert not list(home.rglob(".ilk-*"))
    assert stopped >= 4
    said = ilk(*command)
    assert said.code == 0, said
    assert ilk(*command[:3], "whole", *CLASSIC, "--cache", home / "other").code == 0
    for name in ("assignments.parquet", "features.npy", "model/state.safetensors"):
        assert (home / "run" / name).read_bytes() == (home / "whole" / name).read_bytes()
    assert not (home / "run.partial").exists()


@pytest.mark.skipif(os.name == "nt", reason="limits of files")
@pytest.mark.parametrize(
    "command",
    [
        ("report", "run", "-o", "page.html"),
        ("predict", "run", "PHOTOS", "-o", "table.csv"),
        ("predict", "run", "PHOTOS", "-o", "table.parquet"),
        ("export", "run", "out", "--mode", "copy"),
        ("export", "run", "out", "--as", "csv"),
        ("export", "run", "out", "--as", "embedding-atlas"),
        ("evaluate", "run", "--labels", "prefix"),
        ("compare", "run", "RUN", "--moved", "moved.csv"),
    ],
    ids=lambda command: " ".join(command),
)
def test_an_output_on_a_full_disk(
    ilk: Ilk, home: Path, photos: Path, finished: Path, finished_copy: Path, command: tuple[str, ...]
) -> None:
    before = tree(finished_copy)
    arguments = [{"PHOTOS": photos, "RUN": finished}.get(word, word) for word in command]
    with Small(20):
        said = ilk(*arguments)
    lines = [line for line in said.err.splitlines() if line.startswith("ilk: ")]
    if said.code == 0:
        assert command[0] == "export"
    else:
        assert said.code == 1
        assert "unexpected" not in said.err
        assert len(lines) == 1 or "could not be exported" in said.out
    assert not list(home.rglob(".ilk-*"))
    assert tree(finished_copy) == before
    assert ilk(*arguments).code == 0
    assert runs.load_run(finished_copy).header["status"] == "done"


def test_memory_that_is_short_is_said(ilk: Ilk, home: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(*_: Any, **__: Any) -> Any:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: 9 bytes")

    monkeypatch.setattr("ilk.jobs.asking.open_source", short)
    refused(ilk("cluster", photos, *SMALL), "out of memory", "fewer images")
    monkeypatch.setattr("ilk.cli._address_space", lambda: 3 << 30)
    refused(ilk("cluster", photos, *SMALL), "out of memory", "allows 3.0 GiB", "ulimit -v unlimited")


@pytest.mark.skipif(sys.platform != "linux", reason="limits of the address space")
def test_too_little_address_space_to_load_the_libraries(ilk_process: Ilk, finished: Path, photos: Path) -> None:
    first = "import resource; resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))"
    refused(ilk_process("predict", finished, photos, first=first), "out of memory", "ulimit -v unlimited")
