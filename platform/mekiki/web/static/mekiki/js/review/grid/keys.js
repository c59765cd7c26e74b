// Keys of the grid review. Text being composed (Japanese input) and keys meant for a control are left alone.

import { composing } from "../key-map.js";

const CHORDS = { ArrowRight: "skip", ArrowUp: "flag", ArrowLeft: "undo" };
const ACTS = ["confirm", "skip", "flag", "undo", "help"];

/**
 * act(name): confirm, skip, flag, clear, open, undo or help. label(number). move(key, far): true if it was used.
 * map: see key-map.js.
 */
export function listen({ act, label, move, map }) {
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
    if (event.ctrlKey) return;
    const command = map.command(event);
    if (command?.startsWith("label-")) {
      event.preventDefault();
      if (!event.repeat) label(Number(command.slice(6)));
    } else if (ACTS.includes(command)) run(event, command);
  });

  function run(event, name) {
    event.preventDefault();
    // A key held down must not confirm the page that follows.
    if (!event.repeat) act(name);
  }
}
