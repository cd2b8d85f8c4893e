// Dragging with the pointer: images onto a group, a group onto another. Whatever has data-drop takes what is let go.

import { el } from "./dom.js";

// look.start() -> {rows | group, label} or null: whether there is something to drag; look.click(): it was no drag
export function drag(event, look) {
  const [x, y] = [event.clientX, event.clientY];
  const { app } = look;
  let ghost = null;
  let held;
  let over = null;
  const move = (other) => {
    if (held === undefined) {
      if (Math.hypot(other.clientX - x, other.clientY - y) < (look.far || 6)) return;
      held = look.start();
      if (!held) return;
      ghost = shown(app, held);
      document.body.append(ghost);
      document.body.classList.add("dragging", held.group === undefined ? "dragging-images" : "dragging-group");
    }
    if (!held) return;
    ghost.style.transform = `translate(${other.clientX + 10}px, ${other.clientY + 8}px)`;
    const under = document.elementFromPoint(other.clientX, other.clientY);
    const target = under && under.closest("[data-drop]");
    if (target === over) return;
    if (over) over.classList.remove("over");
    over = target && String(held.group) !== target.dataset.drop ? target : null;
    if (over) over.classList.add("over");
  };
  const end = (other) => {
    removeEventListener("pointermove", move);
    removeEventListener("pointerup", end);
    removeEventListener("pointercancel", end);
    removeEventListener("keydown", leave, true);
    if (ghost) ghost.remove();
    if (over) over.classList.remove("over");
    document.body.classList.remove("dragging", "dragging-images", "dragging-group");
    if (held && over && other && other.type === "pointerup") app.actions.dropped(held, over.dataset.drop);
    else if (held === undefined && other && look.click) look.click(other);
  };
  const leave = (other) => {
    if (other.key !== "Escape") return;
    other.stopPropagation();
    held = null;
    end(null);
  };
  addEventListener("pointermove", move);
  addEventListener("pointerup", end);
  addEventListener("pointercancel", end);
  addEventListener("keydown", leave, true);
}

function shown(app, held) {
  const some = (held.rows || []).slice(0, 3);
  const label = held.group === undefined ? held.rows.length.toLocaleString("en") : app.groupName(held.group);
  const rows = held.group === undefined ? some : ((app.byId.get(held.group) || {}).cover || []).slice(0, 3);
  return el("div", { class: "ghost" }, rows.map((row) => el("img", { src: app.thumb(row), alt: "" })), el("b", {}, label));
}
