// Where one looks at the map from: the middle in units of the map, and pixels per unit. y goes up, as in the report.

const CLOSEST = 400; // times nearer than the whole map

export class Camera {
  constructor() {
    Object.assign(this, { x: 0, y: 0, scale: 1, width: 1, height: 1, whole: 1 });
  }

  /** Tell the size of the window in CSS pixels; what was in the middle stays there. */
  resize(width, height) {
    this.width = Math.max(1, width);
    this.height = Math.max(1, height);
  }

  /** Where all of `box` {left, right, bottom, top} is seen. `whole`: it is the whole map, from which limits are taken. */
  toFit(box, whole = false) {
    const wide = Math.max(box.right - box.left, 1e-6), high = Math.max(box.top - box.bottom, 1e-6);
    const edge = Math.min(56, 0.1 * Math.min(this.width, this.height));
    const scale = Math.min((this.width - 2 * edge) / wide, (this.height - 2 * edge) / high);
    if (whole) this.whole = scale;
    return { x: (box.left + box.right) / 2, y: (box.bottom + box.top) / 2, scale: this.limited(scale) };
  }

  limited(scale) {
    return Math.min(this.whole * CLOSEST, Math.max(this.whole / 2, scale));
  }

  go(spot) {
    Object.assign(this, spot);
  }

  pan(dx, dy) {
    this.x -= dx / this.scale;
    this.y += dy / this.scale;
  }

  /** Where it is `factor` times nearer, with what is at (px, py) of the window staying there. */
  toZoom(px, py, factor, from = this) {
    const scale = this.limited(from.scale * factor);
    const dx = px - this.width / 2, dy = py - this.height / 2;
    return { x: from.x + dx / from.scale - dx / scale, y: from.y - dy / from.scale + dy / scale, scale };
  }

  toWindow(x, y) {
    return [(x - this.x) * this.scale + this.width / 2, (this.y - y) * this.scale + this.height / 2];
  }

  toMap(px, py) {
    return [(px - this.width / 2) / this.scale + this.x, this.y - (py - this.height / 2) / this.scale];
  }

  /** What is seen, in units of the map, and `more` pixels around it. */
  seen(more = 0) {
    const [left, top] = this.toMap(-more, -more), [right, bottom] = this.toMap(this.width + more, this.height + more);
    return { left, right, bottom, top };
  }
}
