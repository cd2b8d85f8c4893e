// What the colours of the map say: one entry of the legend for every image.

import { DIM, HIDDEN, CHOSEN, PLAIN } from "./points.js";

export const COLOURINGS = [
  { id: "group", title: "Group" },
  { id: "doubt", title: "Doubt" },
  { id: "folder", title: "Folder" },
  { id: "date", title: "Date taken" },
];

// for folders: hues that colour-blind people can distinguish; for what has an order: dark to light (cividis), certain to doubtful
const HUES = ["#2f7fd6", "#e08a1e", "#1f9e77", "#c8568f", "#7b61d1", "#8a9a1b", "#2aa5b8", "#d1543f", "#96705a", "#5b7aa8", "#b58900", "#6c8f5e"];
const RAMP = ["#1f4e8c", "#4e6c9f", "#7b7b78", "#a6945f", "#d3b541", "#f2dc3c"];
const DOUBT = ["#2f7fd6", "#7ba7c9", "#b9b39a", "#e39a4a", "#d1543f"];
const GREY = "#8b929d";
const MOST = 12; // entries of a legend; the rest are one

export function rgb(colour) {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
}

/** The colour of a CSS variable as [red, green, blue]. */
export function variable(name, root = document.documentElement) {
  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  probe.fillStyle = getComputedStyle(root).getPropertyValue(name).trim() || GREY;
  probe.fillRect(0, 0, 1, 1);
  return [...probe.getImageData(0, 0, 1, 1).data.slice(0, 3)];
}

/**
 * What every image is coloured by: {entries: [{label, colour, count, group}], codes: Int16Array, entry of each image or -1}.
 * Files that could not be read are of no entry.
 */
export async function colouring(id, app, labels) {
  if (id === "doubt") return byDoubt(new Float32Array(await app.bytes("/api/column/confidence")), labels);
  if (id === "folder" || id === "date") return byFacet(id, app, labels);
  return byGroup(app, labels);
}

function byGroup(app, labels) {
  const groups = app.state.groups.filter((group) => group.id >= 0);
  const entries = groups.map((group) => ({ label: app.groupName(group.id), colour: app.colour(group.id), group: group.id }));
  const at = new Map(groups.map((group, i) => [group.id, i]));
  entries.push({ label: "in no group", colour: GREY });
  return counted(entries, Int16Array.from(labels, (label) => (label === -2 ? -1 : at.get(label) ?? groups.length)));
}

function byDoubt(confidence, labels) {
  const entries = DOUBT.map((colour, i) => ({ colour, label: i ? `${20 * i}–${20 * (i + 1)} % doubt` : "under 20 % doubt" }));
  entries.push({ label: "said by hand, or in no group", colour: GREY });
  const code = (c, row) => {
    if (labels[row] === -2) return -1;
    return Number.isNaN(c) || labels[row] < 0 ? 5 : Math.max(0, Math.min(4, Math.floor(5 * (1 - c))));
  };
  return counted(entries, Int16Array.from(confidence, code));
}

async function byFacet(id, app, labels) {
  const facets = await app.get("/api/facets");
  if (id === "date" && facets.ready === false) return { entries: [], codes: new Int16Array(labels.length).fill(-1), wait: true };
  const codes = new Int32Array(await app.bytes(`/api/column/${id}`));
  const values = (facets[id] || []).map((one) => String(one.value));
  return id === "date" ? byTime(values, codes, labels) : byName(values, codes, labels);
}

function byName(values, codes, labels) {
  const sizes = new Array(values.length).fill(0);
  for (const code of codes) if (code >= 0) sizes[code]++;
  const order = sizes.map((_, i) => i).sort((a, b) => sizes[b] - sizes[a] || a - b).slice(0, values.length > MOST ? MOST - 1 : MOST);
  const entries = order.map((value, i) => ({ label: values[value] || "the top folder", colour: HUES[i] }));
  entries.push({ label: "others", colour: GREY });
  const at = new Map(order.map((value, i) => [value, i]));
  return counted(entries, Int16Array.from(codes, (code, row) => (labels[row] === -2 ? -1 : at.get(code) ?? order.length)));
}

/** Months in at most six spans of equally many months that hold images. */
function byTime(values, codes, labels) {
  const order = values.map((_, i) => i).filter((i) => /^\d/.test(values[i])).sort((a, b) => (values[a] < values[b] ? -1 : 1));
  const spans = Math.min(RAMP.length, order.length), at = new Map();
  const entries = [];
  for (let s = 0; s < spans; s++) {
    const mine = order.slice(Math.floor(s * order.length / spans), Math.floor((s + 1) * order.length / spans));
    mine.forEach((value) => at.set(value, s));
    const [from, to] = [values[mine[0]], values[mine[mine.length - 1]]];
    const shade = spans === 1 ? 2 : Math.round(s * (RAMP.length - 1) / (spans - 1));
    entries.push({ label: from === to ? from : `${from} to ${to}`, colour: RAMP[shade] });
  }
  entries.push({ label: "date unknown", colour: GREY });
  return counted(entries, Int16Array.from(codes, (code, row) => (labels[row] === -2 ? -1 : at.get(code) ?? spans)));
}

function counted(entries, codes) {
  for (const entry of entries) entry.count = 0;
  for (const code of codes) if (code >= 0) entries[code].count++;
  return { entries, codes };
}

/** Bytes for the points: colour of the entry; hidden by the legend, dim while others are selected, or chosen. */
export function looks({ entries, codes }, hidden, selection, x) {
  const n = codes.length, look = new Uint8Array(4 * n), colours = entries.map((entry) => rgb(entry.colour));
  const rest = selection.size ? DIM : PLAIN;
  for (let row = 0; row < n; row++) {
    const code = codes[row];
    if (code < 0 || Number.isNaN(x[row]) || hidden.has(code)) { look[4 * row + 3] = HIDDEN; continue; }
    look.set(colours[code], 4 * row);
    look[4 * row + 3] = rest;
  }
  for (const row of selection) if (look[4 * row + 3] !== HIDDEN) look[4 * row + 3] = CHOSEN;
  return look;
}

/** Where the name of every group belongs: the median of its images, largest group first. */
export function medians(labels, x, y) {
  const by = new Map();
  for (let row = 0; row < labels.length; row++) {
    if (labels[row] < 0 || Number.isNaN(x[row])) continue;
    if (!by.has(labels[row])) by.set(labels[row], []);
    by.get(labels[row]).push(row);
  }
  const middle = (rows, values) => Float32Array.from(rows, (row) => values[row]).sort()[rows.length >> 1];
  const found = [...by].map(([group, rows]) => ({ group, size: rows.length, x: middle(rows, x), y: middle(rows, y) }));
  return found.sort((a, b) => b.size - a.size);
}
