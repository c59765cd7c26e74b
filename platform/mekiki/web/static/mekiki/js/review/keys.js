// Keys of the station. Text being composed (Japanese input) and keys meant for a control are left alone.

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

const ACTS = { s: "skip", f: "flag", z: "undo", "?": "help", "+": "zoom-in", "=": "zoom-in", "-": "zoom-out", 0: "zoom-fit" };
const ARROWS = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };

/** Call `act(name)`, `label(number)`, `pan(dx, dy)` or `find(letter)`; each says true when it took the key. */
export function listen({ act, label, pan, find }) {
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229) return;
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const { target } = event;
    if (target.closest("input, textarea, select, [contenteditable]")) return;
    const control = target.closest("button, a, summary");
    if (event.key in ARROWS) {
      if (!control && pan(...ARROWS[event.key])) event.preventDefault();
      return;
    }
    if (control && (event.key === "Enter" || event.key === " ")) return;
    const zoom = ["+", "=", "-", "0"].includes(event.key);
    // A key held down must not answer the images that follow.
    if (event.repeat && !zoom) return;
    if (event.key !== "Enter" && !keysOn()) return;
    let taken = false;
    if (event.key === "Enter") taken = act("confirm");
    else if (/^[1-9]$/.test(event.key)) taken = label(Number(event.key));
    else if (ACTS[event.key.toLowerCase()]) taken = act(ACTS[event.key.toLowerCase()]);
    else if (event.key === "/") taken = find("");
    else if (event.key.length === 1 && /\p{L}/u.test(event.key)) taken = find(event.key);
    if (taken) event.preventDefault();
  });
}
