// The dialog that flags an image with a reason and a note.

import { whenClosed } from "../dialogs.js";
import { FlagReasons } from "./flag-reasons.js";

export class FlagDialog {
  /** closed(): the dialog is gone. cancelled(). send(item, note, reason): flag the item for which it was opened. */
  constructor(dialog, { closed, cancelled, send }) {
    this.dialog = dialog;
    this.note = dialog.querySelector("[data-flag-note]");
    this.reasons = new FlagReasons(dialog);
    whenClosed(dialog, () => {
      closed();
      if (dialog.returnValue === "flag") send(this.item, this.note.value, this.reasons.value);
      else cancelled();
    });
    this.note.addEventListener("keydown", event => {
      if (event.isComposing || event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      dialog.close("flag");
    });
    dialog.querySelector('[data-act="flag-cancel"]').addEventListener("click", () => dialog.close(""));
  }

  open(item) {
    this.item = item;
    this.note.value = "";
    this.reasons.clear();
    this.dialog.returnValue = "";
    this.dialog.showModal();
  }
}
