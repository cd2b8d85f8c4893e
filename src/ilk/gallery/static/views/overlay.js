// What lies over the points of the map: pictures, names of groups, the line drawn by hand, the circle in the middle.

import { el } from "../dom.js";

const KEPT = 500; // pictures kept in memory

/** Pictures by row, fetched when they are first asked for. `ready` is called when one has come. */
export class Pictures {
  constructor(address, ready) {
    this.address = address;
    this.ready = ready;
    this.images = new Map();
  }

  get(row) {
    let image = this.images.get(row);
    if (image) this.images.delete(row);
    else {
      image = new Image();
      image.decoding = "async";
      image.onload = this.ready;
      image.src = this.address(row);
    }
    this.images.set(row, image); // the newest last
    if (this.images.size > KEPT) this.images.delete(this.images.keys().next().value);
    return image.complete && image.naturalWidth ? image : null;
  }
}

/** Draw `shown` [{row, px, py}] as pictures of `size` pixels with a border of `colourOf(row)`, chosen ones in `ring`; `smooth`: no crisp squares. */
export function drawPictures(context, shown, size, pictures, colourOf, { selection, ring, backdrop, smooth }) {
  context.imageSmoothingEnabled = smooth;
  for (const { row, px, py } of shown) {
    const image = pictures.get(row);
    if (!image) continue;
    const chosen = selection.has(row), dim = selection.size && !chosen;
    const share = size / Math.max(image.naturalWidth, image.naturalHeight);
    const wide = image.naturalWidth * share, high = image.naturalHeight * share;
    const left = Math.round(px - wide / 2), top = Math.round(py - high / 2), rim = chosen ? 4 : 2;
    context.globalAlpha = 1;
    context.fillStyle = backdrop;
    context.fillRect(left - rim - 1, top - rim - 1, wide + 2 * rim + 2, high + 2 * rim + 2);
    context.globalAlpha = dim ? 0.35 : 1;
    context.strokeStyle = chosen ? ring : colourOf(row);
    context.lineWidth = rim;
    context.strokeRect(left - rim / 2, top - rim / 2, wide + rim, high + rim);
    context.drawImage(image, left, top, wide, high);
  }
  context.globalAlpha = 1;
}

export function drawLine(context, path, colour) {
  if (path.length < 4) return;
  context.beginPath();
  context.moveTo(path[0], path[1]);
  for (let k = 2; k < path.length; k += 2) context.lineTo(path[k], path[k + 1]);
  context.closePath();
  context.globalAlpha = 0.12;
  context.fillStyle = context.strokeStyle = colour;
  context.fill("evenodd");
  context.globalAlpha = 1;
  context.lineWidth = 2;
  context.setLineDash([6, 4]);
  context.stroke();
  context.setLineDash([]);
}

export function drawMiddle(context, camera, radius, colour) {
  const [x, y] = [camera.width / 2, camera.height / 2];
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.setLineDash([3, 4]);
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.stroke();
  context.setLineDash([]);
}

/** Names of groups as buttons where their images are, the largest first, none over another. */
export class Names {
  constructor(root, show) {
    this.root = root;
    this.show = show;
    this.all = [];
  }

  /** `spots`: [{group, x, y}]; `nameOf(group)` is a text, `colourOf(group)` a colour. */
  set(spots, nameOf, colourOf) {
    this.all = spots.map((spot) => {
      const dot = el("span", { class: "dot", style: { "background-color": colourOf(spot.group) } });
      const button = el("button", { type: "button", class: "map-name", tabindex: "-1", onclick: () => this.show(spot.group) }, dot, nameOf(spot.group));
      return { ...spot, button };
    });
    this.root.replaceChildren(...this.all.map((one) => one.button));
    for (const one of this.all) [one.wide, one.high] = [one.button.offsetWidth, one.button.offsetHeight];
  }

  /** `pictures`: boxes {px, py, side} that a name rather stands beside. */
  arrange(camera, hidden, pictures) {
    const taken = [];
    const apart = (one, px, py) => taken.every((box) => Math.abs(box.px - px) >= (box.wide + one.wide) / 2 + 4 || Math.abs(box.py - py) >= (box.high + one.high) / 2 + 3);
    const over = (one, px, py) => pictures.find((box) => Math.abs(box.px - px) < (box.side + one.wide) / 2 && Math.abs(box.py - py) < (box.side + one.high) / 2);
    for (const one of this.all) {
      const [px, middle] = camera.toWindow(one.x, one.y);
      const hit = over(one, px, middle), far = hit && (hit.side + one.high) / 2 + 3;
      const beside = hit ? [hit.py - far, hit.py + far].filter((y) => !over(one, px, y) && y > one.high / 2 && y < camera.height - one.high / 2) : [];
      const py = [...beside, middle].find((y) => apart(one, px, y)) ?? middle;
      const left = px - one.wide / 2, top = py - one.high / 2;
      const out = px < 0 || py < 0 || px > camera.width || py > camera.height || hidden(one.group);
      const free = !out && apart(one, px, py);
      if (free) taken.push({ px, py, wide: one.wide, high: one.high });
      one.button.classList.toggle("out", !free);
      if (free) one.button.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
    }
  }
}
