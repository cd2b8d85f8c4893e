// Group again with the corrections: a preview of what would move, and only then the grouping.

import { button, count, el, icon } from "../dom.js";
import { flowPicture } from "./flow.js";
import { busy, groupTag, message } from "./parts.js";

const SHOWN = 24; // pictures of one flow
const FLOWS = 12; // the largest, with pictures

/** A problem, as a sentence of its own. */
function sentence(text) {
  const said = text.replace(/^nothing would move: /, "");
  return said.charAt(0).toUpperCase() + said.slice(1) + (/[.!?]$/.test(said) ? "" : ".");
}

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
    const labels = preview.count ? await this.labels() : null;
    if (this.ended || app.state.last !== last) return;
    kept = { last, preview };
    this.show(preview, labels);
  }

  show(preview, labels) {
    const { app } = this, problems = this.problems(preview.problems || []);
    const flows = preview.flows.filter((flow) => flow.from !== flow.to && flow.count);
    if (!preview.count) {
      const all = preview.problems, why = sentence(all[all.length - 1] || ""); // why nothing moves is said last
      this.body.replaceChildren(...(app.state.count ? this.problems(all.slice(0, -1)) : []), message("Nothing would move",
        app.state.count ? why : "There are no corrections yet. Check some doubtful images first, or move what is in the wrong group.",
        button("Check the doubtful", "D", () => app.mode("queue"), { icon: "doubt", class: "first" }),
        button("To the images", "Esc", () => this.leave(), { icon: "grid" })));
      return;
    }
    this.preview = preview;
    this.out = new Set(); // rows that stay
    this.flow = flowPicture(app, flows, (flow) => this.look(flow));
    this.button = button(`Accept: move ${count(preview.count, "image")}`, "Enter", () => this.accept(), { icon: "check", class: "first" });
    const one = (flow) => el("section", {}, el("button", { type: "button", class: "flow-line", title: "Show them in the grid", onclick: () => this.look(flow) },
      groupTag(app, flow.from), el("span", { class: "muted", "aria-label": "to" }, "→"), groupTag(app, flow.to), el("span", { class: "grow" }), count(flow.count, "image")),
    this.pictures(flow, labels));
    this.body.replaceChildren(
      el("p", { class: "big", role: "status" }, el("b", {}, count(preview.count, "image")), preview.count === 1 ? " would move." : " would move.",
        el("span", { class: "muted" }, " What you said stays as you said it. Nothing is changed until you accept.")),
      ...problems,
      el("div", { class: "row" }, this.button, button("Leave as it is", "Esc", () => this.leave(), { icon: "close" })),
      el("p", { class: "muted" }, "Click a picture to leave it where it is."),
      el("div", { class: "regroup-flows" }, flows.slice(0, FLOWS).map(one)),
      this.flow.root);
    this.body.closest(".view").focus({ preventScroll: true });
  }

  /** What would move from one group to another, to be looked at; a click leaves an image where it is. */
  pictures(flow, labels) {
    const rows = [...new Set([...flow.examples, ...(this.preview.moves[flow.to] || []).filter((row) => labels[row] === flow.from)])];
    const picture = (row) => {
      const toggle = el("button", { type: "button", class: "regroup-picture", "aria-pressed": "true", "aria-label": "It moves", title: "Leave it where it is", dataset: { row }, onclick: () => {
        if (!this.out.delete(row)) this.out.add(row);
        toggle.setAttribute("aria-pressed", String(!this.out.has(row)));
        this.say();
      } }, el("img", { src: this.app.thumb(row), alt: "", loading: "lazy", decoding: "async", onload: (event) => this.app.crisp(event.target) }), icon("check", 18));
      return toggle;
    };
    const more = rows.length - SHOWN;
    return el("div", { class: "regroup-pictures" }, rows.slice(0, SHOWN).map(picture),
      more > 0 ? button(`and ${more.toLocaleString("en")} more`, "", () => this.look(flow), { class: "quiet", title: "Show all in the grid" }) : null);
  }

  say() {
    const n = this.preview.count - this.out.size;
    this.button.disabled = n < 1;
    this.button.querySelector("span").textContent = `Accept: move ${count(n, "image")}`;
  }

  problems(all) {
    return all.length ? [el("ul", { class: "problems panel", role: "alert" }, all.map((text) => el("li", {}, text)))] : [];
  }

  async labels() {
    return new Int32Array(await this.app.bytes("/api/labels"));
  }

  /** The images of one flow in the grid. */
  async look(flow) {
    const { app } = this, labels = await this.labels();
    const rows = (this.preview.moves[flow.to] || flow.examples).filter((row) => labels[row] === flow.from);
    await app.show({ rows: rows.length ? rows : flow.examples, title: `Would move from ${app.groupName(flow.from)} to ${app.groupName(flow.to)}` });
  }

  async accept() {
    const { app, preview } = this;
    if (!preview || this.accepting) return;
    let answer;
    this.accepting = true;
    this.button.disabled = true;
    try {
      answer = await app.post("/api/regroup/accept", { id: preview.id, without: [...this.out] });
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
    this.body.replaceChildren(message("Grouped again", `${count(answer.moved, "image")} moved. It is one correction like any other: Undo takes it back.`,
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
