// Export: the groups as folders, a table, or beside the images. What would be written is shown before anything is.

import { button, count, el } from "../dom.js";
import { busy, cover, dot } from "./parts.js";

const MODES = [
  { id: "link", title: "Folders of links", text: "A folder for every group. Takes no room on the disk; the images stay where they are." },
  { id: "copy", title: "Folders of copies", text: "A folder for every group, with copies of the images." },
  { id: "csv", title: "A table (CSV)", text: "One line an image: path, group, confidence. For a spreadsheet or a script." },
  { id: "imagefolder", title: "ImageFolder", text: "Links in folders, as PyTorch and Hugging Face read them for training." },
  { id: "xmp", title: "XMP sidecars", text: "A small file for every image with its group as a keyword, for Lightroom, darktable, digiKam. The images are not touched." },
];
const WRITES = { link: "", copy: " --mode copy", csv: " --as csv", imagefolder: " --as imagefolder", xmp: " --mode xmp" };

/** How many images are in groups, and how many in none: these get a folder of their own. */
function everything({ groups, unassigned, ignored }) {
  const inside = groups.reduce((sum, group) => sum + group.size, 0), outside = unassigned + ignored;
  return count(inside, "image") + (outside ? ` in groups, ${outside.toLocaleString("en")} in none (not-assigned)` : "");
}

class Export {
  constructor(root, app) {
    this.app = app;
    this.what = app.selection.size ? "selection" : "all";
    this.mode = "link";
    this.keep = "all";
    this.groups = new Set();
    this.result = el("section", { class: "export-result", "aria-live": "polite" });
    this.form = el("form", { class: "export-form", onsubmit: (event) => { event.preventDefault(); this.send(true); } });
    root.append(el("div", { class: "view-bar" }, el("h2", {}, "Export")), el("div", { class: "view-body" }, this.form));
    this.build();
    this.off = [
      app.keys.add("export", "Enter", "show what would be written, then write it", () => this.next()),
      app.keys.add("export", "Escape", "back to the images", () => app.mode("grid")),
      app.on("selection", () => this.build()),
      app.on("state", () => this.build()),
    ];
  }

  end() {
    this.ended = true;
    for (const off of this.off) off();
  }

  build() {
    const { app } = this, n = app.selection.size, focus = document.activeElement?.dataset?.focus;
    if (this.what === "selection" && !n) this.what = "all";
    const radio = (name, value, current, title, more, disabled = false) => el("label", { class: "choice" + (disabled ? " off" : "") },
      el("input", { type: "radio", name, value, checked: value === current, disabled, dataset: { focus: `${name} ${value}` }, onchange: () => { this[name] = value; this.build(); } }),
      el("span", {}, el("b", {}, title), more && el("span", { class: "muted" }, more)));
    const stacks = app.run.has.near && el("fieldset", {}, el("legend", {}, "Near duplicates"),
      radio("keep", "all", this.keep, "All of them", ""), radio("keep", "best", this.keep, "Only the best of each", "The sharpest, largest image of a burst or of copies."));
    const kept = this.to ? this.to.value : `${this.suggested()}`;
    this.to = el("input", { type: "text", value: this.named ? kept : this.suggested(), required: "", spellcheck: "false", autocomplete: "off", maxlength: "100", dataset: { focus: "to" }, oninput: () => { this.named = true; this.changed(); } });
    const choices = el("div", { class: "export-choices" },
      el("fieldset", {}, el("legend", {}, "What"),
        radio("what", "all", this.what, "Everything", everything(app.state)),
        radio("what", "groups", this.what, "Some groups", ""),
        this.what === "groups" && this.chooser(),
        radio("what", "selection", this.what, "The selection", n ? count(n, "image") : "Nothing is selected.", !n)),
      el("fieldset", {}, el("legend", {}, "As"), MODES.map((one) => radio("mode", one.id, this.mode, one.title, one.text))),
      stacks || "");
    this.form.replaceChildren(choices, el("div", { class: "export-doing" },
      el("fieldset", {}, el("legend", {}, "Name"),
        el("label", { class: "name-field" }, el("span", { class: "hidden-text" }, "Name of the folder"), this.to),
        el("p", { class: "muted" }, app.run.exports ? `A folder in ${app.run.exports}` : "A folder below the run.")),
      el("div", { class: "row" }, el("button", { type: "submit", class: "button first", disabled: Boolean(app.run.read_only) }, el("span", {}, "Show what would be written"), el("kbd", { class: "keys" }, "Enter"))),
      app.run.read_only ? el("p", { class: "muted" }, `Look only: ${app.run.read_only}`) : "",
      this.result));
    if (focus) this.form.querySelector(`[data-focus="${focus}"]`)?.focus({ preventScroll: true });
    this.changed();
  }

  chooser() {
    const { app } = this;
    const one = (group) => el("label", { class: "chip choose" },
      el("input", { type: "checkbox", checked: this.groups.has(group.id), dataset: { focus: `group ${group.id}` }, onchange: (event) => {
        if (event.target.checked) this.groups.add(group.id);
        else this.groups.delete(group.id);
        this.changed();
      } }), cover(app, group.cover, 4), dot(app.colour(group.id)), el("span", {}, app.groupName(group.id)), el("span", { class: "muted" }, group.size.toLocaleString("en")));
    return el("div", { class: "group-chips" }, app.state.groups.filter((group) => group.id >= 0).map(one));
  }

  suggested() {
    const base = { link: "groups", copy: "groups", csv: "table", imagefolder: "imagefolder", xmp: "sidecars" }[this.mode];
    return this.what === "selection" ? "selection" : base;
  }

  body(dry) {
    return {
      to: this.to.value.trim(),
      mode: this.mode,
      groups: this.what === "groups" ? [...this.groups].sort((a, b) => a - b) : null,
      images: this.what === "selection" ? [...this.app.selection].sort((a, b) => a - b) : null,
      keep: this.keep,
      dry,
    };
  }

  /** What was shown is of other choices: it is to be shown anew. */
  changed() {
    const now = JSON.stringify(this.body(true));
    if (this.shown && this.shown.of !== now) {
      this.shown = null;
      this.result.replaceChildren();
    }
  }

  next() {
    if (this.shown && !this.shown.done) this.send(false);
    else if (!this.shown) this.send(true);
  }

  async send(dry) {
    if (this.sending || this.app.run.read_only) return;
    if (!this.to.reportValidity()) return;
    if (this.what === "groups" && !this.groups.size) { this.app.toast.show("Choose at least one group.", [], true); return; }
    this.sending = true;
    const of = JSON.stringify(this.body(true));
    this.result.replaceChildren(busy(dry ? "Looking what would be written …" : "Writing …"));
    try {
      const answer = await this.app.post("/api/export", this.body(dry));
      if (this.ended) return;
      this.shown = { of, done: !dry };
      this.report(answer);
    } catch (error) {
      this.shown = null;
      this.result.replaceChildren(el("p", { class: "problems panel", role: "alert" }, error.message));
    } finally {
      this.sending = false;
    }
  }

  report({ dry, folder, lines, count: n }) {
    const path = el("div", { class: "copy-line panel" }, el("code", {}, folder), this.copier(folder, "Copy the path"));
    const write = button("Write it", "Enter", () => this.send(false), { icon: "export", class: "first" });
    this.result.replaceChildren(
      el("h3", {}, dry ? `${count(n, "image")} would be written` : `${count(n, "image")} written`),
      path,
      el("pre", { class: "export-lines panel", tabindex: "0", "aria-label": dry ? "What would be written" : "What was written" }, lines.join("\n")),
      dry ? el("div", { class: "row" }, write) : "",
      this.command(folder));
    (dry ? write : this.result.querySelector("button")).focus({ preventScroll: true });
    this.result.scrollIntoView({ block: "nearest" });
  }

  /** The same from the command line, where a selection is named by its rows. */
  command(folder) {
    const { groups, images, keep } = this.body(false), quoted = (text) => (/^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
    const some = groups ? ` --groups ${groups.join(" ")}` : "", rows = images ? ` --images ${images.join(" ")}` : "";
    const text = `ilk export ${quoted(this.app.run.path)} ${quoted(folder)}${WRITES[this.mode]}${keep === "best" ? " --keep best" : ""}${some}${rows}`;
    return el("details", { class: "export-command" }, el("summary", {}, "The same from the command line"),
      el("div", { class: "copy-line panel" }, el("code", {}, text), this.copier(text, "Copy the command")));
  }

  copier(text, label) {
    const copy = button("Copy", "", async () => {
      await navigator.clipboard.writeText(text).then(() => this.app.toast.show("Copied."), () => this.app.toast.show("The browser lets nothing be copied: select the text.", [], true));
    }, { icon: "copy", label });
    return copy;
  }
}

export default {
  id: "export",
  title: "Export",
  key: "e",
  icon: "export",
  mount(root, app) {
    const view = new Export(root, app);
    return () => view.end();
  },
};
