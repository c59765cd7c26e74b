// The dialog with the guideline and the reference images of a label, beside the image on the screen, at one scale.

import { whenClosed } from "../dialogs.js";
import { get } from "../http.js";

const STEP = 1.4;
const MOST = 8;

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

export class Guide {
  /** closed(): called when the dialog was closed and the image is to be looked at again. */
  constructor(dialog, closed) {
    this.dialog = dialog;
    this.tabs = dialog.querySelector("[data-guide-tabs]");
    this.panel = dialog.querySelector("[data-guide-panel]");
    this.own = dialog.querySelector("[data-guide-own]");
    this.labels = null;
    this.zoom = 1;
    whenClosed(dialog, closed);
    dialog.addEventListener("keydown", event => this.#key(event));
  }

  get isFirst() {
    return "guideFirst" in this.dialog.dataset;
  }

  /** Open the dialog at a label (its id), beside the image on the screen, if there is one: its address and width. */
  async open(label, shown) {
    if (this.dialog.open) return;
    const welcome = this.isFirst;
    delete this.dialog.dataset.guideFirst;
    this.dialog.querySelector("[data-guide-welcome]").hidden = !welcome;
    this.dialog.querySelector("[data-guide-begin]").hidden = !welcome;
    this.dialog.querySelector("[data-guide-back]").hidden = welcome;
    this.dialog.querySelector("[data-guide-image]").hidden = !shown;
    this.own.replaceChildren();
    this.picture = null;
    if (shown) {
      this.picture = element("img");
      this.picture.src = shown.url;
      this.picture.dataset.width = shown.width;
      this.picture.alt = "";
      this.own.append(this.picture);
    }
    this.zoom = 1;
    this.panel.textContent = this.panel.dataset.textLoading;
    this.dialog.showModal();
    try {
      this.labels = (await get(this.dialog.dataset.guideUrl)).labels;
    } catch {
      this.labels = null;
      this.panel.textContent = this.panel.dataset.textFailed;
      return;
    }
    this.#drawTabs();
    this.#show(
      Math.max(
        0,
        this.labels.findIndex(one => one.id === label),
      ),
    );
  }

  #drawTabs() {
    const tabs = this.labels.map((label, place) => {
      const tab = element("button", "button button--small", label.name);
      tab.type = "button";
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-controls", "guide-panel");
      tab.addEventListener("click", () => this.#show(place));
      return tab;
    });
    this.tabs.replaceChildren(...tabs);
  }

  #show(place) {
    this.place = place;
    const label = this.labels[place];
    if (!label) return;
    for (const [n, tab] of [...this.tabs.children].entries()) {
      tab.setAttribute("aria-selected", String(n === place));
      tab.tabIndex = n === place ? 0 : -1;
    }
    this.tabs.children[place].focus();
    const words = this.panel.dataset;
    const images = element("div", "guide__references");
    for (const reference of label.references) images.append(this.#reference(reference, words));
    this.panel.replaceChildren(
      element("h3", "", label.name),
      element("p", "guide__text", label.guideline || words.textNone),
      ...(label.references.length ? [images] : [element("p", "muted", words.textNoImages)]),
    );
    this.#scale();
  }

  #reference(reference, words) {
    const figure = element("figure", "guide__reference");
    const pane = element("div", "guide__pane");
    pane.tabIndex = 0; // it scrolls when the images are enlarged
    const image = element("img");
    const kind = reference.accepted ? words.textAccepted : words.textRejected;
    image.src = reference.url;
    image.alt = [kind, reference.note].filter(Boolean).join(": ");
    image.dataset.width = reference.width;
    pane.append(image);
    const caption = element("figcaption");
    caption.append(
      element(
        "span",
        `badge badge--${reference.accepted ? "good" : "bad"}`,
        `${reference.accepted ? "✓" : "✗"} ${kind}`,
      ),
      element("span", "", reference.note),
    );
    figure.append(pane, caption);
    return figure;
  }

  /** The scale, in screen pixels per image pixel, that shows the widest image whole; the same for all. */
  #scale() {
    const references = [...this.panel.querySelectorAll("img")];
    const own = Number(this.picture?.dataset.width ?? 0);
    const widths = references.map(image => Number(image.dataset.width));
    const widest = Math.max(own, ...widths, 1);
    const panes = [...(this.picture ? [this.own] : []), ...references.map(image => image.parentElement)];
    const room = Math.min(...panes.map(pane => pane.clientWidth || 300));
    const scale = (room / widest) * this.zoom;
    if (this.picture) this.picture.style.width = `${own * scale}px`;
    for (const [n, image] of references.entries()) image.style.width = `${widths[n] * scale}px`;
  }

  #key(event) {
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey || !this.labels?.length) return;
    const { key } = event;
    if (key.startsWith("Arrow") && event.target.closest(".guide__pane")) return; // scrolls
    const count = this.labels.length;
    const keyed = this.labels.findIndex(label => label.key !== null && String(label.key) === key);
    if (key === "ArrowRight" || key === "ArrowDown") this.#show((this.place + 1) % count);
    else if (key === "ArrowLeft" || key === "ArrowUp") this.#show((this.place + count - 1) % count);
    else if (keyed >= 0) this.#show(keyed);
    else if (key === "+" || key === "=" || key === "-") {
      this.zoom = Math.min(MOST, Math.max(1, key === "-" ? this.zoom / STEP : this.zoom * STEP));
      this.#scale();
    } else return;
    event.preventDefault();
  }
}
