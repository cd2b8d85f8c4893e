// Keys that count wherever one is.

export function globalKeys(app) {
  const k = app.keys;
  k.add("all", "Ctrl+Z", "undo", () => app.actions.undo());
  k.add("all", ["Ctrl+Shift+Z", "Ctrl+Y"], "redo", () => app.actions.redo(), "Ctrl+Shift+Z");
  k.add("all", "h", "what was done", () => app.top.history());
  k.add("all", "t", "light or dark", () => app.theme.toggle());
  k.add("all", "?", "these keys", () => app.keys.help());
  k.add("all", "Escape", "back to the images", () => {
    if (document.body.classList.contains("drawer")) app.groups.drawer(false);
    else if (app.current !== "grid") app.top.go("grid");
    else if (app.shown.what && ("stack" in app.shown.what || "rows" in app.shown.what)) app.show(app.shown.before || app.shown.start());
    else return false;
    return true;
  });
}
