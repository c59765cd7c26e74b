// Why there is no image to review, how far the work has got that brings some, and where to go.

import { write } from "./texts.js";

/** Show the reason. True when its text is another than before. */
export function drawEmpty(part, empty) {
  const before = part("empty-text").textContent;
  part("empty").hidden = false;
  write(part("empty-text"), empty.text);
  part("empty-undo").hidden = !empty.may_undo;
  const progress = part("empty-progress");
  progress.hidden = empty.code !== "working";
  if (empty.progress === null) progress.removeAttribute("value");
  else progress.value = empty.progress;
  const link = part("empty-link");
  link.hidden = !empty.url;
  write(link, empty.link);
  if (empty.url) link.href = empty.url;
  return before !== empty.text;
}
