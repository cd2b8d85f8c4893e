"""The command line in pipes and terminals, killed and interrupted."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from trial import CLASSIC, SMALL, Ilk, write_images

from ilk import runs

# -- pipes, terminals, signals -----------------------------------------------------------------------------------------

NO_REPORT = """
import ilk.report
ilk.report.write_plots = lambda run, source=None: []
ilk.report.write_report = lambda run, out=None, source=None: run.path / "report.html"
"""


def test_a_reader_that_leaves_does_not_stop_the_run(home: Path) -> None:
    code = f"import sys\n{NO_REPORT}\nfrom ilk.cli import main\nsys.exit(main())"
    command = [
        sys.executable,
        "-c",
        code,
        "cluster",
        str(write_images(home / "few", 9)),
        "-o",
        "run",
        "-k",
        "3",
        *SMALL,
    ]
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, timeout=120)
    os.close(writing)
    assert (process.returncode, process.stderr) == (0, b"")
    assert runs.load_run(home / "run").header["status"] == "done"


def test_nobody_reads_the_json(ilk_process: Ilk, finished: Path) -> None:
    first = "import os, sys; r, w = os.pipe(); os.close(r); os.dup2(w, 1)"
    assert ilk_process("info", finished, "--json", first=first).code == 0
    assert ilk_process("info", finished, first="import sys; sys.stdout = None; sys.stderr = None").code == 0


def on_a_terminal(command: list[str], **env: str) -> tuple[int, str]:
    """Exit code and output of `command`, run on a terminal of its own."""
    main, other = pty.openpty()
    process = subprocess.Popen(command, stdout=other, stderr=other, stdin=other, env={**os.environ, **env})
    os.close(other)
    output = b""
    try:
        while block := os.read(main, 4096):
            output += block
    except OSError:  # the other end is closed
        pass
    os.close(main)
    return process.wait(60), output.decode()


# the process interrupts itself in the middle of the encoding: as Ctrl-C would, without any waiting
STOP_AT = """
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with SIGINT ignored
from ilk.cli.show import Screen
seen = Screen._advance
def advance(self, done, total):
    seen(self, done, total)
    if done >= {at}:
        os.kill(os.getpid(), signal.{name})
Screen._advance = advance
"""


def many(home: Path) -> Path:
    """300 images, more than a shard, with copies and a file that is none."""
    folder = write_images(home / "many", 300)
    shutil.copy(folder / "0_0000.png", folder / "copy.png")
    (folder / "broken.png").write_bytes(b"nonsense")
    return folder


@pytest.mark.parametrize("cache", [(), ("--no-cache",)])
def test_killed_and_resumed(ilk: Ilk, ilk_process: Ilk, home: Path, cache: tuple[str, ...], no_report: None) -> None:
    folder = many(home)
    command = ("cluster", folder, "-o", "run", *CLASSIC, *cache)
    killed = ilk_process(*command, first=STOP_AT.format(at=280, name="SIGKILL"))
    assert killed.code == -signal.SIGKILL
    assert sorted(path.name for path in home.iterdir()) == ["many", "run.partial"]
    place = home / "run.partial" / "cache" if cache else home.parent / "xdg" / "ilk"
    assert list(place.glob("features/*/*.safetensors"))
    said = ilk(*command)
    assert said.code == 0, said
    assert "resumed  run" in said.out
    assert sorted(path.name for path in home.iterdir()) == ["many", "run"]
    assert not [path for path in (home / "run").rglob("*") if path.name.startswith(".") or path.name == "cache"]
    assert ilk("cluster", folder, "-o", "whole", *CLASSIC, "--cache", home / "other").code == 0
    for name in ("assignments.parquet", "images.parquet", "features.npy", "model/state.safetensors"):
        assert (home / "run" / name).read_bytes() == (home / "whole" / name).read_bytes(), name


def test_interrupted_on_a_terminal(ilk: Ilk, home: Path) -> None:
    folder = many(home)
    command = ["cluster", str(folder), "-o", "run", *CLASSIC]
    first = STOP_AT.format(at=200, name="SIGINT")
    code, output = on_a_terminal(
        [sys.executable, "-c", f"import sys\n{first}\nfrom ilk.cli import main\nsys.exit(main())", *command],
        NO_COLOR="1",
    )
    assert code == 130, output
    assert "interrupted. The same command goes on from here." in output
    assert "Traceback" not in output
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", output)  # NO_COLOR: no colours; bars may move
    assert output.rfind("\x1b[?25h") > output.rfind("\x1b[?25l")  # and the cursor is back
    assert sorted(path.name for path in home.iterdir()) == ["many", "run.partial"]
    said = ilk(*command)
    assert said.code == 0, said
    assert "resumed  run" in said.out


def test_interrupting_other_commands_promises_nothing(
    ilk: Ilk, photos: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ilk.jobs.predict", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    said = ilk("predict", finished, photos)
    assert (said.code, said.err.strip()) == (130, "interrupted.")
