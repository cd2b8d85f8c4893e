// What several views are made of: covers of groups, names with their colour, lines that say that something is being done.

import { el } from "../dom.js";

/** Four (or `most`) pictures of a group. */
export function cover(app, rows, most = 4) {
  return el("div", { class: "cover-of", "aria-hidden": "true", style: { "--many": String(Math.ceil(Math.sqrt(most))) } },
    rows.slice(0, most).map((row) => el("img", { src: app.thumb(row), alt: "", loading: "lazy", decoding: "async", onload: (event) => app.crisp(event.target) })));
}

export function dot(colour) {
  return el("span", { class: "dot", style: { "background-color": colour } });
}

/** The name of a group with its colour before it. */
export function groupTag(app, id) {
  return el("span", { class: "group-tag" }, dot(app.colour(id)), el("span", {}, app.groupName(id)));
}

export function busy(text) {
  return el("p", { class: "view-busy", role: "status" }, el("span", { class: "spin", "aria-hidden": "true" }), text);
}

/** A page that has one thing to say, and buttons below it. */
export function message(title, text, ...buttons) {
  return el("div", { class: "view-message" }, el("h2", {}, title), el("p", { class: "muted" }, text), el("div", { class: "row" }, buttons));
}

export function groupOf(app, id) {
  return app.state.groups.find((group) => group.id === id);
}

/** The picture of `row` as large as `side` pixels: the original where it can be had. */
export function large(app, row, side) {
  const image = el("img", { alt: "", decoding: "async", draggable: "false" });
  image.addEventListener("load", () => app.crisp(image, true));
  if (app.run.has.originals) {
    image.style.background = `center / contain no-repeat url("${app.thumb(row)}")`; // until it is there
    image.addEventListener("load", () => { image.style.background = ""; }, { once: true });
    image.addEventListener("error", () => { image.src = app.thumb(row); }, { once: true });
    image.src = `/original/${row}?side=${side}`;
  } else {
    image.src = app.thumb(row);
  }
  return image;
}
