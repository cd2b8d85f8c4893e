// Choosing images in the grid: click, shift, ctrl / cmd, rubber band, long press, arrows; and dragging them to a group.

import { drag } from "./dragging.js";

const LONG = 420; // ms of a long press
const FAR = 6; // px: a drag, no click

export class Picking {
  constructor(app, grid) {
    this.app = app;
    this.grid = grid;
    this.anchor = 0;
    const { root } = grid;
    root.addEventListener("pointerdown", (event) => this.down(event));
    root.addEventListener("dblclick", (event) => this.open(event));
    root.addEventListener("contextmenu", (event) => {
      if (this.touching) event.preventDefault();
    });
    this.keys();
  }

  cellAt(event) {
    const node = event.target.closest(".cell");
    return node && node.id ? Number(node.id.slice(5)) : -1;
  }

  rowsBetween(a, b) {
    return this.grid.shown.rows.slice(Math.min(a, b), Math.max(a, b) + 1);
  }

  down(event) {
    if (event.button !== 0 && event.pointerType === "mouse") return;
    const i = this.cellAt(event);
    if (event.pointerType === "touch") {
      this.touch(event, i);
      return;
    }
    this.grid.root.focus({ preventScroll: true });
    if (i >= 0 && event.target.closest(".badge")) {
      this.app.show({ stack: this.grid.shown.rows[i] });
      return;
    }
    if (i < 0 || event.altKey) this.band(event);
    else this.press(event, i);
  }

  press(event, i) {
    const { app, grid } = this;
    const row = grid.shown.rows[i];
    const ctrl = event.ctrlKey || event.metaKey || Boolean(event.target.closest(".tick"));
    const held = app.selection.has(row);
    if (!held || ctrl || event.shiftKey) this.click(i, ctrl, event.shiftKey);
    else grid.go(i, false);
    drag(event, {
      far: FAR,
      start: () => (app.run.read_only ? null : app.selection.has(row) ? app.actions.chosen() : null),
      click: () => {
        if (held && !ctrl && !event.shiftKey) this.click(i, false, false);
      },
      app,
    });
  }

  click(i, ctrl, shift) {
    const { app, grid } = this;
    const row = grid.shown.rows[i];
    if (shift) {
      app.select(this.rowsBetween(this.anchor, i), { add: ctrl });
    } else if (ctrl) {
      const rows = new Set(app.selection);
      if (!rows.delete(row)) rows.add(row);
      app.select(rows.size ? [...rows] : []);
      this.anchor = i;
    } else {
      app.select([row]);
      this.anchor = i;
    }
    grid.go(i, false);
  }

  open(event) {
    const i = this.cellAt(event);
    if (i < 0 || event.target.closest(".badge, .tick")) return;
    this.app.open(this.grid.shown.rows[i], this.grid.shown.rows);
  }

  // A tap opens; a long press begins to choose, and then a tap chooses.
  touch(event, i) {
    const { app, grid } = this;
    if (i < 0) return;
    this.touching = true;
    const [x, y] = [event.clientX, event.clientY];
    const choosing = app.selection.size > 0;
    let done = false;
    const timer = setTimeout(() => {
      done = true;
      if (navigator.vibrate) navigator.vibrate(12);
      this.click(i, true, false);
    }, LONG);
    const away = (other) => {
      if (Math.hypot(other.clientX - x, other.clientY - y) > 10) end();
    };
    const end = () => {
      clearTimeout(timer);
      this.touching = false;
      for (const [name, f] of [["pointermove", away], ["pointerup", up], ["pointercancel", end]]) removeEventListener(name, f);
    };
    const up = () => {
      end();
      if (done) return;
      if (event.target.closest(".badge")) app.show({ stack: grid.shown.rows[i] });
      else if (choosing) this.click(i, true, false);
      else {
        grid.go(i, false);
        app.open(grid.shown.rows[i], grid.shown.rows);
      }
    };
    for (const [name, f] of [["pointermove", away], ["pointerup", up], ["pointercancel", end]]) addEventListener(name, f);
  }

  // The rubber band, which scrolls the grid at its edges.
  band(event) {
    const { app, grid } = this;
    const { root, layout, marquee } = grid;
    const box = root.getBoundingClientRect();
    const spot = (at) => [at.clientX - box.left, at.clientY - box.top + layout.offset(root.scrollTop)];
    const [x0, y0] = spot(event);
    const before = event.ctrlKey || event.metaKey || event.shiftKey ? [...app.selection] : [];
    let last = event;
    let moved = false;
    const update = () => {
      const [x, y] = spot(last);
      moved = moved || Math.hypot(x - x0, y - y0) > FAR;
      if (!moved) return;
      const [left, top, right, bottom] = [Math.min(x, x0), Math.min(y, y0), Math.max(x, x0), Math.max(y, y0)];
      marquee.hidden = false;
      marquee.style.transform = `translate(${left}px, ${top - (grid.shift || 0)}px)`;
      marquee.style.width = `${right - left}px`;
      marquee.style.height = `${bottom - top}px`;
      const rows = layout.within(left, top, right, bottom).map((i) => grid.shown.rows[i]);
      app.select([...before, ...rows]);
    };
    const timer = setInterval(() => {
      const over = last.clientY < box.top + 30 ? last.clientY - box.top - 30 : Math.max(0, last.clientY - box.bottom + 30);
      if (!moved || !over) return;
      root.scrollTop += over / 3;
      update();
    }, 16);
    const move = (other) => {
      last = other;
      update();
    };
    const up = () => {
      clearInterval(timer);
      marquee.hidden = true;
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", up);
      if (!moved && !before.length) app.select([]);
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", up);
    event.preventDefault();
    root.focus({ preventScroll: true });
  }

  keys() {
    const { app, grid } = this;
    const { layout } = grid;
    const by = {
      ArrowLeft: () => -1, ArrowRight: () => 1, ArrowUp: () => -layout.columns, ArrowDown: () => layout.columns,
      PageUp: () => -layout.columns * Math.max(1, Math.floor(layout.height / layout.step)),
      PageDown: () => layout.columns * Math.max(1, Math.floor(layout.height / layout.step)),
      Home: () => -Infinity, End: () => Infinity,
    };
    const names = Object.keys(by);
    const target = (key) => {
      const to = grid.at + by[key]();
      const last = grid.shown.rows.length - 1;
      return key.startsWith("Arrow") && (to < 0 || to > last) && key !== "ArrowDown" ? grid.at : Math.min(last, Math.max(0, to));
    };
    const k = app.keys;
    k.add("grid", names, "go to another image", (event, key) => {
      const i = target(key);
      if (app.selection.size) app.select([]);
      this.anchor = i;
      grid.go(i);
    }, "← → ↑ ↓");
    k.add("grid", names.map((name) => "Shift+" + name), "select as far as there", (event, key) => {
      const i = target(key.slice(6));
      if (!app.selection.size) this.anchor = grid.at;
      app.select(this.rowsBetween(this.anchor, i));
      grid.go(i);
    }, "Shift + arrows");
    k.add("grid", names.map((name) => "Ctrl+" + name), "go there and keep what is selected", (event, key) => grid.go(target(key.slice(5))), "Ctrl + arrows");
    k.add("grid", ["s", "Ctrl+ ", "Shift+ "], "select the image, or not", () => {
      if (grid.shown.rows.length) this.click(grid.at, true, false);
    }, "S");
    k.add("grid", "Ctrl+A", "select all", () => app.select(grid.shown.rows));
    k.add("grid", "Escape", "select nothing", () => {
      if (!app.selection.size) return false;
      app.select([]);
      return true;
    });
    k.add("grid", " ", "open the original", () => {
      if (grid.shown.rows.length) app.open(grid.shown.rows[grid.at], grid.shown.rows);
    });
    k.add("grid", ["+", "="], "larger thumbnails", () => grid.resize(layout.size + 16), "+");
    k.add("grid", "-", "smaller thumbnails", () => grid.resize(layout.size - 16));
  }
}
