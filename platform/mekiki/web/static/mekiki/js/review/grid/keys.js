// Keys of the grid review. Text being composed (Japanese input) and keys meant for a control are left alone.

import { composing, keysOn, printable } from "../keys.js";

const CHORDS = { ArrowRight: "skip", ArrowUp: "flag", ArrowLeft: "undo" };
const LETTERS = { s: "skip", f: "flag", z: "undo", "?": "help" };

/** act(name): confirm, skip, flag, clear, open, undo or help. label(number). move(key, far): true if it was used. */
export function listen({ act, label, move }) {
  document.addEventListener("keydown", event => {
    if (composing(event) || document.querySelector("dialog[open]")) return;
    const { key, target } = event;
    if (event.metaKey || event.altKey || (event.ctrlKey && key !== "Home" && key !== "End")) return;
    if (target.closest("input, textarea, select, [contenteditable]")) {
      if (key === "F1") run(event, "help");
      return;
    }
    if (key === "F1") return run(event, "help");
    if (event.shiftKey && key in CHORDS) return run(event, CHORDS[key]);
    const inGrid = target.closest('[role="grid"]');
    if (inGrid && move(key, event.ctrlKey)) return event.preventDefault();
    if (target.closest("button, a, summary") && (key === "Enter" || key === " ")) return;
    if (key === "Enter") return run(event, "confirm");
    if (inGrid && key === " ") return run(event, "open");
    if (key === "Delete" || key === "Backspace") return run(event, "clear");
    if (!keysOn() || !printable(event) || event.ctrlKey) return;
    if (/^[1-9]$/.test(key)) {
      event.preventDefault();
      if (!event.repeat) label(Number(key));
    } else if (key.toLowerCase() in LETTERS) run(event, LETTERS[key.toLowerCase()]);
  });

  function run(event, name) {
    event.preventDefault();
    // A key held down must not confirm the page that follows.
    if (!event.repeat) act(name);
  }
}
