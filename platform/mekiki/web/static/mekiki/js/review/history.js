// The last few answers, newest first; only the newest has a button to undo it.

import { say } from "./texts.js";

const KEPT = 6;

export class History {
  /** undoKey(): the key that undoes, as it is written on the buttons. */
  constructor(list, entries, undoKey) {
    this.list = list;
    this.undoKey = undoKey;
    this.entries = [];
    for (const entry of entries) this.entries.unshift(entry);
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

  draw() {
    this.list.replaceChildren(
      ...this.entries.map((entry, place) => {
        const item = document.createElement("li");
        item.className = "station__past";
        const thumb = document.createElement("img");
        thumb.src = entry.thumb;
        thumb.alt = "";
        thumb.width = thumb.height = 40;
        const words = document.createElement("span");
        words.className = "truncate";
        words.textContent = say(`answered_${entry.kind}`, { label: entry.label });
        words.title = entry.name;
        item.append(thumb, words);
        if (place === 0) {
          const mark = document.createElement("span");
          mark.className = "badge";
          mark.setAttribute("aria-hidden", "true");
          mark.textContent = `${this.undoKey()} ↶`;
          item.append(mark);
        }
        return item;
      }),
    );
  }
}
