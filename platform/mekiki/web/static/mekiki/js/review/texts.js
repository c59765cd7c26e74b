// The station's words, from its data-texts; braces are filled in.

let texts = {};

export function load(json) {
  texts = JSON.parse(json);
}

/** Write a text only if it is another one: an idle page changes nothing. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function say(key, values = {}) {
  return (texts[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}
