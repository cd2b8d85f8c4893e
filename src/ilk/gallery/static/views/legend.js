// What stands around the map: what colours say, what a click on them hides, the card of the image under the pointer.

import { el } from "../dom.js";
import { COLOURINGS } from "./colouring.js";

/** The choice of what colours say; `choose(id)`. */
export function chooser(current, choose) {
  const one = ({ id, title }) => el("label", {},
    el("input", { type: "radio", name: "map-colour", value: id, checked: id === current, onchange: () => choose(id) }),
    el("span", {}, title));
  return el("fieldset", { class: "segments" }, el("legend", { class: "hidden-text" }, "Colour by"), COLOURINGS.map(one));
}

export class Legend {
  /** `changed()` is called when another set of entries is hidden. */
  constructor(changed) {
    this.changed = changed;
    this.hidden = new Set();
    this.list = el("ul", {});
    this.title = el("summary", {}, "Colours");
    this.root = el("details", { class: "map-legend panel", open: matchMedia("(min-width: 700px)").matches }, this.title, this.list);
  }

  set(title, entries, wait) {
    this.entries = entries;
    this.hidden.clear();
    this.title.textContent = title;
    this.list.replaceChildren(...entries.map((entry, i) => this._entry(entry, i)));
    if (wait) this.list.replaceChildren(el("li", { class: "muted" }, "Dates are still being read from the files …"));
    this._mark();
  }

  _entry(entry, i) {
    const button = el("button", { type: "button", title: "Show only these; with Ctrl, Shift or a long list: one more, one less", onclick: (event) => this._click(i, event) },
      el("span", { class: "dot", style: { "background-color": entry.colour } }),
      el("span", { class: "text" }, entry.label),
      el("span", { class: "muted" }, entry.count.toLocaleString("en")));
    return el("li", { hidden: !entry.count }, button);
  }

  _click(i, event) {
    const others = this.entries.map((_, k) => k).filter((k) => k !== i);
    if (event.ctrlKey || event.metaKey || event.shiftKey) {
      if (!this.hidden.delete(i)) this.hidden.add(i);
    } else if (!this.hidden.has(i) && others.every((k) => this.hidden.has(k))) {
      this.hidden.clear(); // the only one seen: all again
    } else {
      this.hidden = new Set(others);
    }
    this._mark();
    this.changed();
  }

  _mark() {
    [...this.list.querySelectorAll("button")].forEach((button, i) => button.setAttribute("aria-pressed", String(!this.hidden.has(i))));
  }
}

export class Card {
  constructor(app) {
    this.app = app;
    this.image = el("img", { alt: "", onload: () => app.crisp(this.image) });
    this.dot = el("span", { class: "dot" });
    this.name = el("span", { class: "name" });
    this.more = el("span", { class: "muted" });
    this.root = el("div", { class: "map-card panel", hidden: true, "aria-hidden": "true" }, this.image, el("div", { class: "words" }, this.dot, this.name), this.more);
  }

  /** Show `row`, of `group`, beside (px, py) of a window {width, height}, and `more` under it. */
  show(row, group, px, py, window, more) {
    if (this.row !== row) {
      this.row = row;
      this.image.src = this.app.thumb(row);
      this.dot.style.backgroundColor = this.app.colour(group);
      this.name.textContent = this.app.groupName(group);
    }
    this.more.textContent = more;
    this.root.hidden = false;
    const wide = this.root.offsetWidth, high = this.root.offsetHeight;
    const left = px + 18 + wide > window.width ? px - 18 - wide : px + 18;
    const top = Math.max(8, Math.min(window.height - high - 8, py - high / 2));
    this.root.style.transform = `translate(${Math.round(Math.max(8, left))}px, ${Math.round(top)}px)`;
  }

  hide() {
    this.root.hidden = true;
  }
}
