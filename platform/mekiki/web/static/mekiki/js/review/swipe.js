// Swipes with one finger on the image: right confirms, left goes to the labels. Two fingers zoom and an enlarged image
// is moved, so neither is a swipe. Moving the finger back before it is lifted cancels.

import { say } from "./texts.js";

// Part of the width of the stage, and the least way in CSS pixels.
const PART = 0.3;
const LEAST = 80;
// Below this way the finger has no direction yet.
const BEGIN = 12;

export class Swipe {
  /**
   * canvas, box, help: elements. choices: whether the person has swiped before is kept there.
   * current(): the item on the screen. movable(): does a finger move the image or the lens?
   * right(item), left(item): the acts, for the item on which the swipe began. words(): what a swipe to the right does.
   */
  constructor(canvas, box, help, { choices, current, movable, right, left, words }) {
    Object.assign(this, { canvas, box, help, choices, current, movable, right, left, words });
    this.down = new Map();
    this.start = null;
    canvas.addEventListener("pointerdown", event => this.#begin(event));
    canvas.addEventListener("pointermove", event => this.#move(event));
    canvas.addEventListener("pointerup", event => this.#end(event));
    canvas.addEventListener("pointercancel", event => this.#end(event, true));
    help.hidden = choices.has("swiped");
    help.addEventListener("click", () => this.#known());
  }

  #begin(event) {
    if (event.pointerType !== "touch") return;
    this.down.set(event.pointerId, true);
    if (this.down.size > 1 || this.movable()) {
      this.#stop();
      return;
    }
    const { pointerId: id, clientX: x, clientY: y } = event;
    this.start = { id, x, y, sideways: null, item: this.current() };
  }

  #move(event) {
    const { start } = this;
    if (!start || event.pointerId !== start.id) return;
    const [dx, dy] = [event.clientX - start.x, event.clientY - start.y];
    if (start.sideways === null && Math.hypot(dx, dy) > BEGIN)
      start.sideways = Math.abs(dx) > 1.5 * Math.abs(dy);
    if (start.sideways === false) this.#stop();
    else if (start.sideways) this.#draw(dx);
  }

  #end(event, cancelled = false) {
    this.down.delete(event.pointerId);
    const { start } = this;
    if (!start || event.pointerId !== start.id) return;
    const dx = event.clientX - start.x;
    const far = start.sideways && Math.abs(dx) >= this.#needed;
    this.#stop();
    if (cancelled || !far) return;
    this.#known();
    if (dx > 0) this.right(start.item);
    else this.left(start.item);
  }

  /** The person knows how to swipe: the help goes for good. */
  #known() {
    this.choices.set("swiped", true);
    this.help.hidden = true;
  }

  get #needed() {
    return Math.max(LEAST, this.canvas.clientWidth * PART);
  }

  #draw(dx) {
    const enough = Math.abs(dx) >= this.#needed;
    this.box.hidden = false;
    this.box.dataset.side = dx > 0 ? "right" : "left";
    this.box.classList.toggle("station__swipe--enough", enough);
    this.box.textContent = dx > 0 ? `→ ${this.words()}` : `← ${say("swipe_labels")}`;
  }

  #stop() {
    this.start = null;
    this.box.hidden = true;
  }
}
