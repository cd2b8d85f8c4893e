(() => {
  "use strict";
  const el = (id) => document.getElementById(id);
  const dialog = el("large");
  if (!dialog || typeof DecompressionStream !== "function") return;

  // images that stand in the page itself, by row; the others are texts until somebody looks
  const inPage = new Map([...document.querySelectorAll("img[data-row]")].map((img) => [Number(img.dataset.row), img]));
  const number = (n) => n.toLocaleString("en");
  let record = null, more = null, large = null, list = [], at = 0;

  async function unpacked(id) {
    const bytes = Uint8Array.from(atob(el(id).textContent.trim()), (c) => c.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  }

  function texts(id, rows) {
    const found = el(id).textContent.trim().split(" ");
    return new Map(rows.flatMap((row, i) => (found[i] ? [[row, found[i]]] : [])));
  }

  // JPEG in base64 begins with /9j/, WebP with UklGR
  const address = (text) =>
    "data:image/" + (text.startsWith("/9j/") ? "jpeg" : text.startsWith("UklGR") ? "webp" : "png") + ";base64," + text;
  const thumb = (row) => inPage.get(row)?.src ?? (more.has(row) ? address(more.get(row)) : null);

  async function start() {
    record = JSON.parse(await unpacked("pictures-data"));
    more = texts("pictures-more", record.more);
    large = texts("pictures-large", record.large);
    for (const [id, group] of Object.entries(record.groups)) {
      group.rows = group.rows.filter((row) => thumb(row));
      const button = document.querySelector(`button[data-every="${CSS.escape(id)}"]`);
      if (button) offer(button, group);
    }
    for (const note of document.querySelectorAll(".scripted")) note.hidden = false;
    for (const img of inPage.values()) reachable(img);
  }

  // -- all of a group ----------------------------------------------------------------------------------------------------

  function offer(button, group) {
    const there = group.rows.length, inCards = button.closest("article").querySelectorAll("img[data-row]").length;
    if (group.size <= inCards) return;
    const left = group.size - there, note = button.nextElementSibling;
    if (there > inCards) {
      const text = left ? `Show ${number(there)} of ${number(group.size)}` : `Show all ${number(group.size)}`;
      button.textContent = text;
      button.addEventListener("click", () => every(button, group, text));
    } else {
      button.hidden = true;
    }
    if (left) note.textContent = `${number(left)} more are not in this page: ${record.command} shows all.`;
    button.parentElement.hidden = false;
  }

  function every(button, group, text) {
    const open = button.getAttribute("aria-expanded") === "true", old = button.closest("article").querySelector(".strip.every");
    button.setAttribute("aria-expanded", String(!open));
    button.textContent = open ? text : "Show fewer";
    if (open) { old.remove(); return; }
    const strip = document.createElement("ul");
    strip.className = "strip every";
    strip.setAttribute("aria-label", "images of " + group.title + ", central ones first");
    for (const row of group.rows) {
      const item = document.createElement("li"), img = document.createElement("img");
      img.loading = "lazy";
      img.src = thumb(row);
      img.alt = img.title = record.names[row] ?? "image " + row;
      img.dataset.row = row;
      reachable(img);
      item.append(img);
      strip.append(item);
    }
    button.parentElement.after(strip);
  }

  // -- one, larger -------------------------------------------------------------------------------------------------------

  function reachable(img) {
    img.tabIndex = 0;
    img.setAttribute("role", "button");
  }

  const picture = document.createElement("img");
  dialog.querySelector("figure").prepend(picture);

  function show(step) {
    at = (at + step + list.length) % list.length;
    const row = Number(list[at].dataset.row);
    const group = Object.values(record.groups).find((g) => g.rows.includes(row));
    picture.src = large.has(row) ? address(large.get(row)) : thumb(row);
    picture.alt = list[at].alt;
    dialog.dataset.row = row;
    dialog.querySelector(".name").textContent = record.names[row] ?? list[at].alt;
    const words = [group?.title, row in record.confidence ? "confidence " + record.confidence[row].toFixed(2) : null, record.said[row]];
    dialog.querySelector(".of").textContent = words.filter(Boolean).join(", ");
  }

  function open(img) {
    list = [...img.closest(".strip").querySelectorAll("img[data-row]")];
    at = list.indexOf(img);
    show(0);
    dialog.showModal();
  }

  document.addEventListener("click", (event) => {
    const img = record && event.target.closest?.("img[data-row]");
    if (img) open(img);
    else if (event.target === dialog) dialog.close();
  });
  document.addEventListener("keydown", (event) => {
    const img = record && event.target.closest?.("img[data-row]");
    if (img && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      open(img);
    } else if (dialog.open && (event.key === "ArrowLeft" || event.key === "ArrowRight")) {
      event.preventDefault();
      show(event.key === "ArrowLeft" ? -1 : 1);
    }
  });
  for (const button of dialog.querySelectorAll("button")) {
    button.addEventListener("click", () => (button.dataset.step === "0" ? dialog.close() : show(Number(button.dataset.step))));
  }
  dialog.addEventListener("close", () => list[at]?.focus());

  // the map asks for pictures by row
  window.ilkThumb = start().then(() => thumb, () => () => null);
})();
