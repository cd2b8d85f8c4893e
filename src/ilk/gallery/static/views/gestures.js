// Fingers, mouse and wheel on the map: pan, zoom, a line drawn by hand, what is under the pointer.

const STILL = 5; // pixels a press may move and still be a click

/**
 * Listen on `surface`. `on` has pan(dx, dy), zoom(x, y, factor, smooth), hover(x, y) or hover(null), click(x, y, event),
 * draws(event) -> whether this press draws, line(points, done) with a flat list of window positions. Returns what ends it.
 */
export function gestures(surface, on) {
  const down = new Map(); // pointers on the surface: id -> {x, y}
  let mode = null, path = [], start = null, spread = 0, lastTap = { at: 0, x: 0, y: 0 };

  const spot = (event) => {
    const box = surface.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const two = () => {
    const [a, b] = [...down.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, wide: Math.hypot(a.x - b.x, a.y - b.y) };
  };

  function press(event) {
    if (event.button > 0) return;
    surface.setPointerCapture(event.pointerId);
    down.set(event.pointerId, spot(event));
    on.hover(null);
    if (down.size === 1) {
      start = { ...spot(event), moved: false };
      mode = on.draws(event) ? "draw" : "pan";
      path = mode === "draw" ? [start.x, start.y] : [];
    } else if (down.size === 2) {
      if (mode === "draw") on.line([], true);
      mode = "pinch";
      spread = two().wide;
    }
  }

  function move(event) {
    const now = spot(event), before = down.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== "touch") on.hover(now.x, now.y);
      return;
    }
    const middle = mode === "pinch" && down.size === 2 ? two() : null;
    down.set(event.pointerId, now);
    if (middle) {
      const next = two();
      on.pan(next.x - middle.x, next.y - middle.y);
      if (spread > 0 && next.wide > 0) on.zoom(next.x, next.y, next.wide / spread, false);
      spread = next.wide;
      return;
    }
    if (!start.moved && Math.hypot(now.x - start.x, now.y - start.y) < STILL) return;
    const first = !start.moved;
    start.moved = true;
    if (mode === "draw") {
      const n = path.length;
      if (Math.hypot(now.x - path[n - 2], now.y - path[n - 1]) >= 2) path.push(now.x, now.y);
      on.line(path, false);
    } else if (mode === "pan") {
      const from = first ? start : before;
      on.pan(now.x - from.x, now.y - from.y);
    }
  }

  function release(event) {
    if (!down.delete(event.pointerId)) return;
    if (down.size) { mode = "rest"; return; }
    const now = spot(event);
    if (mode === "draw") on.line(start.moved && event.type === "pointerup" ? path : [], true, event);
    else if (mode === "pan" && !start.moved && event.type === "pointerup") tap(now, event);
    mode = null;
  }

  function tap(now, event) {
    const twice = event.timeStamp - lastTap.at < 350 && Math.hypot(now.x - lastTap.x, now.y - lastTap.y) < 24;
    lastTap = twice ? { at: 0, x: 0, y: 0 } : { at: event.timeStamp, ...now };
    if (twice) on.zoom(now.x, now.y, event.altKey ? 1 / 2.5 : 2.5, true);
    else on.click(now.x, now.y, event);
  }

  function wheel(event) {
    event.preventDefault();
    const unit = event.deltaMode === 1 ? 18 : event.deltaMode === 2 ? 300 : 1;
    const speed = event.ctrlKey ? 0.012 : 0.0022; // a pinch on a touch pad comes as a wheel with ctrl, in small steps
    const { x, y } = spot(event);
    on.zoom(x, y, Math.exp(-Math.max(-300, Math.min(300, event.deltaY * unit)) * speed), false);
  }

  const leave = () => on.hover(null);
  const listeners = [
    ["pointerdown", press], ["pointermove", move], ["pointerup", release], ["pointercancel", release],
    ["pointerleave", leave], ["wheel", wheel, { passive: false }],
  ];
  for (const [name, f, options] of listeners) surface.addEventListener(name, f, options);
  return () => { for (const [name, f, options] of listeners) surface.removeEventListener(name, f, options); };
}
