// The leases of a page: renewed while somebody works, given back when the page is left.

import { post } from "../../http.js";

// Nobody has touched the page for this long: the images go to others.
const IDLE = 5 * 60 * 1000;

export class Leases {
  /** `held()`: the leases of the page. `kept()`: leases that must not be given back. `lost(leases)`: set of leases. */
  constructor({ base, seconds, held, kept, lost }) {
    Object.assign(this, { base, held, kept, lost });
    this.touched = Date.now();
    for (const name of ["keydown", "pointerdown", "pointermove", "wheel"]) {
      document.addEventListener(name, () => (this.touched = Date.now()), { passive: true });
    }
    setInterval(() => this.renew(), Math.max(5, seconds / 3) * 1000);
    document.addEventListener("visibilitychange", () => document.hidden || this.renew());
    window.addEventListener("pagehide", () => this.release(true));
  }

  async renew() {
    const leases = this.held();
    if (!leases.length || document.hidden || Date.now() - this.touched > IDLE) return;
    try {
      const reply = await post(`${this.base}renew`, { leases });
      const renewed = new Set(reply.renewed.map(one => one.lease));
      const gone = leases.filter(lease => !renewed.has(lease));
      if (gone.length) this.lost(new Set(gone));
    } catch {
      // The leases last three times as long as this pause.
    }
  }

  async release(leaving = false) {
    const kept = new Set(this.kept());
    const leases = this.held().filter(lease => !kept.has(lease));
    if (!leases.length) return;
    await post(`${this.base}release`, { leases }, { keepalive: leaving }).catch(() => {});
  }
}
