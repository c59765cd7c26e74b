// The menu of reasons for a skip. It belongs to the image that was on the screen when it was opened.
//
// In the menu no finder takes letters, so digits choose a reason. S is text while there is a finder, and then it does
// not skip in the menu either (docs/decisions/0017).

import { whenClosed } from "../dialogs.js";
import { composing } from "./key-map.js";
import { DOUBLE_CLICK } from "./sight.js";

export class SkipMenu {
  /**
   * digit(event): the number of a label's key, or null. again(event): is it the key that skips?
   * skip(item, reason, note): a reason was chosen, "" for none.
   * closed(skipped): the menu is gone. After Escape `skipped` is false.
   */
  constructor(dialog, { digit, again, skip, closed }) {
    Object.assign(this, { dialog, digit, again, skip, closed });
    this.reasons = [...dialog.querySelectorAll("li [data-reason]")];
    this.noteBox = dialog.querySelector("[data-skip-note-box]");
    this.note = dialog.querySelector("[data-skip-note]");
    this.item = null;
    // Before all other listeners, so that the key that opens the menu is not used again in it.
    document.addEventListener("keydown", event => this.item && this.#key(event), true);
    dialog.addEventListener("click", event => this.#click(event));
    whenClosed(dialog, () => this.#escape());
  }

  open(item) {
    this.item = item;
    this.openedAt = performance.now();
    this.noteBox.hidden = true;
    this.note.value = "";
    this.dialog.showModal();
    this.dialog.querySelector("[data-skip-plain]").focus();
  }

  /** Write the keys on the reasons. keyOf(number): what is written on the key of a label's number. */
  showKeys(keyOf) {
    for (const [n, button] of this.reasons.entries()) {
      const key = keyOf(n + 1);
      button.querySelector("kbd").textContent = key;
      button.setAttribute("aria-keyshortcuts", key);
    }
  }

  #choose(reason) {
    if (reason === "other" && this.noteBox.hidden) {
      this.noteBox.hidden = false;
      this.note.focus();
      return;
    }
    const { item } = this;
    this.item = null;
    this.dialog.close();
    this.closed(true);
    this.skip(item, reason, reason === "other" ? this.note.value : "");
  }

  #escape() {
    if (!this.item) return;
    this.item = null;
    this.closed(false);
  }

  #click(event) {
    // The second click of a double click was meant for the button that opened the menu.
    if (event.detail > 1 && performance.now() - this.openedAt < DOUBLE_CLICK) return;
    const button = event.target.closest("button");
    if (!button || !this.item) return;
    if ("reason" in button.dataset) this.#choose(button.dataset.reason);
    else if (button.matches("[data-skip-plain]")) this.#choose("");
    else this.dialog.close();
  }

  #key(event) {
    if (composing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    const writing = event.target === this.note;
    const choice = writing ? this.#inNote(event) : this.#inMenu(event);
    // A key held down must not go through: neither to a reason nor to the button that has the focus.
    if (choice === null && (writing || !event.repeat)) return;
    event.preventDefault();
    if (!event.repeat) this.#choose(choice);
  }

  #inNote({ key, shiftKey }) {
    return key === "Enter" && !shiftKey ? "other" : null;
  }

  /** The reason that the key chooses, or null if it is no key of the menu. */
  #inMenu(event) {
    const { key, shiftKey, target } = event;
    if (shiftKey && key === "ArrowRight") return "";
    if (key === "Enter" && !target.closest?.("button")) return "";
    if (this.again(event)) return "";
    const digit = this.digit(event);
    const button = digit ? this.reasons[digit - 1] : null;
    return button?.dataset.reason ?? null;
  }
}
