// Check the doubtful: one row of images at a time, those of which an answer teaches most first.

import { chooseGroup } from "../choosing.js";
import { button, count, el } from "../dom.js";
import { busy, cover, dot, groupOf, large, message } from "./parts.js";

const AT_ONCE = 50; // questions asked of the server at a time
const ENOUGH = 5; // answers after which grouping again is offered

const GAP = 10; // pixels between pictures
const IN_A_ROW = 12; // pictures shown of a larger part

const known = (item) => [item.kind, item.a, item.b, ...item.images].join(" ");

/** `most` of `rows`, evenly from the most central to the outermost. */
function spread(rows, most) {
  return rows.length <= most ? rows : Array.from({ length: most }, (_, k) => rows[Math.round(k * (rows.length - 1) / (most - 1))]);
}

class Queue {
  constructor(root, app) {
    Object.assign(this, { app, items: [], skipped: new Set(), history: [], answered: 0, sorted: 0, left: 0, won: { answered: 0, followed: 0 } });
    this.progress = el("p", { class: "muted", role: "status" });
    this.bar = el("progress", { max: "1", value: 0, "aria-label": "How far you are" });
    this.card = el("article", { class: "queue-card", tabindex: "-1" });
    this.offer = el("span", { class: "queue-offer", hidden: true }, this.regroup());
    this.last = el("p", { class: "queue-last muted", role: "status" });
    this.root = root;
    this.watch = new ResizeObserver(() => this.fit());
    this.watch.observe(root);
    root.append(el("div", { class: "view-bar" }, el("h2", {}, "Check the doubtful"), this.bar, this.progress, el("span", { class: "grow" }), this.offer), this.card);
    const key = (keys, text, f, label) => app.keys.add("queue", keys, text, f, label);
    this.off = [
      key(["Enter"], "right: they are where they belong", () => this.answer("right")),
      key(["a", "1"], "the first group", () => this.answer("a")),
      key(["b", "2"], "the second group", () => this.answer("b")),
      key("v", "another group: type a part of its name", () => this.choose()),
      key("x", "ignore: they belong to no group", () => this.answer("ignore")),
      key("n", "a new group of them", () => this.answer("new")),
      key("s", "skip", () => this.skip()),
      key(["ArrowLeft", "ArrowRight"], "from picture to picture (Space takes one out of the row)", (_, pressed) => this.walk(pressed === "ArrowLeft" ? -1 : 1), "← →"),
      key("o", "the picture at its full size", () => this.open()),
      app.on("done", (action, answer) => this.undone(action, answer)),
    ];
  }

  async load() {
    if (!this.item) this.card.replaceChildren(busy("Looking for what is most in doubt …"));
    const { items, left, won } = await this.app.get(`/api/queue?limit=${AT_ONCE}`);
    if (this.ended) return;
    Object.assign(this, { left, won: { answered: 0, followed: 0, ...won }, sorted: 0 });
    this.items = items.filter((item) => !this.skipped.has(known(item)));
    this.next();
  }

  end() {
    this.ended = true;
    this.watch.disconnect();
    for (const off of this.off) off();
  }

  async next() {
    this.items = this.items.filter((item) => groupOf(this.app, item.a) && (item.kind === "part" || groupOf(this.app, item.b))); // merged meanwhile
    this.item = this.items.shift() || null;
    this.whole = false;
    if (!this.item && this.asked) {
      this.asked = false; // one more look: answers change what is in doubt
      await this.load();
      return;
    }
    this.show();
  }

  // -- what is seen ---------------------------------------------------------------------------------------------------

  show() {
    const { item, app } = this;
    this.report();
    if (!item) { this.finish(); return; }
    this.on = new Set(item.images);
    const shown = this.whole ? item.images : spread(item.images, IN_A_ROW), many = shown.length;
    this.pictures = shown.map((row) => this.picture(row, many <= 2 ? 640 : 360));
    const hidden = item.images.length - many;
    this.row = el("div", { class: "queue-row", role: "group", "aria-label": "The images in question" }, this.pictures);
    const more = hidden ? button(`and ${hidden.toLocaleString("en")} more like these`, "", () => { this.whole = true; this.show(); }, { class: "quiet", title: "Show all" }) : null;
    this.question = el("h3", { class: "question" }, this.words());
    this.hint = el("p", { class: "muted queue-hint", role: "status" });
    this.said = []; // what the buttons say of how many pictures
    this.card.replaceChildren(...[this.question, this.hint, this.row, more, el("div", { class: "queue-doing" }, this.sides(), this.buttons(), this.last)].filter(Boolean));
    this.count();
    this.fit();
    this.card.focus({ preventScroll: true });
    for (const other of this.items[0]?.images || []) new Image().src = large(app, other, 360).src;
  }

  /** As many pictures side by side as makes them largest, with the answers below still in sight. */
  fit() {
    if (!this.row?.isConnected) return;
    const many = this.pictures.length, wide = this.question.clientWidth, high = Math.max(180, this.root.clientHeight - this.around());
    let best = { side: 0, per: 1 };
    for (let per = 1; per <= many; per++) {
      const side = Math.min(wide / per, high / Math.ceil(many / per)) - GAP;
      if (side > best.side + 1) best = { side, per };
    }
    const side = Math.round(Math.max(wide < 500 ? 96 : 120, Math.min(340, best.side)));
    this.row.style.setProperty("--side", `${side}px`);
    this.row.style.maxWidth = `${Math.max(1, Math.min(best.per, Math.floor(wide / (side + GAP)))) * (side + GAP)}px`;
  }

  /** Pixels above and below the pictures. */
  around() {
    const others = [this.root.firstChild, ...this.card.children].filter((one) => one !== this.row);
    return others.reduce((sum, one) => sum + one.offsetHeight + 18, 24);
  }

  words() {
    const { item, app } = this, a = app.groupName(item.a), n = item.images.length;
    if (item.rest) return n === 1 ? "And this one?" : `And these ${n}?`;
    if (item.kind === "pair") return n === 1 ? `${a} or ${app.groupName(item.b)}?` : `Are these ${a} or ${app.groupName(item.b)}?`;
    return n === 1 ? `Is this ${a}?` : `Are these ${a}?`;
  }

  picture(row, side) {
    const open = el("button", { type: "button", class: "quiet queue-open", tabindex: "-1", title: "The picture at its full size (O)", "aria-label": "Full size", onclick: () => this.app.open(row, this.item.images) }, this.app.icon("search", 16));
    const toggle = el("button", { type: "button", class: "queue-picture", "aria-pressed": "true", title: "It does not belong with the others: asked next", onclick: () => this.toggle(row, toggle) }, large(this.app, row, side));
    toggle.setAttribute("aria-label", "It belongs with the others");
    return el("div", { class: "queue-one", dataset: { row } }, toggle, open);
  }

  toggle(row, button) {
    if (!this.on.delete(row)) this.on.add(row);
    button.setAttribute("aria-pressed", String(this.on.has(row)));
    this.count();
  }

  /** Say whom an answer is about. */
  count() {
    const all = this.item.images.length, n = this.on.size, out = all - n;
    const others = n === 1 ? "the other one" : `the other ${n.toLocaleString("en")}`;
    if (all === 1) this.hint.textContent = "";
    else if (!out) this.hint.textContent = "An answer is about all of them. Click a picture that does not belong here: it is asked next.";
    else this.hint.textContent = n ? `${count(out, "picture")} left out, asked next. The answer is about ${others}.` : "Every picture is left out: click those you mean, or skip.";
    const whom = out ? others : `all ${n.toLocaleString("en")}`;
    for (const [node, yes] of this.said) {
      const plain = yes ? "Yes" : "It is this", said = yes ? `Yes, ${whom}` : `${whom} ${n === 1 ? "is" : "are"} this`;
      node.textContent = all === 1 ? plain : said.charAt(0).toUpperCase() + said.slice(1);
    }
  }

  sides() {
    const { item, app } = this, pair = this.other();
    const side = (letter, id) => {
      const group = groupOf(app, id), text = el("span", {});
      if (!group) return null;
      this.said.push([text, !pair]);
      const beside = group.cover.filter((row) => !item.images.includes(row));
      return el("button", { type: "button", class: "queue-side panel", onclick: () => this.answer(letter), "aria-keyshortcuts": letter.toUpperCase() },
        cover(app, beside.length ? beside : group.cover, 4),
        el("span", { class: "words" },
          el("span", { class: "name" }, dot(app.colour(id)), app.groupName(id)),
          el("span", { class: "muted" }, count(group.size, "image")),
          el("span", { class: "what" }, text, el("kbd", { class: "keys" }, letter.toUpperCase()))));
    };
    return el("div", { class: "queue-sides" }, side("a", item.a), pair ? side("b", item.b) : null);
  }

  /** Whether there is a second group to put them into. */
  other() {
    return Boolean(groupOf(this.app, this.item.b));
  }

  buttons() {
    const look = (icon, title) => ({ icon, title });
    return el("div", { class: "row queue-buttons" },
      button(this.item.kind === "pair" ? "Right as they are" : "Right", "Enter", () => this.answer("right"), { icon: "check", class: "first", title: "They are where they belong" }),
      button("Another group …", "V", () => this.choose(), { title: "Choose the group by its name" }),
      button("New group", "N", () => this.answer("new"), look("plusbox", "Make a new group of them")),
      button("Ignore", "X", () => this.answer("ignore"), look("ignore", "They belong to no group")),
      button("Skip", "S", () => this.skip(), { title: "Ask later" }));
  }

  report() {
    const asked = [this.item, ...this.items].reduce((sum, item) => sum + (item ? item.images.length : 0), 0);
    const left = this.item ? Math.max(asked, this.left) : 0, sorted = this.won.answered + this.sorted, said = [];
    if (this.item) said.push(`${count(left, "image")} in doubt`);
    if (sorted) said.push(`${sorted.toLocaleString("en")} sorted by you`);
    if (this.won.followed) said.push(`${this.won.followed.toLocaleString("en")} more moved along`);
    this.progress.textContent = said.join(" · ");
    this.bar.value = sorted / Math.max(1, sorted + left);
    this.offer.hidden = this.answered < ENOUGH || !this.item;
  }

  regroup() {
    return button("Group again with my corrections", "G", () => this.app.mode("regroup"), { icon: "again", class: "first" });
  }

  finish() {
    this.offer.hidden = true;
    const skipped = this.skipped.size;
    const again = button(`Ask the ${skipped} skipped`, "", () => { this.skipped.clear(); this.load(); }, { icon: "undo" });
    const text = this.answered
      ? `${count(this.answered, "answer")} ${this.answered === 1 ? "is" : "are"} kept. Grouping again lets the other images follow.`
      : skipped ? "Only what you skipped is left." : "No image of this run is in doubt enough to ask about.";
    this.card.replaceChildren(message(skipped ? "Nothing else to ask" : "Nothing is left to ask", text, this.answered ? this.regroup() : null, skipped ? again : null,
      button("To the images", "Esc", () => this.app.mode("grid"), { icon: "grid" })));
  }

  // -- answers --------------------------------------------------------------------------------------------------------

  /** Into a group that was not asked about. */
  async choose() {
    const { item, app } = this, n = this.on.size;
    if (!item || !n || this.sending) return;
    const found = await chooseGroup(app, n === 1 ? "It belongs to …" : `These ${n.toLocaleString("en")} belong to …`, { first: [item.b, ...groupOf(app, item.a).nearest], fresh: true });
    if (found && this.item === item && !this.ended) await this.answer(found);
  }

  /** "right", "a", "b", "ignore", "new", or {id} or {name} of another group. */
  async answer(what) {
    const { item, app } = this;
    if (!item || this.sending || (what === "b" && !this.other())) return;
    const images = item.images.filter((row) => this.on.has(row)), rest = item.images.filter((row) => !this.on.has(row));
    if (!images.length) { app.toast.show("Every picture is left out: click those you mean, or skip."); return; }
    this.sending = true;
    const action = {
      right: { do: "confirm", images }, a: item.kind === "part" ? { do: "confirm", images } : { do: "move", images, to: item.a },
      b: { do: "move", images, to: item.b }, ignore: { do: "ignore", images }, new: { do: "new", images, name: "" },
    }[what] || ("id" in what ? { do: "move", images, to: what.id } : { do: "new", images, name: what.name });
    const done = await app.do(action, false).finally(() => { this.sending = false; });
    if (!done || this.ended) return;
    this.history.push({ item, size: images.length, last: done.state.last });
    this.last.replaceChildren(done.action.said, " ", button("Undo", "Ctrl+Z", () => app.do({ do: "undo" }, false), { class: "quiet" }));
    this.answered++;
    this.sorted += images.length;
    this.left = Math.max(0, this.left - images.length);
    this.asked = true;
    if (rest.length) {
      this.item = { ...item, images: rest, rest: true };
      this.show();
    } else {
      await this.next();
    }
  }

  skip() {
    if (!this.item || this.sending) return;
    this.skipped.add(known(this.item));
    this.left = Math.max(0, this.left - this.item.images.length);
    this.next();
  }

  /** An undone answer is asked again. */
  undone(action, answer) {
    const before = this.history[this.history.length - 1];
    if (action.do !== "undo" || !before || answer.state.last !== before.last + 1) return;
    this.history.pop();
    this.last.replaceChildren("Undone: it is asked again.");
    for (const earlier of this.history) earlier.last += 2; // an answer and its undoing lie between
    if (this.item && !this.item.rest) this.items.unshift(this.item);
    this.item = before.item;
    this.answered--;
    this.sorted -= before.size;
    this.left += before.size;
    this.whole = false;
    queueMicrotask(() => !this.ended && this.show()); // when the new state is taken
  }

  walk(step) {
    const all = this.pictures?.map((one) => one.firstChild) || [];
    const at = all.indexOf(document.activeElement);
    all[at < 0 ? (step > 0 ? 0 : all.length - 1) : (at + step + all.length) % all.length]?.focus();
  }

  open() {
    if (!this.item) return;
    const at = this.pictures.find((one) => one.contains(document.activeElement)) || this.pictures[0]; // not all of the row are shown
    this.app.open(Number(at.dataset.row), this.item.images);
  }
}

export default {
  id: "queue",
  title: "Check the doubtful",
  key: "d",
  icon: "doubt",
  mount(root, app) {
    const queue = new Queue(root, app);
    queue.load().catch((error) => queue.card.replaceChildren(message("The questions could not be found", error.message)));
    return () => queue.end();
  },
};
