"""The map of the page in a real browser."""

from __future__ import annotations

import numpy as np
from viewing import ALL, LEFT, View


def test_a_line_selects_what_is_inside(on_map: View) -> None:
    on_map.draw(*LEFT)
    assert on_map.selected(18) == [i for i in range(36) if i % 6 < 3]


def test_up_is_up(on_map: View) -> None:
    on_map.tab.key("l")  # with the button's key instead of Shift
    on_map.draw((0.0, 0.0), (0.999, 0.0), (0.999, 0.5), (0.0, 0.5), shift=False)
    assert on_map.selected(18) == list(range(18, 36))


def test_the_map_by_keyboard(on_map: View) -> None:
    on_map.tab.run("document.querySelector('.map-legend').hidden = true")  # the map is as wide as high then
    width = "document.querySelector('.map-{}').clientWidth"
    on_map.tab.wait(f"{width.format('window')} === {width.format('body')}")
    on_map.tab.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    on_map.tab.key("Enter")  # the circle in the middle lies between the four images around it
    assert on_map.text(".map-said") == ""
    for _ in range(2):
        on_map.tab.key("-")
    on_map.tab.key("Enter")
    assert on_map.text(".map-said") == "4 images selected"
    on_map.tab.key("ArrowUp")  # a row on, and somewhat more
    on_map.tab.key("Enter", shift=True)
    assert set(on_map.selected(6)) == {14, 15, 20, 21, 26, 27}


def test_the_legend_lies_beside_the_points(on_map: View) -> None:
    left, _, wide, _ = on_map.box(".map-legend")
    assert left + wide <= on_map.box(".map-window .over")[0]


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
    points.locate(x, y);
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
