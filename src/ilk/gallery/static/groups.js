// On the left: the groups, the ready-made views, the search by file name. Groups take what is dragged onto them.

import { wordsOf } from "./actions.js";
import { cover } from "./cover.js";
import { el, icon } from "./dom.js";
import { drag } from "./dragging.js";

const VIEWS = [
  ["all", "All images", "all"], ["doubtful", "Check the doubtful", "doubt"], ["near", "Near duplicates", "stack"],
  ["outliers", "Fit no group", "alone"], ["unreadable", "Unreadable", "broken"], ["ignored", "Ignored", "ignore"],
];
const WAIT = 180; // ms after a key in the search

export class Groups {
  constructor(app, root) {
    this.app = app;
    this.nodes = new Map(); // id -> {node, said}
    this.search = el("input", {
      type: "search", placeholder: "Search file names", "aria-label": "Search file names", autocomplete: "off", spellcheck: "false",
    });
    this.search.addEventListener("input", () => this.sought());
    this.search.addEventListener("keydown", (event) => this.leave(event));
    this.title = el("h2", {}, "Groups");
    this.list = el("ul", { id: "groups", role: "listbox", "aria-label": "Groups", tabindex: "0" });
    this.list.addEventListener("keydown", (event) => this.key(event));
    this.fresh = el("div", { class: "dropnew", dataset: { drop: "new" } }, icon("plus"), "New group");
    this.views = el("ul", { id: "views", "aria-label": "Views" });
    root.append(
      el("div", { class: "search" }, icon("search", 16), this.search, el("kbd", { class: "keys" }, "/")),
      el("div", { class: "groupshead" }, this.title),
      this.list,
      this.fresh,
      this.views,
    );
    app.on("state", () => this.fill());
    app.on("show", (shown, fresh) => this.mark(fresh));
    app.on("mode", () => this.mark());
    app.on("theme", () => this.fill());
    document.getElementById("veil").addEventListener("click", () => this.drawer(false));
    app.keys.add("all", "/", "search by file name", () => {
      this.drawer(true);
      this.search.focus();
    });
    app.keys.add("all", "[", "the group before", () => this.step(-1));
    app.keys.add("all", "]", "the next group", () => this.step(1));
    app.keys.titles.groups = "Groups";
  }

  drawer(open) {
    document.body.classList.toggle("drawer", open);
    document.getElementById("veil").hidden = !open;
  }

  fill() {
    const { app } = this;
    const { groups } = app.state;
    this.title.replaceChildren("Groups ", el("span", { class: "muted" }, String(groups.length)));
    for (const [id, { node }] of this.nodes) if (!app.byId.has(id)) this.drop(id, node);
    const order = groups.map((group) => this.node(group));
    order.forEach((node, i) => this.list.children[i] !== node && this.list.insertBefore(node, this.list.children[i] || null));
    this.fillViews();
    this.mark();
  }

  drop(id, node) {
    node.remove();
    this.nodes.delete(id);
  }

  node(group) {
    const said = JSON.stringify(group);
    const old = this.nodes.get(group.id);
    if (old && old.said === said) return old.node;
    const node = this.draw(group);
    if (old) old.node.replaceWith(node);
    this.nodes.set(group.id, { node, said });
    return node;
  }

  draw(group) {
    const { app } = this;
    const words = wordsOf(group);
    const doubt = group.size ? Math.round(100 * group.doubtful) : 0;
    const bar = el("span", { class: "doubt", title: `${doubt} % doubtful` }, el("i", { style: { width: `${doubt}%` } }));
    const line = [
      el("span", { class: "size" }, group.size.toLocaleString("en")),
      bar,
      group.confirmed ? el("span", { class: "good", title: `${group.confirmed} moved here or confirmed` }, icon("check", 12), String(group.confirmed)) : null,
    ];
    return el(
      "li",
      {
        class: "group", role: "option", id: "group-" + group.id, dataset: { drop: String(group.id), group: String(group.id) },
        "aria-label": `${app.groupName(group.id)}, ${group.size} images, ${doubt} % doubtful${words ? `, looks like ${words}` : ""}`,
        onclick: () => this.go(group.id),
        ondblclick: () => this.edit(group.id),
        onpointerdown: (event) => this.grab(event, group.id),
      },
      cover(app, group.cover),
      el(
        "span",
        { class: "what" },
        el("span", { class: "name" }, el("span", { class: "dot", style: { background: app.colour(group.id) } }), el("b", {}, app.groupName(group.id)), group.note ? icon("note", 13) : null),
        words && words !== group.name ? el("span", { class: "words muted" }, group.name ? `looks like ${words}` : `group ${group.id}: ${words}`) : null,
        el("span", { class: "line muted" }, line),
      ),
    );
  }

  grab(event, id) {
    if (event.button !== 0 || event.pointerType === "touch" || event.target.closest("input")) return;
    drag(event, { far: 8, start: () => (this.app.run.read_only ? null : { group: id }), app: this.app });
  }

  go(id) {
    this.drawer(false);
    if (this.app.current === "grid" && this.app.shown.what && this.app.shown.what.group === id) return;
    this.app.show({ group: id });
  }

  // The name becomes a field where it stands.
  edit(id) {
    const { app } = this;
    const held = this.nodes.get(id);
    if (!held || app.run.read_only) return;
    const group = app.byId.get(id);
    const name = held.node.querySelector("b");
    const input = el("input", { type: "text", value: group.name, maxlength: 200, "aria-label": "Name of the group", class: "rename" });
    let done = false;
    const end = (save) => {
      if (done) return;
      done = true;
      input.replaceWith(name);
      const wanted = input.value.trim();
      const other = app.state.groups.find((one) => one.id !== id && wanted && app.groupName(one.id).toLowerCase() === wanted.toLowerCase());
      if (save && other) app.toast.show(`Another group is called ${wanted}: merge the two, or take another name.`, [], true);
      else if (save && wanted !== group.name) app.do({ do: "rename", group: id, name: wanted });
      this.list.focus({ preventScroll: true });
    };
    input.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter") end(true);
      else if (event.key === "Escape") end(false);
    });
    input.addEventListener("blur", () => end(true));
    input.addEventListener("dblclick", (event) => event.stopPropagation());
    name.replaceWith(input);
    input.focus();
    input.select();
  }

  fillViews() {
    const { app } = this;
    const { state, run } = app;
    const counts = { all: run.n_images, unreadable: state.unreadable, ignored: state.ignored };
    const shown = VIEWS.filter(([id]) => (id !== "near" || run.has.near) && (counts[id] !== 0 || id === "ignored"));
    const row = ([id, text, sign]) =>
      el(
        "li",
        {},
        el(
          "button",
          { type: "button", class: "viewrow", dataset: { view: id }, onclick: () => this.look(id) },
          icon(sign, 16),
          el("span", {}, text),
          id in counts ? el("span", { class: "muted" }, counts[id].toLocaleString("en")) : null,
        ),
      );
    this.views.replaceChildren(...shown.map(row));
    if (state.unassigned) this.views.append(row(["unassigned", "In no group", "grid"]));
  }

  look(id) {
    this.drawer(false);
    const queue = id === "doubtful" && this.app.views.find((view) => view.id === "queue");
    if (queue) this.app.mode("queue");
    else this.app.show({ view: id });
  }

  mark(fresh = false) {
    const { what } = this.app.shown;
    const grid = this.app.current === "grid";
    for (const [id, { node }] of this.nodes) {
      const on = Boolean(grid && what && what.group === id);
      node.setAttribute("aria-selected", on);
      if (on) this.list.setAttribute("aria-activedescendant", node.id);
      if (on && fresh) node.scrollIntoView({ block: "nearest" });
    }
    for (const node of this.views.querySelectorAll(".viewrow")) {
      const { view } = node.dataset;
      const on = grid ? what && what.view === view : view === "doubtful" && this.app.current === "queue";
      node.setAttribute("aria-current", on ? "true" : "false");
    }
    if (fresh && document.activeElement !== this.search && !(what && "q" in what)) this.search.value = "";
  }

  step(by) {
    const { groups } = this.app.state;
    if (!groups.length) return;
    const { what } = this.app.shown;
    const at = groups.findIndex((group) => what && group.id === what.group);
    const next = groups[Math.min(groups.length - 1, Math.max(0, at + by))];
    this.app.show({ group: next.id });
  }

  key(event) {
    if (event.target !== this.list || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const { group } = this.app.shown;
    if (step) this.step(step);
    else if (event.key === "F2" && group) this.edit(group.id);
    else if (event.key === "Enter" || event.key === "ArrowRight") {
      this.drawer(false);
      this.app.grid.root.focus();
    } else return;
    event.preventDefault();
  }

  sought() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      const q = this.search.value.trim();
      if (q) this.app.show({ q });
      else if (this.app.shown.what && "q" in this.app.shown.what) this.app.show(this.app.shown.before || this.app.shown.start());
    }, WAIT);
  }

  leave(event) {
    if (event.key === "Escape") {
      this.search.value = "";
      this.sought();
    } else if (event.key !== "Enter" && event.key !== "ArrowDown") return;
    event.preventDefault();
    this.drawer(false);
    this.app.grid.root.focus();
  }
}

