// The image on the screen with its prediction, or the reason why there is none.

import { drawEmpty } from "./empty.js";
import { showMetadata, showPrediction, spoken } from "./panel.js";
import { say } from "./texts.js";

// An image that does not load can be skipped after this, in milliseconds.
const SLOW = 5000;
const FIRST_POLL = 2000;

export class Screen {
  /** parts: root, part, supply, view, finder, labels, sight, status, why of the station, and away(): the keys belong to
   * the image. */
  constructor(parts) {
    Object.assign(this, parts, { slowTimer: 0, pollTimer: 0, pollPause: FIRST_POLL });
  }

  /** Nothing is on the screen, so nothing can be answered. */
  blank() {
    const { root, sight, why } = this;
    clearTimeout(this.slowTimer);
    sight.lose();
    why.clear();
    delete root.dataset.item;
    delete root.dataset.painted;
  }

  /** Show an item, or that the next one is loading. `first` is said before the prediction. */
  async show(item, first = "") {
    const { root, part, supply, view, finder, labels, sight, status, why, away } = this;
    clearTimeout(this.pollTimer);
    this.pollPause = FIRST_POLL;
    this.blank();
    view.imageChanges();
    const interrupted = finder.imageChanges(item);
    if (interrupted) status.hint("type_again");
    if (!item) {
      view.clear();
      part("loading").textContent = say("loading");
      part("loading").hidden = false;
      root.classList.add("station--waiting");
      supply.fill();
      return;
    }
    part("empty").hidden = true;
    root.classList.remove("station--empty", "station--waiting");
    showPrediction(part("prediction"), item, labels);
    labels.mark(item.prediction);
    const confirm = root.querySelector('[data-act="confirm"]');
    // Its room stays, so that the labels do not move.
    confirm.hidden = false;
    confirm.classList.toggle("station__confirm--none", !item.prediction);
    part("confirm-text").textContent = item.prediction ? say("confirm", { label: item.prediction.name }) : "";
    confirm.title = item.prediction?.name ?? "";
    showMetadata(part("meta"), item);
    const { picture } = item;
    if (picture.loaded) view.show(picture.image);
    else view.clear();
    part("loading").hidden = picture.loaded;
    part("loading").textContent = say(picture.failed ? "image_failed" : "loading");
    if (!picture.loaded && !picture.failed) {
      this.slowTimer = setTimeout(() => {
        part("loading").textContent = say("image_slow");
        sight.show(item, false);
      }, SLOW);
      const loaded = await picture.ready;
      if (supply.current !== item) return;
      clearTimeout(this.slowTimer);
      part("loading").hidden = loaded;
      if (loaded) view.show(picture.image);
      else part("loading").textContent = say("image_failed");
    }
    const active = document.activeElement;
    if (!root.contains(active) || (active.closest("[data-panel]") && !finder.is(active))) {
      away();
    }
    const before = [interrupted && say("type_again"), first, view.adjusted && say("adjusted")];
    status.announce([...before, spoken(item, labels)].filter(Boolean).join(" "));
    if (!(await sight.show(item, picture.loaded))) return;
    root.dataset.painted = String(item.item);
    why.show(item); // only now, so that the panel delays no image
  }

  /** Show why there is no image, unless answers are being sent that bring some. */
  empty(empty, sending) {
    const { root, part, view, finder, status } = this;
    this.blank();
    if (part("canvas").firstChild) view.clear();
    if (finder.imageChanges(null)) status.hint("type_again");
    part("loading").hidden = true;
    if (!empty || sending) {
      this.poll(500);
      return;
    }
    root.classList.remove("station--waiting");
    root.classList.add("station--empty");
    if (drawEmpty(part, empty)) status.announce(empty.text);
    this.poll();
  }

  /** Ask for images again after a pause, which grows. */
  poll(pause = this.pollPause) {
    const { supply } = this;
    clearTimeout(this.pollTimer);
    this.pollPause = Math.min(this.pollPause * 1.3, 15000);
    this.pollTimer = setTimeout(() => (document.hidden ? this.poll() : supply.fill()), pause);
  }
}
