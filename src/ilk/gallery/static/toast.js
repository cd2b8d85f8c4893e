// The line at the bottom: what was done (with Undo), or what went wrong.

import { button, el, icon } from "./dom.js";

const LONG = 7000; // ms

export class Toast {
  constructor(root) {
    this.root = root;
  }

  // actions: [{text, key, f}]
  show(text, actions = [], bad = false) {
    clearTimeout(this.timer);
    this.root.replaceChildren(
      el(
        "div",
        { class: "toast" + (bad ? " bad" : "") },
        icon(bad ? "info" : "check"),
        el("span", { class: "text" }, text),
        actions.map((one) => button(one.text, one.key || "", () => this.run(one), { class: "quiet" })),
        button("", "", () => this.hide(), { icon: "close", label: "Close this line", class: "quiet close" }),
      ),
    );
    this.timer = setTimeout(() => this.hide(), bad ? 2 * LONG : LONG);
  }

  run(action) {
    this.hide();
    action.f();
  }

  hide() {
    clearTimeout(this.timer);
    this.root.replaceChildren();
  }
}
