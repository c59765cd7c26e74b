// The panel Why in the review station: which image it is about, and its keys.

import { say } from "../review/texts.js";
import { Compare } from "./compare.js";
import { Cover } from "./cover.js";
import { HeatMap } from "./heat.js";
import { WhyPanel } from "./panel.js";

/** away(): the keys belong to the image. again(): the image was covered, and is to be looked at again. lost(): the
 * lease of the image may have ended, for example by a reload whose release arrived late. */
export function createStationWhy(root, view, { away, again, lost }) {
  const box = root.querySelector("[data-why]");
  const cover = new Cover(root.querySelector("[data-why-cover]"));
  view.follow(image => cover.follow(image));
  const image = () => root.querySelector("[data-canvas] img");
  const heat = new HeatMap(box, cover, { image, laid: () => cover.follow(image()) });
  const compare = new Compare(document.querySelector("[data-why-compare]"), () => {
    away();
    again();
  });
  const panel = new WhyPanel(box, root.querySelector('[data-act="why"]'), {
    heat,
    compare,
    changed: open => root.classList.toggle("station--why", open),
    away,
  });
  // After a click of the mouse, Enter answers again. By keyboard the focus stays.
  box.addEventListener(
    "click",
    event => event.detail && !event.target.closest("input, .why__tile") && away(),
  );
  return {
    clear: () => panel.clear(),
    show(item) {
      panel.show({
        key: item.lease,
        url: box.dataset.open.replace("SHA256", item.image.sha256),
        body: { lease: item.lease },
        image: item.image,
        lost,
        refusal: item.blind ? say("why_blind") : item.prediction ? "" : say("none_predicted"),
      });
    },
    /** The id of the panel for an answer about this item; null when it is closed or still empty. */
    shownFor: item => panel.idFor(item.lease),
    acts: {
      why() {
        panel.toggle();
        return true;
      },
      heat() {
        if (!panel.open) panel.toggle(true);
        return heat.toggle();
      },
      "heat-more": () => heat.fade(1),
      "heat-less": () => heat.fade(-1),
    },
  };
}
