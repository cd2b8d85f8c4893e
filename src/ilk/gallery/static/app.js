// The page: one object `app` that its parts share. What they may use of it stands in the class below.

import { Actions } from "./actions.js";
import { colour } from "./colours.js";
import { button, count, el, icon } from "./dom.js";
import { Grid } from "./grid.js";
import { Groups } from "./groups.js";
import { Head } from "./head.js";
import { Keys } from "./keys.js";
import { globalKeys } from "./globalkeys.js";
import { SelectionBar } from "./selection.js";
import { Refused, Server } from "./server.js";
import { Shown } from "./shown.js";
import { Side } from "./side.js";
import { Theme } from "./theme.js";
import { Toast } from "./toast.js";
import { Top } from "./top.js";
import { Viewer } from "./viewer.js";
import views from "./views/index.js";

const TINY = 64; // px

class App {
  constructor() {
    this.run = null; // as /api/run says
    this.state = null; // as /api/state says
    this.selection = new Set(); // rows
    this.focused = null; // the row that the panel on the right shows
    this.scope = "grid"; // whose keys count: "grid", "viewer", or the id of a view
    this.colour = colour;
    this.el = el;
    this.icon = icon;
    this.button = button;
    this.listeners = new Map();
    this.queue = Promise.resolve(); // corrections go one after the other
    this.server = new Server((state) => this.take(state), (message) => this.gone(message));
    this.keys = new Keys();
    this.toast = new Toast(document.getElementById("toast"));
  }

  async start() {
    this.keys.scope = () => this.scope;
    this.theme = new Theme(this);
    try {
      const [run] = await Promise.all([this.server.get("/api/run"), this.server.state()]);
      this.about(run);
      const first = await this.server.get("/api/image/0");
      this.tiny = Math.max(first.width, first.height) <= TINY;
    } catch (error) {
      this.banner(error.message);
      setTimeout(() => location.reload(), 5000);
      return;
    }
    document.title = `${this.run.name} – ilk gallery`;
    document.body.classList.toggle("readonly", Boolean(this.run.read_only));
    if (this.run.read_only) this.notice(`Look only: ${this.run.read_only}`);
    this.views = views.filter((view) => !view.available || view.available(this.run));
    this.actions = new Actions(this);
    this.shown = new Shown(this);
    this.top = new Top(this, document.getElementById("top"), document.getElementById("bottom"));
    this.groups = new Groups(this, document.getElementById("left"));
    this.head = new Head(this, document.getElementById("head"));
    this.grid = new Grid(this);
    this.side = new Side(this, document.getElementById("right"));
    this.bar = new SelectionBar(this, document.getElementById("bar"));
    this.viewer = new Viewer(this);
    globalKeys(this);
    this.emit("state", this.state);
    window.addEventListener("hashchange", () => this.route());
    this.server.watch();
    this.server.here();
    await this.route();
    document.body.dataset.ready = "true";
  }

  // -- asking the server ----------------------------------------------------------------------------------------------

  async get(path, options) {
    return this.asked(() => this.server.get(path, options));
  }

  async post(path, body) {
    const answer = await this.asked(() => this.server.post(path, body));
    if (answer.state) this.take(answer.state);
    return answer;
  }

  async bytes(path, options) {
    return this.asked(() => this.server.bytes(path, options));
  }

  async asked(f) {
    try {
      return await f();
    } catch (error) {
      if (error instanceof Refused && error.status) this.toast.show(error.message, [], true);
      throw error;
    }
  }

  // One correction; answers {action, state}, or null where it was refused (which is said).
  do(action, say = true) {
    const done = this.queue.then(() => this.correct(action, say));
    this.queue = done.catch(() => null);
    return this.queue;
  }

  async correct(action, say) {
    if (this.run.read_only) {
      this.toast.show(`Look only: ${this.run.read_only}`, [], true);
      return null;
    }
    let answer;
    try {
      answer = await this.server.post("/api/do", { ...action, last: this.state.last });
    } catch (error) {
      if (error.status === 409) await this.server.state().catch(() => {});
      this.toast.show(error.message, [], true);
      return null;
    }
    this.emit("done", action, answer);
    this.take(answer.state);
    if (say) this.say(answer, action);
    return answer;
  }

  say(answer, action) {
    const back = { text: "Undo", key: "Ctrl+Z", f: () => this.actions.undo() };
    const on = { text: "Redo", key: "", f: () => this.actions.redo() };
    this.toast.show(answer.action.said, [action.do === "undo" ? on : back]);
  }

  take(state) {
    const before = this.state;
    this.state = state;
    this.byId = new Map(state.groups.map((group) => [group.id, group]));
    if (!before || !this.run || !this.groups) return;
    if (before.n_images !== state.n_images) this.grown(before);
    else if (before.last !== state.last || before.count !== state.count || before.groups.length !== state.groups.length) this.emit("state", state, before);
  }

  // What is said of the run as a whole is asked for anew.
  async again(before) {
    this.about(await this.server.get("/api/run").catch(() => this.run));
    this.emit("state", this.state, before);
  }

  about(run) {
    this.run = run;
    this.server.proof = run.proof;
    this.server.command = `ilk gallery ${/^[\w./:@%+=,-]+$/.test(run.path) ? run.path : `'${run.path}'`}`;
  }

  // The gallery does not answer (a message says why), or does again (null).
  gone(message) {
    this.banner(message);
    if (!message && this.groups) this.again(this.state);
  }

  // Images joined the run (ilk update).
  async grown(before) {
    await this.again(before);
    const more = this.state.n_images - before.n_images;
    if (more > 0) this.toast.show(`${count(more, "image")} joined the run.`);
  }

  // -- what is seen ---------------------------------------------------------------------------------------------------

  // {group} | {view} | {q} | {stack: row} | {rows, title}
  async show(what) {
    this.mode("grid");
    await this.shown.set(what);
  }

  // "grid" or the id of a view
  mode(id) {
    if (this.current === id) return;
    if (this.leave) this.leave();
    this.leave = null;
    const stage = document.getElementById("stage");
    const view = this.views.find((one) => one.id === id);
    if (view && this.grid.root.isConnected) this.grid.leave();
    this.current = view ? view.id : "grid";
    this.scope = this.current;
    document.body.dataset.mode = this.current;
    if (view) {
      const root = el("section", { class: "view view-" + view.id, "aria-label": view.title, tabindex: "-1" });
      stage.replaceChildren(root);
      this.keys.titles[view.id] = view.title;
      const leave = view.mount(root, this);
      this.leave = typeof leave === "function" ? leave : null;
      if (location.hash !== "#mode=" + view.id) history.pushState(null, "", "#mode=" + view.id);
      root.focus({ preventScroll: true });
    } else {
      stage.replaceChildren(this.grid.root);
      this.grid.back();
    }
    this.emit("mode", this.current);
  }

  async route() {
    const said = new URLSearchParams(location.hash.slice(1));
    if (said.has("mode") && this.views.some((view) => view.id === said.get("mode"))) {
      this.mode(said.get("mode"));
      if (!this.shown.what) await this.shown.set(this.shown.start(), false);
      return;
    }
    this.mode("grid");
    await this.shown.set(this.shown.fromHash(said) || this.shown.start(), false);
  }

  open(row, rows) {
    this.viewer.open(row, rows);
  }

  thumb(row) {
    return `/thumb/${row}?${this.run.key_of_thumbs}`;
  }

  // Images of few pixels are enlarged as crisp squares; a photo's thumbnail from an older run (48 px) is not.
  crisp(image, original = false) {
    const side = Math.max(image.naturalWidth, image.naturalHeight);
    image.classList.toggle("tiny", side < 48 || (side <= TINY && (original || this.tiny)));
  }

  groupName(id) {
    if (id === null || id === undefined || id === -1) return "no group";
    if (id === -2) return "unreadable";
    const group = this.byId.get(id);
    return group ? group.called : `group ${id}`;
  }

  select(rows, { add = false } = {}) {
    if (!add) this.selection.clear();
    for (const row of rows) this.selection.add(row);
    this.emit("selection", this.selection);
  }

  focus(row) {
    if (this.focused === row) return;
    this.focused = row;
    this.emit("focus", row);
  }

  banner(message) {
    const root = document.getElementById("banner");
    root.replaceChildren(...(message ? [icon("info"), el("span", {}, message)] : []));
    document.body.classList.toggle("gone", Boolean(message));
    if (!message && this.groups) this.toast.show("The gallery answers again.");
  }

  notice(message) {
    document.getElementById("notice").replaceChildren(icon("eye"), el("span", {}, message));
  }

  // -- events: "state", "selection", "focus", "show", "mode", "theme", "done" -----------------------------------------

  on(name, f) {
    if (!this.listeners.has(name)) this.listeners.set(name, new Set());
    this.listeners.get(name).add(f);
    return () => this.listeners.get(name).delete(f);
  }

  emit(name, ...values) {
    for (const f of [...(this.listeners.get(name) || [])]) f(...values);
  }
}

const app = new App();
app.start();
