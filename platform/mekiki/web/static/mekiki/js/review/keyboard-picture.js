// A drawn keyboard with the commands on its keys. The table beside it says the same in words.

const SVG = "http://www.w3.org/2000/svg";
// [row, first column in keys, codes]. The places are the same on US, JIS and European keyboards.
const ROWS = [
  [0, 0, ["F3"]],
  [0, 3, ["F6"]],
  [1, 1, [..."1234567890"].map(digit => `Digit${digit}`).concat("Minus", "Equal")],
  [2, 1.5, [..."QWERTYUIOP"].map(letter => `Key${letter}`).concat("BracketLeft", "BracketRight")],
  [3, 1.75, [..."ASDFGHJKL"].map(letter => `Key${letter}`).concat("Semicolon", "Quote")],
  [4, 2.25, [..."ZXCVBNM"].map(letter => `Key${letter}`).concat("Comma", "Period", "Slash")],
];
const EXTRA = [[1, 13, "Backspace"]];
const [WIDE, HIGH, GAP] = [58, 46, 4];

function node(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  if (text !== undefined) made.textContent = text;
  return made;
}

// The room for a name on a key: two lines of this width, in ems.
const ROOM = 5.2;

const widthOf = text => [...text].reduce((sum, sign) => sum + (sign > "\u2e80" ? 1 : 0.55), 0);

/** The name of a command in two lines at most. */
function linesOf(name) {
  const parts = /[\u2e80-\uffef]/.test(name) ? [...name] : name.split(/(?<= )/);
  const lines = [""];
  for (const part of parts) {
    if (lines.at(-1) && widthOf(lines.at(-1) + part.trim()) > ROOM) lines.push("");
    lines[lines.length - 1] += part;
  }
  if (lines.length < 3) return lines;
  const second = lines[1].trim();
  return [lines[0], widthOf(second) + 1 > ROOM ? `${[...second].slice(0, -1).join("")}…` : `${second}…`];
}

/** Draw it into box. keys: {code: {text, name}}; title: what the picture is called. */
export function drawKeyboard(box, keys, title) {
  const svg = node("svg", { viewBox: `0 0 ${14 * WIDE} ${5 * HIGH}`, role: "img", class: "keyboard" });
  svg.append(node("title", {}, title));
  const places = ROWS.flatMap(([row, left, codes]) => codes.map((code, n) => [row, left + n, code]));
  for (const [row, column, code] of [...places, ...EXTRA]) {
    const key = keys[code];
    const group = node("g", { class: key ? "keyboard__key keyboard__key--used" : "keyboard__key" });
    const [x, y] = [column * WIDE + GAP, row * HIGH + GAP];
    group.append(node("rect", { x, y, width: WIDE - GAP, height: HIGH - GAP, rx: 5 }));
    const written = key?.text ?? code.replace(/^(Key|Digit)/, "");
    if (written.length < 4)
      group.append(node("text", { x: x + 6, y: y + 15, class: "keyboard__sign" }, written));
    for (const [n, line] of (key ? linesOf(key.name) : []).entries())
      group.append(node("text", { x: x + 4, y: y + 27 + 11 * n, class: "keyboard__name" }, line));
    svg.append(group);
  }
  box.replaceChildren(svg);
}
