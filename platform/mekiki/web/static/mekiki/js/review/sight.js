// Which image the reviewer has seen. An answer is taken only for an image that was painted and has been on the screen
// for the shortest time in which a person can react to a picture. The number comes from the server, which refuses
// answers below it as well: mekiki/datasets/models.py, min_display_ms.

// The second click of a double click comes within this time (the default of Windows, macOS and GNOME is 400 to 500 ms).
export const DOUBLE_CLICK = 500;

const twoFrames = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));

export class Sight {
  /** least: milliseconds. ready(item): the item takes answers from now on. */
  constructor({ least, ready }) {
    this.least = least;
    this.ready = ready;
    this.lose();
    // What was on the screen before the page was hidden is looked at again.
    document.addEventListener("visibilitychange", () => this.again());
    // Only a page that returns: the first `pageshow` can come after the first image takes answers.
    window.addEventListener("pageshow", event => event.persisted && this.again());
  }

  /** Nothing is on the screen. */
  lose() {
    clearTimeout(this.timer);
    this.item = null;
    this.since = null;
    this.painted = null;
  }

  /** The item's image was put into the page: it counts from the second frame on. A hidden page paints none. */
  async show(item, painted = true) {
    this.lose();
    this.item = item;
    await twoFrames();
    if (this.item !== item) return false;
    if (painted) this.painted = performance.now();
    this.#from(performance.now());
    return true;
  }

  /** Count anew: the page or the image was covered until now. */
  async again() {
    const { item } = this;
    if (!item || this.since === null) return;
    this.since = Infinity;
    await twoFrames();
    if (this.item === item) this.#from(performance.now());
  }

  #from(now) {
    this.since = now;
    clearTimeout(this.timer);
    const { item } = this;
    this.timer = setTimeout(() => this.item === item && this.ready(item), this.least);
  }

  /** Has the reviewer seen this item, for at least so long? */
  has(item, least = this.least) {
    if (!item || item !== this.item || this.since === null || document.hidden) return false;
    return performance.now() - this.since >= least;
  }

  /** Milliseconds since the image was painted; null for an image that could not be shown. */
  get milliseconds() {
    if (this.painted === null) return null;
    return Math.min(2 ** 31 - 1, Math.round(performance.now() - this.painted));
  }
}

/** A function: the item that was on the screen when the pointer or key went down. A click belongs to that image. */
export function pressedOn(current) {
  let pressed = null;
  let timer = 0;
  const down = () => {
    clearTimeout(timer);
    pressed = { item: current() };
  };
  // The click follows the release, by touch a moment later; by voice or a screen reader it comes alone.
  const up = () => {
    clearTimeout(timer);
    timer = setTimeout(() => (pressed = null), 300);
  };
  document.addEventListener("pointerdown", down, true);
  document.addEventListener("pointerup", up, true);
  document.addEventListener("pointercancel", up, true);
  document.addEventListener("keydown", event => !event.repeat && down(), true);
  document.addEventListener("keyup", up, true);
  return () => (pressed ? pressed.item : current());
}
