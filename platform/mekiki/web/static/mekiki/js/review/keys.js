// Keys of the station. Text being composed (Japanese input) and keys meant for a control are left alone.
//
// Shift with an arrow key is a command at all times: no label begins with it, every keyboard has it, and neither
// browsers nor input methods nor screen readers use it outside of text. Letters are commands only while there is no
// finder; with one they are text (docs/decisions/0017).

const OFF = "mekiki:review-keys-off";

export function keysOn() {
  try {
    return !localStorage.getItem(OFF);
  } catch {
    return true;
  }
}

export function setKeysOn(on) {
  try {
    if (on) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "1");
  } catch {
    // Without storage the choice lasts as long as the page.
  }
}

const CHORDS = { ArrowRight: "skip", ArrowUp: "flag", ArrowLeft: "undo", ArrowDown: "adjust" };
const LETTERS = {
  w: "why",
  h: "heat",
  "[": "heat-less",
  "]": "heat-more",
  s: "skip",
  f: "flag",
  z: "undo",
  g: "guide",
  a: "adjust",
  r: "adjust-reset",
  "?": "help",
};
const ALWAYS = { F1: "help", F2: "guide", F8: "why", F9: "heat" };
const ZOOM = { "+": "zoom-in", "=": "zoom-in", "-": "zoom-out", 0: "zoom-fit", "*": "zoom-actual" };
const ARROWS = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };

/** What is written on the buttons, and what screen readers announce: by act, without and with a finder. */
export const NAMES = {
  skip: { letter: "S", chord: "Shift+→", aria: "Shift+ArrowRight" },
  flag: { letter: "F", chord: "Shift+↑", aria: "Shift+ArrowUp" },
  undo: { letter: "Z", chord: "Shift+←", aria: "Shift+ArrowLeft" },
  guide: { letter: "G", chord: "F2", aria: "F2" },
  adjust: { letter: "A", chord: "Shift+↓", aria: "Shift+ArrowDown" },
  why: { letter: "W", chord: "F8", aria: "F8" },
  help: { letter: "?", chord: "F1", aria: "F1" },
};

export const composing = event => event.isComposing || event.keyCode === 229;
export const printable = event => [...event.key].length === 1;

/**
 * Call `act(name)`, `label(number)` or `pan(dx, dy)` when a key is pressed.
 * All three return true when they used the key. `finder`: see finder.js.
 */
export function listen({ act, label, pan, finder }) {
  document.addEventListener("keydown", event => {
    if (composing(event) || document.querySelector("dialog[open]")) return;
    const typed = printable(event);
    // AltGr types characters; it arrives as Ctrl+Alt on Windows.
    const characters = typed && event.getModifierState("AltGraph");
    if ((event.ctrlKey || event.metaKey || event.altKey) && !characters) return;
    const { target, key } = event;
    const field = target.closest("input, textarea, select, [contenteditable]");
    if (field && !finder.is(field)) return;
    if (key in ALWAYS) {
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
    if (field) return;
    if (finder.swallows(event)) {
      event.preventDefault();
      return;
    }
    const control = target.closest("button, a, summary");
    if (key in ARROWS) {
      if (!control && pan(...ARROWS[key])) event.preventDefault();
      return;
    }
    if (control && (key === "Enter" || key === " ")) return;
    if (key === " ") {
      // Held down it shows the lens, and never scrolls the page.
      event.preventDefault();
      if (!event.repeat && keysOn()) act("lens-hold");
      return;
    }
    // A key held down must not answer the images that follow.
    if (event.repeat && !(key in ZOOM)) return;
    if (take(event)) event.preventDefault();
  });

  document.addEventListener("keyup", event => event.key === " " && act("lens-release"));

  function take({ key }) {
    if (key === "Enter" && finder.typing) {
      finder.enter();
      return true;
    }
    if (key === "Enter") return act("confirm");
    if (key === "Escape") return finder.close() || act("escape");
    if (!keysOn()) return false;
    if (key === "/" || finder.wants(key)) return finder.start(key === "/" && !finder.begins(key) ? "" : key);
    if (/^[1-9]$/.test(key)) return label(Number(key));
    if (key in ZOOM) return act(ZOOM[key]);
    const name = finder.exists ? "" : LETTERS[key.toLowerCase()];
    return Boolean(name) && act(name);
  }
}
