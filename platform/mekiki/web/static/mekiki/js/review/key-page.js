// The page of the keys: choose a layout, give a command another key, reset. Every change is saved at once.

import { codeOf, composing, printable } from "./key-map.js";
import { drawKeyboard } from "./keyboard-picture.js";
import { Preferences } from "./preferences.js";
import { load, say } from "./texts.js";

const root = document.querySelector("[data-review-keys]");
load(root.dataset.texts);
const layouts = JSON.parse(root.dataset.layouts);
const fixed = new Set(JSON.parse(root.dataset.fixed));
const standard = JSON.parse(root.dataset.standard);
const preferences = new Preferences(root, error => tell(say("keys_failed", { reason: error.message })));
const names = Object.fromEntries(
  [...root.querySelectorAll("[data-key-of]")].map(key => [
    key.dataset.keyOf,
    key.closest("tr").querySelector("th").textContent.trim(),
  ]),
);
const LETTER = /^(Key|Digit)(.)$/;
let waiting = ""; // the command that gets the next key
let written = new Map(); // what is written on the keys of this keyboard, where the browser says so

const keysNow = () => ({ ...layouts[preferences.get("layout")], ...preferences.get("keys") });

function tell(text) {
  const box = root.querySelector("[data-said]");
  box.hidden = !text;
  box.textContent = text;
}

/** What is written on a key: as the browser says, as it was pressed, or its sign on a US keyboard. */
const signOf = ({ code, text }) => (written.get(code) ?? text).toUpperCase();

/** The place of a standard key in the picture; null if the place differs between keyboards. */
function standardCode(text) {
  if (/^[A-Z]$/.test(text)) return `Key${text}`;
  if (/^[0-9]$/.test(text)) return `Digit${text}`;
  return text === "/" ? "Slash" : null;
}

function draw() {
  const keys = keysNow();
  const own = preferences.get("keys");
  for (const radio of root.querySelectorAll("[data-layout]"))
    radio.checked = radio.value === preferences.get("layout");
  for (const key of root.querySelectorAll("[data-key-of]")) {
    const command = key.dataset.keyOf;
    key.textContent = command in keys ? signOf(keys[command]) : standard[command];
    root.querySelector(`[data-reset="${command}"]`).hidden = !(command in own);
    const button = root.querySelector(`[data-change="${command}"]`);
    button.classList.toggle("button--primary", command === waiting);
  }
  const drawn = {};
  for (const [command, text] of Object.entries(standard)) {
    const code = standardCode(text);
    if (code && !(command in keys)) drawn[code] = { text, name: names[command] };
  }
  for (const [command, key] of Object.entries(keys))
    drawn[key.code] = { text: signOf(key), name: names[command] };
  drawKeyboard(root.querySelector("[data-picture]"), drawn, say("keyboard_picture"));
}

/** The command that has this key now, or null. */
function holder(code, text, command) {
  const keys = keysNow();
  const taken = Object.keys(keys).find(other => other !== command && keys[other].code === code);
  const plain = Object.keys(standard).find(
    other => other !== command && !(other in keys) && standard[other].toUpperCase() === text.toUpperCase(),
  );
  return taken ?? plain ?? null;
}

async function save(changes, done) {
  const before = { layout: preferences.get("layout"), keys: preferences.get("keys") };
  if (await preferences.save(changes)) tell(done);
  else Object.assign(preferences.values, before);
  draw();
}

function ask(command) {
  waiting = command;
  tell(say("press_key", { command: names[command] }));
  draw();
}

function stop(text = "") {
  waiting = "";
  tell(text);
  draw();
}

// Before the button that has the focus: Space and Enter are then keys like all others.
document.addEventListener(
  "keydown",
  event => {
    if (!waiting) return;
    const code = codeOf(event);
    if (/^(Shift|Control|Alt|Meta|OS|Fn)/.test(code)) return;
    if (event.key === "Tab") return stop();
    event.preventDefault();
    event.stopPropagation();
    if (event.repeat) return;
    if (event.key === "Escape") return stop(say("key_kept"));
    const command = waiting;
    if (composing(event)) return tell(say("key_composing"));
    const text = printable(event) ? event.key.toUpperCase() : code.replace(LETTER, "$2").slice(0, 12);
    if (
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      fixed.has(code) ||
      !/^[A-Z][A-Za-z0-9]{0,23}$/.test(code)
    )
      return tell(say("key_fixed", { key: text }));
    const other = holder(code, text, command);
    if (other) return tell(say("key_taken", { key: text, command: names[other] }));
    stop();
    const keys = { ...preferences.get("keys"), [command]: { code, text } };
    save({ keys }, say("key_saved", { key: text, command: names[command] }));
  },
  true,
);

root.addEventListener("click", event => {
  const { change, reset, resetAll } = event.target.closest("button")?.dataset ?? {};
  if (change) ask(change);
  else if (reset) {
    const keys = { ...preferences.get("keys") };
    delete keys[reset];
    save({ keys }, say("keys_reset"));
  } else if (resetAll !== undefined) save({ layout: "standard", keys: {} }, say("keys_reset"));
});
root.addEventListener("change", event => {
  if (event.target.matches("[data-layout]"))
    save({ layout: event.target.value, keys: {} }, say("layout_saved"));
});

draw();
// Only some browsers, and only over https or on this machine, say what is written on the keys.
navigator.keyboard
  ?.getLayoutMap?.()
  .then(map => {
    written = map;
    draw();
  })
  .catch(() => {});
