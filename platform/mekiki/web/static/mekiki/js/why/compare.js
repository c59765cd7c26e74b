// The dialog that compares the image on the screen with a confirmed image: side by side, at one scale and place.

import { whenClosed } from "../dialogs.js";
import { Viewer } from "../review/viewer.js";

const ARROWS = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };

function picture(url) {
  const image = new Image();
  image.draggable = false;
  image.alt = "";
  image.src = url;
  return image;
}

export class Compare {
  /** closed(): called when the dialog was closed. */
  constructor(dialog, closed) {
    const part = name => dialog.querySelector(`[data-compare-${name}]`);
    Object.assign(this, { dialog, caption: part("caption"), list: [], place: 0 });
    this.link = part("link");
    const viewers = ["own", "other"].map(name => {
      const stage = part(name);
      const viewer = new Viewer(stage, stage.querySelector("[data-compare-canvas]"), () =>
        this.#moved(viewer),
      );
      return viewer;
    });
    [this.own, this.other] = viewers;
    whenClosed(dialog, () => {
      for (const viewer of viewers) viewer.clear();
      closed();
    });
    dialog.addEventListener("keydown", event => this.#key(event));
    part("previous").addEventListener("click", () => this.#step(-1));
    part("next").addEventListener("click", () => this.#step(1));
  }

  /** Open the dialog. own: {url}. list: [{neighbour, caption}], place: the one to show first. */
  async open(own, list, place) {
    Object.assign(this, { list, place });
    this.dialog.showModal();
    const image = picture(own.url);
    await image.decode().catch(() => {});
    if (!this.dialog.open) return;
    this.own.show(image);
    await this.#show();
  }

  async #show() {
    const { neighbour, caption } = this.list[this.place];
    this.caption.textContent = caption;
    this.link.href = neighbour.page_url;
    const image = picture(neighbour.url);
    await image.decode().catch(() => {});
    if (!this.dialog.open || this.list[this.place].neighbour !== neighbour) return;
    this.moving = true; // the new image takes the place of the image before it
    this.other.show(image);
    this.other.follow(this.own);
    this.moving = false;
  }

  #step(way) {
    this.place = (this.place + this.list.length + way) % this.list.length;
    this.#show();
  }

  #moved(viewer) {
    if (this.moving || !this.own?.image || !this.other?.image) return;
    this.moving = true;
    (viewer === this.own ? this.other : this.own).follow(viewer);
    this.moving = false;
  }

  #key(event) {
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const { key } = event;
    if (key in ARROWS) this.own.pan(...ARROWS[key]);
    else if (key === "+" || key === "=") this.own.in();
    else if (key === "-") this.own.out();
    else if (key === "0") this.own.fit();
    else if (key === "*") this.own.actual();
    else if (key === "PageDown") this.#step(1);
    else if (key === "PageUp") this.#step(-1);
    else return;
    event.preventDefault();
  }
}
