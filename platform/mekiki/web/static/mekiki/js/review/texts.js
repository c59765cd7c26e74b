// The station's words, from its data-texts; braces are filled in.

let texts = {};

export function load(json) {
  texts = JSON.parse(json);
}

export function say(key, values = {}) {
  return (texts[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}
