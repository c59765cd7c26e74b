// The panel Why on the page of an image.

import { load } from "../review/texts.js";
import { Compare } from "./compare.js";
import { Cover } from "./cover.js";
import { HeatMap } from "./heat.js";
import { WhyPanel } from "./panel.js";

const box = document.querySelector("[data-why]");

if (box) {
  load(box.dataset.texts);
  const image = document.querySelector("[data-why-image]");
  const cover = new Cover(document.querySelector("[data-why-cover]"));
  const place = () => cover.followBox(image);
  new ResizeObserver(place).observe(image);
  const heat = new HeatMap(box, cover, { image: () => image, laid: place });
  const button = document.querySelector("[data-why-button]");
  const compare = new Compare(document.querySelector("[data-why-compare]"), () => {});
  const panel = new WhyPanel(box, button, { heat, compare, changed: () => {}, away: () => button.focus() });
  button.hidden = false;
  button.addEventListener("click", () => panel.toggle());
  panel.show({ key: "page", url: box.dataset.open, body: {}, image: { url: image.src }, refusal: "" });
}
