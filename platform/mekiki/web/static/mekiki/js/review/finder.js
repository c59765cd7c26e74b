// The box that finds a label by typing. The typed text belongs to the image
// that was on the screen when the typing began. When another image takes its place,
// the text is cleared, and the remaining letters of the word are ignored.

import { composing, printable } from "./key-map.js";
import { say } from "./texts.js";

// People pause less than this between two letters of a word.
const PAUSE = 1000;

const plain = text => text.normalize("NFKC").toLowerCase();

export class Finder {
  /**
   * labels: the LabelList. current(): the item on the screen. seen(): has it been seen? choose(label), confirm(),
   * refuse(key): say why nothing was recorded. changed(): a finder came or went. away(): the keys belong to the image.
   */
  constructor(root, labels, { current, seen, choose, confirm, refuse, changed, away }) {
    Object.assign(this, { labels, current, seen, choose, confirm, refuse, changed, away });
    this.root = root;
    this.box = root.querySelector("[data-find-box]");
    this.input = root.querySelector("[data-find]");
    this.said = root.querySelector("[data-find-said]");
    this.always = "finder" in root.dataset;
    this.deafUntil = 0;
    this.box.hidden = !this.always;
    this.input.addEventListener("keydown", event => this.#key(event));
    this.input.addEventListener("beforeinput", event => this.#before(event));
    this.input.addEventListener("compositionstart", () => this.#compose());
    this.input.addEventListener("compositionend", () => this.#composed());
    this.input.addEventListener("input", () => this.#changed());
    this.input.addEventListener("focus", () => this.#tell());
    this.input.addEventListener("blur", () => this.#tell());
  }

  is(element) {
    return element === this.input;
  }

  /** Is there a finder at the moment? Then letters are text. */
  get exists() {
    return !this.box.hidden;
  }

  get typing() {
    return Boolean(this.input.value) || Boolean(this.composition);
  }

  /** Does the name or the short code of a label begin with this character? */
  begins(character) {
    return this.labels.labels.some(({ name, code }) =>
      [name, code ?? ""].some(text => plain(text).startsWith(plain(character))),
    );
  }

  /** Does this key, pressed on the image, begin to find? */
  wants(key) {
    if (!this.exists || [...key].length !== 1) return false;
    return /\p{L}/u.test(key) || (key !== " " && this.begins(key));
  }

  /** Open it, with the first character; true: the key was taken. */
  start(text) {
    if (text && !this.#begin()) return true;
    if (!this.current()) return false;
    this.box.hidden = false;
    this.input.value += text;
    this.input.focus();
    this.#filter();
    this.changed();
    return true;
  }

  /** Clear the text; a finder that is not always there goes. True when there was one to close. */
  close() {
    const open = this.typing || (this.exists && !this.always);
    if (!open && !this.is(document.activeElement)) return false;
    this.clear();
    this.away();
    return true;
  }

  clear() {
    if (this.composition) {
      this.composition.refused = true;
      this.input.blur(); // Ends the composition, which would write its text again.
      if (this.always) this.input.focus({ preventScroll: true });
    }
    this.item = null;
    this.input.value = "";
    if (this.exists !== this.always) {
      if (this.is(document.activeElement)) this.away();
      this.box.hidden = !this.always;
    }
    this.#filter();
    this.changed();
  }

  /** Another image takes the place of the one on the screen. True when somebody was typing for the first. */
  imageChanges(item) {
    if (!this.typing || this.item === item) return false;
    this.clear();
    this.deafen();
    return true;
  }

  /** Swallow the rest of a word that was begun for another image, or for none. */
  deafen() {
    this.deafUntil = performance.now() + PAUSE;
  }

  /** Is this key the rest of such a word? Then it does nothing, and the hint says so. */
  swallows(event) {
    if (
      performance.now() >= this.deafUntil ||
      !(printable(event) || ["Enter", "Backspace"].includes(event.key))
    ) {
      return false;
    }
    this.deafen();
    this.refuse("type_again");
    return true;
  }

  #begin() {
    if (this.typing) return true;
    if (this.seen()) {
      this.item = this.current();
      return true;
    }
    this.refuse("type_again");
    this.deafen();
    return false;
  }

  #before(event) {
    if (!this.composition && event.data && !this.#begin()) event.preventDefault();
  }

  #compose() {
    const refused = performance.now() < this.deafUntil || !this.#begin();
    this.composition = { refused };
  }

  #composed() {
    const { refused } = this.composition ?? {};
    this.composition = null;
    if (!refused) return;
    this.#empty();
    setTimeout(() => this.item || this.#empty()); // Some browsers write the text after this event.
  }

  #empty() {
    this.input.value = "";
    this.#filter();
  }

  #changed() {
    if (!this.input.value && !this.composition) this.item = null;
    this.#filter();
  }

  #filter() {
    this.first = this.labels.filter(this.input.value);
    this.#tell();
  }

  #tell() {
    this.root.classList.toggle("station--typing", Boolean(this.input.value));
    if (this.input.value.trim())
      this.said.textContent = this.first ? say("find_some", { label: this.first.name }) : say("find_none");
    else this.said.textContent = this.is(document.activeElement) ? say("find_here") : "";
  }

  #key(event) {
    if (composing(event)) return;
    if (this.swallows(event)) {
      event.preventDefault();
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (!event.repeat) this.enter();
    } else if (event.key === "Escape") {
      event.preventDefault();
      this.close();
    } else if (event.key === "ArrowDown" && !event.shiftKey) {
      event.preventDefault();
      this.labels.focusFirst(this.input.value);
    } else if (event.key === "/" && !this.input.value && !this.begins("/")) {
      event.preventDefault(); // The key that opens it.
    }
  }

  /** Enter: the first match for the image of the typing; without a text, the prediction. */
  enter() {
    if (!this.input.value) this.confirm();
    else if (this.item !== this.current()) {
      this.refuse("type_again");
      this.clear();
    } else if (this.first) this.choose(this.first);
  }
}
