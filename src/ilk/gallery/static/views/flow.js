// The flow picture: from the groups that images leave on the left to those they come into on the right.

import { el } from "../dom.js";

const SVG = "http://www.w3.org/2000/svg";
const NODE = 10, GAP = 14, LEAST = 2, LINE = 20; // widths and heights in pixels

function svg(tag, props, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(props)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** The mean spot of what flows into `group`, by the spots of the groups it comes from. */
function from(flows, group, spots) {
  const own = flows.filter((flow) => flow.to === group);
  return own.reduce((sum, flow) => sum + flow.count * spots.get(flow.from), 0) / own.reduce((sum, flow) => sum + flow.count, 0);
}

/** Heights and spots of groups and flows: {nodes: [{side, group, count, y, high}], bands: [{flow, y0, y1, high}], high}. */
export function laidOut(flows, least) {
  const sides = [new Map(), new Map()];
  for (const flow of flows) {
    sides[0].set(flow.from, (sides[0].get(flow.from) || 0) + flow.count);
    sides[1].set(flow.to, (sides[1].get(flow.to) || 0) + flow.count);
  }
  const total = flows.reduce((sum, flow) => sum + flow.count, 0) || 1;
  const rows = Math.max(sides[0].size, sides[1].size);
  const high = Math.max(least, rows * (LINE + GAP)), scale = (high - rows * (LINE + GAP) + rows * LINE * 0.4) / total;
  const nodes = [], starts = [new Map(), new Map()];
  let tallest = 0;
  sides.forEach((side, s) => {
    let y = GAP / 2;
    const largest = [...side].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
    if (s) largest.sort((a, b) => from(flows, a[0], starts[0]) - from(flows, b[0], starts[0])); // so that fewer bands cross
    for (const [group, count] of largest) {
      const own = flows.filter((flow) => (s ? flow.to : flow.from) === group);
      const thick = own.reduce((sum, flow) => sum + Math.max(LEAST, flow.count * scale), 0), room = Math.max(thick, LINE);
      nodes.push({ side: s, group, count, y: y + (room - thick) / 2, high: thick });
      starts[s].set(group, y + (room - thick) / 2);
      y += room + GAP;
    }
    tallest = Math.max(tallest, y);
  });
  const spot = new Map(nodes.map((node) => [`${node.side} ${node.group}`, node.y]));
  const order = [...flows].sort((a, b) => spot.get(`0 ${a.from}`) - spot.get(`0 ${b.from}`) || spot.get(`1 ${a.to}`) - spot.get(`1 ${b.to}`));
  const bands = order.map((flow) => {
    const thick = Math.max(LEAST, flow.count * scale), y0 = starts[0].get(flow.from), y1 = starts[1].get(flow.to);
    starts[0].set(flow.from, y0 + thick);
    starts[1].set(flow.to, y1 + thick);
    return { flow, y0, y1, high: thick };
  });
  return { nodes, bands, high: tallest };
}

/** Draw `flows` [{from, to, count, examples}] into an element that follows its width. `show(flow)` on a click. */
export function flowPicture(app, flows, show) {
  const root = el("div", { class: "flow" }), card = el("div", { class: "flow-card panel", hidden: true, "aria-hidden": "true" });
  let before = 0;
  const draw = () => {
    const width = Math.round(root.clientWidth);
    if (width < 40 || width === before) return;
    before = width;
    root.replaceChildren(picture(app, flows, width, show, card), card);
  };
  const watch = new ResizeObserver(draw);
  watch.observe(root);
  return { root, end: () => watch.disconnect() };
}

function picture(app, flows, width, show, card) {
  const { nodes, bands, high } = laidOut(flows, Math.min(460, 120 + 40 * flows.length));
  const margin = Math.min(210, Math.round(width * 0.27)), left = margin, right = width - margin;
  const root = svg("svg", { width, height: high, viewBox: `0 0 ${width} ${high}`, role: "group", "aria-label": "Images that would move, from group to group" });
  for (const band of bands) root.append(ribbon(app, band, left + NODE, right - NODE, show, card));
  for (const node of nodes) {
    const x = node.side ? right - NODE : left, words = `${app.groupName(node.group)}`, sign = node.side ? "+" : "−";
    const at = { x: node.side ? right + 8 : left - 8, y: node.y + node.high / 2, "text-anchor": node.side ? "start" : "end", "dominant-baseline": "central" };
    const most = Math.max(4, Math.floor((margin - 50) / 7));
    const name = svg("tspan", {}, words.length > most ? words.slice(0, most - 1) + "…" : words);
    const label = svg("text", at, svg("title", {}, words), name, svg("tspan", { class: "muted", dx: "6" }, `${sign}${node.count.toLocaleString("en")}`));
    root.append(svg("rect", { x, y: node.y, width: NODE, height: node.high, rx: 2, fill: app.colour(node.group) }), label);
  }
  return root;
}

function ribbon(app, { flow, y0, y1, high }, x0, x1, show, card) {
  const middle = (x0 + x1) / 2, path = `M${x0} ${y0}C${middle} ${y0} ${middle} ${y1} ${x1} ${y1}V${y1 + high}C${middle} ${y1 + high} ${middle} ${y0 + high} ${x0} ${y0 + high}Z`;
  const words = `${flow.count.toLocaleString("en")} from ${app.groupName(flow.from)} to ${app.groupName(flow.to)}`;
  const band = svg("path", { d: path, class: "band", fill: app.colour(flow.from), tabindex: "0", role: "button", "aria-label": `${words}: show them` });
  const over = () => {
    card.replaceChildren(el("p", {}, words), el("div", { class: "examples" }, flow.examples.slice(0, 6).map((row) => el("img", { src: app.thumb(row), alt: "" }))));
    card.hidden = false;
    const top = Math.min(y0, y1) > card.offsetHeight + 10 ? (y0 + y1 + high) / 2 - card.offsetHeight - high / 2 - 8 : (y0 + y1) / 2 + high + 8;
    card.style.transform = `translate(${Math.round(middle - card.offsetWidth / 2)}px, ${Math.round(top)}px)`;
  };
  const out = () => { card.hidden = true; };
  for (const [name, f] of [["pointerenter", over], ["focus", over], ["pointerleave", out], ["blur", out]]) band.addEventListener(name, f);
  band.addEventListener("click", () => show(flow));
  band.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    show(flow);
  });
  return band;
}
