// Keys: what may be pressed where, said in one table that "?" shows.

import { dialog, el } from "./dom.js";

const MAC = /Mac|iPhone|iPad/.test(navigator.platform);
const SHOWN = {
  ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": "Space", Escape: "Esc", Delete: "Del",
  PageUp: "Page up", PageDown: "Page down",
};
const SCOPES = { all: "Everywhere", grid: "Images", groups: "Groups", viewer: "The original" };

// The name of what was pressed: "Ctrl+Shift+Z", "m", "ArrowLeft", "?"
export function pressed(event) {
  const key = event.key.length === 1 ? (event.key === " " ? " " : event.key.toLowerCase()) : event.key;
  const ctrl = event.ctrlKey || event.metaKey;
  const letter = /^[a-z]$/.test(key);
  const shift = event.shiftKey && (event.key.length > 1 || letter || key === " ");
  return (ctrl ? "Ctrl+" : "") + (event.altKey ? "Alt+" : "") + (shift ? "Shift+" : "") + (letter && (ctrl || shift) ? key.toUpperCase() : key);
}

export function shown(key) {
  return key
    .split("+")
    .map((part) => (part === "Ctrl" && MAC ? "⌘" : SHOWN[part] || (part.length === 1 ? part.toUpperCase() : part)))
    .join("+");
}

export class Keys {
  constructor() {
    this.entries = [];
    this.titles = { ...SCOPES };
    this.scope = () => "grid"; // which scope is in front
    document.addEventListener("keydown", (event) => this.take(event));
  }

  // key: "m", "Ctrl+Z", or a list of such; label: what the table shows instead; text "": not in the table
  add(scope, key, text, f, label) {
    const entry = { scope, keys: Array.isArray(key) ? key : [key], text, f, label };
    this.entries.push(entry);
    return () => {
      this.entries = this.entries.filter((other) => other !== entry);
    };
  }

  take(event) {
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
    const key = pressed(event);
    const typing = event.target.closest("input, textarea, select, [contenteditable=true]");
    if (typing && !(typing.type === "range" || typing.type === "checkbox") && !(key.startsWith("Ctrl+") && !writes(key))) return;
    const onButton = event.target.closest("button, a, summary, input, select");
    if (onButton && (key === "Enter" || key === " ")) return;
    if (typing && key.startsWith("Arrow")) return;
    const front = this.scope(event);
    const scopes = Array.isArray(front) ? front : [front];
    for (const scope of [...scopes, "all"]) {
      for (const entry of this.entries.filter((one) => one.scope === scope && one.keys.includes(key)).reverse()) {
        if (entry.f(event, key) !== false) {
          event.preventDefault();
          return;
        }
      }
    }
  }

  help() {
    return dialog("Keys", (box) => {
      const scopes = [...new Set(this.entries.map((entry) => entry.scope))];
      const order = (scope) => ["grid", "groups", "viewer", "all"].indexOf(scope) + 1 || 9;
      const part = (scope) => [
        el("h3", {}, this.titles[scope] || scope),
        el("dl", {}, this.entries.filter((one) => one.scope === scope && one.text).map((one) => [el("dt", {}, caps(one)), el("dd", {}, one.text)])),
      ];
      box.append(el("div", { class: "keytable" }, scopes.sort((a, b) => order(a) - order(b)).map((scope) => el("section", {}, part(scope)))));
    }, { class: "wide" });
  }
}

function caps(entry) {
  const names = entry.label ? [entry.label] : entry.keys.map(shown);
  return names.map((name, i) => [i ? " " : "", el("kbd", {}, name)]);
}

function writes(key) {
  return ["Ctrl+A", "Ctrl+Z", "Ctrl+Shift+Z", "Ctrl+C", "Ctrl+V", "Ctrl+X", "Ctrl+Y", "Ctrl+Enter"].includes(key);
}
