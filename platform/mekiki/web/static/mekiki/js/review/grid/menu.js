// The dialog of one tile: its image enlarged, and the labels to choose from.

import { whenClosed } from "../../dialogs.js";
import { drawKeys } from "../key-hints.js";
import { composing, printable } from "../key-map.js";
import { LabelList } from "../labels.js";

export class Menu {
  /** choose(tile, kind, label): kind is correct, skip, flag or none. map: the KeyMap. closed(): the dialog is gone. */
  constructor(dialog, labels, { map, choose, closed }) {
    Object.assign(this, { dialog, map, choose });
    this.tile = null;
    this.list = new LabelList(dialog, labels, label => this.#take("correct", label));
    this.find = dialog.querySelector("[data-find]");
    this.find?.addEventListener("input", () => this.list.filter(this.find.value));
    dialog.addEventListener("click", event => {
      const kind = event.target.closest("[data-mark]")?.dataset.mark;
      if (kind === "close" || event.target === dialog) dialog.close();
      else if (kind) this.#take(kind);
    });
    dialog.addEventListener("keydown", event => this.#key(event));
    whenClosed(dialog, closed);
  }

  open(tile) {
    const { item } = tile;
    this.tile = tile;
    this.dialog.querySelector("[data-menu-title]").textContent = item.image.name;
    this.dialog.querySelector("[data-menu-image]").src = item.image.url;
    this.list.mark(item.prediction);
    if (this.find) this.find.value = "";
    this.list.filter("");
    this.dialog.showModal();
    const label = tile.mark?.label ?? item.prediction.label;
    this.list.rows.find(row => row.label.id === label)?.button.focus();
  }

  /** Write the person's keys on the labels and acts. */
  showKeys() {
    this.list.showKeys(this.map);
    drawKeys(this.dialog, this.map);
  }

  #take(kind, label = null) {
    const { tile } = this;
    this.dialog.close();
    this.choose(tile, kind, label);
  }

  #key(event) {
    if (composing(event) || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === this.find) {
      const first = event.key === "Enter" && this.find.value ? this.list.filter(this.find.value) : null;
      if (!first) return;
      event.preventDefault();
      this.#take("correct", first);
      return;
    }
    if (!this.map.on() || !printable(event)) return;
    const digit = this.map.digit(event);
    const label = digit && this.list.byKey(digit);
    const kind = ["skip", "flag"].find(act => this.map.is(event, act));
    if (!label && !kind) return;
    event.preventDefault();
    event.stopPropagation();
    this.#take(label ? "correct" : kind, label);
  }
}
