/* Browsers start no worker from file://.  There, this runs a worker's script in a hidden frame, so that search works
   in a folder that was unpacked, without a server.  The frame's `self` takes and gives messages as a worker's does. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      (document.body ?? document.documentElement).append(frame);
      this.inside = frame.contentWindow;
      this.inside.postMessage = (data) => deliver(data, (event) => this.hear(event));
      this.inside.importScripts = (...urls) => Promise.all(urls.map((one) => load(this.inside.document, one)));
      this.ready = load(this.inside.document, url);
      this.terminate = () => frame.remove();
    }

    hear(event) {
      this.dispatchEvent(event);
      this.onmessage?.(event);
    }

    async postMessage(data) {
      await this.ready;
      deliver(data, (event) => this.inside.dispatchEvent(event));
    }
  };

  function deliver(data, take) { // later, and as a copy: both sides count on that
    const event = new MessageEvent("message", { data: structuredClone(data) });
    setTimeout(() => take(event));
  }

  function load(page, url) {
    return new Promise((resolve, reject) => {
      const script = page.createElement("script");
      script.src = new URL(url, location.href);
      script.onload = resolve;
      script.onerror = reject;
      (page.body ?? page.documentElement).append(script);
    });
  }
}
