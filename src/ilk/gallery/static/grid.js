// The grid of all images of what is shown: 100,000 of them, of which only those seen are there as nodes.

import { el, icon } from "./dom.js";
import { Layout, MAX, MIN } from "./layout.js";
import { Loading } from "./loading.js";
import { Picking } from "./picking.js";
import { keep, kept } from "./theme.js";

const FAST = 2.2; // px a ms: while it scrolls faster, no thumbnail is asked for
const MARKS = [null, ["moved", "moved here by hand"], ["confirmed", "confirmed"], ["ignored", "ignored"]];
const DOUBT = 0.5;

export class Grid {
  constructor(app) {
    this.app = app;
    this.layout = new Layout();
    this.layout.size = Math.min(MAX, Math.max(MIN, Number(kept("size")) || (innerWidth < 600 ? 96 : 132)));
    this.whole = kept("whole") === "1";
    this.cells = new Map(); // index -> cell
    this.spare = [];
    this.loading = new Loading();
    this.at = 0; // index of the image in focus
    this.fast = false;
    this.marquee = el("div", { class: "marquee", hidden: true });
    this.field = el("div", { class: "field" }, this.marquee);
    this.empty = el("div", { class: "empty", hidden: true });
    this.root = el("div", { id: "grid", tabindex: "0", role: "listbox", "aria-multiselectable": "true", "aria-label": "Images" }, this.field, this.empty);
    this.root.classList.toggle("whole", this.whole);
    document.getElementById("stage").replaceChildren(this.root);
    this.root.addEventListener("scroll", () => this.scrolled(), { passive: true });
    new ResizeObserver(() => this.resized()).observe(this.root);
    this.picking = new Picking(app, this);
    app.on("show", (shown, fresh) => this.show(shown, fresh));
    app.on("selection", () => this.marks());
    app.on("bar", () => this.grow());
    app.on("loading", () => this.root.classList.add("loading"));
    app.on("state", () => this.paint());
  }

  get shown() {
    return this.app.shown;
  }

  show(shown, fresh) {
    const before = this.app.focused;
    this.root.classList.remove("loading");
    this.layout.n = shown.rows.length;
    this.layout.measure(this.root.clientWidth, this.root.clientHeight);
    this.root.classList.toggle("glide", !fresh);
    if (fresh) {
      const top = shown.anew && !this.app.selection.has(before); // another order begins at its top
      this.at = top ? 0 : Math.max(0, shown.index(before));
      this.root.scrollTop = 0;
      for (const index of [...this.cells.keys()]) this.release(index);
    } else {
      const still = before === null ? -1 : shown.index(before);
      this.at = still >= 0 ? still : Math.min(this.at, Math.max(0, shown.rows.length - 1));
      this.prune();
    }
    this.grow();
    this.sayEmpty();
    this.paint();
    this.app.focus(shown.rows.length ? shown.rows[this.at] : null);
    if (fresh) this.reveal(this.at);
    this.marks();
  }

  // Selected images that are no longer shown are no longer selected; nodes keep their image, so that they can glide.
  prune() {
    const { rows } = this.shown;
    const there = new Set(rows);
    const stay = [...this.app.selection].filter((row) => there.has(row));
    if (stay.length < this.app.selection.size) this.app.select(stay);
    const byRow = new Map([...this.cells.values()].map((cell) => [cell.row, cell]));
    const now = new Map();
    const [first, last] = this.span();
    for (let i = first; i < last; i += 1) {
      const cell = byRow.get(rows[i]);
      if (cell) {
        now.set(i, cell);
        byRow.delete(rows[i]);
      }
    }
    for (const cell of byRow.values()) this.recycle(cell);
    this.cells = now;
    for (const [i, cell] of now) this.put(cell, i);
  }

  sayEmpty() {
    const none = !this.shown.rows.length;
    this.empty.hidden = !none;
    if (!none) return;
    const filtered = Object.keys(this.shown.facets).length > 0;
    this.empty.replaceChildren(
      icon("all", 36),
      el("p", {}, filtered ? "No image here passes the filters." : "No images here."),
      filtered ? this.app.button("Clear the filters", "", () => this.shown.clear_facets()) : "",
    );
  }

  // -- another view is shown instead; a node that is not on the page forgets how far it was scrolled ------------------

  leave() {
    this.left = this.root.scrollTop;
  }

  back() {
    if (this.left !== undefined) this.root.scrollTop = this.left;
    this.left = undefined;
    this.resized();
  }

  // -- size -----------------------------------------------------------------------------------------------------------

  resized() {
    if (!this.root.isConnected) return;
    const keepAt = this.cells.size ? this.layout.y(this.at) - this.layout.offset(this.root.scrollTop) : 0;
    this.layout.measure(this.root.clientWidth, this.root.clientHeight);
    this.grow();
    this.root.classList.remove("glide");
    if (keepAt >= 0 && keepAt < this.layout.height) this.root.scrollTop = this.layout.scroll(this.layout.y(this.at) - keepAt);
    this.paint(true);
  }

  // As tall as the list, and so much more that the bar of the selection hides nothing at its end.
  grow() {
    this.covered = document.getElementById("bar").offsetHeight;
    this.field.style.height = `${this.layout.drawn + (this.covered ? this.covered + 14 : 0)}px`;
  }

  resize(size) {
    this.layout.size = Math.min(MAX, Math.max(MIN, size));
    keep("size", this.layout.size);
    this.resized();
    this.app.emit("size", this.layout.size);
  }

  setWhole(whole) {
    this.whole = whole;
    keep("whole", whole ? "1" : "0");
    this.root.classList.toggle("whole", whole);
    this.paint(true);
  }

  // -- drawing --------------------------------------------------------------------------------------------------------

  scrolled() {
    const now = performance.now();
    const top = this.layout.offset(this.root.scrollTop);
    const pause = now - (this.lastTime || 0);
    const speed = Math.abs(top - (this.lastTop || 0)) / Math.max(1, pause);
    this.lastTop = top;
    this.lastTime = now;
    this.hurry(speed > FAST);
    this.root.classList.remove("glide");
    if (!this.frame) {
      this.frame = requestAnimationFrame(() => {
        this.frame = 0;
        this.paint();
      });
    }
    clearTimeout(this.rest);
    this.rest = setTimeout(() => {
      this.hurry(false);
      this.paint();
    }, Math.min(400, Math.max(100, 2.5 * pause))); // a slow machine has long frames: they are no rest
  }

  hurry(fast) {
    if (fast === this.fast) return;
    this.fast = fast;
    this.root.classList.toggle("fast", fast);
  }

  span(more = 0.35) {
    const top = this.layout.offset(this.root.scrollTop);
    const extra = this.layout.height * more;
    return this.layout.between(top - extra, top + this.layout.height + extra);
  }

  paint(again = false) {
    const [first, last] = this.span();
    this.shift = this.layout.offset(this.root.scrollTop) - this.root.scrollTop;
    const bent = this.layout.total > this.layout.drawn;
    for (const index of [...this.cells.keys()]) if (index < first || index >= last) this.release(index);
    for (let i = first; i < last; i += 1) {
      const cell = this.cells.get(i);
      if (!cell) this.fill(this.take(), i);
      else if (again || bent) this.put(cell, i);
      else this.mark(cell);
    }
    for (const cell of this.spare) this.park(cell); // only now: most nodes are taken again within one frame
    if (!this.fast) this.ask(first, last);
  }

  // Out of sight; taken out of the layout only when it does not scroll fast, as that costs more than moving it.
  park(cell) {
    if (this.fast) cell.node.style.transform = "translate(-9999px, 0)";
    else cell.node.hidden = true;
  }

  // Thumbnails of what is seen first, from the top; then those just outside.
  ask(first, last) {
    const [from, to] = this.span(0);
    this.loading.wanted = [];
    const order = [];
    for (let i = from; i < to; i += 1) order.push(i);
    for (let i = to; i < last; i += 1) order.push(i);
    for (let i = from - 1; i >= first; i -= 1) order.push(i);
    for (const i of order) {
      const cell = this.cells.get(i);
      if (cell && cell.set !== cell.url && !cell.asked) this.loading.want(cell);
    }
    this.loading.next();
  }

  take() {
    return this.spare.pop() || this.make();
  }

  make() {
    const image = el("img", { class: "thumb", alt: "", decoding: "async", draggable: "false" });
    const dot = el("span", { class: "dot" });
    const badge = el("span", { class: "badge" });
    const mark = el("span", { class: "mark" });
    const tick = el("span", { class: "tick" });
    const node = el("div", { class: "cell", role: "option" }, image, dot, badge, mark, tick);
    const cell = { node, image, dot, badge, markNode: mark, index: -1, row: -1, url: "", set: "", asked: null, state: "" };
    image.addEventListener("load", () => {
      node.classList.add("loaded");
      this.app.crisp(image);
      this.loading.ended(cell, true);
    });
    image.addEventListener("error", () => {
      if (!image.hasAttribute("src")) return;
      node.classList.add("failed");
      this.loading.ended(cell, false);
    });
    this.field.append(node);
    return cell;
  }

  fill(cell, i) {
    cell.row = this.shown.rows[i];
    cell.url = this.app.thumb(cell.row);
    cell.state = "";
    cell.node.hidden = false;
    this.cells.set(i, cell);
    if (this.loading.known.has(cell.url) && !this.fast) this.loading.put(cell);
    this.put(cell, i);
  }

  put(cell, i) {
    const { layout } = this;
    cell.index = i;
    cell.node.id = "cell-" + i;
    const y = layout.y(i) - (this.shift || 0);
    cell.node.style.transform = `translate(${layout.x(i)}px, ${y}px)`;
    if (cell.size !== layout.cell) {
      cell.size = layout.cell;
      cell.node.style.width = cell.node.style.height = `${layout.cell}px`;
    }
    this.mark(cell);
  }

  release(index) {
    this.recycle(this.cells.get(index));
    this.cells.delete(index);
  }

  recycle(cell) {
    this.loading.drop(cell);
    if (cell.set) cell.image.removeAttribute("src");
    cell.set = "";
    cell.node.classList.remove("loaded", "failed");
    cell.state = "";
    this.spare.push(cell);
  }

  // -- marks: selected, in focus, what was said, doubtful, the stack, the group ----------------------------------------

  mark(cell) {
    if (this.fast) return; // nobody sees it; it is made up for when the scrolling slows
    const { shown, app } = this;
    const i = cell.index;
    const said = shown.said ? shown.said[i] : 0;
    const stack = shown.stack ? shown.stack[i] : 1;
    const confidence = shown.confidence ? shown.confidence[i] : null;
    const group = shown.groups ? shown.groups[i] : null;
    const selected = app.selection.has(cell.row);
    const state = [selected, i === this.at, said, stack, confidence, group, i, cell.row].join();
    if (state === cell.state) return;
    cell.state = state;
    const doubtful = said === 0 && confidence !== null && confidence < DOUBT;
    const [kind, words] = MARKS[said] || (doubtful ? ["doubtful", "doubtful"] : ["", ""]);
    cell.node.classList.toggle("selected", selected);
    cell.node.classList.toggle("focused", i === this.at);
    this.describe(cell, selected, words, stack);
    cell.dot.hidden = group === null;
    if (group !== null) {
      cell.dot.style.background = app.colour(group);
      cell.dot.title = app.groupName(group);
    }
    cell.badge.hidden = stack < 2;
    if (stack > 1) cell.badge.textContent = String(stack);
    cell.node.classList.toggle("stacked", stack > 1);
    if (cell.kind !== kind) {
      cell.kind = kind;
      cell.markNode.className = "mark " + kind;
      cell.markNode.title = words;
    }
  }

  // For those who do not see it.
  describe(cell, selected, words, stack) {
    const label = [`image ${cell.index + 1}`, words, stack > 1 ? `stack of ${stack}` : ""].filter(Boolean).join(", ");
    const said = { "aria-selected": selected, "aria-posinset": cell.index + 1, "aria-setsize": this.shown.rows.length, "aria-label": label };
    for (const [name, value] of Object.entries(said)) cell.node.setAttribute(name, value);
  }

  marks() {
    for (const cell of this.cells.values()) this.mark(cell);
    if (this.cells.has(this.at)) this.root.setAttribute("aria-activedescendant", "cell-" + this.at);
  }

  // -- focus ----------------------------------------------------------------------------------------------------------

  go(i, reveal = true) {
    const last = this.shown.rows.length - 1;
    if (last < 0) return;
    this.at = Math.min(last, Math.max(0, i));
    this.app.focus(this.shown.rows[this.at]);
    if (reveal) this.reveal(this.at);
    this.marks();
  }

  reveal(i) {
    const { layout, root } = this;
    const top = layout.y(i) - layout.gap;
    const bottom = layout.y(i) + layout.cell + layout.gap;
    const now = layout.offset(root.scrollTop);
    const covered = this.covered ? this.covered + 20 : 0;
    if (top < now) root.scrollTop = layout.scroll(i < layout.columns ? 0 : top);
    else if (bottom > now + layout.height - covered) root.scrollTop = layout.scroll(bottom - layout.height + covered);
    else return;
    this.paint();
  }
}
