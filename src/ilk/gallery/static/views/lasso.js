// What is inside a line drawn by hand.

/** Whether (x, y) is inside the closed line through `path`, a flat list x0, y0, x1, y1, … (even-odd rule). */
export function inside(path, x, y) {
  let odd = false;
  for (let i = 0, j = path.length - 2; i < path.length; j = i, i += 2) {
    const above = path[i + 1] > y, before = path[j + 1] > y;
    if (above !== before && x < path[i] + (path[j] - path[i]) * (y - path[i + 1]) / (path[j + 1] - path[i + 1])) odd = !odd;
  }
  return odd;
}

/** The rows of `cells` inside `path` (in units of the map) for which `ok(row)`, in order. */
export function lassoed(cells, path, ok) {
  if (path.length < 6) return [];
  const box = { left: Infinity, right: -Infinity, bottom: Infinity, top: -Infinity };
  for (let i = 0; i < path.length; i += 2) {
    box.left = Math.min(box.left, path[i]);
    box.right = Math.max(box.right, path[i]);
    box.bottom = Math.min(box.bottom, path[i + 1]);
    box.top = Math.max(box.top, path[i + 1]);
  }
  const rows = [];
  cells.within(box, (row) => {
    if (ok(row) && inside(path, cells.x[row], cells.y[row])) rows.push(row);
  });
  return rows.sort((a, b) => a - b);
}

/** A circle of `radius` around (x, y), as such a path. */
export function circle(x, y, radius, steps = 48) {
  const path = [];
  for (let k = 0; k < steps; k++) {
    const angle = 2 * Math.PI * k / steps;
    path.push(x + radius * Math.cos(angle), y + radius * Math.sin(angle));
  }
  return path;
}
