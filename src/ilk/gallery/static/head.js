// Above the grid: what is shown, what can be done to the group, how it is sorted, filtered and drawn.

import { wordsOf } from "./actions.js";
import { button, count, el, icon } from "./dom.js";
import { FACETS, SORTS } from "./shown.js";
import { MAX, MIN } from "./layout.js";

export class Head {
  constructor(app, root) {
    this.app = app;
    this.root = root;
    this.open = false; // the filters
    this.title = el("div", { class: "title" });
    this.acts = el("div", { class: "acts" });
    this.note = el("button", { type: "button", class: "noteline", hidden: true, onclick: () => app.actions.note() });
    this.tools = el("div", { class: "tools" });
    this.filters = el("div", { class: "filters", hidden: true });
    this.chips = el("div", { class: "chips", hidden: true });
    root.append(el("div", { class: "titleline" }, this.title, this.acts), this.note, this.tools, this.filters, this.chips);
    this.makeTools();
    app.on("show", () => this.fill());
    app.on("state", () => this.fill());
    app.on("size", (size) => (this.slider.value = size));
    const k = app.keys;
    k.add("grid", ["F2", "r"], "rename the group", () => app.actions.rename());
    k.add("grid", "Shift+M", "merge the group with another", () => app.actions.merge());
    k.add("grid", "Shift+S", "split the group in two", () => app.actions.split());
    k.add("grid", "Shift+N", "note on the group", () => app.actions.note());
    k.add("grid", "f", "filter by folder, month, camera, dimensions", () => this.toggle());
    k.add("grid", "o", "sort by something else", () => this.nextSort());
    k.add("grid", "w", "whole images, or squares", () => this.toggleWhole());
    k.add("grid", "u", "duplicates stacked, or apart", () => this.toggleStack());
  }

  makeTools() {
    const { app } = this;
    this.sort = el(
      "select",
      { "aria-label": "Sorted by", title: "Sorted by (O)", onchange: () => app.shown.set_sort(this.sort.value) },
      Object.entries(SORTS).map(([value, text]) => el("option", { value }, text)),
    );
    this.slider = el("input", {
      type: "range", min: MIN, max: MAX, step: 4, value: app.grid ? app.grid.layout.size : 132, "aria-label": "Size of the thumbnails", title: "Size (+ −)",
      oninput: () => app.grid.resize(Number(this.slider.value)),
    });
    const toggle = (sign, label, key, f) => button("", key, f, { icon: sign, label, keys: false, class: "quiet toggle" });
    this.stack = toggle("stack", "Duplicates stacked", "U", () => this.toggleStack());
    this.whole = toggle("crop", "Whole images", "W", () => this.toggleWhole());
    this.filter = button("Filter", "F", () => this.toggle(), { icon: "filter", keys: false, class: "quiet toggle filterbutton" });
    this.tools.append(this.filter, el("label", { class: "select" }, this.sort), el("span", { class: "grow" }), this.stack, this.whole, this.slider);
  }

  fill() {
    const { app } = this;
    const { shown } = app;
    if (!shown.what) return;
    const { group } = shown;
    const words = group ? wordsOf(group) : "";
    const back = "stack" in shown.what || ("rows" in shown.what && shown.before)
      ? button("", "", () => app.show(shown.before || shown.start()), { icon: "left", label: "Back", class: "quiet" })
      : null;
    this.title.replaceChildren(
      ...[
        back,
        group && el("span", { class: "dot", style: { background: app.colour(group.id) } }),
        el("h1", { title: shown.title, ondblclick: () => app.actions.rename() }, shown.title),
        el("span", { class: "muted number" }, this.numbers(group)),
        words && words !== group.name ? el("span", { class: "muted words" }, `${group.name ? "" : `group ${group.id}, `}looks like ${words}`) : null,
      ].filter(Boolean),
    );
    this.acts.replaceChildren(...(group && !app.run.read_only ? this.groupActs() : []));
    this.note.hidden = !(group && group.note);
    if (group && group.note) this.note.replaceChildren(icon("note", 14), group.note);
    this.sort.value = shown.sort;
    this.stack.setAttribute("aria-pressed", shown.stacked);
    this.whole.setAttribute("aria-pressed", app.grid ? app.grid.whole : false);
    if (app.grid) this.slider.value = app.grid.layout.size;
    this.fillChips();
  }

  numbers(group) {
    const { rows } = this.app.shown;
    const filtered = Object.keys(this.app.shown.facets).length > 0;
    if (!group || group.size === rows.length) return count(rows.length, "image");
    return filtered ? `${rows.length.toLocaleString("en")} of ${count(group.size, "image")}` : count(group.size, "image");
  }

  groupActs() {
    const { actions } = this.app;
    const look = (sign) => ({ icon: sign, keys: false, class: "quiet" });
    return [
      button("Rename", "F2", () => actions.rename(), look("pen")),
      button("Merge with …", "Shift+M", () => actions.merge(), look("merge")),
      button("Split in two", "Shift+S", () => actions.split(), look("split")),
      button("Note", "Shift+N", () => actions.note(), look("note")),
    ];
  }

  toggleStack() {
    this.app.shown.set_stacked(!this.app.shown.stacked);
  }

  toggleWhole() {
    this.app.grid.setWhole(!this.app.grid.whole);
    this.whole.setAttribute("aria-pressed", this.app.grid.whole);
  }

  nextSort() {
    const names = Object.keys(SORTS);
    const next = names[(names.indexOf(this.app.shown.sort) + 1) % names.length];
    this.app.shown.set_sort(next);
    this.app.toast.show(`Sorted: ${SORTS[next]}.`);
  }

  // -- filters --------------------------------------------------------------------------------------------------------

  async toggle() {
    this.open = !this.open;
    this.filters.hidden = !this.open;
    this.filter.setAttribute("aria-expanded", this.open);
    if (!this.open) return;
    await this.fillFilters();
    const first = this.filters.querySelector("select");
    if (first) first.focus();
  }

  async fillFilters() {
    const found = await this.app.get("/api/facets");
    const { facets } = this.app.shown;
    const choices = (name) => (found[name] || []).map((one) => el("option", { value: one.value }, `${one.value} (${one.count.toLocaleString("en")})`));
    const field = (name) => {
      const choose = el("select", { onchange: () => this.app.shown.set_facet(name, choose.value) }, el("option", { value: "" }, "any"), choices(name));
      choose.value = facets[name] || "";
      return el("label", { class: "facet" }, el("span", { class: "muted" }, FACETS[name]), choose);
    };
    const there = Object.keys(FACETS).filter((name) => (found[name] || []).length);
    const reading = found.ready === false ? el("span", { class: "muted small" }, "Dates and cameras are still being read …") : null;
    const none = there.length ? null : el("span", { class: "muted" }, "There is nothing to filter by.");
    this.filters.replaceChildren(...[...there.map(field), reading, none].filter(Boolean));
    clearTimeout(this.again);
    if (reading && this.open) this.again = setTimeout(() => !this.filters.contains(document.activeElement) && this.fillFilters(), 2000);
  }

  fillChips() {
    const { shown } = this.app;
    const set = Object.entries(shown.facets);
    this.chips.hidden = !set.length;
    this.filter.classList.toggle("on", set.length > 0);
    this.chips.replaceChildren(
      ...set.map(([name, value]) =>
        el("button", { type: "button", class: "chip", title: "Remove this filter", onclick: () => this.unset(name) }, `${FACETS[name]}: ${value}`, icon("close", 12)),
      ),
    );
  }

  async unset(name) {
    await this.app.shown.set_facet(name, null);
    if (this.open) this.fillFilters();
  }
}
