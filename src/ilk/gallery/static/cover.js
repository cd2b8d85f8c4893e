// Four images that stand for a group.

import { el } from "./dom.js";

export function cover(app, rows, n = 4) {
  const some = (rows || []).slice(0, n);
  const images = some.map((row) => {
    const image = el("img", { src: app.thumb(row), alt: "", loading: "lazy", decoding: "async", draggable: "false" });
    image.addEventListener("load", () => app.crisp(image));
    return image;
  });
  return el("span", { class: "cover of" + some.length, "aria-hidden": "true" }, images);
}
