// One image, as large as the stage: zoomed by wheel, double click, two fingers or keys, moved by dragging or arrows.

const MOST = 16;
const STEP = 1.4;

export class Viewer {
  constructor(stage, canvas, label, say) {
    Object.assign(this, { stage, canvas, label, say });
    this.pointers = new Map();
    stage.addEventListener("wheel", event => this.#wheel(event), { passive: false });
    canvas.addEventListener("dblclick", event => this.#toggle(event));
    canvas.addEventListener("pointerdown", event => this.#down(event));
    canvas.addEventListener("pointermove", event => this.#move(event));
    for (const name of ["pointerup", "pointercancel"])
      canvas.addEventListener(name, event => this.#up(event));
    this.fit();
  }

  show(image) {
    this.image = image;
    this.canvas.replaceChildren(image);
    this.fit();
  }

  clear() {
    this.image = null;
    this.canvas.replaceChildren();
  }

  fit() {
    Object.assign(this, { scale: 1, x: 0, y: 0 });
    this.#apply();
  }

  zoom(factor, at = null) {
    const before = this.scale;
    this.scale = Math.min(MOST, Math.max(1, this.scale * factor));
    const box = this.canvas.getBoundingClientRect();
    const px = at ? at.x - box.left - box.width / 2 : 0;
    const py = at ? at.y - box.top - box.height / 2 : 0;
    const ratio = this.scale / before;
    this.x = px - (px - this.x) * ratio;
    this.y = py - (py - this.y) * ratio;
    this.#apply();
  }

  in() {
    this.zoom(STEP);
  }

  out() {
    this.zoom(1 / STEP);
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.#apply();
  }

  #apply() {
    const box = this.canvas.getBoundingClientRect();
    const [mx, my] = [(box.width * (this.scale - 1)) / 2, (box.height * (this.scale - 1)) / 2];
    this.x = Math.min(mx, Math.max(-mx, this.x));
    this.y = Math.min(my, Math.max(-my, this.y));
    this.canvas.classList.toggle("station__canvas--zoomed", this.scale > 1);
    if (this.image) this.image.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
    const percent = `${Math.round(this.scale * 100)} %`;
    if (this.label.textContent !== percent) this.label.textContent = percent;
  }

  #wheel(event) {
    if (!this.image) return;
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), {
      x: event.clientX,
      y: event.clientY,
    });
  }

  #toggle(event) {
    if (this.scale > 1) this.fit();
    else this.zoom(3, { x: event.clientX, y: event.clientY });
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
      this.zoom(distance(now) / distance(before), { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
    } else this.pan(now.x - before.x, now.y - before.y);
  }

  #up(event) {
    this.pointers.delete(event.pointerId);
  }
}
