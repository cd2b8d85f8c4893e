// On the right: the image in focus. Where it is, what is known of it, what it looks like; a click on a neighbour walks on.

import { button, bytes, el, icon } from "./dom.js";
import { keep, kept } from "./theme.js";

const WAIT = 60; // ms: a held arrow key asks for the last image only
const SOON = 1000; // ms
const PREVIEW = 600; // px
const SAID = { 1: ["move", "moved here by hand"], 2: ["check", "confirmed"], 3: ["ignore", "ignored"] };

export class Side {
  constructor(app, root) {
    this.app = app;
    this.root = root;
    this.row = null;
    this.trail = []; // images that one walked away from
    const wide = matchMedia("(min-width: 1100px)");
    const fits = () => document.body.classList.toggle("side", wide.matches && kept("side") !== "0");
    wide.addEventListener("change", fits);
    fits();
    app.on("focus", (row) => this.look(row, []));
    app.on("selection", (rows) => app.current !== "grid" && rows.size && this.look([...rows].pop(), []));
    app.on("state", () => this.row !== null && this.look(this.row, this.trail, true));
    app.keys.add("all", "i", "what is known of the image", () => this.toggle());
  }

  toggle(open = !document.body.classList.contains("side")) {
    document.body.classList.toggle("side", open);
    if (matchMedia("(min-width: 1100px)").matches) keep("side", open ? "1" : "0");
    if (open && this.row !== null) this.look(this.row, this.trail, true);
  }

  look(row, trail, again = false) {
    if (row === this.row && !again) return;
    this.row = row;
    this.trail = trail;
    clearTimeout(this.timer);
    if (row === null) this.root.replaceChildren(el("p", { class: "empty muted" }, "No image in focus."));
    else if (document.body.classList.contains("side")) this.timer = setTimeout(() => this.ask(row), WAIT);
  }

  async ask(row) {
    if (this.abort) this.abort.abort();
    this.abort = new AbortController();
    let found;
    try {
      found = await this.app.get(`/api/image/${row}`, { signal: this.abort.signal });
    } catch {
      return;
    }
    if (row !== this.row) return;
    this.fill(found);
    if (!found.file && found.later) this.timer = setTimeout(() => row === this.row && this.ask(row), SOON); // where it is, is being looked up
  }

  walk(row, from) {
    this.look(row, from === undefined ? [] : [...this.trail, from]);
    const { viewer } = this.app;
    if (viewer.row !== null) viewer.jump(row);
  }

  back() {
    const to = this.trail[this.trail.length - 1];
    this.look(to, this.trail.slice(0, -1));
    if (this.app.viewer.row !== null) this.app.viewer.jump(to);
  }

  fill(image) {
    const { app } = this;
    const name = image.path.split("/").pop();
    const picture = el("button", { type: "button", class: "preview", title: "Open the original (Space)", "aria-label": "Open the original", onclick: () => app.open(image.row, app.shown.rows) }, this.preview(image));
    const head = el(
      "header",
      {},
      this.trail.length ? button("", "", () => this.back(), { icon: "left", label: "Back to the image before", class: "quiet" }) : null,
      el("h2", { title: image.path }, name),
      button("", "I", () => this.toggle(false), { icon: "close", label: "Close this panel", keys: false, class: "quiet" }),
    );
    this.root.replaceChildren(head, picture, this.where(image), this.facts(image), ...this.others(image));
    this.root.dataset.row = image.row;
  }

  thumb(row) {
    const image = el("img", { src: this.app.thumb(row), alt: "", decoding: "async", draggable: "false" });
    image.addEventListener("load", () => this.app.crisp(image));
    return image;
  }

  // The thumbnail at once, and the image itself as soon as it is there.
  preview(image) {
    const node = this.thumb(image.row);
    if (!this.app.run.has.originals || image.status === "unreadable") return node;
    const sharp = new Image();
    sharp.addEventListener("load", () => image.row === this.row && (node.src = sharp.src));
    sharp.src = `/original/${image.row}?side=${PREVIEW}`;
    return node;
  }

  where(image) {
    const path = image.file || image.path;
    const copy = button("", "", () => this.copy(path), { icon: "copy", label: "Copy the path", class: "quiet" });
    return el("div", { class: "path" }, el("span", { title: path }, path), copy);
  }

  async copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      this.app.toast.show("The path is copied.");
    } catch {
      this.app.toast.show("This browser does not let the page copy: select the path and press Ctrl+C.", [], true);
    }
  }

  group(id) {
    const { app } = this;
    const dot = el("span", { class: "dot", style: { background: app.colour(id) } });
    if (!app.byId.has(id)) return el("span", { class: "where" }, dot, app.groupName(id));
    return el("button", { type: "button", class: "link", onclick: () => this.showGroup(id) }, dot, app.groupName(id));
  }

  showGroup(id) {
    this.app.viewer.close();
    this.app.show({ group: id });
  }

  facts(image) {
    const confidence = image.confidence === null || image.confidence === undefined ? null : Math.round(100 * image.confidence);
    const [sign, words] = SAID[image.said] || [];
    const rows = [
      ["Group", this.group(image.group)],
      words ? ["Said", el("span", { class: "said" }, icon(sign, 14), words)] : null,
      confidence === null ? null : ["Confidence", el("span", { class: "confidence" }, `${confidence} %`, el("i", {}, el("i", { style: { width: `${confidence}%` } })))],
      image.second === null || image.second === undefined || image.second < 0 ? null : ["Second choice", this.group(image.second)],
      image.width ? ["Dimensions", `${image.width} × ${image.height}`] : null,
      image.bytes ? ["File", bytes(image.bytes)] : null,
      image.date ? ["Taken", image.date.replace("T", " ").slice(0, 16)] : null,
      image.camera ? ["Camera", image.camera] : null,
      image.reason ? ["Unreadable", image.reason] : null,
    ];
    return el("dl", {}, rows.filter(Boolean).map(([term, what]) => [el("dt", {}, term), el("dd", {}, what)]));
  }

  others(image) {
    const copies = (rows, text) => (rows && rows.length ? this.strip(`${text} (${rows.length})`, rows.map((row) => ({ row })), image.row) : null);
    return [
      this.strip("Most like it", image.neighbours || [], image.row),
      copies(image.duplicates, "The same file again"),
      copies(image.near, "Near duplicates"),
    ].filter(Boolean);
  }

  strip(title, items, from) {
    if (!items.length) return null;
    const one = ({ row, similarity }) =>
      el(
        "button",
        {
          type: "button", class: "neighbour", dataset: { row: String(row) }, onclick: () => this.walk(row, from),
          title: similarity === undefined ? "" : `similarity ${similarity.toFixed(2)}`, "aria-label": `Walk to image ${row}`,
        },
        this.thumb(row),
      );
    return el("section", {}, el("h3", {}, title), el("div", { class: "strip" }, items.slice(0, 24).map(one)));
  }
}
