// A question of the requalification test: label keys, and no answer before the image was seen.

// As in the station: an answer counts only if the image was on the screen this long, in milliseconds.
const SEEN_AFTER = 200;

const root = document.querySelector("[data-question]");
if (root) {
  const form = root.querySelector("[data-question-form]");
  const image = root.querySelector("[data-question-image]");
  const buttons = [...form.querySelectorAll("button")];
  let sent = false;

  for (const button of buttons) button.disabled = true;
  const enable = () =>
    setTimeout(() => {
      for (const button of buttons) button.disabled = false;
    }, SEEN_AFTER);
  if (image.complete) enable();
  else image.addEventListener("load", enable, { once: true });

  document.addEventListener("keydown", event => {
    if (event.repeat || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const button = buttons.find(one => one.dataset.key === event.key);
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
