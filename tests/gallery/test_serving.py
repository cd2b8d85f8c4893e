"""`ilk gallery` as a command: the address, the browser, the end; a port that is taken; a second one; a killed one."""

from __future__ import annotations

import http.client
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
from asking import Browser
from trial import Ilk, refused, write_images

import ilk as package
from ilk.gallery import Served, serving

# signals as a terminal leaves them, whatever those who run the tests ignore or block
START = """import signal, sys
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
from ilk.cli import main
sys.exit(main())"""
COMMAND = [sys.executable, "-W", "error", "-c", START, "gallery"]


def started(run: Path) -> subprocess.Popen[str]:
    """The command, in a process of its own."""
    command = [*COMMAND, str(run), "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def line(process: subprocess.Popen[str]) -> str:
    """The next line of a process that says something within a minute."""
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], 60)[0]
    return process.stdout.readline()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_ends_cleanly(finished_copy: Path, how: signal.Signals) -> None:
    process = started(finished_copy)
    told = json.loads(line(process))
    assert told["run"] == str(finished_copy)
    assert told["notes"] == []
    address = urllib.parse.urlsplit(told["address"])
    assert (address.hostname, address.port) == ("127.0.0.1", told["port"])
    connection = http.client.HTTPConnection("127.0.0.1", told["port"], timeout=60)
    connection.request("GET", f"/?{address.query}")
    assert connection.getresponse().status == 303
    process.send_signal(how)
    out, err = process.communicate(timeout=60)
    assert process.returncode == (0 if how == signal.SIGINT else 143)
    assert out == ""
    assert "Traceback" not in err
    connection.close()


def test_it_opens_the_browser(finished_copy: Path, ilk: Ilk, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def open_(address: str) -> bool:
        opened.append(address)
        raise KeyboardInterrupt  # as if the user ended it at once

    monkeypatch.setattr("webbrowser.open", open_)
    monkeypatch.setenv("BROWSER", "one")  # without a screen none is started
    said = ilk("gallery", finished_copy)
    assert said.code == 0, said
    address, _, token = opened[0].partition("token=")
    assert address in said.out.replace("\n", "")
    assert token not in said.out, "every user of the machine can read a command line: that one is good once"
    assert "closed" in said.out
    monkeypatch.setattr("ilk.gallery.Served.wait", lambda self: None)
    assert ilk("gallery", finished_copy, "--no-open").code == 0
    assert len(opened) == 1


def test_a_port_that_is_taken(finished_copy: Path, ilk: Ilk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused(ilk("gallery", finished_copy, "--no-open", "--port", port), str(port), "taken")
    refused(ilk("gallery", finished_copy, "--no-open", "--port", 70_000), "65535")


def test_no_run_and_a_damaged_one(finished_copy: Path, ilk: Ilk) -> None:
    refused(ilk("gallery", "nowhere", "--no-open"), "no run at nowhere")
    (finished_copy / "images.parquet").write_bytes(b"PAR1")
    refused(ilk("gallery", finished_copy, "--no-open"), "images.parquet")


def test_the_second_says_so_and_works(served: Served, page: Browser) -> None:
    assert served.notes == []
    with serving(served.gallery.opened.path) as second:
        assert any("another gallery" in note for note in second.notes)
        other = Browser(second)
        other.do(do="rename", group=0, name="of the second")
        assert page.get("/api/state")["groups"][0]["name"] == "of the second"
        assert page.ask("/api/state", cookie=other.cookie).status == 403
    with serving(served.gallery.opened.path) as third:
        assert third.notes != []


def test_the_first_is_first_again_when_the_others_are_gone(finished_copy: Path) -> None:
    for _ in range(2):
        with serving(finished_copy) as found:
            assert found.notes == []


def test_a_run_that_has_grown_is_read_anew(served: Served, page: Browser, finished: Path) -> None:
    page.do(do="ignore", images=[0])
    folder = served.gallery.opened.path
    for name in ("images.parquet", "assignments.parquet"):
        shutil.copy2(finished / name, folder / f"{name}.new")
        (folder / f"{name}.new").replace(folder / name)
    before = served.gallery.opened.columns
    assert page.get("/api/state")["ignored"] == 1
    assert served.gallery.opened.columns is not before
    assert page.ask("/thumb/0").status == 200


def test_images_that_join_the_run_appear(served: Served, page: Browser, ilk: Ilk, tmp_path: Path) -> None:
    page.do(do="ignore", images=[0])
    assert ilk("update", served.gallery.opened.path, write_images(tmp_path / "new", 6, seed=9)).code == 0
    state = page.get("/api/state")
    assert sum(group["size"] for group in state["groups"]) == 36 - 1 + 6
    assert state["ignored"] == 1
    assert state["n_images"] == 42
    assert [one["said"] for one in page.get("/api/journal")["actions"]] == [
        "1 image ignored",
        "6 images joined (update)",
    ]
    assert state["undo"] == "1 image ignored"
    assert len(page.get("/api/rows?view=all")["rows"]) == 42
    for address in ("/thumb/41", "/original/41", "/api/image/41"):
        assert page.ask(address).status == 200, address
    page.do(do="move", images=[41], to=0)
    assert page.get("/api/image/41")["group"] == 0


def test_what_was_confirmed_survives_a_kill(finished_copy: Path) -> None:
    """Killed in the midst of corrections, three times: every one that was answered is there."""
    answered = 0
    for round_ in range(3):
        process = started(finished_copy)
        told = json.loads(line(process))
        page = Browser(Told(told))
        last = page.get("/api/state")["last"]
        assert last >= answered
        for _ in range(5 + round_):
            done = page.send("/api/do", {"do": "note", "group": 0, "text": str(last), "last": last}).json
            answered = last = done["action"]["n"]
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
    run = package.load_run(finished_copy)
    assert [action.n for action, _ in run.corrections.actions()] == list(range(1, answered + 1))


class Told:
    """What a process said of its gallery, as `Browser` wants it."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.port = int(told["port"])
        self.token = told["address"].rpartition("=")[2]
