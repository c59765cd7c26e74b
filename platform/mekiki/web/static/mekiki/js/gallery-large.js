// <dialog data-large>: a click on an image of the gallery opens it in large. The arrow keys, the buttons and a swipe
// show the previous and the next image of the same filter and order. Escape and the Back button return to the gallery,
// with the focus on the image. The neighbours are loaded in advance. Without a script the page of the image opens.

import { whenClosed } from "./dialogs.js";
import { returnFocus } from "./focus.js";
import { get } from "./http.js";

const SWIPE = 50; // pixels
const MOST_KEPT = 24; // loaded parts

const dialog = document.querySelector("[data-large]");
const grid = document.querySelector(".gallery");
const content = dialog?.querySelector("[data-large-content]");
const steps = { prev: dialog?.querySelector('[rel="prev"]'), next: dialog?.querySelector('[rel="next"]') };

const parts = new Map(); // address of the page of an image → promise of its part
let openedFrom; // the link that opened the dialog
let shown; // the figure in the dialog
let turn = 0;

function load(address) {
  if (!parts.has(address)) {
    const url = new URL(address, location.href);
    url.pathname += "large/";
    if (parts.size >= MOST_KEPT) parts.delete(parts.keys().next().value);
    parts.set(address, get(url));
  }
  return parts.get(address);
}

async function show(address) {
  const mine = ++turn;
  content.setAttribute("aria-busy", "true");
  let part;
  try {
    part = new DOMParser().parseFromString(await load(address), "text/html");
  } catch {
    part = null;
  }
  if (mine !== turn || !dialog.open) return;
  if (!part?.querySelector("[data-large-image]")) {
    location.assign(address); // the session ended, or the server cannot be reached: the page says so
    return;
  }
  content.replaceChildren(...part.body.children);
  content.removeAttribute("aria-busy");
  shown = content.querySelector("[data-large-image]");
  for (const [name, step] of Object.entries(steps)) {
    const next = shown.dataset[name];
    if (!next && document.activeElement === step) dialog.querySelector("[data-large-close]").focus();
    step.hidden = !next;
    if (!next) continue;
    step.href = next;
    new Image().src = shown.dataset[`${name}Picture`];
    load(next).catch(() => parts.delete(next));
  }
}

function open(link) {
  openedFrom = link;
  shown = undefined;
  content.replaceChildren();
  for (const step of Object.values(steps)) step.hidden = true;
  history.pushState({ large: true }, "");
  dialog.showModal();
  show(link.getAttribute("href"));
}

function takeStep(name) {
  if (shown && !steps[name].hidden && !content.hasAttribute("aria-busy"))
    show(steps[name].getAttribute("href"));
}

/** Return to the image in the gallery, which can be on another of its pages. */
function leave() {
  turn++;
  parts.clear();
  const link = shown && document.getElementById(`image-${shown.dataset.largeImage}`);
  const selects = grid.querySelector("[data-select]:checked"); // another page would lose the selection
  if (shown && !link && !selects) {
    location.replace(`${shown.dataset.page}#image-${shown.dataset.largeImage}`);
    return;
  }
  if (history.state?.large) history.back();
  returnFocus(link ?? openedFrom);
  (link ?? openedFrom).scrollIntoView({ block: "nearest" });
}

if (dialog && grid) {
  grid.addEventListener("click", event => {
    const link = event.target.closest(".gallery__item");
    if (!link || event.button || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(link);
  });
  for (const [name, step] of Object.entries(steps)) {
    step.addEventListener("click", event => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      takeStep(name);
    });
  }
  dialog.querySelector("[data-large-close]").addEventListener("click", () => dialog.close());
  dialog.addEventListener("keydown", event => {
    if (event.isComposing || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const name = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
    if (!name) return;
    event.preventDefault();
    takeStep(name);
  });
  let start;
  content.addEventListener("touchstart", event => (start = event.touches[1] ? undefined : event.touches[0]), {
    passive: true,
  });
  content.addEventListener("touchend", event => {
    const [end] = event.changedTouches;
    const across = start ? end.clientX - start.clientX : 0;
    if (Math.abs(across) > SWIPE && Math.abs(across) > 2 * Math.abs(end.clientY - start.clientY))
      takeStep(across > 0 ? "prev" : "next");
    start = undefined;
  });
  whenClosed(dialog, leave);
  window.addEventListener("popstate", () => dialog.open && dialog.close());
  // A page to which the dialog returned.
  if (location.hash.startsWith("#image-")) document.getElementById(location.hash.slice(1))?.focus();
}
