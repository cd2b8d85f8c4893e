"""The views of the page in a real browser: check the doubtful, group again, how many groups, take away."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import browser
import numpy as np
import pytest
from sklearn.datasets import load_digits
from viewing import LEFT, SHOWN, View, looking

import ilk
from ilk import cli


@pytest.fixture(scope="module")
def blurred(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 240 images of digits in 6 groups, of which many are in doubt; not to be changed."""
    folder = tmp_path_factory.mktemp("blurred")
    np.savez(folder / "digits.npz", x=(load_digits().images[:240] * 15).astype(np.uint8))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "xdg"))
        patch.setattr("ilk.report.write_plots", lambda run, source=None: [])
        patch.setattr("ilk.report.write_report", lambda run, out=None, source=None: run.path / "report.html")
        assert cli.main(["cluster", str(folder / "digits.npz"), "-o", str(folder / "run"), "-k", "6"]) == 0
    return folder / "run"


@pytest.fixture
def doubtful(home: Path, blurred: Path) -> Path:
    return shutil.copytree(blurred, home / "run")


@pytest.fixture
def view(chromium: browser.Browser, doubtful: Path) -> Iterator[View]:
    yield from looking(chromium, doubtful)


# -- check the doubtful ------------------------------------------------------------------------------------------------

ASKED = "[...document.querySelectorAll('.queue-one')].map((one) => one.dataset.row)"


def keys_of(view: View, rows: list[int]) -> set[str]:
    keys = ilk.load_run(view.run).corrections.keys()
    return {keys[row] for row in rows}


def test_answers_are_kept(view: View) -> None:
    view.open("d", ".queue-picture")
    asked = view.numbers(ASKED)
    view.tab.key("x")
    view.tab.wait("document.querySelector('.queue-last').textContent !== ''")
    ((verb, said),) = view.done()
    assert verb == "ignore"
    assert keys_of(view, asked) <= set(said["images"])

    view.tab.wait(f"JSON.stringify({ASKED}) !== '{json.dumps([str(one) for one in asked], separators=(',', ':'))}'")
    again, before = view.numbers(ASKED), view.labels()
    assert len(again) > 1, "the second question should be of several images"
    view.click(".queue-picture", 0)  # this one is something else
    view.tab.key("Enter")
    view.tab.wait("document.querySelector('.question').textContent.startsWith('And ')")
    verb, said = view.done()[1]
    assert verb == "confirm"
    assert keys_of(view, again[1:]) <= set(said["images"])
    assert not keys_of(view, again[:1]) & set(said["images"])
    assert view.labels() == before
    assert view.numbers(ASKED) == again[:1]
    view.tab.key("n")
    view.tab.wait(f"!{ASKED}.includes('{again[0]}')")
    assert view.done()[2][0] == "new"
    assert view.labels()[again[0]] == max(view.labels())


def test_an_undone_answer_is_asked_again(view: View) -> None:
    view.open("d", ".queue-picture")
    asked = view.numbers(ASKED)
    view.tab.key("Enter")
    view.tab.wait("document.querySelector('.queue-last').textContent !== ''")
    view.tab.key("z", ctrl=True)
    view.tab.wait(f"JSON.stringify({ASKED}) === '{json.dumps([str(one) for one in asked], separators=(',', ':'))}'")
    assert view.done() == []


def test_the_other_group(view: View) -> None:
    view.open("d", ".queue-picture")
    for _ in range(50):
        if view.count(".queue-side") == 2:
            break
        view.tab.key("s")
        view.wait(".queue-picture")
    name = view.tab.run("document.querySelectorAll('.queue-side .name')[1].textContent")
    asked = view.numbers(ASKED)
    view.tab.key("b")
    view.tab.wait("document.querySelector('.queue-last').textContent !== ''")
    assert {view.labels()[row] for row in asked} == {int(name.removeprefix("group "))}
    assert view.done()[0][0] == "move"


def test_a_picture_that_does_not_belong_and_a_third_group(view: View) -> None:
    view.open("d", ".queue-picture")
    while view.count(".queue-picture") < 3:
        view.tab.key("s")
        view.wait(".queue-picture")
    asked = view.numbers(ASKED)
    assert "Click a picture that does not belong here" in view.text(".queue-hint")
    assert f"ll {len(asked)}" in view.text(".queue-side .what")
    view.click(".queue-picture", 0)
    assert view.text(".queue-hint").startswith("1 picture left out, asked next.")
    assert f"he other {len(asked) - 1}" in view.text(".queue-side .what")
    offered = {int(one) for one in view.tab.run(
        "[...document.querySelectorAll('.queue-side .name')].map((one) => one.textContent.replace('group ', ''))"
    )}  # fmt: skip
    third = min({0, 1, 2, 3, 4, 5} - offered)
    view.tab.key("v")
    view.wait("#choices li")
    view.tab.type(f"group {third}")
    view.tab.key("Enter")
    view.tab.wait("document.querySelector('.queue-last').textContent !== ''")
    ((verb, said),) = view.done()
    assert (verb, said["to"]) == ("move", third)
    assert {view.labels()[row] for row in asked[1:]} == {third}
    assert view.numbers(ASKED) == asked[:1]


# -- group again -------------------------------------------------------------------------------------------------------


def test_group_again_and_undo(view: View) -> None:
    run = ilk.load_run(view.run)
    labels = run.labels()
    run.corrections.merge(0, 1)
    run.corrections.confirm([int(row) for row in np.flatnonzero(labels == 2)[:3]])
    run.corrections.move([int(row) for row in np.flatnonzero(labels == 3)[:12]], to=4)
    before = view.labels()
    view.open("g", ".flow .band")
    assert view.labels() == before, "a preview changes nothing"
    moved = int(view.text(".big b").split()[0])
    view.tab.key("Enter")
    view.tab.wait("document.querySelector('.view-message h2')?.textContent === 'Grouped again'")
    after = view.labels()
    assert sum(a != b for a, b in zip(before, after, strict=True)) == moved
    assert view.done()[-1][0] == "regroup"
    view.tab.key("z", ctrl=True)
    view.wait(".flow .band")  # it is offered anew
    assert view.labels() == before


def test_an_image_that_is_left_out_stays(view: View) -> None:
    run = ilk.load_run(view.run)
    run.corrections.move([int(row) for row in np.flatnonzero(run.labels() == 3)[:12]], to=4)
    before = view.labels()
    view.open("g", ".regroup-picture")
    count = int(view.text(".big b").split()[0])
    row = int(view.tab.run("document.querySelector('.regroup-picture').dataset.row"))
    assert view.count(".regroup-picture") == count
    view.click(".regroup-picture")
    assert view.text(".view-body .button.first span") == f"Accept: move {count - 1} image{'' if count == 2 else 's'}"
    view.tab.key("Enter")
    view.tab.wait("document.querySelector('.view-message h2')?.textContent === 'Grouped again'")
    assert view.text(".view-message p").startswith(f"{count - 1} image")
    after = view.labels()
    assert after[row] == before[row]
    assert sum(a != b for a, b in zip(before, after, strict=True)) == count - 1


def test_the_images_of_one_flow(view: View) -> None:
    run = ilk.load_run(view.run)
    run.corrections.move([int(row) for row in np.flatnonzero(run.labels() == 3)[:12]], to=4)
    view.open("g", ".flow .band")
    words = view.tab.run("document.querySelector('.flow .band').getAttribute('aria-label')")
    number, source = int(words.split()[0]), int(words.split(" from group ")[1].split()[0])
    view.tab.run("document.querySelector('.flow .band').dispatchEvent(new MouseEvent('click', { bubbles: true }))")
    view.tab.wait(f"document.querySelectorAll('.cell:not([hidden]) img[src]').length === {number}")
    rows = view.numbers(SHOWN)
    assert {view.labels()[row] for row in rows} == {source}


def test_nothing_to_group_again(view: View) -> None:
    view.open("g", ".view-message")
    assert view.text(".view-message h2") == "Nothing would move"
    assert view.done() == []


# -- how many groups ---------------------------------------------------------------------------------------------------


def test_another_number_of_groups(view: View) -> None:
    view.open("k", ".tree-card")
    assert view.count(".tree-card") == 6
    view.tab.key("ArrowLeft")
    view.tab.key("ArrowLeft")
    view.tab.wait("document.querySelector('.tree-cards').dataset.k === '4'")
    assert view.count(".tree-card") == 4
    assert view.count(".tree-card.merged") > 0
    assert len(set(view.labels())) == 6, "looking changes nothing"
    view.tab.key("Enter")
    view.tab.wait("document.querySelector('.tree-mark.now b')?.textContent === '4'")
    assert len(set(view.labels())) == 4
    view.tab.key("z", ctrl=True)
    view.tab.wait("document.querySelector('.tree-mark.now b')?.textContent === '6'")
    assert len(set(view.labels())) == 6


# -- take away ---------------------------------------------------------------------------------------------------------


def test_first_shown_then_written(on_map: View) -> None:
    on_map.tab.key("e")
    on_map.wait(".export-form")
    on_map.click("input[name=mode][value=copy]")
    on_map.tab.key("Enter")
    on_map.wait(".export-lines")
    folder = Path(on_map.text(".copy-line code"))
    assert not folder.exists(), "the first step writes nothing"
    assert on_map.text(".export-result h3") == "36 images would be written"
    on_map.click("input[name=mode][value=csv]")
    assert on_map.count(".export-lines") == 0, "what was shown is of other choices"
    on_map.click("input[name=mode][value=copy]")
    on_map.tab.key("Enter")
    on_map.wait(".export-lines")
    on_map.tab.key("Enter")
    on_map.tab.wait("document.querySelector('.export-result h3')?.textContent === '36 images written'")
    assert len(list(folder.rglob("*.png"))) == 36


def test_the_selection_is_taken_away(on_map: View) -> None:
    on_map.draw(*LEFT)
    on_map.tab.wait("document.querySelector('.map-said').textContent.startsWith('18 images')")
    on_map.tab.key("e")
    on_map.wait(".export-form")
    assert on_map.tab.run("document.querySelector('input[name=what]:checked').value") == "selection"
    on_map.tab.key("Enter")
    on_map.wait(".export-lines")
    assert on_map.text(".export-result h3") == "18 images would be written"
    program, *words = shlex.split(on_map.text(".export-command code"))
    assert program == "ilk"
    assert cli.main([*words, "--json"]) == 0
    with (Path(on_map.text(".copy-line code")) / "groups.csv").open() as table:
        assert sum(1 for _ in table) == 1 + 18
