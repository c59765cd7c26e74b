// A layer over an image that moves and scales with it, and lets every click through.

const SMOOTH = 8; // pixels for each value, so that the browser's scaling does not show the grid

export class Cover {
  /** box: an empty element over the image. */
  constructor(box) {
    this.box = box;
    this.layer = null;
    this.opacity = 0.6;
  }

  /** Lay a canvas over a part of an image: left, top, right and bottom as shares of its size. */
  lay(canvas, view, image) {
    const [left, top, right, bottom] = view;
    const smooth = document.createElement("canvas");
    smooth.width = canvas.width * SMOOTH;
    smooth.height = canvas.height * SMOOTH;
    const context = smooth.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(canvas, 0, 0, smooth.width, smooth.height);
    const { naturalWidth: width, naturalHeight: height } = image;
    smooth.className = "why-layer__map";
    if (left > 0.01 || top > 0.01 || right < 0.99 || bottom < 0.99)
      smooth.classList.add("why-layer__map--part");
    Object.assign(smooth.style, {
      left: `${left * width}px`,
      top: `${top * height}px`,
      width: `${(right - left) * width}px`,
      height: `${(bottom - top) * height}px`,
    });
    this.layer = document.createElement("div");
    this.layer.className = "why-layer";
    this.layer.style.width = `${width}px`;
    this.layer.style.height = `${height}px`;
    this.layer.append(smooth);
    this.box.replaceChildren(this.layer);
    this.fade(this.opacity);
  }

  remove() {
    this.layer = null;
    this.box.replaceChildren();
  }

  fade(opacity) {
    this.opacity = opacity;
    if (this.layer) this.layer.style.opacity = String(opacity);
  }

  /** Follow an image that carries its own transform (review/viewer.js). */
  follow(image) {
    if (this.layer && image) this.layer.style.transform = image.style.transform;
  }

  /** Follow an image that the page lays out; in its box it is contained and centred. */
  followBox(image) {
    const { naturalWidth, naturalHeight } = image;
    if (!this.layer || !naturalWidth) return;
    const from = this.box.getBoundingClientRect();
    const box = image.getBoundingClientRect();
    const scale = Math.min(box.width / naturalWidth, box.height / naturalHeight);
    const left = box.left - from.left + (box.width - naturalWidth * scale) / 2;
    const top = box.top - from.top + (box.height - naturalHeight * scale) / 2;
    this.layer.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
  }
}
