// How long the images of a page were on the screen. A page takes answers after a time for each of its images, and only
// if each image was on the screen for its share. The server gives the times and refuses shorter ones:
// mekiki/review/services/grid.py, needed_ms.

const TICK = 50;
// A timer that comes later than this does not prove that somebody was looking.
const LONGEST = 1000;

const twoFrames = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));

export class Looking {
  /** `covered()`: something lies over the images. `changed()`: after each change of the times. */
  constructor({ covered, changed }) {
    Object.assign(this, { covered, changed });
    this.observer = new IntersectionObserver(entries => this.#see(entries), {
      threshold: 0.5,
      rootMargin: "0px 0px -64px 0px", // the bar with the button covers this part of the window
    });
    document.addEventListener("visibilitychange", () => (this.last = performance.now()));
    this.stop();
  }

  /** No page is on the screen. */
  stop() {
    clearInterval(this.timer);
    this.observer.disconnect();
    this.tiles = [];
    this.visible = new Set();
    this.total = 0;
    this.needed = Infinity;
  }

  /** Count for these tiles, from the second frame on. A tile has `cell`, and `settled` once it is painted or failed. */
  async start(tiles, needed) {
    this.stop();
    this.tiles = tiles;
    this.needed = needed;
    for (const tile of tiles) {
      tile.seen = 0;
      this.observer.observe(tile.cell);
    }
    await twoFrames();
    if (this.tiles !== tiles) return;
    this.last = performance.now();
    this.timer = setInterval(() => this.#tick(), TICK);
  }

  /** A tile left the page. */
  forget(tile) {
    this.observer.unobserve(tile.cell);
    this.visible.delete(tile.cell);
    this.tiles = this.tiles.filter(one => one !== tile);
  }

  #see(entries) {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) this.visible.add(target);
      else this.visible.delete(target);
    }
  }

  #tick() {
    const now = performance.now();
    const passed = Math.min(now - this.last, LONGEST);
    this.last = now;
    if (document.hidden || this.covered()) return;
    const onScreen = this.tiles.filter(tile => this.visible.has(tile.cell));
    if (!onScreen.length || onScreen.some(tile => !tile.settled)) return;
    this.total += passed;
    for (const tile of onScreen) tile.seen += passed;
    this.changed();
    if (this.enough) clearInterval(this.timer);
  }

  get milliseconds() {
    return Math.min(2 ** 31 - 1, Math.floor(this.total));
  }

  /** Tiles that were not on the screen for their share of the time. */
  get unseen() {
    const least = Math.min(this.needed / Math.max(1, this.tiles.length), 500);
    return this.tiles.filter(tile => tile.seen < least);
  }

  get enough() {
    return this.tiles.length > 0 && this.total >= this.needed && !this.unseen.length;
  }
}
