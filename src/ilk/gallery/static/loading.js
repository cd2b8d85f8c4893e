// Thumbnails, a few at a time and the newest wish first, so that the server is never flooded and corrections get through.

const AT_ONCE = 5;

export class Loading {
  constructor() {
    this.wanted = []; // cells, the most wanted first
    this.running = 0;
    this.known = new Set(); // addresses that the browser has
  }

  // cell: {image: <img>, url}; its image is loaded when its turn comes, unless `drop` is called before
  want(cell) {
    if (this.known.has(cell.url)) {
      this.put(cell);
      return;
    }
    this.wanted.push(cell);
  }

  drop(cell) {
    const at = this.wanted.indexOf(cell);
    if (at >= 0) this.wanted.splice(at, 1);
    if (cell.asked) {
      cell.image.removeAttribute("src"); // aborts what is under way
      this.ended(cell, false);
    }
  }

  next() {
    while (this.running < AT_ONCE && this.wanted.length) {
      const cell = this.wanted.shift();
      this.running += 1;
      cell.asked = cell.url;
      this.put(cell);
    }
  }

  put(cell) {
    cell.image.src = cell.url;
    cell.set = cell.url;
  }

  ended(cell, good) {
    if (!cell.asked) return;
    if (good) this.known.add(cell.asked);
    cell.asked = null;
    this.running -= 1;
    this.next();
  }
}
