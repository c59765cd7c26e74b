// The person's keys on the buttons, in the help, and for screen readers.

/** Write the keys of the commands on the buttons of root, and in every <kbd data-key> of the page. */
export function drawKeys(root, map) {
  for (const act of map.acts) {
    for (const button of root.querySelectorAll(`button[data-act="${act}"], button[data-mark="${act}"]`)) {
      const key = button.querySelector("kbd");
      if (key) key.textContent = map.text(act);
      if (key) button.setAttribute("aria-keyshortcuts", map.aria(act));
    }
  }
  for (const key of document.querySelectorAll("kbd[data-key]")) {
    key.textContent = map.single(key.dataset.key);
    key.hidden = !key.textContent;
  }
}
