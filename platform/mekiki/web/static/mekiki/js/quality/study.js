// The station of a study: shows an image, takes one label, and sends the answer behind it. It has no prediction, no
// earlier answers and no undo.

import { whenClosed } from "../dialogs.js";
import { returnFocus } from "../focus.js";
import { Choices } from "../review/choices.js";
import { newClientKey } from "../review/client-key.js";
import { Finder } from "../review/finder.js";
import { Guide } from "../review/guide.js";
import { drawKeys } from "../review/key-hints.js";
import { KeyMap } from "../review/key-map.js";
import { listen } from "../review/keys.js";
import { LabelList } from "../review/labels.js";
import { Outbox } from "../review/outbox.js";
import { Preferences } from "../review/preferences.js";
import { foldSections } from "../review/sections.js";
import { DOUBLE_CLICK, pressedOn, Sight } from "../review/sight.js";
import { Status } from "../review/status.js";
import { load, say } from "../review/texts.js";
import { createView } from "../review/view.js";
import { Images } from "./images.js";

const root = document.querySelector("[data-station]");
const part = name => root.querySelector(`[data-${name}]`);
const dialog = name => document.querySelector(`[data-${name}-dialog]`);
load(root.dataset.texts);

// An image that does not load can be answered with "cannot judge" after this, in milliseconds.
const SLOW = 5000;
let slowTimer = 0;
let end = null;

const stage = part("stage");
const status = new Status(part);
const choices = new Choices(root.dataset.choices);
const preferences = new Preferences(root, error =>
  status.notice(say("preferences_kept_here", { reason: error.message })),
);
const map = new KeyMap(JSON.parse(root.dataset.keys), () => preferences.get("single_keys"));
const toStage = () => stage.focus({ preventScroll: true });
const view = createView(root, preferences, toStage);
foldSections(part("sections"), choices);
const sight = new Sight({
  least: Number(root.dataset.seenAfter),
  ready(item) {
    if (images.current === item) root.dataset.item = `${item.run}-${item.image}`; // It takes answers from now on.
  },
});
const pressed = pressedOn(() => images.current);
const labels = new LabelList(root, JSON.parse(root.dataset.labels), (label, event) => {
  if (meant(event)) answer(label);
});
labels.mark(null);
const finder = new Finder(root, labels, {
  current: () => images.current,
  seen: () => sight.has(images.current),
  choose: answer,
  confirm: () => false,
  refuse: key => status.hint(key),
  changed: () => {},
  away: toStage,
});
map.finder = finder;

const outbox = new Outbox({
  url: root.dataset.api.replace(/next$/, "answer"),
  prefix: root.dataset.store,
  changed: (state, n) => status.sync(state, n),
  done: (_entry, reply) => images.take(reply.next),
  wanted: () => images.count,
  refused(entry, error) {
    status.notice(say("not_kept", { reason: error.message }));
    if (error.body?.code !== "answered_before") images.forgive(entry.body);
    images.fill();
  },
});

const images = new Images({
  url: root.dataset.api,
  unsent: () => outbox.size,
  arrived(reply) {
    ({ end } = reply);
    showProgress(reply.progress);
    if (images.current) return;
    if (images.items.length) show(images.advance());
    else if (end && !outbox.size) showEnd();
    else if (!outbox.size) images.fill(); // The next run has begun.
  },
  failed(error) {
    if (error.status === 401 || error.status === 403) status.sync("login", outbox.size);
    else if (error.status === 404)
      location.reload(); // The invitation has ended.
    else if (!images.current) part("loading").textContent = say("error");
  },
});

function showProgress({ run, runs, answered, images: total }) {
  // Answers on their way belong to the same run, unless the server has begun the next one.
  const sent = outbox.entries.filter(entry => entry.body.run === run).length;
  part("run").textContent = `${run} / ${runs}`;
  part("progress").textContent = `${Math.min(total, answered + sent)} / ${total}`;
}

/** Nothing is on the screen, so nothing can be answered. */
function blank() {
  clearTimeout(slowTimer);
  sight.lose();
  delete root.dataset.item;
}

async function show(item) {
  blank();
  view.imageChanges();
  if (finder.imageChanges(item)) status.hint("type_again");
  if (!item) {
    view.clear();
    part("loading").textContent = say("loading");
    part("loading").hidden = false;
    root.classList.add("station--waiting");
    if (!outbox.sending) images.fill();
    return;
  }
  part("empty").hidden = true;
  root.classList.remove("station--empty", "station--waiting");
  const { picture } = item;
  if (picture.loaded) view.show(picture.image);
  else view.clear();
  part("loading").hidden = picture.loaded;
  part("loading").textContent = say(picture.failed ? "study_failed" : "loading");
  if (!picture.loaded && !picture.failed) {
    slowTimer = setTimeout(() => {
      part("loading").textContent = say("study_slow");
      sight.show(item, false);
    }, SLOW);
    const loaded = await picture.ready;
    if (images.current !== item) return;
    clearTimeout(slowTimer);
    part("loading").hidden = loaded;
    if (loaded) view.show(picture.image);
    else part("loading").textContent = say("study_failed");
  }
  const active = document.activeElement;
  if (!root.contains(active) || (active.closest("[data-panel]") && !finder.is(active))) toStage();
  status.announce(part("progress").textContent);
  await sight.show(item, picture.loaded);
}

function showEnd() {
  blank();
  view.clear();
  part("loading").hidden = true;
  part("empty").hidden = false;
  part("empty-text").textContent = end.text;
  root.classList.remove("station--waiting");
  root.classList.add("station--empty");
  status.announce(end.text);
}

/** Was this click meant for the image on the screen? As in the review station. */
function meant(event) {
  const item = images.current;
  if (!item) return true;
  if (pressed() === item && (event.detail < 2 || sight.has(item, DOUBLE_CLICK))) return true;
  status.hint("too_soon");
  return false;
}

/** Answer with a label, or with null: the image cannot be judged. */
function answer(label) {
  const item = images.current;
  if (!item) return false;
  if (label && !item.picture.loaded) {
    status.hint("image_wait");
    return true;
  }
  if (!sight.has(item)) {
    status.hint("too_soon");
    return true;
  }
  const body = {
    image: item.image,
    run: item.run,
    label: label?.id ?? null,
    client_key: newClientKey(),
    milliseconds: sight.milliseconds,
  };
  if (view.adjusted) body.view = view.adjusted;
  status.notice("");
  status.hideHint();
  finder.clear();
  images.pass(item);
  outbox.add(body);
  show(images.advance());
  return true;
}

const guide = new Guide(dialog("guide"), () => {
  returnFocus(stage);
  sight.again();
});

/** The guideline of the label that has the focus, beside the image. */
function showGuide() {
  const item = images.current;
  guide.open(labels.focused()?.id ?? null, item?.picture.loaded ? item : null);
}

/** Return a function that does the act and reports that it took the key. */
const always = act => () => {
  act();
  return true;
};

const acts = {
  confirm: () => false,
  skip: () => answer(null),
  flag: () => false,
  undo: always(() => status.hint("study_no_undo")),
  guide: always(showGuide),
  help: always(() => dialog("help").showModal()),
  ...view.acts,
};

root.addEventListener("click", event => {
  const name = event.target.closest("[data-act]")?.dataset.act;
  if (name in acts && (name !== "skip" || meant(event))) acts[name]();
  const tool = name?.startsWith("zoom") || name === "adjust-reset";
  if ((tool && event.detail) || name === "lens" || event.target.closest("[data-adjusted]")) toStage();
});

listen({
  act: name => acts[name]?.() ?? false,
  label(number) {
    const label = labels.byKey(number);
    if (label) return answer(label);
    status.announce(say("no_such_key", { key: number }));
    return true;
  },
  pan: (dx, dy) => view.move(dx, dy),
  finder,
  map,
});

whenClosed(dialog("help"), () => sight.again());
preferences.bind(document.querySelector("[data-keys-on]"), "single_keys", () => {
  drawKeys(root, map);
  labels.showKeys(map);
});

window.addEventListener("pageshow", event => event.persisted && location.reload());

status.sync(outbox.size ? "sending" : "saved", outbox.size);
// Answers from before a reload: the server may give their images again before it has read the answers.
for (const entry of outbox.entries) images.pass(entry.body);
outbox.run();
images.fill();
