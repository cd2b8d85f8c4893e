// How many groups: a slider over the tree of merges, from two groups to many; one looks before one takes.

import { button, count, el } from "../dom.js";
import { busy, cover, groupTag, message } from "./parts.js";

const STEPS = 1000; // of the slider
const LAST = 0.85; // from here on the words of a mark end at it

class Tree {
  constructor(root, app) {
    this.app = app;
    this.cuts = new Map(); // number of groups -> what the server says of it
    this.body = el("div", { class: "view-body" });
    root.append(el("div", { class: "view-bar" }, el("h2", {}, "How many groups?")), this.body);
    const key = (keys, text, f, label) => app.keys.add("tree", keys, text, f, label);
    this.off = [
      key(["ArrowLeft", "ArrowDown"], "one group less", () => this.step(-1), "←"),
      key(["ArrowRight", "ArrowUp"], "one group more", () => this.step(1), "→"),
      key("PageDown", "five less", () => this.step(-5)),
      key("PageUp", "five more", () => this.step(5)),
      key("Enter", "take this number of groups", () => this.take()),
      app.on("state", (state, before) => state.last !== before?.last && !this.taking && this.start()),
    ];
  }

  end() {
    this.ended = true;
    clearTimeout(this.waiting);
    this.watch?.disconnect();
    for (const off of this.off) off();
  }

  async start() {
    const { app } = this;
    this.cuts.clear();
    if (!this.slider) this.body.replaceChildren(busy("Building the tree of merges …"));
    const tree = await app.get("/api/tree");
    if (this.ended) return;
    this.tree = tree;
    this.k = Math.max(tree.low, Math.min(tree.high, tree.now));
    this.build();
    await this.show();
  }

  build() {
    const { low, high, now, suggested } = this.tree;
    this.slider = el("input", {
      type: "range", min: 0, max: STEPS, step: 1, "aria-label": "Number of groups", oninput: () => this.go(this.number_at(this.slider.value / STEPS)),
      onkeydown: (event) => {
        const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -5, PageUp: 5 }[event.key];
        if (!by) return;
        event.preventDefault();
        this.step(by);
      },
    });
    this.slider.value = STEPS * this.position(this.k);
    const by = new Map(); // marks at one number share a line
    for (const { name, k } of [{ name: "now", k: now }, ...suggested]) if (k >= low && k <= high) by.set(k, [...(by.get(k) || []), name]);
    const marks = [...by].sort((a, b) => a[0] - b[0]).map(([k, names]) => {
      const at = this.position(k);
      return el("button", { type: "button", class: "tree-mark" + (names.includes("now") ? " now" : "") + (at > LAST ? " last" : ""), style: { "--at": String(at) }, title: `${k} groups`, onclick: () => this.go(k) },
        el("b", {}, String(k)), " ", names.join(", "));
    });
    this.marks = el("div", { class: "tree-marks" }, marks);
    this.watch?.disconnect();
    this.watch = new ResizeObserver(() => this.inRows(marks));
    this.watch.observe(this.marks);
    this.number = el("output", { class: "tree-number", "aria-live": "polite" });
    this.takeButton = button("Take this", "Enter", () => this.take(), { icon: "check", class: "first" });
    this.cards = el("div", { class: "tree-cards" });
    this.body.replaceChildren(
      el("div", { class: "tree-head panel" },
        el("div", { class: "row" }, this.number, el("span", { class: "grow" }),
          button("", "←", () => this.step(-1), { icon: "left", label: "One group less", keys: false }),
          button("", "→", () => this.step(1), { icon: "right", label: "One group more", keys: false }), this.takeButton),
        el("div", { class: "tree-slider" }, this.slider, this.marks),
        el("p", { class: "muted" }, "Groups are merged, or parted, where their images are most alike. What you corrected stays together or apart as you said. Nothing is changed until you take it.")),
      this.cards);
  }

  /** Where a number of groups is on the slider, 0 to 1: each doubling takes as much room. And back. */
  position(k) {
    const { low, high } = this.tree;
    return high > low ? Math.log(k / low) / Math.log(high / low) : 0;
  }

  number_at(position) {
    const { low, high } = this.tree;
    return Math.round(low * (high / low) ** position);
  }

  /** Words go below those of the marks whose lines would cross them, or which they would lie over. */
  inRows(marks) {
    const last = marks.filter((mark) => mark.classList.contains("last")), done = [];
    for (const mark of [...last, ...marks.filter((one) => !last.includes(one)).reverse()]) {
      const { left, right } = mark.getBoundingClientRect();
      const under = done.filter((one) => one.left < right + 4 && one.right + 4 > left);
      const row = Math.max(-1, ...under.map((one) => one.row)) + 1;
      done.push({ left, right, row });
      mark.style.setProperty("--row", String(row));
    }
    this.marks.style.setProperty("--rows", String(Math.max(1, ...done.map((one) => one.row + 1))));
  }

  step(by) {
    if (this.tree) this.go(Math.max(this.tree.low, Math.min(this.tree.high, this.k + by)));
  }

  go(k) {
    this.k = k;
    this.slider.value = STEPS * this.position(k);
    this.head();
    clearTimeout(this.waiting);
    if (this.cuts.has(k)) this.show();
    else this.waiting = setTimeout(() => this.show().catch(() => {}), 90); // while one drags, not every number is asked for
  }

  head() {
    const { k, tree } = this;
    this.number.textContent = k === tree.now ? `${count(k, "group")}, as now` : count(k, "group");
    this.slider.setAttribute("aria-valuetext", this.number.textContent);
    this.takeButton.disabled = k === tree.now || Boolean(this.app.run.read_only);
  }

  async show() {
    const { k, app } = this;
    this.head();
    if (!this.cuts.has(k)) {
      this.cards.classList.add("waits");
      const cut = await app.get(`/api/tree/${k}`);
      if (this.ended) return;
      this.cuts.set(k, cut);
    }
    if (this.k !== k) return;
    this.cards.classList.remove("waits");
    const groups = [...this.cuts.get(k).groups].sort((a, b) => b.size - a.size);
    this.cards.replaceChildren(...groups.map((group) => this.card(group)));
    this.cards.dataset.k = k;
  }

  card(group) {
    const { app } = this, from = [...group.from].sort((a, b) => b.count - a.count);
    const whole = (one) => app.state.groups.find((other) => other.id === one.id)?.size === one.count;
    const kind = from.length > 1 ? "merged" : from.length && !whole(from[0]) ? "parted" : "same";
    const words = { merged: `of ${from.length} groups`, parted: "a part of", same: "as now" }[kind];
    const sources = from.slice(0, 5).map((one) => el("li", {}, groupTag(app, one.id), el("span", { class: "muted" }, one.count.toLocaleString("en"))));
    return el("article", { class: `tree-card panel ${kind}` }, cover(app, group.cover, 16),
      el("p", {}, el("b", {}, count(group.size, "image")), el("span", { class: "muted" }, ` ${words}`)),
      el("ul", {}, sources, from.length > 5 ? el("li", { class: "muted" }, `and ${from.length - 5} more`) : null));
  }

  async take() {
    const { k, app } = this;
    if (!this.tree || this.taking || this.takeButton.disabled) return;
    this.taking = true;
    this.takeButton.disabled = true;
    try {
      await app.post(`/api/tree/${k}`, {});
      if (this.ended) return;
      app.toast.show(`There are ${count(k, "group")} now.`, [{ text: "Undo", key: "Ctrl+Z", f: () => app.do({ do: "undo" }) }]);
    } catch {
      // the reason is said at the bottom already
    } finally {
      this.taking = false;
    }
    if (!this.ended) await this.start();
  }
}

export default {
  id: "tree",
  title: "How many groups",
  key: "k",
  icon: "tree",
  available: (run) => run.has.tree,
  mount(root, app) {
    const tree = new Tree(root, app);
    tree.start().catch((error) => !tree.ended && tree.body.replaceChildren(message("There is no tree of merges", error.message)));
    return () => tree.end();
  },
};
