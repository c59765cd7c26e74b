// A lens over the image: held by a key or switched on by its button. It follows the pointer; the arrow keys move it.

const LEAST = 3; // Pixels of the screen for one pixel of the image, or more if the image is enlarged already.
const MOST = 32;
const TIMES = 3;

export class Magnifier {
  constructor(stage, viewer, { lens, button, canvas }) {
    Object.assign(this, { stage, viewer, lens, button, canvas, held: false, pinned: false, at: null });
    for (const name of ["pointermove", "pointerdown"])
      canvas.addEventListener(name, event => this.#follow(event));
    window.addEventListener("blur", () => this.hold(false));
  }

  get on() {
    return this.held || this.pinned;
  }

  /** Show it while a key is down. */
  hold(held) {
    this.held = held;
    this.draw();
    return true;
  }

  /** Switch it on or off; true when it was on. */
  pin(pinned = !this.pinned) {
    const before = this.pinned;
    this.pinned = pinned;
    this.draw();
    return before;
  }

  /** Move the lens by an arrow key; false when there is none. */
  move(dx, dy) {
    if (!this.on || !this.viewer.image) return false;
    const at = this.#place();
    const { clientWidth, clientHeight } = this.canvas;
    this.at = {
      x: Math.min(clientWidth, Math.max(0, at.x + dx)),
      y: Math.min(clientHeight, Math.max(0, at.y + dy)),
    };
    this.draw();
    return true;
  }

  #follow(event) {
    const box = this.canvas.getBoundingClientRect();
    this.at = { x: event.clientX - box.left, y: event.clientY - box.top };
    if (this.on) this.draw();
  }

  #place() {
    return this.at ?? { x: this.canvas.clientWidth / 2, y: this.canvas.clientHeight / 2 };
  }

  draw() {
    const { viewer, lens } = this;
    this.button.setAttribute("aria-pressed", String(this.pinned));
    viewer.still = this.on;
    lens.hidden = !this.on || !viewer.image?.naturalWidth;
    if (lens.hidden) {
      lens.replaceChildren();
      this.source = null;
      return;
    }
    if (this.source !== viewer.image) {
      this.source = viewer.image;
      this.copy = viewer.image.cloneNode();
      lens.replaceChildren(this.copy);
    }
    const at = this.#place();
    const [x, y] = viewer.pointAt(at.x, at.y);
    const scale = Math.min(MOST, Math.max(LEAST, viewer.ratio * TIMES)) / (window.devicePixelRatio || 1);
    lens.style.transform = `translate(${at.x - lens.offsetWidth / 2}px, ${at.y - lens.offsetHeight / 2}px)`;
    const [left, top] = [lens.clientWidth / 2 - x * scale, lens.clientHeight / 2 - y * scale];
    this.copy.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
  }
}
