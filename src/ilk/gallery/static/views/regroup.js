// Group again with the corrections: a preview of what would move, and only then the grouping.

import { button, count, el } from "../dom.js";
import { flowPicture } from "./flow.js";
import { busy, groupTag, message } from "./parts.js";

let kept = null; // the preview, while one looks at its images in the grid and comes back

class Regroup {
  constructor(root, app) {
    this.app = app;
    this.body = el("div", { class: "view-body" });
    root.append(el("div", { class: "view-bar" }, el("h2", {}, "Group again with my corrections")), this.body);
    this.off = [
      app.keys.add("regroup", "Enter", "accept what is shown", () => (this.preview ? this.accept() : false)),
      app.keys.add("regroup", "Escape", "leave it as it is", () => this.leave()),
      app.on("state", (state, before) => state.last !== before?.last && !this.accepting && this.start().catch((error) => this.failed(error))),
    ];
  }

  end() {
    this.ended = true;
    this.flow?.end();
    for (const off of this.off) off();
  }

  async start() {
    const { app } = this, last = app.state.last;
    this.preview = null;
    this.flow?.end();
    if (app.run.read_only) {
      this.body.replaceChildren(message("Look only", app.run.read_only));
      return;
    }
    const known = kept && kept.last === last ? kept : null;
    if (!known) this.body.replaceChildren(busy("Grouping again: what you said stays, the other images follow …"));
    const preview = known?.preview || await app.post("/api/regroup", {});
    if (this.ended || app.state.last !== last) return;
    kept = { last, preview };
    this.show(preview);
  }

  show(preview) {
    const { app } = this, problems = this.problems(preview.problems || []);
    const flows = preview.flows.filter((flow) => flow.from !== flow.to && flow.count);
    if (!preview.count) {
      this.body.replaceChildren(...(app.state.count ? problems : []), message("Nothing would move",
        app.state.count ? "Every image is where your corrections want it already." : "There are no corrections yet. Check some doubtful images first, or move what is in the wrong group.",
        button("Check the doubtful", "D", () => app.mode("queue"), { icon: "doubt", class: "first" }),
        button("To the images", "Esc", () => this.leave(), { icon: "grid" })));
      return;
    }
    this.preview = preview;
    this.flow = flowPicture(app, flows, (flow) => this.look(flow));
    this.button = button(`Accept: move ${count(preview.count, "image")}`, "Enter", () => this.accept(), { icon: "check", class: "first" });
    const one = (flow) => el("li", {}, el("button", { type: "button", class: "flow-line", onclick: () => this.look(flow) },
      groupTag(app, flow.from), el("span", { class: "muted", "aria-label": "to" }, "→"), groupTag(app, flow.to), el("span", { class: "grow" }), count(flow.count, "image")));
    this.body.replaceChildren(
      el("p", { class: "big", role: "status" }, el("b", {}, count(preview.count, "image")), preview.count === 1 ? " would move." : " would move.",
        el("span", { class: "muted" }, " What you said stays as you said it. Nothing is changed until you accept.")),
      ...problems,
      el("div", { class: "row" }, this.button, button("Leave as it is", "Esc", () => this.leave(), { icon: "close" })),
      this.flow.root,
      el("details", { class: "flow-list", open: flows.length <= 3 }, el("summary", {}, `As a list (${flows.length})`), el("ul", {}, flows.map(one))));
    this.body.closest(".view").focus({ preventScroll: true });
  }

  problems(all) {
    return all.length ? [el("ul", { class: "problems panel", role: "alert" }, all.map((text) => el("li", {}, text)))] : [];
  }

  /** The images of one flow in the grid. */
  async look(flow) {
    const { app } = this, labels = new Int32Array(await app.bytes("/api/labels"));
    const rows = (this.preview.moves[flow.to] || flow.examples).filter((row) => labels[row] === flow.from);
    await app.show({ rows: rows.length ? rows : flow.examples, title: `Would move from ${app.groupName(flow.from)} to ${app.groupName(flow.to)}` });
  }

  async accept() {
    const { app, preview } = this;
    if (!preview || this.accepting) return;
    this.accepting = true;
    this.button.disabled = true;
    try {
      await app.post("/api/regroup/accept", { id: preview.id });
    } catch (error) {
      kept = null;
      this.accepting = false;
      if (!this.ended) await this.start();
      return;
    }
    kept = null;
    this.preview = null;
    this.accepting = false;
    if (this.ended) return;
    this.flow.end();
    this.body.replaceChildren(message("Grouped again", `${count(preview.count, "image")} moved. It is one correction like any other: Undo takes it back.`,
      button("To the images", "Esc", () => this.leave(), { icon: "grid", class: "first" }),
      button("Undo", "Ctrl+Z", () => this.undo(), { icon: "undo" }),
      button("Check the doubtful", "D", () => app.mode("queue"), { icon: "doubt" })));
    this.body.closest(".view").focus({ preventScroll: true });
  }

  async undo() {
    await this.app.do({ do: "undo" }); // with the state that it brings a new preview is made
  }

  failed(error) {
    if (!this.ended) this.body.replaceChildren(message("It could not be grouped again", error.message));
  }

  leave() {
    this.app.mode("grid");
  }
}

export default {
  id: "regroup",
  title: "Group again",
  key: "g",
  icon: "again",
  available: (run) => run.has.regroup,
  mount(root, app) {
    const view = new Regroup(root, app);
    view.start().catch((error) => view.failed(error));
    return () => view.end();
  },
};
