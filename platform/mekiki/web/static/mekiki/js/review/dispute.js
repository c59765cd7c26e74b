// The page of one disputed image: choose a label by key or finder, write the reason, rule. After the ruling, keys press
// the buttons that name them.

import { returnFocus } from "../focus.js";
import { Guide } from "./guide.js";
import { drawKeys } from "./key-hints.js";
import { composing, KeyMap, printable } from "./key-map.js";
import { LabelList } from "./labels.js";
import { Preferences } from "./preferences.js";
import { load } from "./texts.js";
import { Viewer } from "./viewer.js";

const root = document.querySelector("[data-dispute]");
const part = name => root.querySelector(`[data-${name}]`);
load(root.dataset.texts);

const labels = JSON.parse(root.dataset.labels);
const preferences = new Preferences(root);
const finder = "finder" in root.dataset;
const map = new KeyMap(JSON.parse(root.dataset.keys), () => preferences.get("single_keys"));
map.finder = { exists: finder };
const form = part("rule-form");
const find = part("find");
const note = part("note");
const stage = part("stage");
const viewer = new Viewer(stage, part("canvas"));
const guide = new Guide(document.querySelector("[data-guide-dialog]"), () => returnFocus(stage));
const picture = part("canvas").querySelector("img");
const list = form ? new LabelList(form, labels, choose) : null;
let chosen = null;
let painted = null;

picture.decode().then(() => {
  viewer.show(picture);
  requestAnimationFrame(() => (painted = performance.now()));
});
drawKeys(root, map);
list?.mark(null);
list?.showKeys(map);
const before = list?.byId(Number(root.dataset.chosen));
if (before) choose(before);

function choose(label) {
  chosen = label;
  part("label").value = label.id;
  for (const row of list.rows) row.button.setAttribute("aria-pressed", String(row.label === label));
  const words = part("rule-text");
  words.textContent = words.dataset.textRule.replace("{label}", label.name);
  part("said").textContent = label.name;
  part("rule").disabled = false;
  note.focus();
}

find?.addEventListener("input", () => list.filter(find.value));

form?.addEventListener("submit", () => {
  part("milliseconds").value = painted === null ? 0 : Math.round(performance.now() - painted);
});

function openGuide() {
  const label = chosen ?? list?.focused();
  guide.open(label?.id, { url: root.dataset.url, width: Number(root.dataset.width) });
  return true;
}
root.querySelector('[data-act="guide"]').addEventListener("click", openGuide);

const ACTS = {
  guide: openGuide,
  "zoom-in": () => viewer.in(),
  "zoom-out": () => viewer.out(),
  "zoom-fit": () => viewer.fit(),
  "zoom-actual": () => viewer.actual(),
};

document.addEventListener("keydown", event => {
  if (composing(event) || document.querySelector("dialog[open]")) return;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { key, target } = event;
  if (target === note || target === find) return void inField(event);
  if (target.closest("input:not([type=checkbox]), select, textarea")) return;
  if (key === "F2") return used(event, openGuide);
  const command = map.command(event);
  if (event.repeat && !map.repeats(command)) return;
  if (command in ACTS) return used(event, ACTS[command]);
  const label = command?.startsWith("label-") ? list?.byKey(Number(command.slice(6))) : null;
  if (label) return used(event, () => choose(label));
  if (!map.on() || !printable(event)) return;
  if (find && (key === "/" || (finder && /\p{L}/u.test(key)))) {
    return used(event, () => {
      if (key !== "/") find.value += key;
      find.focus();
      list.filter(find.value);
    });
  }
  if (finder) return;
  const button = root.querySelector(`[data-shortcut="${CSS.escape(key.toLowerCase())}"]`);
  if (button) used(event, () => button.click());
});

function used(event, act) {
  event.preventDefault();
  act();
}

/** Keys in the finder and in the reason. */
function inField(event) {
  const { key, target } = event;
  if (key === "F2") used(event, openGuide);
  else if (key === "Escape") {
    used(event, () => {
      if (target === find) {
        find.value = "";
        list.filter("");
      }
      stage.focus();
    });
  } else if (key === "Enter" && target === find) {
    const first = list.filter(find.value);
    used(event, () => first && choose(first));
  } else if (key === "Enter" && target === note && !event.shiftKey) {
    used(event, () => !event.repeat && chosen && form.requestSubmit(part("rule")));
  }
}
