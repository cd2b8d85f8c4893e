(() => {
  "use strict";
  const el = (id) => document.getElementById(id);
  const live = el("map-live"), still = el("map-still"), status = el("map-status"), card = el("map-card");
  if (!live || typeof DecompressionStream !== "function") return;

  const GLYPHS = {
    "circle": "●", "triangle-up": "▲", "square": "■", "diamond": "◆", "triangle-down": "▼",
    "cross": "✚", "star": "★", "x": "✖", "triangle-left": "◀", "triangle-right": "▶",
  };
  // from doubtful to confident, in equal steps of lightness: different to colour-blind eyes and in grey
  const RAMPS = {
    light: [[0, 32, 77], [66, 78, 108], [124, 123, 120], [187, 173, 108], [236, 208, 80]],
    dark: [[255, 234, 120], [214, 198, 118], [170, 163, 126], [130, 134, 137], [92, 108, 142]],
  };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const state = { by: "group", lit: null };
  let map = null, starting = null;

  async function unpacked(id) {
    const bytes = Uint8Array.from(atob(el(id).textContent.trim()), (c) => c.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  }

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const theme = () => (dark.matches ? "dark" : "light");
  const colourOf = (group) => (group.colour < 0 ? map.greys[theme()] : map.palettes[theme()][group.colour]);

  function shade(confidence) {
    const ramp = RAMPS[theme()], at = confidence * (ramp.length - 1), low = Math.min(Math.floor(at), ramp.length - 2);
    return "rgb(" + ramp[low].map((v, i) => Math.round(v + (ramp[low + 1][i] - v) * (at - low))).join(",") + ")";
  }

  function marker() {
    const n = map.x.length, size = Math.min(9, Math.max(3.6, 190 / Math.sqrt(n)));
    const shapes = map.groups.some((g) => g.symbol !== "circle");
    const confidence = map.confidence.map((c) => (c < 0 ? null : c / 100));
    const symbol = shapes ? map.group.map((g) => map.groups[g].symbol) : "circle";
    if (state.by === "confidence") {
      return {
        symbol, line: { width: 0 },
        color: confidence.map((c) => (c === null ? map.greys[theme()] : shade(c))),
        size: confidence.map((c) => size * (c === null ? 1 : 1.6 - 0.7 * c)),
        opacity: confidence.map((c) => (c === null ? 0.5 : 0.95 - 0.35 * c)),
      };
    }
    const colours = map.groups.map(colourOf);
    return {
      symbol, size, line: { width: 0 },
      color: map.group.map((g) => colours[g]),
      opacity: confidence.map((c) => (c === null ? 0.75 : 0.35 + 0.55 * c)),
    };
  }

  function figure() {
    const few = map.groups.length <= 13, ink = css("--ink"), ground = css("--card");
    const room = 0.06 * map.grid, axis = { visible: false, range: [-room, map.grid + room], zeroline: false };
    return {
      data: [{
        type: "scatter", mode: "markers", x: map.x, y: map.y, hoverinfo: "none", marker: marker(),
        selectedpoints: state.lit === null ? undefined : pointsOf(state.lit),
        selected: { marker: { opacity: 0.95 } }, unselected: { marker: { opacity: 0.07 } },
      }],
      layout: {
        paper_bgcolor: ground, plot_bgcolor: ground, margin: { l: 0, r: 0, t: 0, b: 0 }, showlegend: false,
        hovermode: "closest", hoverdistance: 14, xaxis: { ...axis }, yaxis: { ...axis }, uirevision: "kept",
        dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
        modebar: { bgcolor: "rgba(0,0,0,0)", color: css("--quiet"), activecolor: ink },
        annotations: map.groups.filter((g) => g.middle).map((g) => ({
          x: g.middle[0], y: g.middle[1], text: "<b>" + escaped(g.label) + "</b>", showarrow: false, yshift: g.above ? 16 : 0,
          font: { size: few ? 15 : 10, color: ink }, bgcolor: ground, opacity: few ? 0.85 : 0.75, borderpad: 1,
        })),
      },
    };
  }

  const CONFIG = {
    responsive: true, displaylogo: false, displayModeBar: true, scrollZoom: false, doubleClick: "reset",
    modeBarButtons: [["zoomIn2d", "zoomOut2d", "resetScale2d"], ["zoom2d", "pan2d"]],
  };

  const pointsOf = (group) => map.group.flatMap((g, i) => (g === group ? [i] : []));

  // -- hover -----------------------------------------------------------------------------------------------------------

  const picture = document.createElement("img");
  picture.alt = "";
  card.prepend(picture);

  async function show(point, event) {
    const i = point.pointNumber, group = map.groups[map.group[i]];
    const confidence = map.confidence[i];
    const source = map.thumb[i] < 0 ? null : map.thumbOf(map.thumb[i]);
    card.dataset.point = i;
    picture.hidden = source === null;
    if (source !== null) picture.src = source;
    card.querySelector(".name").textContent = map.name[i];
    card.querySelector(".of").textContent = group.title + (confidence < 0 ? "" : ", confidence " + (confidence / 100).toFixed(2));
    card.hidden = false;
    move(event);
    if (source === null) return;
    try { await picture.decode(); } catch { picture.hidden = true; return; }
    if (card.dataset.point === String(i)) card.dataset.shown = i;
  }

  // beside the pointer, on the side where there is room, and always inside of the window; its picture has a fixed height
  function move(event) {
    const wide = document.documentElement.clientWidth, high = window.innerHeight;
    const w = card.offsetWidth, h = card.offsetHeight, x = event.clientX, y = event.clientY;
    const left = x + 16 + w <= wide - 4 ? x + 16 : x - 16 - w, top = y + 18 + h <= high - 4 ? y + 18 : y - 14 - h;
    card.style.left = Math.max(4, Math.min(left, wide - w - 4)) + "px";
    card.style.top = Math.max(4, Math.min(top, high - h - 4)) + "px";
  }

  // -- what can be chosen ----------------------------------------------------------------------------------------------

  function say() {
    if (state.lit === null) { status.textContent = ""; return; }
    const group = map.groups[state.lit], n = pointsOf(state.lit).length;
    status.textContent = group.title + ": " + n.toLocaleString("en") + " of its " + group.size.toLocaleString("en") +
      " images are on the map.";
  }

  async function light(number) {
    state.lit = state.lit === number ? null : number;
    for (const button of el("map-legend").querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.number) === state.lit));
    }
    el("map-all").hidden = state.lit === null;
    say();
    await Plotly.restyle(live, { selectedpoints: [state.lit === null ? null : pointsOf(state.lit)] }, [0]);
  }

  const redraw = () => { colourLegend(); return Plotly.react(live, figure().data, figure().layout, CONFIG); };

  function colourLegend() {
    for (const button of el("map-legend").querySelectorAll("button")) {
      button.firstChild.style.color = colourOf(map.groups[Number(button.dataset.number)]);
    }
    el("map-ramp").hidden = state.by !== "confidence";
    el("map-ramp").querySelector("span").style.background =
      "linear-gradient(to right," + [0, 0.25, 0.5, 0.75, 1].map(shade).join(",") + ")";
  }

  function legend() {
    const list = el("map-legend");
    map.groups.forEach((group, number) => {
      const item = document.createElement("li"), button = document.createElement("button");
      const glyph = document.createElement("span"), name = document.createElement("bdi"), size = document.createElement("small");
      glyph.textContent = GLYPHS[group.symbol];
      glyph.setAttribute("aria-hidden", "true");
      name.textContent = group.listed;
      size.textContent = group.size.toLocaleString("en");
      button.type = "button";
      button.dataset.number = number;
      button.setAttribute("aria-pressed", "false");
      button.append(glyph, name, size);
      button.addEventListener("click", () => light(number));
      item.append(button);
      list.append(item);
    });
    el("map-all").addEventListener("click", () => light(state.lit));
    for (const radio of document.querySelectorAll("input[name=map-by]")) {
      radio.addEventListener("change", () => { state.by = radio.value; redraw(); });
    }
  }

  // -- start -----------------------------------------------------------------------------------------------------------

  async function start() {
    map = JSON.parse(await unpacked("map-data"));
    map.thumbOf = window.ilkThumb ? await window.ilkThumb : () => null;
    const code = document.createElement("script");
    code.textContent = await unpacked("map-plotly"); // the page's policy allows this very text, by its hash
    document.head.append(code);
    legend();
    colourLegend();
    live.hidden = false;
    still.hidden = true;
    el("map-tools").hidden = false;
    const { data, layout } = figure();
    await Plotly.newPlot(live, data, layout, CONFIG);
    document.body.append(card); // above everything, placed by the window
    live.on("plotly_hover", (e) => show(e.points[0], e.event));
    live.on("plotly_click", (e) => show(e.points[0], e.event));
    live.on("plotly_unhover", () => { card.hidden = true; card.dataset.point = ""; });
    dark.addEventListener("change", redraw);
    live.dataset.ready = "true";
  }

  function ready() {
    starting ??= start().catch((error) => {
      live.hidden = true;
      still.hidden = false;
      el("map-tools").hidden = true;
      status.textContent = "The interactive map could not be drawn (" + error.message + "); this is its picture.";
      throw error;
    });
    return starting;
  }

  for (const button of document.querySelectorAll("button[data-group]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await ready();
      const number = map.groups.findIndex((g) => String(g.id) === button.dataset.group);
      if (number >= 0 && state.lit !== number) await light(number);
      el("map").scrollIntoView();
      el("map-legend").querySelector("button[aria-pressed=true]")?.focus({ preventScroll: true });
    });
  }
  new IntersectionObserver((seen, observer) => {
    if (!seen.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    ready().catch(() => {});
  }, { rootMargin: "500px" }).observe(el("map-frame"));
})();
