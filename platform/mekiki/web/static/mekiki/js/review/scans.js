// A barcode scanner is a keyboard that types a code and Enter faster than a person can. The keys of a code are no
// commands: what its first two keys did is taken back, and the code names a label.
//
// Text in a field, also in the finder, is left alone: there, a scanner types like a person.

import { composing, printable } from "./key-map.js";

// Keys of a scanner follow each other within this time, in milliseconds. A person needs more for two different keys.
const GAP = 50;
// Two quick keys can be a key that bounces, or two that were pressed together. They act as always.
const FEW = 2;
const FIELD = "input:not([type=radio], [type=checkbox]), textarea, select";
// A code without Enter ends after this time.
const LONGEST_PAUSE = 400;
// How long to wait until the image of the code may be answered.
const WAIT = 2000;

const pause = ms => new Promise(done => setTimeout(done, ms));

export class Scans {
  /**
   * state(): what a first key may change. back(state): take back what the first keys did.
   * choose(text, state): the code names a label, for the image of the first key. unknown(text): it had no Enter.
   * single: one key and a quick Enter are a code too. Otherwise they act as always.
   */
  constructor({ state, back, choose, unknown, single = false }) {
    Object.assign(this, { state, back, choose, unknown, single, text: "", scanning: false, at: -Infinity });
    // Before all other listeners, those of the dialogs too.
    window.addEventListener("keydown", event => this.#key(event), true);
  }

  #key(event) {
    if (composing(event) || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    const typed = printable(event);
    if (!typed && event.key !== "Enter") return; // Shift, for a capital letter
    const quick = event.timeStamp - this.at <= GAP && this.text !== "";
    this.at = event.timeStamp;
    // A sequence that began on the image may go on in the note of a dialog that its first key opened.
    const field = event.target.closest?.(quick ? "[data-find]" : FIELD);
    if (!this.scanning) {
      if (field || !quick) {
        this.#first(typed && !field ? event.key : "");
        return;
      }
      if (this.text.length < FEW && !(this.single && event.key === "Enter")) {
        this.text = typed ? this.text + event.key : "";
        return;
      }
      this.scanning = true;
      this.back(this.before);
    }
    event.preventDefault();
    event.stopImmediatePropagation();
    clearTimeout(this.timer);
    if (event.key === "Enter") this.#end(this.text, true);
    else {
      this.text += event.key;
      this.timer = setTimeout(() => this.#end(this.text, false), LONGEST_PAUSE);
    }
  }

  #first(key) {
    this.text = key;
    if (key) this.before = this.state();
  }

  #end(text, entered) {
    Object.assign(this, { text: "", scanning: false, at: -Infinity });
    if (entered) this.choose(text.trim(), this.before);
    else this.unknown(text.trim());
  }
}

/** Wait until `ready()`, at most for a while. */
export async function waitFor(ready) {
  for (let waited = 0; waited < WAIT && !ready(); waited += 25) await pause(25);
  return ready();
}
