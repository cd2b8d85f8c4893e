// A colour for every group, by its number: the same in the grid, the map and the tree, light and dark.
// Nine hues that colour-blind people can distinguish (after Okabe and Ito, and Tol), then the same ones lighter and darker.

const HUES = ["#2f7fd6", "#e08a1e", "#1f9e77", "#c8568f", "#7b61d1", "#8a9a1b", "#2aa5b8", "#d1543f", "#96705a"];
const STEPS = [0, 0.28, -0.24, 0.46, -0.4];

export function colour(id) {
  if (id === null || id === undefined || id < 0) return "#8b929d";
  return mixed(HUES[id % HUES.length], STEPS[Math.floor(id / HUES.length) % STEPS.length]);
}

function mixed(hex, step) {
  const towards = step < 0 ? 0 : 255;
  const parts = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return "#" + parts.map((part) => Math.round(part + (towards - part) * Math.abs(step)).toString(16).padStart(2, "0")).join("");
}
