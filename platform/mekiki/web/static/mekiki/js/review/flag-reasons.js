// The reasons in the dialog of a flag: a digit chooses one, any other character begins the note.

import { composing, printable } from "./key-map.js";

export class FlagReasons {
  constructor(dialog) {
    this.radios = [...dialog.querySelectorAll("[data-flag-reason]")];
    this.note = dialog.querySelector("[data-flag-note]");
    dialog.addEventListener("keydown", event => this.#key(event));
  }

  /** The chosen reason, "" for none. */
  get value() {
    return this.radios.find(radio => radio.checked)?.value ?? "";
  }

  /** The name of the chosen reason, "" for none. */
  get name() {
    return this.radios.find(radio => radio.checked)?.dataset.name ?? "";
  }

  clear() {
    for (const radio of this.radios) radio.checked = false;
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.radios.includes(event.target)) return;
    if (composing(event)) {
      this.note.focus();
      return;
    }
    if (event.repeat) {
      event.preventDefault();
      return;
    }
    const radio = /^[1-9]$/.test(event.key) ? this.radios[Number(event.key) - 1] : null;
    if (radio) {
      event.preventDefault();
      radio.checked = true;
      radio.focus();
    } else if (printable(event) && event.key !== " ") this.note.focus(); // The character goes into the note.
  }
}
