// Light and dark: what the system says, until the button says otherwise. What a person chose is kept by the browser.

export class Theme {
  constructor(app) {
    this.app = app;
    this.system = matchMedia("(prefers-color-scheme: dark)");
    this.system.addEventListener("change", () => this.set(this.chosen));
    this.set(kept("theme"));
  }

  get dark() {
    return this.chosen ? this.chosen === "dark" : this.system.matches;
  }

  set(chosen) {
    this.chosen = chosen === "dark" || chosen === "light" ? chosen : null;
    document.documentElement.dataset.theme = this.dark ? "dark" : "light";
    this.app.emit("theme", this.dark ? "dark" : "light");
  }

  toggle() {
    const next = this.dark ? "light" : "dark";
    keep("theme", next);
    this.set(next);
  }
}

// Settings of the page in the browser; nowhere where it keeps none.
export function kept(name) {
  try {
    return localStorage.getItem("ilk." + name);
  } catch {
    return null;
  }
}

export function keep(name, value) {
  try {
    localStorage.setItem("ilk." + name, value);
  } catch {
    // a private window: it lasts as long as the page
  }
}
