"""What a second user of the page stumbled over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import browser
import pytest
from trial import Ilk, write_images
from viewing import SHOWN, View, looking

from ilk import load_run

PLAIN = "document.querySelectorAll('.cell:not([hidden])').length"
NAMES = "[...document.querySelectorAll('#groups .name b')].map((one) => one.textContent)"


@pytest.fixture
def guessed(finished_copy: Path) -> Path:
    """The run of 36 images in 3 groups; of two it was guessed what they look like."""
    path = finished_copy / "clusters.json"
    groups = json.loads(path.read_text())
    for group, words in zip(groups, (["stripes", "zebra"], ["dots"], []), strict=True):
        group["looks_like"] = [{"word": word, "share": 0.5, "lift": 9.0} for word in words]
    path.write_text(json.dumps(groups))
    return finished_copy


@pytest.fixture
def view(chromium: browser.Browser, guessed: Path) -> Iterator[View]:
    for view in looking(chromium, guessed):
        view.open("/", "#left input")
        view.tab.key("Escape")
        apart(view)
        yield view


def apart(view: View) -> None:
    view.tab.run("document.getElementById('grid').focus()")
    view.tab.key("u")
    view.tab.wait(f"{PLAIN} === 12")


def test_a_group_without_a_name_is_called_by_its_guess(view: View) -> None:
    assert view.tab.run(NAMES) == ["stripes?", "dots?", "group 2"]
    assert view.text("#group-0 .words") == "group 0: stripes, zebra"
    assert view.text("#head h1") == "stripes?"
    view.tab.key("s")
    view.wait("#bar .chip.near")
    chips = "[...document.querySelectorAll('#bar .chip.near')]"
    named = view.tab.run(f"{chips}.map((one) => one.querySelector('.name').textContent)")
    assert sorted(named) == ["dots?", "group 2"]
    # what is pressed is drawn as a key, behind the name, and what it does stands before all of them
    assert view.tab.run(f"{chips}.map((one) => one.lastChild.className + one.lastChild.textContent)") == [
        "keys cap1",
        "keys cap2",
    ]
    assert view.tab.run("getComputedStyle(document.querySelector('.cap')).borderTopWidth") == "1px"
    assert view.text("#bar .nearest .hint") == "Move with a key to"
    view.tab.key("1")
    view.tab.wait("(document.querySelector('#toast .text') || {}).textContent?.startsWith('1 image moved to ')")
    assert view.text("#toast .text") == f"1 image moved to {named[0]}"


def test_another_order_begins_at_its_top(view: View) -> None:
    view.tab.run("document.getElementById('grid').focus()")
    for _ in range(16):
        view.tab.key("+")
    view.tab.key("ArrowRight")  # the first image goes to the far end when the order is turned round
    view.tab.run("(document.querySelector('.select select').value = 'doubtful')")
    view.tab.run("document.querySelector('.select select').dispatchEvent(new Event('change'))")
    view.tab.wait("document.querySelector('.cell.focused')?.id === 'cell-0'")
    assert view.tab.run("document.querySelector('#grid').scrollTop") == 0


def test_another_view_and_back_is_the_same_place(view: View) -> None:
    view.tab.run("document.getElementById('grid').focus()")
    for _ in range(16):
        view.tab.key("+")
    view.tab.run("document.querySelector('#grid').scrollTop = 300")
    top = view.tab.run("document.querySelector('#grid').scrollTop")
    assert top > 100
    for key in ("e", "k"):
        view.tab.key(key)
        view.wait(".view")
        view.tab.key("Escape")
        view.tab.wait("document.querySelector('#grid') !== null")
        assert view.tab.run("document.querySelector('#grid').scrollTop") == top


def test_images_that_join_while_one_looks(view: View, ilk: Ilk, tmp_path: Path) -> None:
    count = "document.querySelector('.viewrow[data-view=all] .muted').textContent"
    assert view.tab.run(count) == "36"
    assert ilk("update", view.run, write_images(tmp_path / "new", 6, seed=9)).code == 0
    view.tab.wait(f"{count} === '42'")
    view.tab.wait("document.querySelector('#right .path span')?.textContent.startsWith('/')")
    view.tab.key("h")
    view.wait("dialog .journal li")
    assert view.text("dialog .journal li span") == "6 images joined (update)"
    view.tab.key("Escape")


def test_nothing_would_move_says_the_rule(view: View) -> None:
    rows = view.numbers(SHOWN)
    run = load_run(view.run)
    run.corrections.confirm(rows)
    run.corrections.new(rows[:2], "odd ones")
    view.tab.wait(f"{NAMES}.includes('odd ones')")
    view.tab.key("g")
    view.wait(".view-message")
    assert view.text(".view-message h2") == "Nothing would move"
    said = view.text(".view-message p")
    assert "three times as probable" in said
    assert "odd ones has 2 examples of yours: move one or two more into it" in said
    assert view.count(".problems li") == 0, "it is said once"


def test_nothing_crosses_the_words_below_the_slider(view: View) -> None:
    levels = {name: {"k": k, "groups": []} for name, k in (("coarse", 2), ("natural", 4), ("fine", 5), ("finest", 6))}
    (view.run / "suggestions.json").write_text(json.dumps(levels))
    view.tab.key("k")
    view.tab.wait("document.querySelectorAll('.tree-mark').length === 5")
    boxes = view.tab.run("""[...document.querySelectorAll('.tree-mark')].map((one) => {
        const b = one.getBoundingClientRect();
        return [b.left, b.right, b.top, b.bottom, parseFloat(getComputedStyle(one, '::before').height)];
    })""")
    for i, (left, _, top, _, line) in enumerate(boxes):
        for j, (x0, x1, y0, y1, _) in enumerate(boxes):
            crosses = i != j and x0 + 1 < left < x1 - 1 and top - line < y1 and y0 < top
            assert not crosses, (i, j, boxes)
