"""What a person reads on the screen who has seen neither code nor docs: what it means, and what to type next."""

from __future__ import annotations

import inspect
import shutil
from pathlib import Path

import numpy as np
import pytest
from trial import SMALL, Ilk, refused, write_images

import ilk as package
from ilk.choose import ranking
from ilk.cli.grouptable import notes
from ilk.cli.show import Screen
from ilk.layout import Graph
from ilk.methods import pipeline
from ilk.methods.inputs import stacking
from ilk.showing.notes import only_said, to_look_at


def test_predict_ends_with_what_keeps_the_images(ilk: Ilk, home: Path, finished_copy: Path) -> None:
    write_images(home / "new ones", 9, seed=3)
    said = ilk("predict", "run", "new ones")
    assert said.out.splitlines()[-1] == "keep     ilk update run 'new ones' lets them join the run"
    assert ilk("update", "run", "new ones").code == 0


def test_a_name_that_another_group_has(ilk: Ilk, finished_copy: Path) -> None:
    assert "one name" not in ilk("correct", "run", "--rename", "0", "cats").out
    said = ilk("correct", "run", "--rename", "2", "Cats")
    assert said.code == 0
    assert (
        "note     groups 0 and 2 have one name now. To make them one group, type: ilk correct run --merge 0 2"
        in said.out
    )
    assert ilk("correct", "run", "--merge", "0", "2").code == 0
    assert "one name" not in ilk("correct", "run", "--rename", "1", "dogs").out
    assert "groups 0 and 3 have one name" in ilk("correct", "run", "--new", "0_0000.png", "--name", "cats").out


def test_groups_are_named_where_one_is_not_there(ilk: Ilk, finished_copy: Path) -> None:
    assert ilk("correct", "run", "--rename", "1", "cats").code == 0
    refused(ilk("correct", "run", "--move", "0_0000.png", "--to", "zebras"), "Groups are 0, 1 (cats), 2.")
    said = ilk("correct", "run", "--move", "0_0000.png", "--to", "kats")
    refused(said, "no group kats", "Did you mean 'cats'?", "Type: ilk correct run --move 0_0000.png --to cats")


def test_a_pattern_that_matches_nothing(ilk: Ilk, home: Path, photos: Path) -> None:
    (home / "photos").symlink_to(photos)
    refused(ilk("cluster", "photos/*.jpeg"), "photos/*.jpeg: that folder has 36 .png")
    refused(ilk("cluster", "fotos/*.png"), "fotos/*.png: there is no such folder")


def test_an_option_that_others_call_otherwise(ilk: Ilk, home: Path, finished_copy: Path) -> None:
    refused(ilk("cluster", "photos", "-n", "4"), "Did you mean '-k'? Type: ilk cluster photos -k 4", code=2)
    refused(ilk("export", "run", "out", "--preview"), "Type: ilk export run out --dry-run", code=2)


def test_info_counts_what_joined(ilk: Ilk, home: Path, finished_copy: Path) -> None:
    assert "(36 files)" in ilk("info", "run").out
    write_images(home / "new", 9, seed=3)
    assert ilk("update", "run", "new").code == 0
    assert "(36 files when it was made; 45 with what has joined since)" in ilk("info", "run").out


def test_few_files_that_cannot_be_read_are_named(ilk: Ilk, home: Path, photos: Path, no_report: None) -> None:
    source = shutil.copytree(photos, home / "photos")
    (source / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    (source / "notes.txt").write_text("no image")
    said = ilk("cluster", "photos", "-k", "3", *SMALL, "-o", "run")
    assert "left out 1 other file (.txt)" in said.out
    assert "note     1 file (broken.jpg) could not be read" in said.out
    assert "36 images; 1 file (broken.jpg) could not be read" in ilk("predict", "run", "photos").out
    (source / "torn.jpg").write_bytes(b"\xff\xd8\xff torn")
    assert "1 file (torn.jpg) could not be read" in ilk("update", "run").out
    for i in range(2):
        shutil.copy(source / "broken.jpg", source / f"broken{i}.jpg")
    said = ilk("cluster", "photos", "-k", "3", *SMALL, "-o", "other")
    assert "note     4 files could not be read" in said.out


def test_the_legend_is_a_line_and_more_for_who_asks(ilk: Ilk, finished_copy: Path) -> None:
    run = package.load_run(finished_copy)
    assert len(notes(run.header)) == 1
    assert len(notes(run.header, every=True)) == 3
    assert "Where labels are known" not in ilk("info", "run").out


# -- the number of groups ----------------------------------------------------------------------------------------------


def rows(sums: dict[int, float]) -> list[dict[str, float]]:
    return [{"k": k, "stability": 0.99, "rank_sum": total} for k, total in sums.items()]


def test_the_sentence_on_the_number_agrees_with_the_table() -> None:
    """Stars of single columns may stand elsewhere: it speaks of the balance, and names what comes next."""
    best = dict(zip(ranking.CRITERIA, (3, 50, 3, 2, 5), strict=True))
    table = rows({2: 34.5, 3: 26.5, 4: 22.5, 5: 28.0, 50: 60})
    best |= {"davies_bouldin": 4, "modularity": 5, "stability": 4}
    clear, why = ranking.verdict(table, 4, best, None)
    assert clear
    assert why == (
        "4 is best on balance of five measures, 3 comes next; two halves of the images agree on the groups (0.99)"
    )
    clear, why = ranking.verdict(rows({3: 20.0, 4: 22.5, 9: 60}), 4, best, None)  # 3 is too few for what is alike
    assert clear
    assert "among the numbers that suit" in why
    assert "(3 would be best of all)" in why


# -- notes -------------------------------------------------------------------------------------------------------------


def test_notes_that_ask_for_nothing_are_no_warnings(ilk: Ilk, home: Path, no_map: None) -> None:
    write_images(home / "photos", 60)
    said = ilk("cluster", "photos", "-k", "3", "--encoder", "pixels", "-o", "run")
    assert said.code == 0, said.err
    run = package.load_run("run")
    (note,) = [one for one in run.summary()["warnings"] if one.startswith("K-means instead")]
    assert note.endswith("nothing to do")
    assert f"how      {note}" in said.out
    assert f"note     {note}" not in said.out
    page = (run.path / "report.html").read_text("utf-8")
    first, _, how = page.partition('<h2 id="how">')
    assert "K-means instead of" not in first
    assert "K-means instead of" in how


def test_what_is_only_said_is_known_by_its_words() -> None:
    """Each of the texts that say how a run was made is still written so."""
    heads = np.array([0, 0, 0, 3])
    assert only_said(stacking.NearDuplicates(stacking.near.Limit(0.3, ""), heads).said())
    graph = Graph(np.zeros((5, 2), np.int64), np.zeros((5, 2), np.float32))
    assert "neighbours of" in inspect.getsource(type(graph).notes)
    source = inspect.getsource(pipeline)
    assert "K-means instead of a Gaussian mixture" in source
    assert "the Gaussian mixture did not converge" in source
    made, seen = "K-means instead of a Gaussian mixture: a component collapsed", "group 1 holds 98 % of the images"
    assert to_look_at([seen, made] * 2) == ([seen], [made])


# -- waiting -----------------------------------------------------------------------------------------------------------


def test_on_a_terminal_something_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, said = Screen(False), list[str]()
    monkeypatch.setattr(type(screen.console), "is_terminal", property(lambda _: True))
    monkeypatch.setattr(screen, "_start", said.append)
    monkeypatch.setattr(screen, "stop", lambda: said.append(""))
    with screen:
        assert said == ["loading"]
        screen.event({"event": "found", "n": 3, "what": "image", "notes": []})
        assert said == ["loading", ""]  # it makes room for the first line
