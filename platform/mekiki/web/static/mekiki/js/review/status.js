// The line above the image and what is said beside it: counts, pace, connection, notices, and hints.

import { say, write } from "./texts.js";

// How long a hint stays, in milliseconds.
const HINT = 4000;

export class Status {
  /** part(name): the element of the station with this data attribute. pace: see pace.js; a study has none. */
  constructor(part, pace = null) {
    Object.assign(this, { part, pace, today: 0, hintTimer: 0 });
  }

  announce(text) {
    this.part("said").textContent = text;
  }

  /** Say for a moment, beside the image, why a key or a click did nothing. */
  hint(key, values) {
    const box = this.part("hint");
    box.textContent = say(key, values);
    box.hidden = false;
    this.announce("");
    this.announce(box.textContent);
    clearTimeout(this.hintTimer);
    this.hintTimer = setTimeout(() => this.hideHint(), HINT);
  }

  hideHint() {
    this.part("hint").hidden = true;
  }

  notice(text) {
    this.part("notice").hidden = !text;
    this.part("notice-text").textContent = text;
    if (text) this.announce(text);
  }

  waiting(n) {
    write(this.part("waiting"), String(n));
  }

  countToday(change) {
    this.setToday(Math.max(0, this.today + change));
  }

  setToday(n) {
    this.today = n;
    write(this.part("today"), String(n));
  }

  rate() {
    this.part("rate-box").hidden = this.pace.hourly === null;
    this.part("rate").textContent = say("per_hour", { n: this.pace.hourly ?? 0 });
    this.part("rate").title = say("pace_why", { n: (this.pace.seconds ?? 0).toFixed(1) });
  }

  /** state: saved, sending, offline or login; n: answers that are not saved. */
  sync(state, n) {
    const box = this.part("sync");
    box.dataset.state = state;
    this.part("sync-text").textContent = say(state, { n });
    this.part("sync-login").hidden = state !== "login";
  }
}
