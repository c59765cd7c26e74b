// A question of the requalification test: label keys, and no answer before the image was seen.

import { composing, KeyMap } from "./key-map.js";
import { Preferences } from "./preferences.js";

const root = document.querySelector("[data-question]");
if (root) {
  const form = root.querySelector("[data-question-form]");
  const image = root.querySelector("[data-question-image]");
  const buttons = [...form.querySelectorAll("button")];
  const preferences = new Preferences(root);
  const map = new KeyMap(JSON.parse(root.dataset.keys), () => preferences.get("single_keys"));
  let sent = false;

  for (const key of form.querySelectorAll("kbd")) key.textContent = map.digitText(Number(key.textContent));
  for (const button of buttons) button.disabled = true;
  const enable = () =>
    setTimeout(() => {
      for (const button of buttons) button.disabled = false;
    }, Number(root.dataset.seenAfter));
  if (image.complete) enable();
  else image.addEventListener("load", enable, { once: true });

  document.addEventListener("keydown", event => {
    if (composing(event) || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    const digit = map.on() ? map.digit(event) : null;
    const button = buttons.find(one => digit && Number(one.dataset.digit) === digit);
    if (!button || button.disabled) return;
    event.preventDefault();
    button.click();
  });

  // A second press while the next question loads sends nothing.
  form.addEventListener("submit", event => {
    if (sent) event.preventDefault();
    sent = true;
  });
  // The browser can show this page again from its memory.
  addEventListener("pageshow", event => {
    if (event.persisted) location.reload();
  });
}
