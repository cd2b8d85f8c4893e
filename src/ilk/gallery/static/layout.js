// Where the images of the grid lie: columns that fill the width, and only the rows of them that are seen.

export const MIN = 64;
export const MAX = 256;
const GAP = 6;
const EDGE = 14;
const LIMIT = 15e6; // px: browsers draw no taller element; beyond, a step of the scroll bar is more than a pixel

export class Layout {
  constructor() {
    this.size = 128;
    this.n = 0;
    this.measure(800, 600);
  }

  measure(width, height) {
    this.width = width;
    this.height = height;
    this.edge = width < 500 ? 8 : EDGE;
    this.gap = this.size < 100 || width < 500 ? 4 : GAP;
    const inner = Math.max(1, width - 2 * this.edge);
    this.columns = Math.max(2, Math.floor((inner + this.gap) / (this.size + this.gap)));
    this.cell = Math.floor((inner + this.gap) / this.columns) - this.gap; // fills the width
    if (this.n && this.n < this.columns) this.cell = Math.min(this.cell, Math.round(this.size * 1.15));
    this.step = this.cell + this.gap;
    this.lines = Math.ceil(this.n / this.columns);
    this.total = this.lines * this.step + 2 * this.edge;
    this.drawn = Math.min(this.total, LIMIT);
  }

  // From the position of the scroll bar to that in the list, and back.
  offset(scroll) {
    return this.total > this.drawn ? (scroll * (this.total - this.height)) / (this.drawn - this.height) : scroll;
  }

  scroll(offset) {
    return this.total > this.drawn ? (offset * (this.drawn - this.height)) / (this.total - this.height) : offset;
  }

  x(i) {
    return this.edge + (i % this.columns) * this.step;
  }

  y(i) {
    return this.edge + Math.floor(i / this.columns) * this.step;
  }

  // First and last + 1 image between two heights of the list.
  between(top, bottom) {
    const first = Math.max(0, Math.floor((top - this.edge) / this.step)) * this.columns;
    const last = Math.min(this.n, Math.ceil((bottom - this.edge) / this.step) * this.columns);
    return [Math.min(first, this.n), Math.max(0, last)];
  }

  // Images that a rectangle of the list touches.
  within(left, top, right, bottom) {
    const found = [];
    const [first, last] = this.between(top, bottom);
    for (let i = first; i < last; i += 1) {
      const x = this.x(i);
      const y = this.y(i);
      if (x < right && x + this.cell > left && y < bottom && y + this.cell > top) found.push(i);
    }
    return found;
  }
}
