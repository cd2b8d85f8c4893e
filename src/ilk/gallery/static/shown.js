// What the grid shows: which images, in which order, filtered by what. Follows corrections, of this window and of others.

import { keep, kept } from "./theme.js";

export const SORTS = { central: "central first", doubtful: "doubtful first", path: "path", date: "date", size: "size" };
export const VIEWS = {
  all: "All images", doubtful: "Doubtful", near: "Near duplicates", outliers: "Fit no group",
  unassigned: "In no group", unreadable: "Unreadable", ignored: "Ignored",
};
export const FACETS = { folder: "Folder", date: "Month", camera: "Camera", dimensions: "Dimensions" };
const MANY = 5000; // from here on a list is asked for again only when corrections pause
const PAUSE = 700; // ms

export class Shown {
  constructor(app) {
    this.app = app;
    this.what = null;
    this.rows = [];
    this.sort = kept("sort") in SORTS ? kept("sort") : "central";
    this.stacked = kept("stack") !== "0";
    this.facets = {};
    this.number = 0;
    this.loading = false;
    app.on("done", (action, answer) => this.patch(action, answer));
    app.on("state", () => this.changed());
  }

  start() {
    const first = this.app.state.groups.find((group) => group.size);
    return first ? { group: first.id } : { view: "all" };
  }

  fromHash(said) {
    if (said.has("group") && this.app.byId.has(Number(said.get("group")))) return { group: Number(said.get("group")) };
    if (said.get("view") in VIEWS) return { view: said.get("view") };
    if (said.has("q")) return { q: said.get("q") };
    if (said.has("stack")) return { stack: Number(said.get("stack")) };
    return null;
  }

  hash(what) {
    const key = ["group", "view", "q", "stack"].find((name) => name in what);
    return key ? `#${key}=${encodeURIComponent(what[key])}` : null;
  }

  get group() {
    return this.what && "group" in this.what ? this.app.byId.get(this.what.group) : null;
  }

  get title() {
    if (!this.what) return "";
    if ("group" in this.what) return this.app.groupName(this.what.group);
    if ("view" in this.what) return VIEWS[this.what.view] || this.what.view;
    if ("q" in this.what) return `“${this.what.q}” in the file name`;
    if ("stack" in this.what) return "One stack";
    return this.what.title || "Chosen images";
  }

  async set(what, remember = true) {
    if (this.what && !("stack" in this.what) && JSON.stringify(this.what) !== JSON.stringify(what)) this.before = this.what;
    this.what = what;
    this.app.select([]);
    const hash = this.hash(what);
    if (remember && hash && hash !== location.hash) {
      history[this.shownOnce && "q" in what && location.hash.startsWith("#q=") ? "replaceState" : "pushState"](null, "", hash);
    }
    this.shownOnce = true;
    await this.load({ fresh: true });
  }

  set_sort(sort) {
    this.sort = sort;
    keep("sort", sort);
    return this.load({ fresh: true, anew: true });
  }

  set_stacked(on) {
    this.stacked = on;
    keep("stack", on ? "1" : "0");
    return this.load({ fresh: true });
  }

  set_facet(name, value) {
    if (value === null || value === "") delete this.facets[name];
    else this.facets[name] = value;
    return this.load({ fresh: true });
  }

  clear_facets() {
    this.facets = {};
    return this.load({ fresh: true });
  }

  get path() {
    const { what } = this;
    const asked = new URLSearchParams();
    for (const name of ["group", "view", "q"]) if (name in what) asked.set(name, what[name]);
    asked.set("sort", this.sort);
    if (this.stacked && what.view !== "unreadable") asked.set("stack", "1");
    for (const [name, value] of Object.entries(this.facets)) asked.set(name, value);
    return `/api/rows?${asked}`;
  }

  // anew: in another order
  async load({ fresh = false, anew = false } = {}) {
    const mine = ++this.number;
    clearTimeout(this.timer);
    const late = fresh && setTimeout(() => this.wait(mine), 150);
    let found;
    try {
      found = await this.fetch();
    } catch {
      return;
    } finally {
      clearTimeout(late);
    }
    if (mine !== this.number) return;
    Object.assign(this, fresh ? found : steady(found, this.rows));
    this.loading = false;
    this.anew = anew;
    this.app.emit("show", this, fresh);
  }

  wait(mine) {
    if (mine !== this.number) return;
    this.loading = true;
    this.app.emit("loading");
  }

  async fetch() {
    const { what, app } = this;
    if ("rows" in what) return this.given(what.rows);
    if ("stack" in what) return this.given((await app.get(`/api/stack/${what.stack}`)).rows);
    const { rows, stack, said, confidence, group } = await app.get(this.path);
    return { rows, stack: stack || null, said: said || null, confidence: confidence || null, groups: group || null };
  }

  // Rows that were chosen elsewhere: what is said of them is looked up by group in one go.
  async given(rows) {
    const wanted = new Set(rows);
    if (!rows.length) return { rows, stack: null, said: null, confidence: null, groups: null };
    const all = await this.app.get("/api/rows?view=all&sort=central");
    const at = new Map();
    all.rows.forEach((row, i) => wanted.has(row) && at.set(row, i));
    const pick = (column, none) => rows.map((row) => (column && at.has(row) ? column[at.get(row)] : none));
    return { rows, stack: null, said: pick(all.said, 0), confidence: pick(all.confidence, null), groups: pick(all.group, null) };
  }

  // At once what a correction of this window does to the list; the server's own answer follows.
  patch(action, answer) {
    const moved = new Set(action.images || []);
    if (!moved.size || !this.what) return;
    const said = { move: 1, new: 1, confirm: 2, ignore: 3 }[action.do];
    const leaves = "group" in this.what && action.do !== "confirm" && action.to !== this.what.group;
    const gone = leaves || (action.do === "ignore" && "view" in this.what && this.what.view !== "all" && this.what.view !== "ignored");
    if (gone) {
      this.keepOnly((row) => !moved.has(row));
    } else if (said && this.said) {
      this.rows.forEach((row, i) => {
        if (moved.has(row)) this.said[i] = said;
      });
    }
    this.app.emit("show", this, false);
    return answer;
  }

  keepOnly(keepRow) {
    const stays = this.rows.map(keepRow);
    for (const name of ["rows", "stack", "said", "confidence", "groups"]) {
      if (this[name]) this[name] = this[name].filter((_, i) => stays[i]);
    }
  }

  changed() {
    if (!this.what) return;
    if ("group" in this.what && !this.app.byId.has(this.what.group)) {
      this.set(this.start());
      return;
    }
    clearTimeout(this.timer);
    if (this.rows.length < MANY) this.load();
    else this.timer = setTimeout(() => this.load(), PAUSE);
  }

  index(row) {
    return this.rows.indexOf(row);
  }
}

// What is newly said of an image changes how certain it is, but it stays where one is looking at it: images keep their
// order until they are sorted or shown anew, and those that join stand behind the image that they are sorted behind.
function steady(found, before) {
  const at = new Map(before.map((row, i) => [row, i]));
  const stay = [];
  const joined = new Map(); // number of the image before, or -1 -> numbers
  let last = -1;
  found.rows.forEach((row, i) => {
    if (at.has(row)) stay.push((last = i));
    else joined.set(last, [...(joined.get(last) || []), i]);
  });
  stay.sort((a, b) => at.get(found.rows[a]) - at.get(found.rows[b]));
  const order = [...(joined.get(-1) || [])];
  for (const i of stay) order.push(i, ...(joined.get(i) || []));
  return Object.fromEntries(Object.entries(found).map(([name, column]) => [name, column && order.map((i) => column[i])]));
}
