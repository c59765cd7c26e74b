// How fast the reviewer works. Time counts as work while somebody uses the page: after a minute without a key, a
// click or a movement of the pointer a pause begins, and a hidden page is a pause. Pauses do not count.

const PAUSE = 60 * 1000;
const FEW = 5;
// A pause of this length is a break: the next reminder comes after a whole spell of work.
const BREAK = 3 * 60 * 1000;

export class Pace {
  constructor() {
    this.answers = 0;
    this.worked = 0; // milliseconds of work
    this.spell = 0; // of them, since the last break
    this.last = document.hidden ? null : performance.now();
    this.left = performance.now();
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#leave() : this.touch()));
    for (const name of ["keydown", "pointerdown", "pointermove", "wheel"]) {
      document.addEventListener(name, () => this.touch(), { passive: true, capture: true });
    }
  }

  #leave(now = performance.now()) {
    this.touch(now);
    this.last = null;
  }

  /** Somebody used the page now. */
  touch(now = performance.now()) {
    const gap = now - this.left;
    if (this.last !== null && gap <= PAUSE) {
      this.worked += gap;
      this.spell += gap;
    } else if (gap >= BREAK) this.spell = 0;
    this.last = now;
    this.left = now;
  }

  /** An answer was given now. */
  add(now = performance.now()) {
    this.touch(now);
    this.answers += 1;
  }

  /** An answer was taken back: its time was work, but it is no answer. */
  takeBack() {
    this.answers = Math.max(0, this.answers - 1);
  }

  /** Answers an hour, rounded; null while there are too few answers to say. */
  get hourly() {
    return this.answers < FEW ? null : Math.round((this.answers * 3600000) / Math.max(1, this.worked));
  }

  /** Seconds for each answer; null as above. */
  get seconds() {
    return this.answers < FEW ? null : this.worked / this.answers / 1000;
  }

  /** Minutes of work since the last break. */
  get minutes() {
    return this.spell / 60000;
  }
}
