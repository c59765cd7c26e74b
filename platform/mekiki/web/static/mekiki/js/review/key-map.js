// Which key is which command: the characters of the standard keys, and the person's own keys by their place.
//
// An own key replaces the standard characters of its command. If it types a character, it is a command only while
// there is no finder, because letters are text then. Enter, Esc, Space, the arrow keys, Shift with an arrow key, F1,
// F2, F4, F8 and F9 have a fixed meaning (docs/decisions/0017 and 0046).

const LETTERS = {
  s: "skip",
  f: "flag",
  z: "undo",
  g: "guide",
  h: "history",
  w: "why",
  m: "heat",
  a: "adjust",
  r: "adjust-reset",
};
const SIGNS = {
  "?": "help",
  "/": "find",
  "+": "zoom-in",
  "=": "zoom-in",
  "-": "zoom-out",
  0: "zoom-fit",
  "*": "zoom-actual",
  "[": "heat-less",
  "]": "heat-more",
};
const ZOOM = new Set(["zoom-in", "zoom-out", "zoom-fit", "zoom-actual"]);

/** What is written on the standard key of each command, and on the key that works beside a finder. */
const NAMES = {
  confirm: { single: "Enter", aria: "Enter" },
  skip: { single: "S", chord: "Shift+→", aria: "Shift+ArrowRight" },
  flag: { single: "F", chord: "Shift+↑", aria: "Shift+ArrowUp" },
  undo: { single: "Z", chord: "Shift+←", aria: "Shift+ArrowLeft" },
  guide: { single: "G", chord: "F2", aria: "F2" },
  history: { single: "H", chord: "F4", aria: "F4" },
  why: { single: "W", chord: "F8", aria: "F8" },
  heat: { single: "M", chord: "F9", aria: "F9" },
  adjust: { single: "A", chord: "Shift+↓", aria: "Shift+ArrowDown" },
  "adjust-reset": { single: "R", chord: "" },
  help: { single: "?", chord: "F1", aria: "F1" },
  // These are keys beside a finder as well.
  find: { single: "/" },
  "zoom-in": { single: "+" },
  "zoom-out": { single: "−" },
  "zoom-fit": { single: "0" },
  "zoom-actual": { single: "*" },
};

export const composing = event => event.isComposing || event.keyCode === 229;
export const printable = event => [...event.key].length === 1;
/** The place of a key on the keyboard. A pedal or a program may send a key without one. */
export const codeOf = event => event.code || event.key;

export class KeyMap {
  /** keys: {command: {code, text}}. on(): are single keys commands? */
  constructor(keys, on) {
    this.keys = keys;
    this.on = on;
    this.finder = { exists: false };
    this.byCode = new Map(Object.entries(keys).map(([command, { code }]) => [code, command]));
  }

  /** The command of a key that was pressed, or null. */
  command(event) {
    const own = this.byCode.get(codeOf(event));
    if (own && (!printable(event) || (this.on() && !this.finder.exists))) return own;
    if (!this.on() || !printable(event)) return null;
    const standard = this.#standard(event.key);
    return standard && (this.finder.exists || !(standard in this.keys)) ? standard : null;
  }

  #standard(key) {
    if (/^[1-9]$/.test(key)) return `label-${key}`;
    const sign = SIGNS[key];
    if (this.finder.exists) return ZOOM.has(sign) || sign === "find" ? sign : null;
    return sign ?? LETTERS[key.toLowerCase()] ?? null;
  }

  /** The number of a label's own or standard key, also in a dialog where nothing is typed; null for other keys. */
  digit(event) {
    const command = this.byCode.get(codeOf(event));
    if (command) return command.startsWith("label-") ? Number(command.slice(6)) : null;
    return /^[1-9]$/.test(event.key) && !(`label-${event.key}` in this.keys) ? Number(event.key) : null;
  }

  /** What is written on the key that `digit` takes for this number. */
  digitText(number) {
    return this.keys[`label-${number}`]?.text ?? String(number);
  }

  /** Is this the single key of a command? */
  is(event, command) {
    return this.command(event) === command;
  }

  repeats(command) {
    return ZOOM.has(command);
  }

  /** Is this command's own key used at the moment? With a finder, only a key that types no character is. */
  #usable(command) {
    const key = this.keys[command];
    return key && (!this.finder.exists || [...key.text].length > 1) ? key : null;
  }

  /** What is written on the single key of a command; empty if it has none at the moment. */
  single(command) {
    const own = this.#usable(command);
    if (own) return own.text;
    if (command in this.keys && !this.finder.exists) return "";
    if (command.startsWith("label-")) return command.slice(6);
    const { single = "", chord } = NAMES[command] ?? {};
    return this.finder.exists && chord !== undefined ? "" : single;
  }

  /** What is written on the button of a command. */
  text(command) {
    return this.single(command) || (NAMES[command]?.chord ?? "");
  }

  /** All keys of a command, for aria-keyshortcuts. */
  aria(command) {
    const names = NAMES[command];
    return [...new Set([this.single(command), names?.aria])].filter(Boolean).join(" ");
  }

  /** The commands that have a key of their own on a button. */
  get acts() {
    return Object.keys(NAMES);
  }
}
