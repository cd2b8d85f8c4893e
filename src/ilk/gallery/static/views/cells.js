// Where images are: those in a box, the one nearest to a point, and those to show as pictures.

/** Positions (2 n float32 from the server; NaN: not on the map) brought into 0 … 1 without changing their shape. */
export function positions(flat) {
  const n = flat.length / 2, x = new Float32Array(n), y = new Float32Array(n);
  let left = Infinity, right = -Infinity, bottom = Infinity, top = -Infinity, count = 0;
  for (let i = 0; i < n; i++) {
    const a = flat[2 * i], b = flat[2 * i + 1];
    if (!Number.isFinite(a) || !Number.isFinite(b)) continue;
    count++;
    if (a < left) left = a;
    if (a > right) right = a;
    if (b < bottom) bottom = b;
    if (b > top) top = b;
  }
  const size = Math.max(right - left, top - bottom) || 1;
  for (let i = 0; i < n; i++) {
    const there = Number.isFinite(flat[2 * i]) && Number.isFinite(flat[2 * i + 1]);
    x[i] = there ? (flat[2 * i] - left) / size : NaN;
    y[i] = there ? (flat[2 * i + 1] - bottom) / size : NaN;
  }
  const box = count ? { left: 0, right: (right - left) / size, bottom: 0, top: (top - bottom) / size } : null;
  return { x, y, count, box };
}

export class Cells {
  constructor(x, y) {
    this.x = x;
    this.y = y;
    const n = x.length;
    this.side = Math.max(1, Math.min(512, Math.ceil(Math.sqrt(n / 4))));
    this.starts = new Uint32Array(this.side * this.side + 1);
    const cell = new Int32Array(n);
    for (let i = 0; i < n; i++) {
      cell[i] = Number.isNaN(x[i]) ? -1 : this._index(y[i]) * this.side + this._index(x[i]);
      if (cell[i] >= 0) this.starts[cell[i] + 1]++;
    }
    for (let c = 0; c < this.side * this.side; c++) this.starts[c + 1] += this.starts[c];
    const next = this.starts.slice();
    this.rows = new Uint32Array(next[this.side * this.side]);
    for (let i = 0; i < n; i++) if (cell[i] >= 0) this.rows[next[cell[i]]++] = i;
  }

  /** Call `f` with every row within `box`, those on its border included, until it answers false. */
  within(box, f) {
    const [a, b] = [this._index(box.left), this._index(box.right)];
    const [c, d] = [this._index(box.bottom), this._index(box.top)];
    for (let j = c; j <= d; j++) {
      const end = this.starts[j * this.side + b + 1];
      for (let k = this.starts[j * this.side + a]; k < end; k++) {
        const row = this.rows[k], x = this.x[row], y = this.y[row];
        if (x >= box.left && x <= box.right && y >= box.bottom && y <= box.top && f(row) === false) return;
      }
    }
  }

  /** The row nearest to (x, y) and not farther than `reach` of those for which `ok(row)`; -1 where there is none. */
  nearest(x, y, reach, ok) {
    let best = -1, least = reach * reach;
    this.within({ left: x - reach, right: x + reach, bottom: y - reach, top: y + reach }, (row) => {
      const far = (this.x[row] - x) ** 2 + (this.y[row] - y) ** 2;
      if (far <= least && ok(row)) { least = far; best = row; }
    });
    return best;
  }

  _index(value) {
    return Math.max(0, Math.min(this.side - 1, Math.floor(value * this.side)));
  }
}

const CROWD = 8; // images for one picture, at most: where more lie together, points say more
const FEW = 2; // but never where only so many times as many are seen as there can be pictures
const STRIDE = 2 ** 26;
const BEFORE = [[-1, -1], [0, -1], [1, -1], [-1, 0]]; // the cells around one that are filled before it

/**
 * The images to show as pictures of `size` pixels: one for every cell of a grid, none over another, at most `most`; nothing
 * where images lie too densely. The grid belongs to the map and not to the window: pictures stay while one pans.
 */
export function pictured(cells, camera, size, ok, most) {
  const widest = camera.seen(2 * size), rows = [];
  cells.within(widest, (row) => {
    if (ok(row)) rows.push(row);
    return rows.length <= most * CROWD;
  });
  if (rows.length > most * CROWD) return [];
  let level = Math.max(0, Math.min(50, Math.floor(2 * Math.log2(camera.scale / size)))), shown = [];
  do {
    shown = apart(cells, camera, size, rows, 2 ** (level / 2));
    level--;
  } while (shown.length > most);
  return rows.length <= Math.max(shown.length * CROWD, most * FEW) ? shown : [];
}

/** For every cell of a grid of `side` cells a unit the image nearest to its middle, where its picture lies over no other. */
function apart(cells, camera, size, rows, side) {
  const found = new Map(), placed = new Map(), shown = [];
  for (const row of rows) {
    const a = Math.floor(cells.x[row] * side), b = Math.floor(cells.y[row] * side), key = a + b * STRIDE;
    const far = (cells.x[row] * side - a - 0.5) ** 2 + (cells.y[row] * side - b - 0.5) ** 2, before = found.get(key);
    if (!before || far < before.far) found.set(key, { row, a, b, far });
  }
  for (const { row, a, b } of [...found.values()].sort((one, other) => one.b - other.b || one.a - other.a)) {
    const [px, py] = camera.toWindow(cells.x[row], cells.y[row]);
    const free = BEFORE.every(([da, db]) => {
      const other = placed.get(a + da + (b + db) * STRIDE);
      return !other || Math.abs(other.px - px) >= size || Math.abs(other.py - py) >= size;
    });
    if (!free) continue;
    const one = { row, px, py };
    placed.set(a + b * STRIDE, one);
    shown.push(one);
  }
  return shown;
}
