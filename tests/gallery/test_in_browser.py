"""The page of the gallery in a real browser, from end to end: what a person does, by keyboard and by mouse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser
import numpy as np
import pytest

import ilk
from ilk.gallery import Served, serving

SELECTED = "document.querySelectorAll('.cell.selected').length"
TITLE = "document.querySelector('#head h1').textContent"
LINE = "(document.querySelector('#toast .text') || {}).textContent"
CELLS = "document.querySelectorAll('.cell:not([hidden])').length"


@pytest.fixture
def served(finished_copy: Path) -> Iterator[Served]:
    """A gallery of 36 images in 3 groups."""
    with serving(finished_copy) as gallery:
        yield gallery


@pytest.fixture
def page(chromium: browser.Browser, served: Served) -> Iterator[browser.Browser]:
    """The page, opened; afterwards nothing may have been complained about, and nobody else been asked for anything."""
    chromium.problems.clear()
    chromium.requests.clear()
    chromium.visit(served.address)
    chromium.wait("document.body?.dataset.ready === 'true'")
    apart(chromium)
    yield chromium
    chromium.visit("about:blank")
    assert chromium.problems == []
    home = f"http://127.0.0.1:{served.port}/"
    assert chromium.requests
    assert [address for address in chromium.requests if not address.startswith((home, "blob:"))] == []


def apart(page: browser.Browser) -> None:
    """Show the 12 images of the first group one by one: they are so much alike that they lie in stacks."""
    page.wait(f"{CELLS} > 0")
    page.run("document.getElementById('grid').focus()")
    page.key("u")
    page.wait(f"{CELLS} === 12")


class Groups:
    """The groups as the run on the disk has them."""

    def __init__(self, folder: Path) -> None:
        self.run = ilk.load_run(folder)

    @property
    def labels(self) -> np.ndarray[Any, Any]:
        return self.run.labels()

    @property
    def names(self) -> dict[int, str]:
        return dict(self.run.corrections.grouping().names)

    def done(self) -> list[str]:
        return [action.do for action, live in self.run.corrections.actions() if live]


@pytest.fixture
def groups(finished_copy: Path) -> Groups:
    return Groups(finished_copy)


def said(page: browser.Browser, what: str) -> None:
    """Wait until a correction is done: the page says so, and the list on the left follows."""
    page.wait(f"({LINE} || '').includes({json.dumps(what)})")


def shown(page: browser.Browser) -> int:
    """Return the group that is shown."""
    return int(page.run("document.querySelector('.group[aria-selected=true]').dataset.group"))


def click(page: browser.Browser, selector: str, *, modifiers: int = 0, count: int = 1) -> None:
    """Click the middle of an element, with a real pointer."""
    x, y = middle(page, selector)
    page.mouse(x, y)
    for number in range(1, count + 1):
        more = {"button": "left", "clickCount": number, "modifiers": modifiers}
        page.mouse(x, y, "mousePressed", buttons=1, **more)
        page.mouse(x, y, "mouseReleased", **more)


def middle(page: browser.Browser, selector: str) -> tuple[float, float]:
    quoted = json.dumps(selector)
    page.wait(f"document.querySelector({quoted}) !== null")
    box = f"document.querySelector({quoted}).getBoundingClientRect()"
    x, y = page.run(f"(() => {{ const b = {box}; return [b.x + b.width / 2, b.y + b.height / 2] }})()")
    return float(x), float(y)


def drag(page: browser.Browser, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse(*start)
    page.mouse(*start, "mousePressed", button="left", buttons=1, clickCount=1)
    for part in (0.2, 0.6, 1.0):
        x, y = (a + part * (b - a) for a, b in zip(start, end, strict=True))
        page.mouse(x, y, "mouseMoved", button="left", buttons=1)
    page.mouse(*end, "mouseReleased", button="left", clickCount=1)


# -- by keyboard alone -------------------------------------------------------------------------------------------------


def test_all_of_it_by_keyboard(page: browser.Browser, groups: Groups) -> None:
    page.run("document.querySelector('#grid').focus()")
    first, before = shown(page), groups.labels.copy()
    page.key("ArrowRight", shift=True)
    page.key("ArrowRight", shift=True)
    page.wait(f"{SELECTED} === 3")
    page.key("1")  # to the nearest group
    page.wait(f"{SELECTED} === 0")
    said(page, "3")
    moved = np.flatnonzero(groups.labels != before)
    assert len(moved) == 3
    assert set(before[moved]) == {first}
    to = set(groups.labels[moved])
    assert len(to) == 1

    page.key("r")
    page.wait("document.querySelector('dialog input') !== null")
    page.run("document.querySelector('dialog input').select()")
    page.type("stripes")
    page.key("Enter")
    page.wait(f"{TITLE} === 'stripes'")
    assert groups.names[first] == "stripes"

    page.key("s")
    page.wait(f"{SELECTED} === 1")
    page.key("n")
    page.wait("document.querySelector('dialog input') !== null")
    page.type("one alone")
    page.key("Enter")
    page.wait("document.querySelector('dialog') === null && document.querySelectorAll('.group').length === 4")
    new = next(group for group, name in groups.names.items() if name == "one alone")
    assert (groups.labels == new).sum() == 1

    page.key("M", shift=True)
    page.wait("document.querySelector('dialog input') !== null")
    page.type("one al")
    page.key("Enter")
    page.wait("document.querySelectorAll('.group').length === 3")
    assert groups.done() == ["move", "rename", "new", "merge"]

    for left in range(3, -1, -1):
        page.key("z", ctrl=True)
        page.wait("document.querySelector('#top [aria-label^=Redo]').title.startsWith('Redo: ')")
        _count(page, left, groups)
    assert (groups.labels == before).all()
    page.key("Z", ctrl=True, shift=True)
    _count(page, 1, groups)
    assert (groups.labels == before).sum() == len(before) - 3


def _count(page: browser.Browser, count: int, groups: Groups) -> None:
    """Wait until so many corrections are in effect, as the server says it, and hold it against the journal."""
    page.wait(f"fetch('/api/state').then(a => a.json()).then(s => s.count === {count})")
    assert len(groups.done()) == count


def test_confirm_ignore_and_split_by_keyboard(page: browser.Browser, groups: Groups) -> None:
    page.run("document.querySelector('#grid').focus()")
    size = page.run(CELLS)
    page.key("c")
    page.wait("document.querySelectorAll('.mark.confirmed').length === 1")
    page.key("x")
    page.wait(f"{CELLS} === {size - 1}")
    assert groups.done() == ["confirm", "ignore"]
    assert groups.run.corrections.grouping().said.tolist().count(3) == 1
    page.key("s")
    page.wait(f"{SELECTED} === 1")
    page.key("b")
    page.wait("document.querySelectorAll('.group').length === 4")
    page.key("z", ctrl=True)
    page.wait("document.querySelectorAll('.group').length === 3")
    page.key("S", shift=True)
    page.wait("document.querySelectorAll('.group').length === 4")
    assert groups.done() == ["confirm", "ignore", "split"]
    assert len(set(groups.labels[groups.labels >= 0])) == 4


def test_what_is_confirmed_stays_where_one_looks(page: browser.Browser) -> None:
    """Confirming makes an image certain, which sorts it to the front: not while a person goes through the group."""
    order = """[...document.querySelectorAll('.cell:not([hidden])')]
        .sort((a, b) => a.id.slice(5) - b.id.slice(5))
        .map((cell) => cell.querySelector('img').getAttribute('src')).join()"""
    page.run("document.querySelector('#grid').focus()")
    page.wait("document.querySelectorAll('.cell:not([hidden]):not(.loaded)').length === 0")
    before = page.run(order)
    for _ in range(5):
        page.key("ArrowRight")
    page.key("c")
    page.wait("document.querySelectorAll('.mark.confirmed').length === 1")
    page.run("fetch('/api/state')")  # by then the list that follows the correction is there
    page.wait("document.querySelector('#cell-5 .mark.confirmed') !== null")
    assert page.run(order) == before
    assert page.run("document.querySelector('.cell.focused').id") == "cell-5"


def test_the_original_opens_walks_and_closes(page: browser.Browser) -> None:
    page.run("document.querySelector('#grid').focus()")
    page.key(" ")
    page.wait("!document.getElementById('viewer').hidden")
    page.wait("document.querySelector('#viewer .area img').classList.contains('sharp')")
    name = "document.querySelector('#viewer header b').textContent"
    page.wait(f"{name} !== ''")
    first = page.run(name)
    page.key("ArrowRight")
    page.wait(f"{name} !== '' && {name} !== {json.dumps(first)}")
    scale = "new DOMMatrix(getComputedStyle(document.querySelector('#viewer .area img')).transform).a"
    page.wait("document.querySelector('#viewer .area img').classList.contains('sharp')")
    before = page.run(scale)
    page.key("+")
    page.wait(f"{scale} > {before}")
    page.key("Escape")
    page.wait("document.getElementById('viewer').hidden && document.activeElement.id === 'grid'")
    assert page.run("document.querySelector('.cell.focused').getAttribute('aria-label')").split(",")[0] == "image 2"


# -- by mouse ----------------------------------------------------------------------------------------------------------


def test_images_are_dragged_onto_a_group(page: browser.Browser, groups: Groups) -> None:
    first = shown(page)
    click(page, "#cell-0")
    click(page, "#cell-1", modifiers=2)
    page.wait(f"{SELECTED} === 2")
    others = page.run("[...document.querySelectorAll('.group')].map(g => Number(g.dataset.group))")
    to = next(group for group in others if group != first)
    before = groups.labels.copy()
    drag(page, middle(page, "#cell-1"), middle(page, f"#group-{to}"))
    said(page, "2")
    moved = np.flatnonzero(groups.labels != before)
    assert len(moved) == 2
    assert set(groups.labels[moved]) == {to}
    click(page, "#toast .button")  # Undo
    _count(page, 0, groups)
    assert (groups.labels == before).all()


def test_a_group_is_dragged_onto_another_and_it_asks(page: browser.Browser, groups: Groups) -> None:
    a, b = page.run("[...document.querySelectorAll('.group')].slice(0, 2).map(g => Number(g.dataset.group))")
    drag(page, middle(page, f"#group-{a}"), middle(page, f"#group-{b}"))
    page.wait("document.querySelector('dialog') !== null")
    assert groups.done() == []
    click(page, "dialog .button.first")
    page.wait("document.querySelectorAll('.group').length === 2")
    assert groups.run.corrections.grouping().merged == {a: b}
    assert shown(page) == b


def test_a_rubber_band_and_shift(page: browser.Browser) -> None:
    page.run("document.querySelector('#grid').focus()")
    left, top = page.run(
        "(() => { const b = document.getElementById('grid').getBoundingClientRect(); return [b.x, b.y] })()"
    )
    x, y = middle(page, "#cell-2")
    drag(page, (left + 3, top + 3), (x, y))
    page.wait(f"{SELECTED} === 3")
    click(page, "#cell-0")
    click(page, "#cell-3", modifiers=8)
    page.wait(f"{SELECTED} === 4")
    page.key("a", ctrl=True)
    page.wait(f"{SELECTED} === {CELLS}")
    page.key("Escape")
    page.wait(f"{SELECTED} === 0")


def test_a_name_is_changed_where_it_stands(page: browser.Browser, groups: Groups) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    group = shown(page)
    click(page, f"#group-{group}", count=2)
    page.wait("document.querySelector('input.rename') !== null")
    page.type(hostile)
    page.key("Enter")
    page.wait(f"{TITLE} === {json.dumps(hostile)}")
    assert groups.names[group] == hostile


def test_the_panel_walks_from_image_to_image(page: browser.Browser) -> None:
    page.wait("document.querySelectorAll('#right .neighbour').length > 3")
    first = page.run("document.getElementById('right').dataset.row")
    next_one = page.run("document.querySelector('#right .neighbour').dataset.row")
    click(page, "#right .neighbour")
    page.wait(f"document.getElementById('right').dataset.row === '{next_one}'")
    click(page, "#right header .button")
    page.wait(f"document.getElementById('right').dataset.row === '{first}'")


# -- the frame ---------------------------------------------------------------------------------------------------------


def test_every_key_of_the_table_is_there_and_help_shows_them(page: browser.Browser) -> None:
    page.key("?")
    page.wait("document.querySelector('dialog .keytable') !== null")
    table = page.run("document.querySelector('dialog .keytable').textContent")
    for words in ("undo", "redo", "move to one of the nearest groups", "open the original", "search by file name"):
        assert words in table
    page.key("Escape")
    page.wait("document.querySelector('dialog') === null")


def test_another_window_is_followed(page: browser.Browser, served: Served, groups: Groups) -> None:
    groups.run.corrections.rename(shown(page), "from elsewhere")
    page.wait(f"{TITLE} === 'from elsewhere'")


def test_search_and_views(page: browser.Browser) -> None:
    page.key("/")
    page.wait("document.activeElement.type === 'search'")
    page.type("zzz-none")
    page.wait("!document.querySelector('#grid .empty').hidden")
    page.key("Escape")
    page.wait(f"{CELLS} > 0")
    click(page, "[data-view=all]")
    page.wait("document.querySelector('#head .number').textContent === '36 images'")
    page.wait("location.hash === '#view=all'")
    page.run("window.before = true")
    page.ask("Page.reload")
    page.wait("!window.before && document.querySelector('#head .number')?.textContent === '36 images'")


def test_a_phone_has_all_of_it(page: browser.Browser) -> None:
    page.ask("Emulation.setDeviceMetricsOverride", width=420, height=860, deviceScaleFactor=1, mobile=True)
    try:
        page.wait("getComputedStyle(document.getElementById('bottom')).display === 'flex'")
        assert page.run("document.documentElement.scrollWidth") <= 420
        assert page.run("document.getElementById('grid').clientWidth") >= 400
        click(page, "#bottom .tab")
        page.wait("document.getElementById('left').getBoundingClientRect().left === 0")
        click(page, ".group:nth-child(2)")
        page.wait("!document.body.classList.contains('drawer')")
        page.wait("document.querySelector('.group:nth-child(2)').getAttribute('aria-selected') === 'true'")
    finally:
        page.ask("Emulation.clearDeviceMetricsOverride")


def test_what_is_typed_ahead_of_the_server_is_done_in_order(page: browser.Browser, groups: Groups) -> None:
    page.run("document.querySelector('#grid').focus()")
    page.run("""for (const key of ['c', 'ArrowRight', 'c', 'ArrowRight', 'x']) {
        const how = {key, bubbles: true, cancelable: true};
        document.getElementById('grid').dispatchEvent(new KeyboardEvent('keydown', how));
    }""")
    _count(page, 3, groups)
    assert groups.done() == ["confirm", "confirm", "ignore"]


def test_a_run_that_cannot_be_written_is_looked_at(
    chromium: browser.Browser, finished_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = "it can be looked at, not corrected"
    monkeypatch.setattr("ilk.disk.unwritable", lambda folder: "Read-only file system")
    with serving(finished_copy) as served:
        chromium.problems.clear()
        chromium.visit(served.address)
        chromium.wait("document.body?.dataset.ready === 'true'")
        assert why in chromium.run("document.getElementById('notice').textContent")
        chromium.run("document.querySelector('#grid').focus()")
        apart(chromium)
        for key in ("1", "x", "c", "r", "b"):
            chromium.key(key)
        chromium.key("a", ctrl=True)
        chromium.wait(f"{SELECTED} > 1")
        chromium.key("z", ctrl=True)
        chromium.wait(f"({LINE} || '').includes('Look only')")
        assert chromium.run("document.querySelectorAll('#head .acts .button, #bar .button.first').length") == 0
        assert chromium.problems == []
        chromium.visit("about:blank")
    assert Groups(finished_copy).done() == []
