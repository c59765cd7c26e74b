// How the image is looked at: zoom, lens and adjustments, with what is kept for the next image.

import { Adjustments } from "./adjustments.js";
import { Magnifier } from "./magnifier.js";
import { Viewer } from "./viewer.js";
import { ZoomBar } from "./zoombar.js";

/** Return a function that does the act and reports that it took the key. */
const always = act => () => {
  act();
  return true;
};

/** preferences: of the person. away(): the keys belong to the image again. */
export function createView(root, preferences, away) {
  const part = name => root.querySelector(`[data-${name}]`);
  const followers = [];
  const bar = new ZoomBar(root);
  const viewer = new Viewer(part("stage"), part("canvas"), () => {
    bar.draw(viewer);
    magnifier.draw();
    for (const follow of followers) follow(viewer.image);
  });
  const magnifier = new Magnifier(part("stage"), viewer, {
    lens: part("lens"),
    button: root.querySelector('[data-act="lens"]'),
    canvas: part("canvas"),
  });
  const adjustments = new Adjustments(root, [part("canvas"), part("lens")], away);
  preferences.bind(part("keep-zoom"), "keep_zoom", on => (viewer.keep = on));
  preferences.bind(part("keep-adjustments"), "keep_adjustments", on => (adjustments.keep = on));

  return {
    show: image => viewer.show(image),
    clear: () => viewer.clear(),
    /** follow(image): called when the image, its zoom or its place changed; the image carries its transform. */
    follow: follow => followers.push(follow),
    imageChanges: () => adjustments.imageChanges(),
    /** Does a finger or the pointer move the image, or the lens over it? */
    get movable() {
      return viewer.movable || viewer.still;
    },
    /** What differs from the original, as an answer sends it; null when nothing does. */
    get adjusted() {
      return adjustments.value;
    },
    /** An arrow key moves the lens, or an enlarged image. False when there is nothing to move. */
    move(dx, dy) {
      if (magnifier.move(-dx / 4, -dy / 4)) return true;
      if (!viewer.movable) return false;
      viewer.pan(dx, dy);
      return true;
    },
    acts: {
      "zoom-in": always(() => viewer.in()),
      "zoom-out": always(() => viewer.out()),
      "zoom-fit": always(() => viewer.fit()),
      "zoom-actual": always(() => viewer.actual()),
      lens: always(() => magnifier.pin()),
      "lens-hold": () => magnifier.hold(true),
      "lens-release": () => magnifier.hold(false),
      adjust: always(() => adjustments.toggle()),
      "adjust-reset": always(() => adjustments.reset()),
      escape: () => magnifier.pin(false) || adjustments.close(),
    },
  };
}
