// The original: zoom by wheel, pinch, + and −; pan; arrows walk. The thumbnail stands in where the file is gone.

import { button, el } from "./dom.js";
import { Zoom } from "./zoom.js";

const SIDE = 1600; // px: what is loaded first; the whole image when it is enlarged beyond
const SWIPE = 60; // px

export class Viewer {
  constructor(app) {
    this.app = app;
    this.row = null;
    this.rows = [];
    this.image = el("img", { alt: "", draggable: "false" });
    this.note = el("p", { class: "viewnote", hidden: true });
    this.count = el("span", { class: "muted" });
    this.name = el("b", {});
    this.area = el("div", { class: "area" }, this.image, this.note);
    const tool = (sign, label, key, f) => button("", key, f, { icon: sign, label, keys: false, class: "quiet" });
    this.percent = button("", "0", () => this.zoom.toggle(), { label: "Fit the window, or 1:1", keys: false, class: "quiet percent" });
    this.root = el(
      "div",
      { id: "viewer", role: "dialog", "aria-modal": "false", "aria-label": "The original", tabindex: "-1", hidden: true },
      el(
        "header",
        {},
        tool("close", "Close", "Esc", () => this.close()), this.name, this.count, el("span", { class: "grow" }),
        tool("M5 12h14", "Smaller", "-", () => this.zoom.by(1 / 1.4)), this.percent, tool("plus", "Larger", "+", () => this.zoom.by(1.4)),
        tool("info", "What is known of it", "I", () => app.side.toggle()),
      ),
      this.area,
      el("button", { type: "button", class: "walk before", "aria-label": "The image before", onclick: () => this.step(-1) }, app.icon("left", 26)),
      el("button", { type: "button", class: "walk after", "aria-label": "The next image", onclick: () => this.step(1) }, app.icon("right", 26)),
      (this.acts = el("div", { class: "viewacts" })),
    );
    document.getElementById("work").append(this.root);
    this.zoom = new Zoom(this.area, this.image, {
      changed: (scale) => this.scaled(scale),
      swipe: (x) => Math.abs(x) > SWIPE && this.step(x < 0 ? 1 : -1),
    });
    this.image.addEventListener("load", () => this.loaded());
    this.image.addEventListener("error", () => this.failed());
    this.makeKeys();
    app.on("state", () => this.row !== null && this.fillActs());
  }

  makeKeys() {
    const k = this.app.keys;
    k.add("viewer", ["Escape", " ", "Enter"], "close", () => this.close(), "Esc");
    k.add("viewer", ["ArrowLeft", "ArrowUp"], "the image before", () => this.step(-1), "←");
    k.add("viewer", ["ArrowRight", "ArrowDown"], "the next image", () => this.step(1), "→");
    k.add("viewer", ["+", "="], "larger", () => this.zoom.by(1.4), "+");
    k.add("viewer", "-", "smaller", () => this.zoom.by(1 / 1.4));
    k.add("viewer", "0", "fit the window, or 1:1", () => this.zoom.toggle());
  }

  open(row, rows) {
    this.rows = rows && rows.length ? [...rows] : [row];
    this.index = Math.max(0, this.rows.indexOf(row));
    this.before = this.row === null ? { scope: this.app.scope, focus: document.activeElement } : this.before;
    this.root.hidden = false;
    document.body.classList.add("viewing");
    this.app.scope = "viewer";
    this.root.focus({ preventScroll: true });
    this.show(row);
  }

  close() {
    if (this.row === null) return;
    this.row = null;
    this.root.hidden = true;
    document.body.classList.remove("viewing");
    this.image.removeAttribute("src");
    this.app.scope = this.before.scope;
    if (this.before.focus && this.before.focus.isConnected) this.before.focus.focus({ preventScroll: true });
  }

  step(by) {
    const to = this.index + by;
    if (to < 0 || to >= this.rows.length) return;
    this.index = to;
    this.show(this.rows[to]);
  }

  // To an image that need not be among those one walks through.
  jump(row) {
    const at = this.rows.indexOf(row);
    if (at >= 0) this.index = at;
    this.show(row);
  }

  // What was shown is done with: on to the next one.
  done() {
    if (this.index + 1 < this.rows.length) this.step(1);
    else this.close();
  }

  show(row) {
    this.row = row;
    this.stage = "thumb";
    this.note.hidden = true;
    this.thumbSize = 0;
    this.zoom.reset();
    this.image.classList.remove("sharp");
    this.image.src = this.app.thumb(row);
    const at = this.rows.indexOf(row);
    this.count.textContent = at >= 0 ? `${(at + 1).toLocaleString("en")} of ${this.rows.length.toLocaleString("en")}` : "a neighbour";
    this.name.textContent = "";
    this.about(row);
    const shown = this.app.shown.index(row);
    if (shown >= 0 && this.app.current === "grid") this.app.grid.go(shown);
    else this.app.side.look(row, this.app.side.trail);
    this.fillActs();
    const original = new Image();
    this.coming = original;
    original.addEventListener("load", () => this.coming === original && this.put(original.src, "original"));
    original.addEventListener("error", () => this.coming === original && this.gone());
    original.src = this.original(row, SIDE);
    for (const next of [1, -1]) this.ahead(this.index + next);
  }

  async about(row) {
    let found;
    try {
      found = await this.app.server.get(`/api/image/${row}`);
    } catch {
      return;
    }
    if (row !== this.row) return;
    this.full = [found.width, found.height];
    this.name.textContent = found.path.split("/").pop();
    this.name.title = found.path;
    this.image.alt = found.path;
    this.fit();
  }

  original(row, side) {
    return `/original/${row}${side ? `?side=${side}` : ""}`;
  }

  ahead(index) {
    if (index < 0 || index >= this.rows.length) return;
    const image = new Image();
    image.decoding = "async";
    image.src = this.original(this.rows[index], SIDE);
  }

  put(src, stage) {
    this.stage = stage;
    this.image.src = src;
  }

  loaded() {
    this.image.classList.toggle("sharp", this.stage !== "thumb");
    this.app.crisp(this.image, this.stage !== "thumb");
    this.fit();
  }

  // The image keeps its size on the screen when a sharper one stands in for it.
  fit() {
    const { naturalWidth, naturalHeight } = this.image;
    if (!naturalWidth) return;
    const known = this.full && this.full[0] && this.stage !== "thumb";
    const same = known && Math.abs(this.full[0] / this.full[1] - naturalWidth / naturalHeight) < 0.02;
    this.zoom.measure(...(same ? this.full : [naturalWidth, naturalHeight]), this.stage !== "thumb");
  }

  gone() {
    this.stage = "none";
    this.note.textContent = "The original is not there any more, or cannot be shown: this is its thumbnail.";
    this.note.hidden = false;
  }

  failed() {
    if (!this.image.hasAttribute("src")) return;
    if (this.stage === "whole") this.put(this.original(this.row, SIDE), "original");
    else this.gone();
  }

  scaled(scale) {
    this.percent.replaceChildren(`${Math.round(100 * scale)} %`);
    const beyond = this.stage === "original" && this.image.naturalWidth * 1.15 < this.zoom.width * scale * devicePixelRatio;
    const smaller = this.full && Math.max(...this.full) > SIDE;
    if (beyond && smaller) this.put(this.original(this.row), "whole");
  }

  fillActs() {
    const { app } = this;
    if (app.run.read_only) return;
    const a = app.actions;
    const near = a.nearest().slice(0, 5);
    this.acts.replaceChildren(
      ...near.map((id, i) =>
        el("button", { type: "button", class: "chip near", title: `Move to ${app.groupName(id)} (key ${i + 1})`, onclick: () => a.moveTo(id) }, el("span", { class: "name" }, app.groupName(id)), el("kbd", { class: "keys cap" }, String(i + 1))),
      ),
      button("Move to …", "V", () => a.choose(), { icon: "move" }),
      button("Confirm", "C", () => a.confirm(), { icon: "check" }),
      button("Ignore", "X", () => a.ignore(), { icon: "ignore" }),
    );
  }
}
