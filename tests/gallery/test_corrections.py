"""Corrections on the page: each is in the journal and in every answer; nobody writes over what he has not seen."""

from __future__ import annotations

import json
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
from asking import Browser
from trial import Ilk

import ilk as package
from ilk.gallery import Served, serving


def numbers(body: bytes, kind: str = "i") -> list[float]:
    return list(struct.unpack(f"<{len(body) // 4}{kind}", body))


def members(page: Browser, group: int) -> list[int]:
    return sorted(page.get(f"/api/rows?group={group}")["rows"])


def test_what_there_is(page: Browser, served: Served) -> None:
    about, state = page.get("/api/run"), page.get("/api/state")
    assert about["n_images"] == 36
    assert about["read_only"] is None
    assert about["has"]["map"] is True
    assert about["exports"] == str(served.gallery.opened.path.absolute() / "exports")
    assert [group["size"] for group in state["groups"]] == [12, 12, 12]
    assert (state["last"], state["count"], state["undo"], state["redo"]) == (0, 0, None, None)
    for group in state["groups"]:
        assert len(group["cover"]) == 4
        assert {*group["cover"]} <= {*members(page, group["id"])}
        assert sorted([group["id"], *group["nearest"]]) == [0, 1, 2]
    run = package.load_run(served.gallery.opened.path)
    assert numbers(page.ask("/api/labels").body) == run.labels().tolist()
    assert np.allclose(numbers(page.ask("/api/map").body, "f"), run.map().ravel())


def test_each_verb(page: Browser, served: Served) -> None:
    zero, one, two = (members(page, group) for group in range(3))
    done = page.do(do="move", images=zero[:2], to=1)
    assert done["action"] == {"n": 1, "do": "move", "said": "2 images moved to group 1"}
    assert done["state"]["undo"] == "2 images moved to group 1"
    assert members(page, 1) == sorted([*one, *zero[:2]])
    assert page.do(do="rename", group=1, name="sleeves")["state"]["groups"][1]["name"] == "sleeves"
    page.do(do="note", group=1, text="look\nagain")
    page.do(do="ignore", images=[zero[2]])
    page.do(do="confirm", images=[zero[3]])
    state = page.do(do="new", images=two[:3], name="odd")["state"]
    by_id = {group["id"]: group for group in state["groups"]}
    assert by_id[3] == {**by_id[3], "name": "odd", "size": 3, "confirmed": 3, "doubtful": 0.0}
    assert by_id[1]["note"] == "look\nagain"
    assert by_id[0]["confirmed"] == 1
    assert state["ignored"] == 1
    assert page.get("/api/rows?view=ignored")["rows"] == [zero[2]]
    split = page.do(do="split", group=1, examples=zero[:1])["state"]
    assert sorted(members(page, 1) + members(page, 4)) == sorted([*one, *zero[:2]])
    assert zero[0] in members(page, 4)
    assert len(split["groups"]) == 5
    merged = page.do(do="merge", groups=[1, 4, 2])
    assert merged["action"]["said"] == "group 4, group 2 merged into sleeves"
    assert [group["id"] for group in merged["state"]["groups"]] == [0, 1, 3]
    journal = page.get("/api/journal")["actions"]
    assert [one["do"] for one in journal] == ["move", "rename", "note", "ignore", "confirm", "new", "split", "merge"]
    assert all(one["in_effect"] and one["said"] for one in journal)
    run = package.load_run(served.gallery.opened.path)
    assert numbers(page.ask("/api/labels").body) == run.labels().tolist()
    assert numbers(page.ask("/api/column/said").body) == run.corrections.grouping().said.tolist()


def test_undo_and_redo_to_the_beginning_and_back(page: Browser) -> None:
    states = [page.get("/api/state")]
    for what in (
        {"do": "move", "images": [0], "to": 1},
        {"do": "merge", "groups": [0, 2]},
        {"do": "ignore", "images": [5]},
    ):
        states.append(page.do(**what)["state"])
    for before, after in zip(states[-2::-1], states[:0:-1], strict=True):
        answer = page.do(do="undo")
        assert answer["action"]["said"] == f"undone: {after['undo']}"
        assert answer["state"]["groups"] == before["groups"]
        assert answer["state"]["redo"] == after["undo"]
    assert page.send("/api/do", {"do": "undo", "last": page.get("/api/state")["last"]}).status == 400
    for after in states[1:]:
        assert page.do(do="redo")["state"]["groups"] == after["groups"]
    assert page.get("/api/state")["redo"] is None


@pytest.mark.parametrize(
    "what",
    [
        {"do": "move", "images": [0], "to": 7},
        {"do": "move", "images": [0], "to": "1"},
        {"do": "move", "images": [], "to": 1},
        {"do": "move", "images": [36], "to": 1},
        {"do": "move", "images": ["0_0000.png"], "to": 1},
        {"do": "move", "images": [True], "to": 1},
        {"do": "move", "images": [0.0], "to": 1},
        {"do": "merge", "groups": [0]},
        {"do": "merge", "groups": [0, -1]},
        {"do": "rename", "group": 0, "name": 7},
        {"do": "rename", "group": 0, "name": "a\u202eb"},
        {"do": "rename", "group": 0, "name": "x" * 1000},
        {"do": "split", "group": 0, "examples": 3},
        {"do": "confirm"},
        {"do": "regroup", "to": []},
        {"do": ["move"]},
        {},
    ],
    ids=str,
)
def test_what_makes_no_sense_changes_nothing(page: Browser, served: Served, what: dict[str, object]) -> None:
    assert page.send("/api/do", {**what, "last": 0}).status == 400
    journal = served.gallery.opened.path / "corrections.jsonl"
    assert not journal.exists() or not journal.read_bytes()


def test_two_windows_agree(page: Browser, served: Served) -> None:
    other = Browser(served)
    tag = other.ask("/api/state").headers["etag"]
    assert other.ask("/api/state", if_none_match=tag).status == 304
    page.do(do="rename", group=0, name="mine")
    answer = other.ask("/api/state", if_none_match=tag)
    assert answer.status == 200
    assert answer.json["groups"][0]["name"] == "mine"
    refused = other.send("/api/do", {"do": "rename", "group": 0, "name": "his", "last": 0})
    assert refused.status == 409
    assert page.get("/api/state")["groups"][0]["name"] == "mine"


def test_a_correction_of_the_command_line_appears(page: Browser, served: Served, ilk: Ilk) -> None:
    labels = page.ask("/api/labels")
    assert ilk("correct", served.gallery.opened.path, "--rename", "2", "by hand").code == 0
    assert ilk("correct", served.gallery.opened.path, "--ignore", "3").code == 0
    state = page.get("/api/state")
    assert {group["id"]: group["name"] for group in state["groups"]}[2] == "by hand"
    assert state["undo"] == "1 image ignored"
    again = page.ask("/api/labels", if_none_match=labels.headers["etag"])
    assert numbers(again.body)[3] == -1
    page.do(do="undo")
    assert json.loads(ilk("correct", served.gallery.opened.path, "--json").out)["n_corrections"] == 1


def test_while_the_command_line_keeps_the_journal_nothing_is_lost(page: Browser, served: Served) -> None:
    with package.load_run(served.gallery.opened.path).corrections:
        answer = page.send("/api/do", {"do": "ignore", "images": [0], "last": 0})
    assert answer.status == 409
    assert "another process" in answer.error
    assert page.do(do="ignore", images=[0])["state"]["ignored"] == 1


def test_fifty_clients_at_once(served: Served) -> None:
    """Each looks, half of them correct; nothing is lost and nothing is done twice."""
    wrong: list[object] = []
    kept: list[int] = []

    def client(number: int) -> None:
        try:
            page = Browser(served)
            for row in range(number % 7, 36, 7):
                assert page.ask(f"/thumb/{row}").status == 200
                assert len(page.get("/api/rows?view=all")["rows"]) == 36
            if number % 2:
                while True:
                    last = page.get("/api/state")["last"]
                    answer = page.send("/api/do", {"do": "note", "group": 0, "text": str(number), "last": last})
                    if answer.status == 200:
                        kept.append(answer.json["action"]["n"])
                        break
                    assert answer.status == 409, answer
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert sorted(kept) == list(range(1, 26))


def test_on_a_disk_that_cannot_be_written_it_is_look_only(finished_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ilk.disk.unwritable", lambda folder: "Read-only file system")
    with serving(finished_copy) as served:
        assert any("Read-only" in note for note in served.notes)
        page = Browser(served)
        about = page.get("/api/run")
        assert "looked at, not corrected" in about["read_only"]
        assert about["exports"] is None
        assert page.ask("/original/0").status == 200
        for path, body in (
            ("/api/do", {"do": "ignore", "images": [0], "last": 0}),
            ("/api/regroup/accept", {"id": 1}),
            ("/api/tree/3", {}),
        ):
            answer = page.send(path, body)
            assert answer.status == 403, path
            assert "Read-only" in answer.error
        assert "--exports" in page.send("/api/export", {"to": "x", "mode": "csv"}).error
    assert not (finished_copy / "corrections.jsonl").exists()
