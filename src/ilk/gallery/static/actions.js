// What a person can do to images and groups: asks where it must, and sends one correction.

import { chooseGroup } from "./choosing.js";
import { askText, askYes, count } from "./dom.js";

const TOGETHER = 4; // questions at once

export class Actions {
  constructor(app) {
    this.app = app;
  }

  // -- on what --------------------------------------------------------------------------------------------------------

  // The selected images, in the order shown; those chosen on the map that the grid does not show come after.
  chosen() {
    const { selection, shown } = this.app;
    const here = new Set(shown.rows.filter((row) => selection.has(row)));
    return { rows: [...here, ...[...selection].filter((row) => !here.has(row))] };
  }

  // Those, or the one in focus, or in the viewer.
  target() {
    const { app } = this;
    if (app.viewer && app.viewer.row !== null) return [app.viewer.row];
    if (app.selection.size) return this.chosen().rows;
    return app.current === "grid" && app.focused !== null ? [app.focused] : [];
  }

  // The group whose neighbours the keys 1 to 9 stand for.
  base() {
    const { app } = this;
    if (app.shown.group) return app.shown.group;
    const at = app.shown.index(this.target()[0]);
    return app.shown.groups && at >= 0 ? app.byId.get(app.shown.groups[at]) || null : null;
  }

  nearest() {
    const base = this.base();
    const ids = base ? base.nearest : this.app.state.groups.map((group) => group.id);
    return ids.filter((id) => this.app.byId.has(id)).slice(0, 9);
  }

  readOnly() {
    if (!this.app.run.read_only) return false;
    this.app.toast.show(`Look only: ${this.app.run.read_only}`, [], true);
    return true;
  }

  ready(rows) {
    if (this.readOnly()) return false;
    if (!rows.length) this.app.toast.show("Select images first.", [], true);
    return rows.length > 0;
  }

  // -- images ---------------------------------------------------------------------------------------------------------

  async moveTo(to, rows = this.target()) {
    if (!this.ready(rows)) return null;
    return this.send({ do: "move", images: rows, to });
  }

  // A stack is shown as one image: what is done to it is done to all of it that is in the same group.
  async whole(rows) {
    const { app } = this;
    const { shown } = app;
    const chosen = new Set(rows);
    const heads = shown.stack ? shown.rows.filter((row, i) => chosen.has(row) && shown.stack[i] > 1) : [];
    if (!heads.length) return rows;
    const labels = new Int32Array(await app.bytes("/api/labels"));
    for (let i = 0; i < heads.length; i += TOGETHER) {
      const some = heads.slice(i, i + TOGETHER);
      const stacks = await Promise.all(some.map((row) => app.get(`/api/stack/${row}`)));
      stacks.forEach((stack, j) => stack.rows.filter((row) => labels[row] === labels[some[j]]).forEach((row) => chosen.add(row)));
    }
    return [...chosen];
  }

  async moveToNearest(number) {
    const id = this.nearest()[number - 1];
    return id === undefined ? null : this.moveTo(id);
  }

  async choose(rows = this.target()) {
    if (!this.ready(rows)) return null;
    const base = this.base();
    const found = await chooseGroup(this.app, `Move ${count(rows.length, "image")} to …`, {
      first: this.nearest(),
      without: base ? [base.id] : [],
      fresh: true,
    });
    if (!found) return null;
    return "id" in found ? this.moveTo(found.id, rows) : this.send({ do: "new", images: rows, name: found.name });
  }

  async fresh(rows = this.target()) {
    if (!this.ready(rows)) return null;
    const hint = "May stay empty: groups can be named at any time.";
    const name = await askText(`New group of ${count(rows.length, "image")}`, "Name", "", { ok: "Make the group", hint });
    return name === undefined ? null : this.send({ do: "new", images: rows, name: name.trim() });
  }

  async confirm(rows = this.target()) {
    if (!this.ready(rows)) return null;
    return this.send({ do: "confirm", images: rows });
  }

  async ignore(rows = this.target()) {
    return this.ready(rows) ? this.send({ do: "ignore", images: rows }) : null;
  }

  async send(action) {
    const stacked = this.app.shown.stacked && this.app.viewer.row === null;
    const images = stacked ? await this.whole(action.images).catch((error) => this.app.toast.show(error.message, [], true)) : action.images;
    const answer = images && (await this.app.do({ ...action, images }));
    if (answer) this.after();
    return answer;
  }

  // What was chosen is done with.
  after() {
    this.app.select([]);
    if (this.app.viewer.row !== null) this.app.viewer.done();
  }

  // -- groups ---------------------------------------------------------------------------------------------------------

  async rename(group = this.app.shown.group) {
    if (!group || this.readOnly()) return null;
    const words = wordsOf(group);
    const name = await askText("Name of the group", "Name", group.name, { hint: words ? `Looks like: ${words}` : "" });
    return name === undefined || name.trim() === group.name ? null : this.app.do({ do: "rename", group: group.id, name: name.trim() });
  }

  async note(group = this.app.shown.group) {
    if (!group || this.readOnly()) return null;
    const text = await askText(`Note on ${this.app.groupName(group.id)}`, "Note", group.note || "", { long: true });
    return text === undefined || text === group.note ? null : this.app.do({ do: "note", group: group.id, text });
  }

  async merge(group = this.app.shown.group) {
    if (!group || this.readOnly()) return null;
    const { app } = this;
    const title = `Merge ${app.groupName(group.id)} with …`;
    const found = await chooseGroup(app, title, { first: group.nearest, without: [group.id] });
    return found ? this.mergeInto(found.id, group.id, true) : null;
  }

  // `from` goes into `into`; asks unless it was just chosen in a dialog
  async mergeInto(into, from, asked = false) {
    const { app } = this;
    if (this.readOnly()) return null;
    const text = `All ${count((app.byId.get(from) || { size: 0 }).size, "image")} of “${app.groupName(from)}” go into “${app.groupName(into)}”.`;
    if (!asked && !(await askYes("Merge two groups?", text, "Merge"))) return null;
    const shown = app.shown.group && app.shown.group.id === from;
    if (shown) await app.shown.set({ group: into });
    return app.do({ do: "merge", groups: [into, from] });
  }

  async split(group = this.app.shown.group, examples = []) {
    const { app } = this;
    if (!group || this.readOnly()) return null;
    const before = new Set(app.byId.keys());
    const answer = await app.do({ do: "split", group: group.id, examples }, false);
    if (!answer) return null;
    app.select([]);
    const opened = answer.state.groups.find((one) => !before.has(one.id));
    const look = opened && { text: "Show the new group", f: () => app.show({ group: opened.id }) };
    app.toast.show(answer.action.said, [...(look ? [look] : []), { text: "Undo", key: "Ctrl+Z", f: () => this.undo() }]);
    return answer;
  }

  splitByThese() {
    const { rows } = this.chosen();
    if (!this.ready(rows)) return null;
    const { group } = this.app.shown;
    if (group) return this.split(group, rows);
    const id = this.base() && this.base().id;
    const { groups } = this.app.shown;
    const same = groups && rows.every((row) => groups[this.app.shown.index(row)] === id);
    if (same) return this.split(this.app.byId.get(id), rows);
    this.app.toast.show("These images are of several groups: split one group at a time.", [], true);
    return null;
  }

  dropped(held, on) {
    const into = on === "new" ? null : Number(on);
    if (held.group !== undefined) return into === null ? null : this.mergeInto(into, held.group);
    return into === null ? this.fresh(held.rows) : this.moveTo(into, held.rows);
  }

  undo() {
    if (this.readOnly()) return null;
    if (this.app.state.undo) return this.app.do({ do: "undo" });
    this.app.toast.show("There is nothing to undo.");
    return null;
  }

  redo() {
    if (this.readOnly()) return null;
    if (this.app.state.redo) return this.app.do({ do: "redo" });
    this.app.toast.show("There is nothing to redo.");
    return null;
  }
}

export function wordsOf(group) {
  return (group.looks_like || []).map((one) => (typeof one === "string" ? one : one.word)).join(", ");
}
