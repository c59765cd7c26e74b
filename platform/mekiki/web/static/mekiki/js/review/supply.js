// The next images. A few are leased ahead and decoded before they are needed.
// The leases are renewed while somebody works, and given back when the page is left.

import { post } from "../http.js";

const AHEAD = 3;
// Nobody has touched the page for this long: the images go to others.
const IDLE = 5 * 60 * 1000;

/** An <img> that is ready to paint; `ready` settles to true, or false when it cannot be loaded. */
export function picture(item) {
  const image = new Image();
  image.decoding = "sync";
  image.draggable = false;
  image.alt = "";
  image.src = item.image.url;
  const made = { image, loaded: false, failed: false };
  made.ready = image.decode().then(
    () => (made.loaded = true),
    () => {
      made.failed = true;
      return false;
    },
  );
  return made;
}

export class Supply {
  /** `unsent()`: leases whose answers are on their way. `coming()`: whether a reply to an answer brings the next
   * images. `arrived(reply)` after each fetch, `renewed(reply)` after each renewal, `failed(error)`. */
  constructor({ base, leaseSeconds, unsent, coming, arrived, renewed, failed }) {
    Object.assign(this, { base, unsent, coming, arrived, renewed, failed });
    this.items = [];
    this.current = null;
    this.gone = new Set();
    this.touched = Date.now();
    this.timer = setInterval(() => this.renew(), Math.max(5, leaseSeconds / 3) * 1000);
    window.addEventListener("pagehide", () => this.release());
  }

  touch() {
    this.touched = Date.now();
  }

  #held() {
    return [this.current, ...this.items].filter(Boolean);
  }

  /** Put an item (an undone one) before all others; what was on screen comes after it. */
  putFirst(item) {
    const known = new Set([item.item]);
    this.gone.delete(item.lease);
    this.items = this.#held().filter(one => !known.has(one.item));
    this.items.unshift(this.#prepare(item));
    this.current = null;
  }

  #prepare(item) {
    item.picture ??= picture(item);
    return item;
  }

  /** The next item becomes the current one; null when none is there yet. */
  advance() {
    if (this.current) this.gone.add(this.current.lease);
    this.current = this.items.shift() ?? null;
    if (this.items.length < AHEAD - 1 && !this.coming()) this.fill();
    return this.current;
  }

  /** An image was answered elsewhere: it leaves the images to come. True if it is the one on the screen. */
  drop(sha256) {
    this.items = this.items.filter(one => one.image.sha256 !== sha256);
    return this.current?.image.sha256 === sha256;
  }

  /** An answer was refused for good: its image may be asked for again. */
  forgive(lease) {
    this.gone.delete(lease);
  }

  /** How many images to hold. The server gives first what we hold: also what is answered but not yet sent. */
  count(unsent) {
    return Math.min(5, AHEAD + unsent);
  }

  /** Add the images of a reply that are new. */
  take(reply) {
    const known = new Set(this.#held().map(one => one.lease));
    const passing = new Set([...this.gone, ...this.unsent()]);
    const fresh = reply.items.filter(one => !known.has(one.lease) && !passing.has(one.lease));
    this.items.push(...fresh.map(item => this.#prepare(item)));
    this.arrived(reply, fresh.length);
  }

  async fill() {
    if (this.filling) {
      this.again = true;
      return;
    }
    this.filling = true;
    try {
      this.take(await post(`${this.base}next`, { count: this.count(this.unsent().length) }));
    } catch (error) {
      this.failed(error);
    } finally {
      this.filling = false;
      if (this.again) {
        this.again = false;
        this.fill();
      }
    }
  }

  async renew() {
    const held = this.#held();
    if (!held.length || document.hidden || Date.now() - this.touched > IDLE) return;
    try {
      const reply = await post(`${this.base}renew`, { leases: held.map(one => one.lease) });
      const kept = new Set(reply.renewed.map(one => one.lease));
      this.items = this.items.filter(one => kept.has(one.lease));
      if (this.current && !kept.has(this.current.lease)) this.current.lost = true;
      this.renewed(reply);
    } catch {
      // The holds last three times as long as this pause.
    }
  }

  /** After an absence: are the holds still ours? Resolves to false when the current image is lost. */
  async check() {
    await this.renew();
    if (!this.current?.lost) return true;
    this.items = [];
    return false;
  }

  release() {
    const unsent = new Set(this.unsent());
    const leases = this.#held()
      .map(one => one.lease)
      .filter(lease => !unsent.has(lease));
    if (leases.length) post(`${this.base}release`, { leases }, { keepalive: true }).catch(() => {});
  }
}
