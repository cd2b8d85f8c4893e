// Asking the server: JSON and bytes, errors as one sentence, the state kept up with what other windows do.

const EVERY = 2500; // ms between two looks at the state while the window is seen
const ANEW = "The gallery was started anew. Open the address that it printed in this browser: this page then goes on by itself.";

export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export class Server {
  // onState(state): a newer state; onGone(message | null): the server does not answer, or answers again
  constructor(onState, onGone) {
    this.onState = onState;
    this.onGone = onGone;
    this.etag = null;
    this.gone = false;
    this.busy = 0;
    this.proof = ""; // by which the gallery is known again
    this.command = "ilk gallery";
    this.pages = "BroadcastChannel" in window ? new BroadcastChannel("ilk-gallery") : null; // all of this address
  }

  // Whoever took the port of a gallery that is gone gets no cookie: nothing is asked until it is known again.
  async ask(path, options = {}, known = false) {
    if (this.gone && !known) throw new Refused("The gallery does not answer.", 0);
    let answer;
    try {
      answer = await fetch(path, { credentials: "same-origin", ...options });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      this.lost(`The gallery does not answer: it was ended, or this computer slept. Start it again (${this.command}) and open the address that it prints: where that has the same port, this page goes on by itself.`);
      throw new Refused("The gallery does not answer.", 0);
    }
    if (answer.status === 401 || (answer.status === 403 && options.method !== "POST")) {
      this.lost(ANEW);
      throw new Refused("This page belongs to a gallery that has ended.", answer.status);
    }
    this.back();
    if (!answer.ok && answer.status !== 304) throw new Refused(await sentence(answer), answer.status);
    return answer;
  }

  async get(path, options) {
    return (await this.ask(path, options)).json();
  }

  async post(path, body) {
    this.busy += 1;
    try {
      const headers = { "Content-Type": "application/json" };
      return await (await this.ask(path, { method: "POST", headers, body: JSON.stringify(body) })).json();
    } finally {
      this.busy -= 1;
    }
  }

  async bytes(path, options) {
    return (await this.ask(path, options)).arrayBuffer();
  }

  async state(known = false) {
    const answer = await this.ask("/api/state", { cache: "no-store", headers: this.etag ? { "If-None-Match": this.etag } : {} }, known);
    if (answer.status === 304) return;
    this.etag = answer.headers.get("ETag");
    this.onState(await answer.json());
  }

  look() {
    return (this.gone ? this.knock() : this.state()).catch(() => {});
  }

  // Whether the gallery that let this page in answers again, asked without a cookie.
  async knock() {
    const asked = `n=${crypto.randomUUID()}`;
    const answer = await fetch(`/alive?${asked}`, { credentials: "omit", cache: "no-store" });
    const { proof } = await answer.json().catch(() => ({}));
    if (proof && proof === (await signed(this.proof, asked))) await this.state(true);
    else this.lost(ANEW);
  }

  // Another page of this address was let in: by a gallery that was started anew, where this page had lost its own.
  here() {
    if (this.pages) this.pages.postMessage("here");
  }

  watch() {
    if (this.pages) this.pages.onmessage = () => this.gone && this.state(true).catch(() => {});
    const look = async () => {
      if (!document.hidden && !this.busy) await this.look();
      this.timer = setTimeout(look, this.gone ? 1200 : EVERY);
    };
    this.timer = setTimeout(look, EVERY);
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.look();
    });
  }

  lost(message) {
    this.gone = true;
    this.onGone(message);
  }

  back() {
    if (!this.gone) return;
    this.gone = false;
    this.etag = null;
    this.onGone(null);
  }
}

async function signed(secret, text) {
  const bytes = (words) => new TextEncoder().encode(words);
  const key = await crypto.subtle.importKey("raw", bytes(secret), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const found = new Uint8Array(await crypto.subtle.sign("HMAC", key, bytes(text)));
  return [...found].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function sentence(answer) {
  try {
    const said = (await answer.json()).error;
    if (said) return String(said);
  } catch {
    // no JSON: said below
  }
  return `The gallery refused (${answer.status}).`;
}
