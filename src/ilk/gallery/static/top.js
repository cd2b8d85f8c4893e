// The line at the top: the run, the tabs, undo and redo, light and dark, help; and on a phone the line at the bottom.

import { button, dialog, el, icon } from "./dom.js";
import { shown } from "./keys.js";

const SHORT = { queue: "Doubtful", regroup: "Again", tree: "Number" }; // on a phone
const SIGNS = { map: "map", queue: "doubt", regroup: "again", tree: "tree", export: "export" };

export class Top {
  constructor(app, root, bottom) {
    this.app = app;
    this.tabs = el("nav", { class: "tabs", "aria-label": "Views" });
    const quiet = (sign, label, key, f, more = "") => button("", key, f, { icon: sign, label, keys: false, class: "quiet " + more });
    this.undo = quiet("undo", "Undo", "Ctrl+Z", () => app.actions.undo());
    this.redo = quiet("redo", "Redo", "Ctrl+Shift+Z", () => app.actions.redo());
    this.theme = quiet("moon", "Light or dark", "T", () => app.theme.toggle(), "theme");
    root.append(
      quiet("menu", "Groups and views", "", () => app.groups.drawer(!document.body.classList.contains("drawer")), "menu"),
      el("a", { class: "brand", href: "#view=all", title: app.run.path }, el("span", { class: "logo", "aria-hidden": "true" }), el("b", {}, "ilk"), el("span", { class: "runname" }, app.run.name)),
      this.tabs,
      el("span", { class: "grow" }),
      this.undo,
      this.redo,
      quiet("history", "What was done", "H", () => this.history(), "historybutton"),
      quiet("info", "What is known of the image", "I", () => app.side.toggle(), "sidebutton"),
      this.theme,
      quiet("help", "Keys", "?", () => app.keys.help(), "helpbutton"),
    );
    this.bottom = bottom;
    this.fillTabs();
    app.on("mode", () => this.mark());
    app.on("state", (state) => this.say(state));
    app.on("theme", () => this.sign());
    this.sign();
  }

  all() {
    return [{ id: "grid", title: "Images", key: "" }, ...this.app.views];
  }

  fillTabs() {
    const { app } = this;
    const tab = (view, title) =>
      el(
        "button",
        { type: "button", class: "tab", dataset: { mode: view.id }, title: `${view.title} (${view.key ? shown(view.key) : "Esc"})`, onclick: () => this.go(view.id) },
        icon(SIGNS[view.id] || "grid", 16),
        el("span", {}, title),
      );
    this.tabs.replaceChildren(...this.all().map((view) => tab(view, view.title)));
    const low = [
      el("button", { type: "button", class: "tab", onclick: () => app.groups.drawer(true) }, icon("menu", 20), el("span", {}, "Groups")),
      ...this.all().slice(0, 3).map((view) => tab(view, SHORT[view.id] || view.title)),
      el("button", { type: "button", class: "tab", onclick: () => this.more() }, icon("more", 20), el("span", {}, "More")),
    ];
    this.bottom.replaceChildren(...low);
    for (const view of this.all()) if (view.key) app.keys.add("all", view.key, view.title, () => this.go(view.id));
    this.mark();
  }

  go(id) {
    const { app } = this;
    app.groups.drawer(false);
    if (id === app.current) return;
    app.mode(id);
    if (id !== "grid") return;
    const hash = app.shown.hash(app.shown.what || app.shown.start());
    if (hash) history.pushState(null, "", hash);
    if (!app.shown.what) app.shown.set(app.shown.start(), false);
    app.grid.root.focus({ preventScroll: true });
  }

  mark() {
    for (const root of [this.tabs, this.bottom]) {
      for (const node of root.querySelectorAll("[data-mode]")) node.setAttribute("aria-current", node.dataset.mode === this.app.current ? "page" : "false");
    }
  }

  say(state) {
    const look = this.app.run.read_only;
    for (const [node, words, what, key] of [[this.undo, state.undo, "Undo", "Ctrl+Z"], [this.redo, state.redo, "Redo", "Ctrl+Shift+Z"]]) {
      node.disabled = !words || Boolean(look);
      node.title = words ? `${what}: ${words} (${key})` : `Nothing to ${what.toLowerCase()}`;
      node.setAttribute("aria-label", words ? `${what}: ${words}` : what);
      node.hidden = Boolean(look);
    }
  }

  sign() {
    this.theme.replaceChildren(icon(this.app.theme.dark ? "sun" : "moon"));
  }

  more() {
    const { app } = this;
    return dialog("More", (box, close) => {
      const row = (sign, text, f) =>
        el("button", { type: "button", class: "viewrow", onclick: () => (close(), f()) }, icon(sign, 18), el("span", {}, text));
      box.append(
        el(
          "div",
          { class: "morelist" },
          this.all().slice(3).map((view) => row(SIGNS[view.id] || "grid", view.title, () => this.go(view.id))),
          row("info", "What is known of the image", () => app.side.toggle(true)),
          row("history", "What was done", () => this.history()),
          row(app.theme.dark ? "sun" : "moon", app.theme.dark ? "Light" : "Dark", () => app.theme.toggle()),
          row("help", "Keys", () => app.keys.help()),
        ),
      );
    });
  }

  async history() {
    const { actions } = await this.app.get("/api/journal");
    return dialog("What was done", (box) => {
      const one = (action) => el("li", { class: action.in_effect ? "" : "undone" }, el("time", { datetime: action.at }, when(action.at)), el("span", {}, action.said), action.in_effect ? null : el("span", { class: "muted" }, "undone"));
      const list = [...actions].reverse().slice(0, 500).map(one);
      box.append(list.length ? el("ol", { class: "journal" }, list) : el("p", { class: "muted" }, "Nothing yet. Move, merge, split or confirm; everything can be undone."));
    });
  }
}

function when(at) {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? "" : date.toLocaleString(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
}
