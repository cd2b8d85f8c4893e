/* Without a server a browser starts no workers: then the search runs in a hidden frame that answers like one.
   The theme asks for the name IFrameWorker, and waits for what importScripts returns. */
if (location.protocol === "file:") {
  window.IFrameWorker = class IFrameWorker extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      this.frame = frame.contentWindow;
      this.ready = new Promise((done) => { this.done = done; });
      this.frame.worker = this;
      const inner = this.frame.document;
      inner.open();
      inner.write(`<script>
        postMessage = (data) => worker.dispatchEvent(new MessageEvent("message", { data }));
        importScripts = (...urls) => urls.reduce((before, url) => before.then(() => new Promise((done) => {
          const script = document.createElement("script");
          script.onload = script.onerror = done;
          script.src = url;
          document.body.append(script);
        })), Promise.resolve());
      <\/script><body><script src="${new URL(url, document.baseURI)}" onload="worker.done()"><\/script></body>`);
      inner.close();
    }
    postMessage(data) {
      this.ready.then(() => this.frame.dispatchEvent(new MessageEvent("message", { data })));
    }
    terminate() {
      this.frame.frameElement.remove();
    }
  };
  window.Worker = window.IFrameWorker;
}
