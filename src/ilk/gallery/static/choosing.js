// Choosing a group by typing: the nearest first, arrows and Enter, or a click.

import { dialog, el, icon } from "./dom.js";
import { cover } from "./cover.js";

// look: first (ids), without (ids), fresh (a new group may be made); answers {id}, {name} or undefined
export function chooseGroup(app, title, look = {}) {
  const groups = ordered(app, look);
  return dialog(title, (box, close) => {
    const list = el("ul", { class: "choices", role: "listbox", id: "choices", "aria-label": "Groups" });
    const input = el("input", {
      type: "search", placeholder: look.fresh ? "Type a name; a new one makes a new group" : "Type a name", autocomplete: "off", spellcheck: "false",
      role: "combobox", "aria-expanded": "true", "aria-controls": "choices", "aria-label": "Group",
    });
    let found = [];
    let at = 0;
    const point = (i) => {
      at = Math.max(0, Math.min(found.length - 1, i));
      [...list.children].forEach((node, j) => node.setAttribute("aria-selected", j === at));
      const node = list.children[at];
      if (!node) return;
      node.scrollIntoView({ block: "nearest" });
      input.setAttribute("aria-activedescendant", node.id);
    };
    const fill = () => {
      found = matching(app, groups, input.value, look);
      list.replaceChildren(...found.map((one, i) => choice(app, one, i, () => close(answer(one)))));
      if (!found.length) list.append(el("li", { class: "muted" }, "No group of that name."));
      point(0);
    };
    input.addEventListener("input", fill);
    input.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
      if (step) point(at + step);
      else if (event.key === "Enter" && found[at]) close(answer(found[at]));
      else return;
      event.preventDefault();
    });
    box.append(input, list);
    fill();
    return input;
  }, { class: "choosing" });
}

function ordered(app, look) {
  const first = [...new Set(look.first || [])].filter((id) => app.byId.has(id));
  const rest = app.state.groups.map((group) => group.id).filter((id) => !first.includes(id));
  return [...first, ...rest].filter((id) => !(look.without || []).includes(id)).map((id) => app.byId.get(id));
}

function matching(app, groups, text, look) {
  const words = text.trim().toLowerCase();
  const fits = (group) => [app.groupName(group.id), `group ${group.id}`, ...(group.looks_like || []).map((one) => one.word || one)].some((one) => one.toLowerCase().includes(words));
  const found = words ? groups.filter(fits) : groups;
  const named = (group) => app.groupName(group.id).toLowerCase();
  const begins = (group) => (named(group).startsWith(words) ? 0 : 1);
  const sorted = words ? [...found].sort((a, b) => begins(a) - begins(b)) : found;
  const same = app.state.groups.some((group) => named(group) === words);
  return look.fresh && words && !same ? [...sorted, { fresh: text.trim() }] : sorted;
}

function answer(one) {
  return "fresh" in one ? { name: one.fresh } : { id: one.id };
}

function choice(app, one, i, take) {
  const parts = "fresh" in one
    ? [el("span", { class: "cover new" }, icon("plus")), el("span", { class: "name" }, `New group “${one.fresh}”`)]
    : [cover(app, one.cover), el("span", { class: "name" }, app.groupName(one.id)), el("span", { class: "muted" }, one.size.toLocaleString("en"))];
  return el("li", { id: "choice-" + i, role: "option", onclick: take }, parts);
}
