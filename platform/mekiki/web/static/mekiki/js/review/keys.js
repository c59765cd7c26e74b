// Keys of the station. Text being composed (Japanese input) and keys meant for a control are left alone.
//
// Shift with an arrow key is a command at all times: no label begins with it, every keyboard has it, and neither
// browsers nor input methods nor screen readers use it outside of text. Single keys: key-map.js.

import { composing, printable } from "./key-map.js";

const CHORDS = { ArrowRight: "skip", ArrowUp: "flag", ArrowLeft: "undo", ArrowDown: "adjust" };
const ALWAYS = { F1: "help", F2: "guide", F4: "history", F8: "why", F9: "heat" };
const ARROWS = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };

/**
 * Call `act(name)`, `label(number)` or `pan(dx, dy)` when a key is pressed.
 * All three return true when they used the key. `finder`: see finder.js. `map`: the KeyMap of the person.
 */
export function listen({ act, label, pan, finder, map }) {
  document.addEventListener("keydown", event => {
    if (composing(event)) return;
    const typed = printable(event);
    // AltGr types characters; it arrives as Ctrl+Alt on Windows.
    const characters = typed && event.getModifierState("AltGraph");
    if ((event.ctrlKey || event.metaKey || event.altKey) && !characters) return;
    const { target, key } = event;
    const field = target.closest("input, textarea, select, [contenteditable]");
    const dialog = document.querySelector("dialog[open]");
    if (dialog) {
      const text = field?.matches(":not([type=checkbox], [type=radio])");
      if (text || event.repeat || map.command(event) !== "close") return;
      event.preventDefault();
      dialog.close();
      return;
    }
    if (field && !finder.is(field)) return;
    if (key in ALWAYS && !event.shiftKey) {
      event.preventDefault();
      if (!event.repeat) act(ALWAYS[key]);
      return;
    }
    if (field?.value) return; // In a text, Shift with an arrow selects.
    if (event.shiftKey && key in CHORDS) {
      event.preventDefault();
      if (!event.repeat) act(CHORDS[key]);
      return;
    }
    // In the empty finder, an own key that types no character (a pedal) is a command as on the image.
    if (field && (typed || !isOwn(event))) return;
    if (finder.swallows(event)) {
      event.preventDefault();
      return;
    }
    const control = field ? null : target.closest("button, a, summary");
    if (key in ARROWS) {
      if (!control && pan(...ARROWS[key])) event.preventDefault();
      return;
    }
    if (control && (key === "Enter" || key === " ")) return;
    if (key === " ") {
      // Held down it shows the lens, and never scrolls the page.
      event.preventDefault();
      if (!event.repeat && map.on()) act("lens-hold");
      return;
    }
    if (take(event)) event.preventDefault();
  });

  document.addEventListener("keyup", event => event.key === " " && act("lens-release"));

  /** A key with a meaning that its person gave it, and not one that edits text. */
  function isOwn(event) {
    return map.command(event) !== null && !["Backspace", "Delete", "Home", "End"].includes(event.key);
  }

  function take(event) {
    const { key, repeat } = event;
    if (key === "Escape") return !repeat && (finder.close() || act("escape"));
    if (key === "Enter") {
      if (repeat) return false;
      if (!finder.typing) return act("confirm");
      finder.enter();
      return true;
    }
    const command = map.command(event);
    // A key held down must not answer the images that follow.
    if (repeat && !map.repeats(command)) return false;
    if (map.on() && printable(event) && (command === "find" || finder.wants(key))) {
      return finder.start(command === "find" && !(key === "/" && finder.begins(key)) ? "" : key);
    }
    return command !== null && run(command);
  }

  function run(command) {
    if (command === "find") return finder.start("");
    if (command === "close") return finder.close() || act("escape");
    return command.startsWith("label-") ? label(Number(command.slice(6))) : act(command);
  }
}
