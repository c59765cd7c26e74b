// Answers an hour, while the reviewer works: a pause, or a time in which the page was hidden, does not count.

const PAUSE = 60 * 1000;
const FEW = 5;

export class Pace {
  constructor() {
    this.answers = 0;
    this.worked = 0;
    this.last = document.hidden ? null : performance.now();
    document.addEventListener("visibilitychange", () => {
      this.last = document.hidden ? null : performance.now();
    });
  }

  /** An answer was given now; milliseconds since the last one count when they were work. */
  add(now = performance.now()) {
    const gap = this.last === null ? Infinity : now - this.last;
    this.last = now;
    if (gap > PAUSE) return;
    this.answers += 1;
    this.worked += gap;
  }

  /** Rounded; null while there are too few answers to say. */
  get hourly() {
    return this.answers < FEW ? null : Math.round((this.answers * 3600000) / Math.max(1, this.worked));
  }
}
