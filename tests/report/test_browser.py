"""The page in a real browser: the map is drawn, thumbnails appear on hover, nothing else happens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import browser
import pytest
from report_run import HOSTILE, Make, pixels_of, runs_in

from ilk.files import ArraySet
from ilk.report import write_report

POINTS = "document.querySelectorAll('#map-live .point')"
OPACITIES = f"[...{POINTS}].map(p => Number(p.style.opacity))"


@pytest.fixture
def tab(chromium: browser.Browser) -> Iterator[browser.Browser]:
    """The tab; after each test, nothing may have been complained about, and nothing asked for."""
    chromium.problems.clear()
    chromium.requests.clear()
    yield chromium
    chromium.ask("Emulation.setScriptExecutionDisabled", value=False)
    chromium.ask("Emulation.setEmulatedMedia", features=[])
    assert chromium.problems == []
    assert chromium.requests == []


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run that has everything."""
    return write_report(runs_in(tmp_path_factory.mktemp("browser"))(rich=True, scored=True))


def test_the_map_is_drawn_when_it_comes_into_view(tab: browser.Browser, page: Path) -> None:
    tab.open(page)
    assert tab.run("typeof Plotly") == "undefined"
    tab.show_map()
    assert tab.run("Plotly.version[0]") >= "2"
    assert tab.run(f"{POINTS}.length") == 58
    assert tab.run("document.getElementById('map-still').hidden")
    assert tab.run("document.querySelectorAll('#map-legend button').length") == 4


def test_a_thumbnail_appears_on_hover(tab: browser.Browser, page: Path) -> None:
    tab.open(page)
    tab.show_map()
    name = tab.hover(3)
    number = int(tab.run("document.getElementById('map-card').dataset.point"))
    names = [HOSTILE.get(i, f"{i:05d}.jpg") for i in range(60) if i not in (5, 20)]
    expected = {10: "photo\\u202egpj.exe", 17: "two\\nlines\\r.jpg"}
    position = [i for i in range(60) if i not in (5, 20)][number]
    assert name == expected.get(position, names[number])
    tab.wait(f"document.getElementById('map-card').dataset.shown === '{number}'")
    assert tab.run("document.querySelector('#map-card img').naturalWidth") == 80  # the thumbnail, not a cell of 48
    assert "confidence 0." in tab.run("document.querySelector('#map-card .of').textContent")


def test_hostile_names_do_nothing(tab: browser.Browser, page: Path) -> None:
    tab.open(page)
    tab.show_map()
    for number in range(20):
        tab.run(f"Plotly.Fx.hover('map-live', [{{curveNumber: 0, pointNumber: {number}}}])")
    assert tab.run("document.querySelectorAll('script').length") == 8  # seven of the page, and plotly
    assert tab.run("document.querySelectorAll('i, u, iframe').length") == 0
    assert not tab.run("[...document.querySelectorAll('img')].some(i => i.getAttribute('src') === 'x')")


def test_a_group_is_highlighted_from_legend_and_card(tab: browser.Browser, page: Path) -> None:
    tab.open(page)
    tab.show_map()
    before = tab.run(OPACITIES)
    assert min(before) > 0.3
    tab.run("document.querySelectorAll('#map-legend button')[1].click()")
    tab.wait("document.querySelectorAll('#map-legend button')[1].getAttribute('aria-pressed') === 'true'")
    tab.wait(f"{OPACITIES}.filter(o => o < 0.1).length > 0")
    size = int(tab.run("document.querySelectorAll('#map-legend small')[1].textContent"))
    assert sum(o > 0.9 for o in tab.run(OPACITIES)) == size
    assert f"{size} of its {size} images" in tab.run("document.getElementById('map-status').textContent")
    tab.run("document.querySelector('#group-2 button').click()")
    tab.wait("document.querySelector('#map-legend button[aria-pressed=true] bdi').textContent === 'Group 2'")
    tab.run("document.getElementById('map-all').click()")
    tab.wait(f"{OPACITIES}.every(o => o > 0.3)")
    assert tab.run(OPACITIES) == before


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colour_by_confidence(tab: browser.Browser, page: Path, scheme: str) -> None:
    tab.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    tab.open(page)
    tab.show_map()
    fills = f"new Set([...{POINTS}].map(p => p.style.fill)).size"
    assert tab.run(fills) == 4
    tab.run("document.querySelector('input[value=confidence]').click()")
    tab.wait(f"{fills} > 20")
    assert not tab.run("document.getElementById('map-ramp').hidden")


def test_without_javascript_all_pictures_are_there(tab: browser.Browser, page: Path) -> None:
    tab.ask("Emulation.setScriptExecutionDisabled", value=True)
    tab.open(page)
    tab.ask("DOM.enable")
    root = tab.ask("DOM.getDocument")["root"]["nodeId"]
    find = {
        name: tab.ask("DOM.querySelector", nodeId=root, selector=name)["nodeId"]
        for name in ("#map-still", "#map-tools")
    }
    shown = tab.ask("DOM.getBoxModel", nodeId=find["#map-still"])["model"]
    assert shown["height"] > 200
    with pytest.raises(AssertionError, match="box model"):  # controls that would do nothing are not shown
        tab.ask("DOM.getBoxModel", nodeId=find["#map-tools"])
    pictures = tab.ask("DOM.querySelectorAll", nodeId=root, selector="img")["nodeIds"]
    assert len(pictures) > 40
    assert tab.ask("DOM.querySelectorAll", nodeId=root, selector=".js-plotly-plot")["nodeIds"] == []


def test_the_policy_stops_what_is_not_ours(chromium: browser.Browser, page: Path, tmp_path: Path) -> None:
    text = page.read_text("utf-8")
    other = tmp_path / "other.html"
    other.write_text(text.replace("</footer>", "<script>window.broken = 1</script></footer>"), "utf-8")
    chromium.open(other)
    assert chromium.run("typeof broken") == "undefined"
    assert any("Content Security Policy" in problem for problem in chromium.problems)


@pytest.mark.parametrize("odd", ["no_map", "no_k_table", "no_thumbs", "alone", "many"])
def test_pages_of_odd_runs_are_quiet(tab: browser.Browser, make_run: Make, odd: str) -> None:
    if odd == "alone":
        run = make_run(k=1, noise=False, bad={})
    elif odd == "many":
        run = make_run(n=600, k=200, bad={})
    else:
        run = make_run(**{odd: True})
    tab.open(write_report(run))
    if odd != "no_map":
        tab.show_map()
        tab.hover(0)
        assert tab.run("document.querySelector('#map-card img').hidden") == (odd == "no_thumbs")


# -- larger, and all of a group ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run with more images than its cards show, and the images at hand."""
    run = runs_in(tmp_path_factory.mktemp("many"))(n=120, side=200, bad={}, noise=False)
    names = [HOSTILE.get(i, f"{i:05d}.jpg") for i in range(120)]
    return write_report(run, None, ArraySet("array", pixels_of(120, 200), names))


def key(tab: browser.Browser, name: str, code: int) -> None:
    for kind in ("rawKeyDown", "keyUp"):
        tab.ask("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code)


def test_all_images_of_a_group_are_shown_and_hidden_again(tab: browser.Browser, many: Path) -> None:
    tab.open(many)
    button = "document.querySelector('#group-1 button[data-every]')"
    tab.wait(f"!{button}.closest('p').hidden")
    assert tab.run(f"{button}.textContent") == "Show all 40"
    tab.run(f"{button}.click()")
    rows = "[...document.querySelectorAll('#group-1 .strip.every img')].map(i => Number(i.dataset.row))"
    assert sorted(tab.run(rows)) == list(range(1, 120, 3))
    tab.run("document.querySelectorAll('.strip.every img').forEach(i => { i.loading = 'eager' })")
    pictures = "[...document.querySelectorAll('#group-1 .strip.every img')]"
    tab.wait(f"{pictures}.every(i => i.complete && i.naturalWidth === 128)")
    names = tab.run(f"{pictures}.map(i => i.alt)")
    assert "photo\\u202egpj.exe" in names
    tab.run(f"{button}.click()")
    assert tab.run(rows) == []


def test_one_is_seen_larger_with_the_keyboard_alone(tab: browser.Browser, many: Path) -> None:
    tab.open(many)
    tab.wait("document.querySelector('#group-0 img').tabIndex === 0")
    pictures = "[...document.querySelectorAll('#group-0 .central img')]"
    first, second = tab.run(f"{pictures}.slice(0, 2).map(i => i.dataset.row)")
    tab.run("document.querySelector('#group-0 img').focus()")
    key(tab, "Enter", 13)
    tab.wait("document.getElementById('large').open")
    assert tab.run("document.getElementById('large').dataset.row") == first
    tab.wait("document.querySelector('#large img').naturalWidth === 200")  # from the source, not the thumbnail
    assert tab.run("document.querySelector('#large .of').textContent").startswith("Group 0, confidence 0.")
    key(tab, "ArrowRight", 39)
    tab.wait(f"document.getElementById('large').dataset.row === '{second}'")
    key(tab, "ArrowLeft", 37)
    tab.wait(f"document.getElementById('large').dataset.row === '{first}'")
    key(tab, "Escape", 27)
    tab.wait("!document.getElementById('large').open")
    assert tab.run("document.activeElement.dataset.row") == first


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (420, 700)])
def test_the_card_of_the_map_stays_inside_of_the_window(
    tab: browser.Browser, page: Path, width: int, height: int
) -> None:
    tab.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
    tab.open(page)
    tab.show_map()
    tab.wait("window.ilkThumb !== undefined")
    card = "(() => { const b = document.getElementById('map-card').getBoundingClientRect();"
    for x, y in ((0, 0), (width, 0), (0, height), (width, height), (width // 2, height // 2)):
        event = f"{{points: [{{pointNumber: 3}}], event: {{clientX: {x}, clientY: {y}}}}}"
        tab.run(f"document.getElementById('map-live').emit('plotly_hover', {event})")
        tab.wait("document.getElementById('map-card').dataset.shown === '3'")
        left, top, right, bottom = tab.run(f"{card} return [b.left, b.top, b.right, b.bottom] }})()")
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        covered = left <= x <= right and top <= y <= bottom
        assert not covered or (x, y) != (width // 2, height // 2)
    tab.ask("Emulation.clearDeviceMetricsOverride")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_plots_are_dark_on_a_dark_page(tab: browser.Browser, page: Path, scheme: str) -> None:
    tab.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    tab.open(page)
    tab.run("document.querySelectorAll('.plot img').forEach(i => { i.loading = 'eager' })")
    tab.wait("[...document.querySelectorAll('.plot img')].every(i => i.complete && i.naturalWidth)")
    corner = """[...document.querySelectorAll('.plot img')].map(i => {
        const canvas = document.createElement('canvas'), pen = canvas.getContext('2d');
        pen.drawImage(i, 0, 0);
        return pen.getImageData(0, 0, 1, 1).data[0] })"""
    shades = tab.run(corner)
    assert len(shades) > 3
    assert all(shade < 60 if scheme == "dark" else shade > 240 for shade in shades)
