// Asking the server: JSON and bytes, errors as one sentence, the state kept up with what other windows do.

const EVERY = 2500; // ms between two looks at the state while the window is seen

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
  }

  async ask(path, options = {}) {
    let answer;
    try {
      answer = await fetch(path, { credentials: "same-origin", ...options });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      this.lost("The gallery does not answer: it was ended, or this computer slept. Start it again with ilk gallery; this page goes on by itself.");
      throw new Refused("The gallery does not answer.", 0);
    }
    if (answer.status === 401 || (answer.status === 403 && !this.gone && options.method !== "POST")) {
      this.lost("The gallery was started anew. Open the address that it printed.");
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

  async state() {
    const answer = await this.ask("/api/state", { cache: "no-store", headers: this.etag ? { "If-None-Match": this.etag } : {} });
    if (answer.status === 304) return;
    this.etag = answer.headers.get("ETag");
    this.onState(await answer.json());
  }

  watch() {
    const look = async () => {
      if (!document.hidden && !this.busy) await this.state().catch(() => {});
      this.timer = setTimeout(look, this.gone ? 1200 : EVERY);
    };
    this.timer = setTimeout(look, EVERY);
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.state().catch(() => {});
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

async function sentence(answer) {
  try {
    const said = (await answer.json()).error;
    if (said) return String(said);
  } catch {
    // no JSON: said below
  }
  return `The gallery refused (${answer.status}).`;
}
