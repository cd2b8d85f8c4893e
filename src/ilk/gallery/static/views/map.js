// The map: every image where its neighbours are; pan, zoom, a line around some to select them.

import { button, count, el } from "../dom.js";
import { Camera } from "./camera.js";
import { Cells, pictured, positions } from "./cells.js";
import { colouring, COLOURINGS, looks, medians, variable } from "./colouring.js";
import { gestures } from "./gestures.js";
import { Card, chooser, Legend } from "./legend.js";
import { circle, lassoed } from "./lasso.js";
import { drawLine, drawMiddle, drawPictures, Names, Pictures } from "./overlay.js";
import { HIDDEN, pointsOn } from "./points.js";

const MOST = 150; // pictures at once
const MIDDLE = 44; // radius of what Enter selects, in pixels
const STEP = 90; // pixels an arrow key moves
const GLIDE = 220; // ms

class MapOfImages {
  constructor(root, app) {
    this.app = app;
    this.camera = new Camera();
    this.by = "group";
    this.pictures = new Pictures((row) => app.thumb(row), () => this.draw());
    this.withPictures = true;
    this.lasso = false;
    this.line = [];
    this.shown = [];
    this.off = [];
    this.build(root);
  }

  build(root) {
    const app = this.app;
    this.canvas = el("canvas", { class: "points", "aria-hidden": "true" });
    this.over = el("canvas", {
      class: "over", tabindex: "0", role: "application", "aria-roledescription": "map",
      "aria-label": "Map of the images: those alike lie together. Arrow keys move it, plus and minus zoom, Enter selects the images in the circle in the middle, L draws a line around some.",
    });
    this.names = new Names(el("div", { class: "map-names" }), (group) => app.show({ group }));
    this.legend = new Legend(() => this.repaint());
    this.card = new Card(app);
    this.said = el("p", { class: "map-said", role: "status" });
    this.lassoButton = button("Draw around", "L", () => this.setLasso(!this.lasso), { icon: LASSO, title: "Draw a line around images to select them; or drag with Shift" });
    this.selected = el("div", { class: "map-selected panel", hidden: true }, this.said,
      button("Show them", "S", () => this.showSelected(), { icon: "grid", class: "first", title: "The selected images, in the grid" }),
      button("", "Esc", () => app.select([]), { icon: "close", label: "Select nothing", keys: false, class: "quiet" }));
    this.pictureButton = button("Pictures", "I", () => this.setPictures(!this.withPictures), { title: "Pictures instead of points where there is room" });
    this.pictureButton.setAttribute("aria-pressed", "true");
    const zoom = el("div", { class: "map-zoom" },
      button("", "+", () => this.zoomMiddle(1.6), { icon: "plus", label: "Nearer", keys: false }),
      button("", "-", () => this.zoomMiddle(1 / 1.6), { icon: "M5 12h14", label: "Farther", keys: false }),
      button("", "0", () => this.fit(), { icon: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5", label: "The whole map", keys: false }));
    this.window = el("div", { class: "map-window" }, this.canvas, this.over, this.names.root, zoom, this.selected, this.card.root);
    root.append(el("div", { class: "view-bar" }, chooser(this.by, (id) => this.colourBy(id)), el("span", { class: "grow" }), this.lassoButton, this.pictureButton), el("div", { class: "map-body" }, this.legend.root, this.window));
  }

  async start() {
    const app = this.app;
    this.window.dataset.ready = "false";
    const [flat, labels] = await Promise.all([app.bytes("/api/map"), app.bytes("/api/labels")]);
    const { x, y, box } = positions(new Float32Array(flat));
    this.labels = new Int32Array(labels);
    if (this.ended) return;
    if (!box) {
      this.window.replaceChildren(el("p", { class: "empty" }, "No image of this run is on the map."));
      return;
    }
    Object.assign(this, { x, y, box, cells: new Cells(x, y) });
    this.points = pointsOn(this.canvas, () => this.repaint());
    this.points.locate(x, y);
    this.window.dataset.kind = this.points.kind;
    this.resize();
    this.camera.go(this.camera.toFit(box, true));
    await this.colourBy(this.by);
    this.listen();
    this.window.dataset.ready = "true";
  }

  listen() {
    const app = this.app, key = (keys, text, f, label) => this.off.push(app.keys.add("map", keys, text, f, label));
    const watch = new ResizeObserver(() => this.resize());
    watch.observe(this.window);
    this.off.push(() => watch.disconnect());
    this.off.push(app.on("selection", () => this.repaint()), app.on("theme", () => this.repaint()), app.on("state", () => this.refresh()));
    this.off.push(gestures(this.over, {
      pan: (dx, dy) => { this.glide = null; this.camera.pan(dx, dy); this.draw(); },
      zoom: (px, py, factor, smooth) => this.zoom(px, py, factor, smooth),
      hover: (px, py) => this.hover(px, py),
      click: (px, py, event) => this.click(px, py, event),
      draws: (event) => this.lasso || event.shiftKey,
      line: (path, done, event) => this.drawn(path, done, event),
    }));
    const moves = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    key(Object.keys(moves), "move the map", (_, pressed) => this.pan(...moves[pressed]), "← → ↑ ↓");
    key(["+", "="], "nearer", () => this.zoomMiddle(1.6), "+");
    key(["-", "_"], "farther", () => this.zoomMiddle(1 / 1.6), "-");
    key("0", "the whole map", () => this.fit());
    key("l", "draw a line around images to select them", () => this.setLasso(!this.lasso));
    key("s", "the selected images, in the grid", () => this.showSelected());
    key("i", "pictures or points only", () => this.setPictures(!this.withPictures));
    key(["Enter", "Shift+Enter"], "select the images in the circle; with Shift also those", (event) => this.takeMiddle(event.shiftKey), "Enter");
    key("Escape", "no line; select nothing", () => this.nothing());
  }

  end() {
    this.ended = true;
    for (const off of this.off) off();
    cancelAnimationFrame(this.waiting);
    clearTimeout(this.again);
    this.points?.free();
  }

  // -- what is seen ---------------------------------------------------------------------------------------------------

  async colourBy(id) {
    this.by = id;
    const colours = await colouring(id, this.app, this.labels);
    if (this.ended || this.by !== id) return;
    this.colours = colours;
    this.legend.set(COLOURINGS.find((one) => one.id === id).title, colours.entries, colours.wait);
    this.names.set(medians(this.labels, this.x, this.y), (group) => this.app.groupName(group), (group) => this.app.colour(group));
    this.repaint();
    if (colours.wait) this.again = setTimeout(() => !this.ended && this.by === id && this.colourBy(id), 2000);
  }

  async refresh() {
    const labels = new Int32Array(await this.app.bytes("/api/labels"));
    if (this.ended || labels.length !== this.x.length) return; // images were added: the map is as old as its run
    const hidden = new Set(this.legend.hidden), before = this.colours.entries.length;
    this.labels = labels;
    await this.colourBy(this.by);
    if (this.colours.entries.length !== before) return;
    this.legend.hidden = hidden;
    this.legend._mark();
    this.repaint();
  }

  repaint() {
    if (!this.colours || this.ended) return;
    const { app } = this, n = app.selection.size;
    this.theme = { page: variable("--panel"), ring: variable("--text") };
    [this.ring, this.backdrop] = [this.theme.ring, this.theme.page].map((c) => `rgb(${c.join(",")})`);
    this.accent = `rgb(${variable("--accent").join(",")})`;
    this.look = looks(this.colours, this.legend.hidden, app.selection, this.x);
    this.points.paint(this.look, this.theme.page, this.theme.ring);
    this.selected.hidden = !n;
    this.said.textContent = n ? `${count(n, "image")} selected` : "";
    this.draw();
  }

  resize() {
    const { width, height } = this.window.getBoundingClientRect(), ratio = Math.min(2, devicePixelRatio || 1);
    this.camera.resize(width, height);
    for (const canvas of [this.canvas, this.over]) {
      canvas.width = Math.max(1, Math.round(width * ratio));
      canvas.height = Math.max(1, Math.round(height * ratio));
    }
    if (this.box) {
      const before = this.camera.whole, whole = this.camera.scale === before;
      const fit = this.camera.toFit(this.box, true);
      if (whole) this.camera.go(fit);
    }
    this.draw(true);
  }

  draw(now = false) {
    if (now) this.frame(performance.now());
    else this.waiting ||= requestAnimationFrame((time) => this.frame(time));
  }

  frame(time) {
    cancelAnimationFrame(this.waiting);
    this.waiting = 0;
    if (this.ended || !this.look) return;
    if (this.glide) this.step(time);
    const { camera } = this, ratio = this.over.width / camera.width, context = this.over.getContext("2d");
    this.points.draw(camera, this.pointSize());
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, camera.width, camera.height);
    const size = this.pictureSize = camera.width < 600 ? 44 : 56;
    this.shown = this.withPictures ? pictured(this.cells, camera, size + 8, (row) => this.seen(row), MOST) : [];
    drawPictures(context, this.shown, size, this.pictures, (row) => this.colours.entries[this.colours.codes[row]].colour,
      { selection: this.app.selection, ring: this.ring, backdrop: this.backdrop, smooth: !this.app.tiny });
    if (this.aiming) drawMiddle(context, camera, MIDDLE, this.accent);
    drawLine(context, this.line, this.accent);
    this.names.arrange(camera, (group) => this.by === "group" && this.legend.hidden.has(this.colours.entries.findIndex((one) => one.group === group)),
      this.shown.map(({ px, py }) => ({ px, py, side: size + 4 })));
    if (this.glide) this.draw();
  }

  seen(row) {
    return this.look[4 * row + 3] !== HIDDEN;
  }

  pointSize() {
    const room = Math.sqrt(this.camera.width * this.camera.height / this.cells.rows.length);
    const base = Math.min(8, Math.max(2.2, room / 5));
    return Math.min(14, base * (this.camera.scale / this.camera.whole) ** 0.35);
  }

  // -- where one looks ------------------------------------------------------------------------------------------------

  go(spot) {
    const { x, y, scale } = this.camera;
    this.glide = matchMedia("(prefers-reduced-motion: reduce)").matches ? null : { from: { x, y, scale }, to: spot, start: performance.now() };
    if (!this.glide) this.camera.go(spot);
    this.card.hide();
    this.draw();
  }

  step(time) {
    const { from, to, start } = this.glide, t = Math.max(0, Math.min(1, (time - start) / GLIDE)), eased = 1 - (1 - t) ** 3;
    const scale = from.scale * (to.scale / from.scale) ** eased;
    // so that the point which both show at one spot stays there all the way
    const share = Math.abs(to.scale - from.scale) < 1e-9 * from.scale ? eased : (1 / from.scale - 1 / scale) / (1 / from.scale - 1 / to.scale);
    this.camera.go({ x: from.x + (to.x - from.x) * share, y: from.y + (to.y - from.y) * share, scale });
    if (t >= 1) { this.camera.go(to); this.glide = null; }
  }

  zoom(px, py, factor, smooth) {
    this.card.hide();
    if (smooth) { this.go(this.camera.toZoom(px, py, factor)); return; }
    this.glide = null;
    this.camera.go(this.camera.toZoom(px, py, factor));
    this.draw();
  }

  zoomMiddle(factor) {
    this.go(this.camera.toZoom(this.camera.width / 2, this.camera.height / 2, factor, this.glide?.to || this.camera));
  }

  pan(right, down) {
    const { x, y, scale } = this.glide?.to || this.camera;
    this.aiming = true;
    this.go({ x: x - right * STEP / scale, y: y + down * STEP / scale, scale });
  }

  fit() {
    this.go(this.camera.toFit(this.box, true));
  }

  // -- what is under the pointer, and selected ------------------------------------------------------------------------

  at(px, py) {
    const half = this.pictureSize / 2;
    const picture = this.shown.find((one) => Math.abs(one.px - px) <= half && Math.abs(one.py - py) <= half);
    if (picture) return picture.row;
    const [x, y] = this.camera.toMap(px, py);
    return this.cells.nearest(x, y, Math.max(8, this.pointSize()) / this.camera.scale, (row) => this.seen(row));
  }

  hover(px, py) {
    if (px !== null && this.aiming) { this.aiming = false; this.draw(); }
    const row = px === null || !this.look ? -1 : this.at(px, py);
    this.over.classList.toggle("on-image", row >= 0);
    if (row < 0) { this.card.hide(); return; }
    const entry = this.by === "group" ? "" : this.colours.entries[this.colours.codes[row]].label;
    this.card.show(row, this.labels[row], px, py, this.camera, entry);
  }

  click(px, py, event) {
    const row = this.at(px, py), add = event.shiftKey || event.ctrlKey || event.metaKey;
    if (row < 0) { if (!add && this.app.selection.size) this.app.select([]); return; }
    const rest = [...this.app.selection].filter((other) => other !== row);
    this.app.select(add ? (this.app.selection.has(row) ? rest : [...rest, row]) : [row]);
    this.app.focus(row);
  }

  drawn(path, done, event) {
    this.line = done ? [] : path;
    if (done && path.length >= 6) {
      const onMap = path.flatMap((_, k) => (k % 2 ? [] : this.camera.toMap(path[k], path[k + 1])));
      this.take(onMap, event.ctrlKey || event.metaKey || (this.lasso && event.shiftKey));
    }
    this.draw();
  }

  takeMiddle(add) {
    this.aiming = true;
    this.take(circle(this.camera.x, this.camera.y, MIDDLE / this.camera.scale), add);
  }

  take(path, add) {
    this.app.select(lassoed(this.cells, path, (row) => this.seen(row)), { add });
  }

  async showSelected() {
    const rows = [...this.app.selection].sort((a, b) => a - b);
    if (!rows.length) return;
    await this.app.show({ rows, title: `${count(rows.length, "image")} selected on the map` });
    this.app.select(rows); // the grid begins with nothing selected
  }

  setLasso(on) {
    this.lasso = on;
    this.lassoButton.setAttribute("aria-pressed", String(on));
    this.over.classList.toggle("draws", on);
  }

  /** One step back; false where there is none, and the page goes back. */
  nothing() {
    if (this.lasso) this.setLasso(false);
    else if (this.app.selection.size) this.app.select([]);
    else return false;
    return true;
  }

  setPictures(on) {
    this.withPictures = on;
    this.pictureButton.setAttribute("aria-pressed", String(on));
    this.draw();
  }
}

const LASSO = "M12 4c5 0 9 2.600 9 6s-4 6-9 6-9-2.600-9-6 4-6 9-6zM6 14.500c-1 1 0 3 1.500 3s2 1.500 1 3.500";

export default {
  id: "map",
  title: "Map",
  key: "m",
  icon: "map",
  available: (run) => run.has.map,
  mount(root, app) {
    const map = new MapOfImages(root, app);
    map.start().catch((error) => root.append(el("p", { class: "empty" }, error.message)));
    return () => map.end();
  },
};
