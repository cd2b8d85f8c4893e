// The bar that appears with a selection: where the images can go, what can be said of them.

import { cover } from "./cover.js";
import { button, el } from "./dom.js";

export class SelectionBar {
  constructor(app, root) {
    this.app = app;
    this.root = root;
    for (const name of ["selection", "show", "state", "mode"]) app.on(name, () => this.later());
    if (app.run.read_only) return;
    const a = app.actions;
    const k = app.keys;
    const digits = [1, 2, 3, 4, 5, 6, 7, 8, 9].map(String);
    for (const scope of ["grid", "viewer"]) {
      k.add(scope, digits, "move to one of the nearest groups", (event, key) => a.moveToNearest(Number(key)), "1 – 9");
      k.add(scope, "v", "move to … (type a name)", () => a.choose());
      k.add(scope, "n", "new group", () => a.fresh());
      k.add(scope, "c", "confirm: it is right here", () => a.confirm());
      k.add(scope, ["x", "Delete"], "ignore: in no group", () => a.ignore(), "X");
    }
    k.add("grid", "Enter", "confirm what is selected; else open the original", () => this.enter());
    k.add("grid", "b", "split the group by the selected images", () => a.splitByThese());
  }

  enter() {
    const { app } = this;
    if (app.selection.size) app.actions.confirm();
    else if (app.focused !== null) app.open(app.focused, app.shown.rows);
  }

  later() {
    const { app } = this;
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.fill();
      app.emit("bar");
    });
  }

  fill() {
    const { app, root } = this;
    const n = app.selection.size;
    const there = n > 0 && app.current === "grid";
    document.body.classList.toggle("selecting", there);
    if (!there) {
      root.replaceChildren();
      return;
    }
    const clear = button("", "Esc", () => app.select([]), { icon: "close", label: "Select nothing", keys: false, class: "quiet" });
    const number = el("b", { class: "number" }, n.toLocaleString("en"), el("span", {}, n === 1 ? " image" : " images"));
    if (app.run.read_only) {
      root.replaceChildren(clear, number);
      return;
    }
    const a = app.actions;
    root.replaceChildren(
      this.chips(),
      el(
        "div",
        { class: "row acts" },
        clear,
        number,
        button("Move to …", "V", () => a.choose(), { icon: "move", class: "first" }),
        button("New group", "N", () => a.fresh(), { icon: "plusbox" }),
        button("Confirm", "Enter", () => a.confirm(), { icon: "check" }),
        button("Ignore", "X", () => a.ignore(), { icon: "ignore" }),
        app.shown.group ? button("Split by these", "B", () => a.splitByThese(), { icon: "split" }) : null,
      ),
    );
  }

  chips() {
    const { app } = this;
    const chip = (id, i) => {
      const name = app.groupName(id);
      return el(
        "button",
        { type: "button", class: "chip near", title: `Move to ${name} (key ${i + 1})`, "aria-label": `Move to ${name}`, "aria-keyshortcuts": String(i + 1), onclick: () => app.actions.moveTo(id) },
        cover(app, app.byId.get(id).cover, 1),
        el("span", { class: "name" }, name),
        el("kbd", { class: "keys cap" }, String(i + 1)),
      );
    };
    const near = app.actions.nearest().map(chip);
    const hint = el("span", { class: "muted small hint" }, "Move with a key to");
    return el("div", { class: "nearest", "aria-label": "Nearest groups" }, near.length ? [hint, near] : []);
  }
}
