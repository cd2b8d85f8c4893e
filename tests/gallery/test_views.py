"""The views of the page in a real browser: map, check the doubtful, group again, how many groups, take away."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser
import numpy as np
import pytest
from sklearn.datasets import load_digits

import ilk
from ilk import cli
from ilk.gallery import Served, serving

SOFTWARE = ("swiftshader", "GPU stall due to ReadPixels")
"""What Chromium says of WebGL on a machine without a graphics card."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[browser.Browser]:
    """A tab; without a browser the tests are skipped, or fail where ILK_NEED_BROWSER is set (as in CI)."""
    if browser.find() is None:
        message = "no Chromium is installed (Debian, Ubuntu: apt install chromium)"
        if os.environ.get("ILK_NEED_BROWSER"):
            pytest.fail(message)
        pytest.skip(message)
    with browser.browser() as tab:
        yield tab


@pytest.fixture
def placed(finished_copy: Path) -> Path:
    """A run of 36 images in 3 groups, on a map where image i is at (i mod 6, i div 6)."""
    spots = np.arange(36)
    np.save(finished_copy / "map.npy", np.column_stack([spots % 6, spots // 6]).astype(np.float32))
    return finished_copy


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


SHOWN = r"[...document.querySelectorAll('.cell:not([hidden]) img[src]')].map((one) => one.src.match(/thumb\/(\d+)/)[1])"


class View:
    """One view of a run in the browser.

    Attributes
    ----------
    tab : Browser
    run : Path
    """

    def __init__(self, tab: browser.Browser, run: Path, served: Served) -> None:
        self.tab, self.run, self._served = tab, run, served

    def open(self, view: str, ready: str) -> None:
        """Go to a view and wait for the element `ready`."""
        self.tab.visit(self._served.address)
        self.tab.wait("document.body.dataset.ready === 'true'")
        self.tab.key(view)
        self.wait(ready)

    def wait(self, selector: str) -> None:
        """Wait until there is such an element, and it is seen."""
        self.tab.wait(f"Boolean(document.querySelector({json.dumps(selector)})?.getClientRects().length)")

    def count(self, selector: str) -> int:
        return int(self.tab.run(f"document.querySelectorAll({json.dumps(selector)}).length"))

    def text(self, selector: str) -> str:
        return str(self.tab.run(f"document.querySelector({json.dumps(selector)}).textContent"))

    def click(self, selector: str, number: int = 0) -> None:
        self.tab.run(f"document.querySelectorAll({json.dumps(selector)})[{number}].click()")

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Return left, top, width and height of an element."""
        script = f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        x, y, wide, high = self.tab.run(f"{script}; return [b.x, b.y, b.width, b.height] }})()")
        return x, y, wide, high

    def numbers(self, script: str) -> list[int]:
        return [int(one) for one in self.tab.run(script)]

    def draw(self, *points: tuple[float, float], shift: bool = True) -> None:
        """Drag the mouse over the map through `points`, in parts of its width and height."""
        x, y, wide, high = self.box(".map-window .over")
        held: dict[str, Any] = {"button": "left", "modifiers": 8 * shift}
        path = [(x + a * wide, y + b * high) for a, b in points]
        self.tab.mouse(*path[0], "mousePressed", buttons=1, clickCount=1, **held)
        for spot in path[1:]:
            self.tab.mouse(*spot, "mouseMoved", buttons=1, **held)
        self.tab.mouse(*path[-1], "mouseReleased", clickCount=1, **held)

    def selected(self, number: int) -> list[int]:
        """Return the rows that are selected, of which there must be `number`: by looking at them in the grid."""
        self.tab.wait(f"document.querySelector('.map-said').textContent.startsWith('{number} image')")
        self.tab.key("s")
        self.tab.wait(f"document.querySelectorAll('.cell.selected img[src]').length === {number}")
        return sorted(self.numbers(SHOWN.replace(".cell", ".cell.selected")))

    def done(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the corrections in effect."""
        return [(one.do, dict(one.arguments)) for one, live in ilk.load_run(self.run).corrections.actions() if live]

    def labels(self) -> list[int]:
        return [int(one) for one in ilk.load_run(self.run).labels()]


def looking(tab: browser.Browser, run: Path) -> Iterator[View]:
    """Yield a gallery of `run`; afterwards nothing may have been complained about."""
    tab.problems.clear()
    tab.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    with serving(run) as served:
        yield View(tab, run, served)
        tab.visit("about:blank")
    assert [one for one in tab.problems if not any(word in one for word in SOFTWARE)] == []


@pytest.fixture
def on_map(chromium: browser.Browser, placed: Path) -> Iterator[View]:
    for view in looking(chromium, placed):
        view.open("m", ".map-window[data-ready=true]")
        yield view


@pytest.fixture
def view(chromium: browser.Browser, doubtful: Path) -> Iterator[View]:
    yield from looking(chromium, doubtful)


LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 0.999), (0.0, 0.999))
ALL = ((0.0, 0.0), (0.999, 0.0), (0.999, 0.999), (0.0, 0.999))

# -- map ---------------------------------------------------------------------------------------------------------------


def test_a_line_selects_what_is_inside(on_map: View) -> None:
    on_map.draw(*LEFT)
    assert on_map.selected(18) == [i for i in range(36) if i % 6 < 3]


def test_up_is_up(on_map: View) -> None:
    on_map.tab.key("l")  # with the button's key instead of Shift
    on_map.draw((0.0, 0.0), (0.999, 0.0), (0.999, 0.5), (0.0, 0.5), shift=False)
    assert on_map.selected(18) == list(range(18, 36))


def test_the_map_by_keyboard(on_map: View) -> None:
    on_map.tab.key("Enter")  # the circle in the middle lies between the four images around it
    assert on_map.text(".map-said") == ""
    for _ in range(2):
        on_map.tab.key("-")
    on_map.tab.key("Enter")
    assert on_map.text(".map-said") == "4 images selected"
    on_map.tab.key("ArrowUp")  # a row on, and somewhat more
    on_map.tab.key("Enter", shift=True)
    assert set(on_map.selected(6)) == {14, 15, 20, 21, 26, 27}


def test_what_the_legend_hides_is_not_selected(on_map: View) -> None:
    labels = np.array(on_map.labels())
    names = on_map.tab.run("[...document.querySelectorAll('.map-legend .text')].map((one) => one.textContent)")
    on_map.click(".map-legend button", 1)
    on_map.draw(*ALL)
    group = int(names[1].removeprefix("group "))
    assert on_map.selected(int((labels == group).sum())) == np.flatnonzero(labels == group).tolist()


def test_the_card_of_an_image(on_map: View) -> None:
    x, y, wide, high = on_map.box(".map-window .over")
    unit = (min(wide, high) - 2 * min(56, 0.1 * min(wide, high))) / 5  # pixels between images, where all is seen
    on_map.tab.key("i")  # points only
    on_map.tab.mouse(x + wide / 2 - unit / 2, y + high / 2 + unit / 2)  # column 2, row 2
    on_map.wait(".map-card")
    assert "/thumb/14?" in on_map.tab.run("document.querySelector('.map-card img').src")
    assert on_map.text(".map-card .name") == f"group {on_map.labels()[14]}"


def test_a_selection_of_the_grid_is_seen_on_the_map(on_map: View) -> None:
    on_map.draw(*LEFT)
    on_map.selected(18)
    on_map.tab.key("m")
    on_map.wait(".map-window[data-ready=true]")
    on_map.tab.wait("document.querySelector('.map-said').textContent.startsWith('18 images')")


DRAWN = """(async () => {
  const { pointsOn, PLAIN, CHOSEN } = await import("/static/views/points.js");
  const { Camera } = await import("/static/views/camera.js");
  const n = 300, x = new Float32Array(n), y = new Float32Array(n), look = new Uint8Array(4 * n);
  let seed = 1;
  const random = () => (seed = seed * 48271 % 2147483647) / 2147483647;
  for (let i = 0; i < n; i++) {
    [x[i], y[i]] = [random(), random() * 0.7];
    look.set([0, 0, 255, i % 9 ? PLAIN : CHOSEN], 4 * i);
  }
  const kinds = {};
  for (const kind of ["webgl", "2d"]) {
    const canvas = document.createElement("canvas");
    canvas.width = 400;
    canvas.height = 300;
    const camera = new Camera();
    camera.resize(400, 300);
    camera.go(camera.toFit({ left: 0, right: 1, bottom: 0, top: 0.7 }, true));
    const points = pointsOn(canvas, () => {}, kind);
    points.place(x, y);
    points.paint(look, [255, 255, 255], [0, 0, 0]);
    points.draw(camera, 8);
    const copy = new OffscreenCanvas(400, 300).getContext("2d");
    copy.fillStyle = "#fff";
    copy.fillRect(0, 0, 400, 300);
    copy.drawImage(canvas, 0, 0);
    const data = copy.getImageData(0, 0, 400, 300).data;
    const seen = (i) => (data[4 * i] > 128 ? 0 : data[4 * i + 2] > 128 ? 1 : 2);
    kinds[points.kind] = [...Array(400 * 300).keys()].map(seen);
  }
  return kinds;
})()"""


def test_both_ways_to_draw_show_the_same(on_map: View) -> None:
    kinds = on_map.tab.run(DRAWN)
    card, hand = np.array(kinds["webgl"]), np.array(kinds["2d"])
    for kind, least in ((1, 0.75), (2, 0.5)):  # points, and the thin rims of chosen ones
        both, either = ((card == kind) & (hand == kind)).sum(), ((card == kind) | (hand == kind)).sum()
        assert either > 500
        assert both / either > least, kind
    assert (card == hand).mean() > 0.95


PICTURED = """(async () => {
  const { Cells, pictured, positions } = await import("/static/views/cells.js");
  const { Camera } = await import("/static/views/camera.js");
  const n = 3000, flat = new Float32Array(2 * n);
  let seed = 7;
  const random = () => (seed = seed * 48271 % 2147483647) / 2147483647;
  for (let i = 0; i < n; i++) [flat[2 * i], flat[2 * i + 1]] = [random() ** 2 * 9, random() * 5];
  flat[10] = NaN;
  const { x, y, box } = positions(flat), cells = new Cells(x, y), camera = new Camera();
  camera.resize(700, 500);
  camera.go(camera.toFit(box, true));
  const found = [];
  for (let step = 0; step < 30; step++) {
    camera.go(camera.toZoom(200, 240, 1.2));
    const ok = (row) => row % 5 > 0, { left, right, bottom, top } = camera.seen();
    const within = (row) => x[row] >= left && x[row] <= right && y[row] >= bottom && y[row] <= top;
    const seen = [...x.keys()].filter((row) => ok(row) && within(row)).length;
    found.push([seen, pictured(cells, camera, 50, ok, 80).map(({ row, px, py }) => [row, px, py])]);
  }
  return found;
})()"""


def test_pictures_lie_over_no_other(on_map: View) -> None:
    most = 0
    for seen, shown in on_map.tab.run(PICTURED):
        rows, places = [row for row, _, _ in shown], np.array([[px, py] for _, px, py in shown]).reshape(-1, 2)
        apart = np.abs(places[:, None] - places[None]).max(2) + 1e9 * np.eye(len(places))
        assert len(shown) <= 80
        assert len(shown) < 2 or apart.min() >= 50
        assert all(row % 5 and row != 5 for row in rows)
        assert shown or not 0 < seen <= 100, "so few that they can be seen as pictures"
        most = max(most, len(shown))
    assert most > 30


def test_what_is_inside_a_line(on_map: View) -> None:
    script = """(async () => {
      const { inside, circle } = await import("/static/views/lasso.js");
      const star = [0, 0, 4, 0, 4, 4, 0, 4, 0, 1, 3, 1, 3, 3, 0, 3];
      const ring = circle(2, 2, 0.9);
      return [[1, 0.5], [1, 2], [3.5, 2], [5, 2], [-1, 2]].map(([x, y]) => [inside(star, x, y), inside(ring, x, y)]);
    })()"""
    assert on_map.tab.run(script) == [[True, False], [False, False], [True, False], [False, False], [False, False]]


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


def test_the_images_of_one_flow(view: View) -> None:
    run = ilk.load_run(view.run)
    run.corrections.move([int(row) for row in np.flatnonzero(run.labels() == 3)[:12]], to=4)
    view.open("g", ".flow-line, .flow-list summary")
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
