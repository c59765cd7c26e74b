// The zoom in percent of image pixels, and which of "fit" and "1:1" is on.

export class ZoomBar {
  constructor(root) {
    this.percent = root.querySelector("[data-zoom]");
    this.fit = root.querySelector('[data-act="zoom-fit"]');
    this.actual = root.querySelector('[data-act="zoom-actual"]');
  }

  draw(viewer) {
    const text = viewer.image ? `${Math.round(viewer.ratio * 100)} %` : "–";
    if (this.percent.textContent !== text) this.percent.textContent = text;
    this.fit.setAttribute("aria-pressed", String(viewer.fitted));
    this.actual.setAttribute("aria-pressed", String(!viewer.fitted && viewer.ratio === 1));
  }
}
