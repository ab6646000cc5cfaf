// Requests to the server that this page came from, and to no other.

class Refused extends Error {
  constructor(status, message, wait) {
    super(message);
    this.status = status;
    this.wait = wait; // seconds before a retry
  }
}

class Server {
  constructor() {
    this.base = new URL(".", location.href).href;
    this.key = "";
  }

  // The JSON of a successful answer; throws Refused for any other.
  async ask(path, value, signal) {
    const headers = { Accept: "application/json" };
    if (this.key) headers.Authorization = "Bearer " + this.key;
    if (value) headers["Content-Type"] = "application/json";
    const how = { method: value ? "POST" : "GET", headers, body: value && JSON.stringify(value), signal };
    let reply, found;
    try {
      reply = await fetch(this.base + path, { ...how, credentials: "omit", cache: "no-store" });
      found = await reply.json().catch(() => ({}));
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused(0, "The server does not answer.");
    }
    if (reply.ok) return found;
    const told = (found && found.error && found.error.message) || (found && found.error) || reply.statusText;
    throw new Refused(reply.status, String(told), Number(reply.headers.get("Retry-After")) || 0);
  }

  // The same; if the server is busy, it retries once after the time that the server names.
  async askTwice(path, value, signal) {
    try {
      return await this.ask(path, value, signal);
    } catch (error) {
      if (error.status !== 429) throw error;
      await new Promise((done) => setTimeout(done, 1000 * Math.min(5, error.wait || 1)));
      if (signal && signal.aborted) throw new DOMException("", "AbortError");
      return this.ask(path, value, signal);
    }
  }
}

// Decode base64 of little-endian float32.
function floats(text) {
  const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const view = new DataView(bytes.buffer), numbers = new Float64Array(bytes.length / 4);
  for (let i = 0; i < numbers.length; i++) numbers[i] = view.getFloat32(4 * i, true);
  return numbers;
}

function cosine(a, b) {
  let dot = 0, aa = 0, bb = 0;
  for (let i = 0; i < a.length; i++) {
    dot += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return aa && bb ? dot / Math.sqrt(aa * bb) : 0;
}
