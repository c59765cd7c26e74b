// The next images of a run. A few are loaded ahead and decoded before they are needed. Nobody else gets them, so there
// are no leases.

import { post } from "../http.js";
import { picture } from "../review/supply.js";

const AHEAD = 3;
const RETRY = 4000;

const keyOf = item => `${item.run}:${item.image}`;

export class Images {
  /** `unsent()`: how many answers are on their way. `arrived(reply)` after each reply, `failed(error)`. */
  constructor({ url, unsent, arrived, failed }) {
    Object.assign(this, { url, unsent, arrived, failed });
    this.items = [];
    this.current = null;
    this.gone = new Set();
  }

  /** How many to ask for: the server also gives images whose answers it has not received. */
  get count() {
    return Math.min(10, AHEAD + this.unsent());
  }

  advance() {
    if (this.current) this.gone.add(keyOf(this.current));
    this.current = this.items.shift() ?? null;
    return this.current;
  }

  /** An image is not to be shown again: its answer from before a reload is on its way. */
  pass(item) {
    this.gone.add(keyOf(item));
  }

  /** The answer about an image was refused for good: the image may come again. */
  forgive(item) {
    this.gone.delete(keyOf(item));
  }

  /** Add the images of a reply that are new. */
  take(reply) {
    const known = new Set([this.current, ...this.items].filter(Boolean).map(keyOf));
    for (const item of reply.items) {
      if (known.has(keyOf(item)) || this.gone.has(keyOf(item))) continue;
      item.picture = picture({ image: item });
      this.items.push(item);
    }
    this.arrived(reply);
  }

  async fill() {
    if (this.filling) return;
    this.filling = true;
    clearTimeout(this.timer);
    try {
      this.take(await post(this.url, { count: this.count }));
    } catch (error) {
      this.failed(error);
      this.timer = setTimeout(() => this.fill(), RETRY);
    } finally {
      this.filling = false;
    }
  }
}
