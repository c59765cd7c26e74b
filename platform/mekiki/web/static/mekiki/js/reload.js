// Loads the page again when nobody uses it. A page that is loaded again moves its buttons: not while somebody points,
// types or answers a question, not where a form has been changed, and not while the browser waits for another page.

import { idleMilliseconds } from "./idle.js";

const REST = 1500;
// The browser gives up a slow page after some minutes. A download does not replace the page, so the wait has an end.
const LEAVING = 60000;

let left = -LEAVING;
let changed = false;
document.addEventListener("input", () => (changed = true), { capture: true });
window.addEventListener("beforeunload", () => (left = performance.now()));
window.addEventListener("pageshow", () => (left = -LEAVING));

/** Milliseconds until the page may be loaded again, if nothing happens until then. */
function rest() {
  if (document.querySelector("dialog[open]")) return REST;
  return Math.max(REST - idleMilliseconds(), left + LEAVING - performance.now());
}

export function reloadAtRest() {
  if (changed) return;
  const wait = rest();
  if (wait > 0) setTimeout(reloadAtRest, Math.min(wait, REST));
  else location.reload();
}

// The server asks for it with the header HX-Trigger, in answer to a part of the page that htmx polls.
document.addEventListener("mekiki:reload", reloadAtRest);
