// The last few answers, newest first. A click or Enter opens the history at an answer; the arrow keys move among them.

import { say } from "./texts.js";

const KEPT = 6;

export class History {
  /** undoKey(): the key that undoes, as it is written on the buttons. open(entry): show an answer in the history. */
  constructor(list, entries, { undoKey, open }) {
    Object.assign(this, { list, undoKey, open, entries: [...entries].reverse() });
    list.addEventListener("click", event => this.#click(event));
    list.addEventListener("keydown", event => this.#key(event));
    this.draw();
  }

  add(entry) {
    this.entries.unshift(entry);
    this.entries.length = Math.min(this.entries.length, KEPT);
    this.draw();
  }

  get last() {
    return this.entries[0] ?? null;
  }

  drop(entry) {
    this.entries = this.entries.filter(other => other !== entry);
    this.draw();
  }

  /** The server has stored the answer with this key as a decision. */
  saved(key, decision) {
    const entry = this.entries.find(one => one.key === key);
    if (entry) entry.decision = decision;
  }

  draw() {
    const focused = this.#buttons().indexOf(document.activeElement);
    this.list.replaceChildren(...this.entries.map((entry, place) => this.#item(entry, place)));
    if (focused >= 0) this.#buttons()[Math.min(focused, this.entries.length - 1)]?.focus();
  }

  #item(entry, place) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "station__past";
    button.tabIndex = place ? -1 : 0;
    const thumb = document.createElement("img");
    thumb.src = entry.thumb;
    thumb.alt = "";
    thumb.width = thumb.height = 40;
    const words = document.createElement("span");
    words.className = "truncate";
    words.textContent = say(`answered_${entry.kind}`, { label: entry.label });
    button.title = entry.name;
    button.append(thumb, words);
    if (place === 0) {
      const mark = document.createElement("span");
      mark.className = "badge";
      mark.setAttribute("aria-hidden", "true");
      mark.textContent = `${this.undoKey()} ↶`;
      button.append(mark);
    }
    item.append(button);
    return item;
  }

  #buttons() {
    return [...this.list.querySelectorAll("button")];
  }

  #click(event) {
    const place = this.#buttons().indexOf(event.target.closest("button"));
    if (place >= 0) this.open(this.entries[place]);
  }

  #key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step || event.shiftKey || event.ctrlKey || event.metaKey || event.altKey) return;
    const buttons = this.#buttons();
    const next = buttons[buttons.indexOf(document.activeElement) + step];
    if (!next) return;
    event.preventDefault();
    for (const button of buttons) button.tabIndex = button === next ? 0 : -1;
    next.focus();
  }
}
