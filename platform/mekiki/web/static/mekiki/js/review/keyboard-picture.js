// A drawn keyboard with the commands on its keys. The table beside it says the same in words.

const SVG = "http://www.w3.org/2000/svg";
// [row, first column in keys, codes]. The places are the same on US, JIS and European keyboards.
const ROWS = [
  [0, 0, ["F3"]],
  [1, 1, [..."1234567890"].map(digit => `Digit${digit}`).concat("Minus")],
  [2, 1.5, [..."QWERTYUIOP"].map(letter => `Key${letter}`).concat("BracketLeft")],
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
    if (key)
      group.append(node("text", { x: x + 6, y: y + 33, class: "keyboard__name" }, key.name.slice(0, 9)));
    svg.append(group);
  }
  box.replaceChildren(svg);
}
