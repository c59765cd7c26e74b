// One image on the stage: fitted, pixel for pixel (1:1) or enlarged; zoomed by wheel, double click, two fingers or
// keys, moved by dragging or arrows.
//
// `ratio` says how many pixels of the screen one pixel of the image takes: 1 is 1:1. `x` and `y` name the point of the
// image in the middle of the stage, from 0 to 1, so that they stay right when the stage changes its size.

const STEP = 1.4;
const MOST = 32;
// Above this ratio the pixels of the image are drawn as squares, so that nothing is blurred.
const SQUARES = 2;

const within = (least, value, most) => Math.min(most, Math.max(least, value));

export class Viewer {
  /** changed(): another image, zoom or position. */
  constructor(stage, canvas, changed = () => {}) {
    Object.assign(this, { stage, canvas, changed, keep: false, still: false, image: null });
    this.pointers = new Map();
    stage.addEventListener("wheel", event => this.#wheel(event), { passive: false });
    canvas.addEventListener("dblclick", event => this.#toggle(event));
    canvas.addEventListener("pointerdown", event => this.#down(event));
    canvas.addEventListener("pointermove", event => this.#move(event));
    for (const name of ["pointerup", "pointercancel"])
      canvas.addEventListener(name, event => this.#up(event));
    new ResizeObserver(() => this.#apply()).observe(canvas);
    window.addEventListener("resize", () => this.#apply()); // Another zoom of the browser, another screen.
    Object.assign(this, { fitted: true, ratio: 1, x: 0.5, y: 0.5 });
  }

  /** Show an image: fitted, or with `keep` as the image before it. */
  show(image) {
    this.image = image;
    this.canvas.replaceChildren(image);
    if (this.keep) this.#apply();
    else this.fit();
  }

  /** Take the scale and the place of another viewer. */
  follow(other) {
    if (!this.image || !other.image) return;
    Object.assign(this, { fitted: false, following: true, ratio: other.ratio, x: other.x, y: other.y });
    this.#apply();
    this.following = false;
  }

  clear() {
    this.image = null;
    this.canvas.replaceChildren();
    this.changed();
  }

  fit() {
    this.fitted = true;
    this.#apply();
  }

  /** 1:1: a pixel of the image is a pixel of the screen. */
  actual() {
    this.zoomTo(1);
  }

  in() {
    this.zoomTo(this.ratio * STEP);
  }

  out() {
    this.zoomTo(this.ratio / STEP);
  }

  /** Zoom to a ratio. The point of the image at `at` (of the window) stays where it is. */
  zoomTo(wanted, at = null) {
    if (!this.image) return;
    const { fit, box, width, height } = this.#measures();
    const ratio = within(Math.min(1, fit), wanted, Math.max(MOST, 4 * fit));
    if (ratio <= fit && fit <= 1) {
      this.fit();
      return;
    }
    const [px, py] = at ? [at.x - box.left - box.width / 2, at.y - box.top - box.height / 2] : [0, 0];
    const grown = ratio / this.ratio;
    this.x += (px / width) * (1 - 1 / grown);
    this.y += (py / height) * (1 - 1 / grown);
    Object.assign(this, { fitted: false, ratio });
    this.#apply();
  }

  /** Is the image larger than the stage? Then it can be moved. */
  get movable() {
    if (!this.image) return false;
    const { box, width, height } = this.#measures();
    return width > box.width + 1 || height > box.height + 1;
  }

  pan(dx, dy) {
    if (!this.image) return;
    const { width, height } = this.#measures();
    this.x -= dx / width;
    this.y -= dy / height;
    this.#apply();
  }

  /** The point of the image, in its pixels, at a point of the canvas. */
  pointAt(left, top) {
    const { scale } = this.#measures();
    return [(left - this.left) / scale, (top - this.top) / scale];
  }

  /** The size of the stage and of the image on it, in CSS pixels; `fit`: the ratio of the fitted image. */
  #measures() {
    const box = this.canvas.getBoundingClientRect();
    const { naturalWidth, naturalHeight } = this.image;
    const dots = window.devicePixelRatio || 1;
    const fit = Math.min(box.width / naturalWidth, box.height / naturalHeight) * dots;
    const scale = this.ratio / dots;
    return { box, dots, fit, scale, width: naturalWidth * scale, height: naturalHeight * scale };
  }

  #apply() {
    const { image, canvas } = this;
    if (!image?.naturalWidth || !canvas.clientWidth) return;
    const { fit } = this.#measures();
    if (this.fitted) Object.assign(this, { ratio: fit, x: 0.5, y: 0.5 });
    else if (!this.following) this.ratio = within(Math.min(1, fit), this.ratio, Math.max(MOST, 4 * fit));
    const { box, dots, scale, width, height } = this.#measures();
    const place = (point, size, room) => {
      const half = room / 2 / size;
      const middle = half < 0.5 ? within(half, point, 1 - half) : 0.5;
      // Whole pixels of the screen: otherwise an image at 1:1 would be blurred.
      return [middle, Math.round((room / 2 - middle * size) * dots) / dots];
    };
    [this.x, this.left] = place(this.x, width, box.width);
    [this.y, this.top] = place(this.y, height, box.height);
    image.style.transform = `translate(${this.left}px, ${this.top}px) scale(${scale})`;
    canvas.classList.toggle("station__canvas--zoomed", this.movable);
    canvas.classList.toggle("station__canvas--squares", this.ratio > SQUARES);
    this.changed();
  }

  #wheel(event) {
    if (!this.image || event.target.closest("[data-adjust-panel]")) return;
    event.preventDefault();
    const factor = Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015));
    this.zoomTo(this.ratio * factor, { x: event.clientX, y: event.clientY });
  }

  #toggle(event) {
    if (!this.image) return;
    if (!this.fitted) this.fit();
    else this.zoomTo(this.ratio < 0.8 ? 1 : this.ratio * 3, { x: event.clientX, y: event.clientY });
  }

  #down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  }

  #move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = { x: event.clientX, y: event.clientY };
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.pointers.set(event.pointerId, now);
    if (other) {
      const distance = p => Math.hypot(p.x - other.x, p.y - other.y) || 1;
      const middle = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 };
      this.zoomTo((this.ratio * distance(now)) / distance(before), middle);
    } else if (!this.still) this.pan(now.x - before.x, now.y - before.y);
  }

  #up(event) {
    this.pointers.delete(event.pointerId);
  }
}
