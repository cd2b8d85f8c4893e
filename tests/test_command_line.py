"""What the commands share, and those about runs: `runs`, `open`, completion, --quiet and --verbose."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from trial import SMALL, Ilk, refused, tree

from ilk import methods, runs
from ilk.cli.commands import app

# -- ilk runs ----------------------------------------------------------------------------------------------------------


def made(folder: Path, finished: Path, created: str) -> Path:
    """A copy of the finished run, made at another time."""
    run = shutil.copytree(finished, folder)
    header = json.loads((run / "run.json").read_text("utf-8"))
    (run / "run.json").write_text(json.dumps({**header, "created": created}), "utf-8")
    return run


def partial(folder: Path, created: str = "2026-11-03T00:00:00+00:00") -> Path:
    folder.mkdir(parents=True)
    header = {"ilk_run": runs.SCHEMA, "status": "running", "method": "scan", "created": created}
    (folder / "run.json").write_text(json.dumps({**header, "command": "ilk cluster photos -m scan"}), "utf-8")
    return folder


def test_runs_are_listed_the_newest_first(ilk: Ilk, home: Path, finished: Path) -> None:
    assert "no runs below this folder; ilk cluster FOLDER makes one" in ilk("runs").out
    assert ilk("runs", "--json").json == {"folder": "ilk-runs", "runs": []}
    old = made(home / "ilk-runs" / "old", finished, "2026-11-01T09:30:00+00:00")
    made(home / "ilk-runs" / "deep" / "er" / "new", finished, "2026-11-02T09:30:00+02:00")
    partial(home / "ilk-runs" / "begun.partial")
    (home / "ilk-runs" / "link").symlink_to(old)
    (home / "ilk-runs" / ".hidden").mkdir()
    before = tree(home)
    found = ilk("runs", "--json").json["runs"]
    assert [one["name"] for one in found] == ["begun", "deep/er/new", "old"]
    assert [one["state"] for one in found] == ["partial", "finished", "finished"]
    assert [one["created"] for one in found] == [
        "2026-11-03T00:00:00+00:00", "2026-11-02T07:30:00+00:00", "2026-11-01T09:30:00+00:00"
    ]  # fmt: skip
    assert [(one["method"], one["n_images"], one["n_clusters"]) for one in found] == [
        ("scan", None, None), ("transfer", 36, 3), ("transfer", 36, 3)
    ]  # fmt: skip
    assert found[2]["bytes"] == sum(path.stat().st_size for path in old.rglob("*") if path.is_file())
    said = ilk("runs")
    assert (said.code, said.err) == (0, "")
    assert re.search(r"ilk-runs/old +2026-11-01 09:30 +transfer +36 +3 +[\d.]+ [kM]B +finished\n", said.out)
    assert "ilk-runs/begun goes on with: ilk cluster photos -m scan" in said.out
    assert tree(home) == before
    refused(ilk("runs", "nowhere"), "there is no folder nowhere")


def test_runs_elsewhere_are_found_too(ilk: Ilk, home: Path, finished: Path) -> None:
    """`-o runs/first`, as the first page has it, is no reason to find nothing."""
    made(home / "runs" / "first", finished, "2026-11-01T09:30:00+00:00")
    said = ilk("runs")
    assert "none below ilk-runs/; these are elsewhere in this folder\n" in said.out
    assert re.search(r"runs/first +2026-11-01 09:30 +transfer", said.out)
    found = ilk("runs", "--json").json
    assert (found["folder"], [one["path"] for one in found["runs"]]) == (".", ["runs/first"])
    refused(ilk("open"), "no finished run below ilk-runs/", "ilk open runs/first")
    made(home / "ilk-runs" / "own", finished, "2026-11-02T09:30:00+00:00")
    said = ilk("runs")
    assert "runs/first  " not in said.out
    assert said.out.endswith("1 more elsewhere in this folder (runs/first): ilk runs .\n")
    assert [one["name"] for one in ilk("runs", "--json").json["runs"]] == ["own"]


def test_groups_of_the_list_are_those_of_now(ilk: Ilk, finished_copy: Path) -> None:
    assert ilk("correct", "run", "--merge", 0, 1).code == 0
    assert [one["n_clusters"] for one in ilk("runs", ".", "--json").json["runs"]] == [2]
    assert ilk("runs", "run", "--json").json["runs"][0]["name"] == "."


def test_a_run_that_is_being_written(home: Path) -> None:
    folder = partial(home / "run.partial")
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert [one.state for one in runs.below(home)] == ["running"]
    assert [one.state for one in runs.below(home)] == ["partial"]


def test_what_is_damaged_or_strange_is_listed_as_such(ilk: Ilk, home: Path, finished_copy: Path) -> None:
    (finished_copy / "clusters.json").write_text("{}")
    for name, text in {
        "torn": "{", "newer": '{"ilk_run": 99}', "list": "[]", "little": '{"ilk_run": 1, "status": "done"}',
        "loud": json.dumps({"ilk_run": 1, "status": "running", "created": "\x1b[31m", "command": 7, "source": []}),
    }.items():  # fmt: skip
        (home / name).mkdir()
        (home / name / "run.json").write_text(text)
    (home / "pipe").mkdir()
    os.mkfifo(home / "pipe" / "run.json")  # never opened: it would wait for ever
    ilk("correct", "run", "--merge", 0, 1)
    said = ilk("runs", ".")
    assert (said.code, said.err) == (0, "")
    assert "\x1b" not in said.out
    states = {one["name"]: one["state"] for one in ilk("runs", ".", "--json").json["runs"]}
    assert "pipe" not in states
    assert states.keys() >= {"torn", "newer", "list", "little", "loud"}
    assert {states[name] for name in ("torn", "newer", "list", "little")} == {"damaged"}
    assert "newer ilk" in said.out


# -- ilk open ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that were opened in the browser."""
    found: list[str] = []
    monkeypatch.setenv("BROWSER", "one")
    monkeypatch.setattr("webbrowser.open", lambda address: found.append(address) or True)
    return found


def test_open(ilk: Ilk, home: Path, finished_copy: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    said = ilk("open", "run")
    assert (said.code, said.out) == (0, "report   run/report.html\n")
    assert opened == [(finished_copy / "report.html").as_uri()]
    assert ilk("open", "run", "--json").json == {"run": "run", "report": "run/report.html", "opened": False}
    refused(ilk("open"), "no finished run below ilk-runs/", "ilk open run")
    (home / "ilk-runs").mkdir()
    shutil.move(finished_copy, home / "ilk-runs" / "a b")
    assert "ilk-runs/a b/report.html" in ilk("open").out  # the newest
    assert opened[1].endswith("/a%20b/report.html")
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    said = ilk("open")
    assert "no browser could be opened here" in said.out
    assert len(opened) == 2


def test_open_takes_no_report_from_elsewhere(ilk: Ilk, home: Path, finished_copy: Path, opened: list[str]) -> None:
    (finished_copy / "report.html").unlink()
    refused(ilk("open", "run"), "run has no report", "Type: ilk report run")
    (home / "other.html").write_text("<script>")
    (finished_copy / "report.html").symlink_to(home / "other.html")
    refused(ilk("open", "run"), "run has no report")
    assert opened == []


def test_open_the_gallery(ilk: Ilk, finished_copy: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ilk.gallery.Served.wait", lambda self: None)
    said = ilk("open", "run", "--gallery")
    assert said.code == 0
    assert opened[0].startswith("http://127.0.0.1:")


# -- completion --------------------------------------------------------------------------------------------------------


def completed(line: str, cwd: Path) -> list[str]:
    """What bash is offered behind `line`, in a process without torch."""
    words = line.split(" ")
    code = "import sys; sys.modules['torch'] = None; sys.argv = ['ilk']; from ilk.cli import main; main()"
    env = {**os.environ, "_ILK_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=cwd, capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    return done.stdout.split()


def test_completion(home: Path, finished: Path) -> None:
    made(home / "ilk-runs" / "first", finished, "2026-11-01T09:30:00+00:00")
    made(home / "second", finished, "2026-11-01T09:30:00+00:00")
    made(home / "ilk-runs" / "$(reboot)", finished, "2026-11-01T09:30:00+00:00")
    (home / "photos").mkdir()
    assert {"cluster", "runs", "open"} <= set(completed("ilk ", home))
    assert completed("ilk comp", home) == ["compare"]
    assert completed("ilk cluster photos -m ", home) == list(methods.short_names())
    assert completed("ilk cluster photos -m dee", home) == ["deepcluster"]
    assert "preset=tiny" in completed("ilk cluster photos --set preset=", home)
    assert completed("ilk cluster photos -m dac --set preset=qu", home) == ["preset=quick"]
    assert "reducer=" in completed("ilk cluster photos --set re", home)
    assert completed("ilk cluster photos --device c", home) == ["cpu", "cuda"]
    assert completed("ilk cluster photos --encoder b", home) == ["balanced"]
    assert completed("ilk info ", home) == ["ilk-runs/first", "second"]
    assert completed("ilk predict ilk-runs/", home) == ["ilk-runs/first"]
    assert completed("ilk cluster ", home) == []  # files: the shell's own


def test_the_scripts_of_the_shells(ilk_process: Ilk) -> None:
    said = ilk_process("--show-completion", "bash", env={"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"})
    assert said.code == 0
    assert "_ILK_COMPLETE=complete_bash" in said.out


# -- --quiet and --verbose ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_report")
def test_quiet_is_one_line(ilk: Ilk, home: Path, photos: Path, finished_copy: Path) -> None:
    said = ilk("cluster", photos, "-o", "new", "-k", "3", *SMALL, "-q")
    assert (said.code, said.out, said.err) == (0, "36 images in 3 groups: new\n", "")
    lines: dict[tuple[Any, ...], str] = {
        ("predict", "run", photos, "-o", "t.csv"): "36 images: t.csv\n",
        ("evaluate", "run", "--labels", "prefix"): "scores   ACC 1.000",
        ("report", "run"): "run/report.html\n",
        ("export", "run", "sorted"): "",
        ("compare", "run", "new"): "run new ARI 1.000",
        ("update", "run"): "nothing  new",
    }
    for command, words in lines.items():
        said = ilk(*command, "--quiet")
        assert (said.code, said.err, said.out.count("\n")) == (0, "", 1), said
        assert said.out.startswith(words)
    assert ilk("predict", "run", photos, "-q", "--json").json["n_images"] == 36
    assert ilk("predict", "run", photos, "-q", "--json").err == ""
    refused(ilk("predict", "run", "nowhere", "-q"), "there is no nowhere")
    refused(ilk("predict", "run", photos, "-q", "-v"), "--quiet and --verbose")


@pytest.mark.usefixtures("no_report")
def test_verbose_says_what_is_left_out_otherwise(ilk: Ilk, home: Path, photos: Path) -> None:
    shutil.copytree(photos, home / "photos")
    (home / "photos" / "broken.png").write_bytes(b"nonsense")
    command = ("cluster", "photos", "-o", "run", *SMALL)
    plain, full = ilk(*command), ilk(*command, "--overwrite", "-v")
    assert full.code == 0
    assert re.search(r"^ +\d+\.\d s  encoded", full.out, re.MULTILINE)
    for words in ("setting  preset=tiny", "setting  reducer=", "seed     0", "device   cpu", "versions ilk ",
                  "unread   broken.png: "):  # fmt: skip
        assert f"\n{words}" in full.out
        assert words not in plain.out
    assert "more numbers tried" not in full.out
    said = ilk("predict", "run", "photos", "-v")
    assert "unread   broken.png: " in said.out
    assert ilk(*command, "-v", "--json").json["n_unreadable"] == 1


# -- help --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 120])
def test_help_fits_and_names_no_types(ilk: Ilk, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERMINAL_WIDTH", str(columns))
    commands = [one.name or one.callback.__name__ for one in app.registered_commands if one.callback]
    assert {"cluster", "open", "runs"} <= {*commands}
    for name in commands:
        said = ilk(name, "--help")
        assert said.code == 0
        assert not re.search(r"<(str|int|float|path|list\[str\])>", said.out), name
        assert max(map(len, said.out.splitlines())) <= columns, name
    assert "Usage: ilk predict [OPTIONS] RUN SOURCE…\n" in ilk("predict", "--help").out
