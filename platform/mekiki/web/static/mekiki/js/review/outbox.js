// Answers on their way to the server. Each is kept in localStorage until the server has said what became of it,
// and is sent again under the same client_key: a lost reply cannot make two decisions, a reload loses none.

import { post } from "../http.js";

const FIRST_WAIT = 1000;
const LONGEST_WAIT = 30000;
// An answer is sent after this time, in milliseconds, so that the first keys of a barcode can be taken back (scans.js).
// The next image does not wait for it.
export const HOLD = 120;

export class Outbox {
  /** `changed(state, n)`: saved, sending, offline, login. `done(entry, reply)`, `refused(entry, error)`.
   * `wanted()`: how many images the server leases in the same request. */
  constructor({ url, prefix, changed, done, refused, wanted }) {
    Object.assign(this, { url, prefix, changed, done, refused, wanted });
    this.entries = [];
    this.state = "saved";
    this.busy = false;
    this.wait = FIRST_WAIT;
    this.waiters = [];
    window.addEventListener("online", () => this.hurry());
    window.addEventListener("pagehide", () => this.#leave());
    this.#restore();
  }

  #restore() {
    try {
      for (let i = 0; i < localStorage.length; i += 1) {
        const key = localStorage.key(i);
        if (key.startsWith(this.prefix)) this.entries.push(JSON.parse(localStorage.getItem(key)));
      }
    } catch {
      // No storage (a private window): answers are sent all the same, only a reload can lose them.
    }
    this.entries.sort((a, b) => a.at - b.at);
  }

  get size() {
    return this.entries.length;
  }

  /** True if answers are being sent, whose replies bring the next images. */
  get sending() {
    return this.size > 0 && this.state !== "offline" && this.state !== "login";
  }

  /** Leases whose answers are still on their way. */
  leases() {
    return this.entries.map(entry => entry.body.lease);
  }

  add(body) {
    const entry = { at: Date.now(), tried: false, body };
    this.entries.push(entry);
    this.#keep(entry);
    this.#tell(this.state === "saved" ? "sending" : this.state);
    this.run();
    return entry;
  }

  #keep(entry) {
    try {
      localStorage.setItem(this.prefix + entry.body.client_key, JSON.stringify(entry));
    } catch {
      // Full or forbidden: as above.
    }
  }

  #drop(entry) {
    this.entries = this.entries.filter(other => other !== entry);
    try {
      localStorage.removeItem(this.prefix + entry.body.client_key);
    } catch {
      // As above.
    }
  }

  /** Take back an answer that was never sent; false when it may have reached the server. */
  takeBack(clientKey) {
    const entry = this.entries.find(one => one.body.client_key === clientKey);
    if (!entry || entry.tried) return false;
    this.#drop(entry);
    this.#tell(this.entries.length ? this.state : "saved");
    return true;
  }

  hurry() {
    this.wait = FIRST_WAIT;
    clearTimeout(this.timer);
    this.run();
  }

  /** The page is left: the next answer is sent at once. The others wait for a return, so that their order is kept. */
  #leave() {
    const [entry] = this.entries;
    if (!entry || entry.tried) return;
    entry.tried = true;
    this.#keep(entry);
    post(this.url, entry.body, { keepalive: true }).catch(() => {});
  }

  /** True once nothing is on its way; false when sending fails meanwhile. */
  settled() {
    if (!this.entries.length) return Promise.resolve(true);
    if (this.state === "offline" || this.state === "login") return Promise.resolve(false);
    return new Promise(resolve => this.waiters.push(resolve));
  }

  #settle(result) {
    for (const resolve of this.waiters.splice(0)) resolve(result);
  }

  #tell(state) {
    this.state = state;
    this.changed(state, this.entries.length);
  }

  async run() {
    if (this.busy || !this.entries.length) return;
    this.busy = true;
    let failed = false;
    while (this.entries.length && !failed) {
      const [entry] = this.entries;
      if (!entry.tried) {
        await new Promise(done => setTimeout(done, Math.min(HOLD, entry.at + HOLD - Date.now())));
        if (!this.entries.includes(entry)) continue; // It was taken back.
      }
      if (!entry.tried) {
        entry.tried = true;
        this.#keep(entry);
      }
      try {
        const reply = await post(this.url, { ...entry.body, next: this.wanted() }, { keepalive: true });
        this.#drop(entry);
        this.wait = FIRST_WAIT;
        this.#tell(this.entries.length ? "sending" : "saved");
        this.done(entry, reply);
      } catch (error) {
        failed = !this.#refuse(entry, error);
      }
    }
    this.busy = false;
    if (failed) {
      this.timer = setTimeout(() => this.run(), this.wait);
      this.wait = Math.min(this.wait * 2, LONGEST_WAIT);
      this.#settle(false);
    } else this.#settle(true);
  }

  /** True when the server refused for good: the answer cannot ever be taken. */
  #refuse(entry, error) {
    const { status = 0 } = error;
    if (status === 401 || (status === 403 && error.body?.code !== "refused")) this.#tell("login");
    else if ([403, 404, 409, 422].includes(status)) {
      this.#drop(entry);
      this.#tell(this.entries.length ? "sending" : "saved");
      this.refused(entry, error);
      return true;
    } else this.#tell("offline");
    return false;
  }
}
