// Elements, icons, buttons, dialogs. Text is always set as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

// Paths on a square of 24, drawn with round strokes.
const ICONS = {
  undo: "M9 14 4 9l5-5M4 9h10a6 6 0 0 1 0 12h-3",
  redo: "m15 14 5-5-5-5M20 9H10a6 6 0 0 0 0 12h3",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM21 21l-5-5",
  close: "M6 6l12 12M18 6 6 18",
  check: "m5 12.5 5 5L19.5 7",
  move: "M4 12h15M13 6l6 6-6 6",
  merge: "M6 4v4a6 6 0 0 0 6 6 6 6 0 0 0 6-6V4M12 14v7M8.5 17.5 12 21l3.5-3.5",
  split: "M12 21v-7M12 14a6 6 0 0 0-6-6V4M12 14a6 6 0 0 1 6-6V4M3 7l3-3 3 3M15 7l3-3 3 3",
  plus: "M12 5v14M5 12h14",
  ignore: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM5.700 5.700l12.600 12.600",
  pen: "M4 20l1-4L16 5l3 3L8 19z",
  note: "M5 4h14v11l-5 5H5zM14 20v-5h5M9 9h6M9 13h3",
  filter: "M3 5h18l-7 8v6l-4-2v-4z",
  stack: "M8 8h12v12H8zM4 16V4h12",
  crop: "M7 2v15h15M2 7h15v15",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M5 19l2-2M17 7l2-2",
  moon: "M20 14.500A8.5 8.5 0 1 1 9.5 4a7 7 0 0 0 10.5 10.500z",
  help: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM9.5 9.500a2.5 2.5 0 1 1 3.5 2.300c-.7.4-1 .9-1 1.700M12 16.700v.1",
  info: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 11v5M12 7.700v.1",
  grid: "M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h6v6h-6z",
  menu: "M4 7h16M4 12h16M4 17h16",
  more: "M5 12h.1M12 12h.1M19 12h.1",
  left: "m15 5-7 7 7 7",
  right: "m9 5 7 7-7 7",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  doubt: "M9.200 8.500a3 3 0 1 1 4.300 2.700c-1 .6-1.5 1.200-1.5 2.500M12 17.500v.1",
  all: "M4 4h16v16H4zM4 12h16M12 4v16",
  alone: "M12 12h.1M4 4h.1M20 4h.1M4 20h.1M20 20h.1M12 17a5 5 0 1 0 0-10 5 5 0 0 0 0 10z",
  broken: "M4 5h16v6l-4-2-4 4-4-3-4 3zM4 16v3h16v-4",
  eye: "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12zM12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6z",
  plusbox: "M4 4h16v16H4zM12 8v8M8 12h8",
  again: "M20 11a8 8 0 0 0-14-4L4 9M4 4v5h5M4 13a8 8 0 0 0 14 4l2-2M20 20v-5h-5",
  tree: "M12 4v4M12 8H6v5M12 8h6v5M6 13H4v6M6 13h3v6M18 13h-3v6M18 13h2v6",
  map: "M9 4 3 6v14l6-2 6 2 6-2V4l-6 2zM9 4v14M15 6v14",
  export: "M12 15V3M7 8l5-5 5 5M4 14v6h16v-6",
  history: "M12 7v5l4 2M3.5 10a9 9 0 1 1-.5 4M3 5v5h5",
};

export function icon(name, size = 18) {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", width: size, height: size, class: "icon", "aria-hidden": "true" })) {
    svg.setAttribute(key, value);
  }
  path.setAttribute("d", ICONS[name] || name);
  svg.append(path);
  return svg;
}

// el("button", {class: "chip", onclick: f, dataset: {row: 3}, style: {left: "3px"}, "aria-label": "…"}, "text", child, …)
export function el(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props || {})) set(node, key, value);
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

function set(node, key, value) {
  if (value === null || value === undefined || value === false) return;
  if (key === "class") node.className = value;
  else if (key === "dataset") Object.assign(node.dataset, value);
  else if (key === "style") for (const [name, what] of Object.entries(value)) node.style.setProperty(name, what);
  else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
  else if (key === "value" || key === "checked" || key === "disabled" || key === "hidden" || key === "textContent") node[key] = value;
  else node.setAttribute(key, value === true ? "" : value);
}

// A button that shows its key; `look` may hold icon, class, label, title.
export function button(text, key, f, look = {}) {
  const name = look.label || text;
  return el(
    "button",
    {
      type: "button",
      class: "button" + (look.class ? " " + look.class : ""),
      title: key ? `${look.title || name} (${key})` : look.title || (text ? null : name),
      "aria-label": text && !look.label ? null : name,
      "aria-keyshortcuts": key ? key.replace("Ctrl", "Control") : null,
      onclick: f,
    },
    look.icon && icon(look.icon),
    text && el("span", {}, text),
    key && look.keys !== false && el("kbd", { class: "keys" }, key),
  );
}

export function count(n, one, many = one + "s") {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}

export function bytes(n) {
  if (n === null || n === undefined) return "";
  const units = ["bytes", "KB", "MB", "GB"];
  let unit = 0;
  while (n >= 1000 && unit < 3) [n, unit] = [n / 1000, unit + 1];
  return `${unit && n < 10 ? n.toFixed(1) : Math.round(n)} ${units[unit]}`;
}

// A modal dialog; answers what `close` was called with, or undefined where it was left. The browser keeps the focus in it.
export function dialog(title, build, look = {}) {
  return new Promise((resolve) => {
    let answer;
    const back = document.activeElement;
    const box = el("dialog", { class: "dialog " + (look.class || ""), "aria-label": title });
    const close = (value) => {
      answer = value;
      box.close();
    };
    const head = el("header", {}, el("h2", {}, title), button("", "Esc", () => close(), { icon: "close", label: "Close", keys: false, class: "quiet" }));
    box.append(head);
    const first = build(box, close);
    box.addEventListener("close", () => {
      box.remove();
      if (back && back.isConnected) back.focus({ preventScroll: true });
      resolve(answer);
    });
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return; // in a field of searches the browser would only empty it
      event.preventDefault();
      event.stopPropagation();
      close();
    });
    box.addEventListener("pointerdown", (event) => {
      const edge = box.getBoundingClientRect();
      const inside = event.clientX >= edge.left && event.clientX <= edge.right && event.clientY >= edge.top && event.clientY <= edge.bottom;
      if (event.target === box && !inside) close();
    });
    document.body.append(box);
    box.showModal();
    if (first) first.focus();
  });
}

// One line of text, or a few; answers undefined where it was left.
export function askText(title, label, value, look = {}) {
  return dialog(title, (box, close) => {
    const input = look.long
      ? el("textarea", { value, rows: 5, maxlength: 10000, "aria-label": label })
      : el("input", { type: "text", value, maxlength: 200, "aria-label": label, autocomplete: "off", spellcheck: "false" });
    const form = el(
      "form",
      {
        method: "dialog",
        onsubmit: (event) => {
          event.preventDefault();
          close(input.value);
        },
      },
      el("label", { class: "field" }, el("span", { class: "muted" }, label), input),
      look.hint && el("p", { class: "muted small" }, look.hint),
      el("div", { class: "foot" }, button("Cancel", "", () => close()), el("button", { class: "button first" }, look.ok || "Save")),
    );
    if (look.long) {
      input.addEventListener("keydown", (event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) close(input.value);
      });
    }
    box.append(form);
    requestAnimationFrame(() => input.select());
    return input;
  });
}

export function askYes(title, text, yes) {
  return dialog(title, (box, close) => {
    const ok = button(yes, "", () => close(true), { class: "first" });
    box.append(el("p", {}, text), el("div", { class: "foot" }, button("Cancel", "", () => close()), ok));
    return ok;
  });
}
