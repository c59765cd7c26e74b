// The review station: shows an image, takes one key, shows the next at once, and sends the answer behind it.

import { post } from "../http.js";
import { createStationWhy } from "../why/station.js";
import { Choices } from "./choices.js";
import { newClientKey } from "./client-key.js";
import { drawEmpty } from "./empty.js";
import { Finder } from "./finder.js";
import { FlagDialog } from "./flag.js";
import { Guide } from "./guide.js";
import { History } from "./history.js";
import { keysOn, listen, NAMES, setKeysOn } from "./keys.js";
import { LabelList } from "./labels.js";
import { Outbox } from "./outbox.js";
import { Pace } from "./pace.js";
import { showMetadata, showPrediction, spoken } from "./panel.js";
import { foldSections } from "./sections.js";
import { DOUBLE_CLICK, pressedOn, Sight } from "./sight.js";
import { SkipMenu } from "./skip-menu.js";
import { Supply } from "./supply.js";
import { load, say } from "./texts.js";
import { createView } from "./view.js";

const root = document.querySelector("[data-station]");
const part = name => root.querySelector(`[data-${name}]`);
const dialog = name => document.querySelector(`[data-${name}-dialog]`);
load(root.dataset.texts);

const base = root.dataset.api.replace(/next$/, "");
// An image that does not load can be skipped after this, in milliseconds.
const SLOW = 5000;
const pace = new Pace();
let today = 0;
let slowTimer = 0;
let undoing = false;
let pollTimer = 0;
let pollPause = 2000;

const stage = part("stage");
const choices = new Choices(root.dataset.choices);
const toStage = () => stage.focus({ preventScroll: true });
const view = createView(root, choices, toStage);
foldSections(part("sections"), choices);
const why = createStationWhy(root, view, { away: toStage, again: () => sight.again() });
const sight = new Sight({
  least: Number(root.dataset.seenAfter),
  ready(item) {
    if (supply.current === item) root.dataset.item = String(item.item); // It takes answers from now on.
  },
});
const pressed = pressedOn(() => supply.current);
const labels = new LabelList(root, JSON.parse(root.dataset.labels), (label, event) => {
  if (meant(event)) answer("correct", label);
});
const finder = new Finder(root, labels, {
  current: () => supply.current,
  seen: () => sight.has(supply.current),
  choose: label => answer("correct", label),
  confirm: () => answer("confirm"),
  refuse: hint,
  changed: () => showKeys(),
  away: toStage,
});
const keyOf = act => NAMES[act][finder.exists ? "chord" : "letter"];
const history = new History(part("history-list"), JSON.parse(root.dataset.history), () => keyOf("undo"));

const outbox = new Outbox({
  url: `${base}answer`,
  prefix: root.dataset.store,
  changed: showSync,
  done(_entry, reply) {
    showWaiting(reply.waiting);
    if (reply.late) notice(say("late"));
    if (reply.next) supply.take({ ...reply.next, waiting: reply.waiting });
    else supply.fill();
  },
  wanted: () => supply.count(outbox.size - 1),
  refused(entry, error) {
    notice(say("not_kept", { reason: error.message }));
    const past = history.entries.find(one => one.key === entry.body.client_key);
    if (past) history.drop(past);
    countToday(entry.body.kind === "skip" ? 0 : -1);
    supply.forgive(entry.body.lease);
    supply.fill();
  },
});

const supply = new Supply({
  base,
  leaseSeconds: Number(root.dataset.leaseSeconds),
  unsent: () => outbox.leases(),
  coming: () => outbox.sending,
  arrived(reply, fresh) {
    showWaiting(reply.waiting);
    takeToday(reply);
    if (supply.current) return;
    if (fresh || supply.items.length) show(supply.advance());
    else showEmpty(reply.empty, outbox.size > 0);
  },
  renewed: takeToday,
  failed(error) {
    if (error.status === 401 || error.status === 403) showSync("login", outbox.size);
    else if (!supply.current) part("loading").textContent = say("error");
    if (!supply.current) poll();
  },
});

function announce(text) {
  part("said").textContent = text;
}

let hintTimer = 0;

/** Say for a moment, beside the image, why a key or a click did nothing. */
function hint(key) {
  const box = part("hint");
  box.textContent = say(key);
  box.hidden = false;
  announce("");
  announce(say(key));
  clearTimeout(hintTimer);
  hintTimer = setTimeout(() => (box.hidden = true), 4000);
}

/** The keys of the acts, on their buttons and for screen readers: letters, or with a finder the others. */
function showKeys() {
  for (const [act, { letter, chord, aria }] of Object.entries(NAMES)) {
    for (const button of root.querySelectorAll(`button[data-act="${act}"]`)) {
      const key = button.querySelector("kbd");
      if (key) key.textContent = finder.exists ? chord : letter;
      button.setAttribute("aria-keyshortcuts", finder.exists ? aria : `${letter} ${aria}`);
    }
  }
  history.draw();
}

function notice(text) {
  part("notice").hidden = !text;
  part("notice-text").textContent = text;
  if (text) announce(text);
}

function showWaiting(n) {
  part("waiting").textContent = String(n);
}

function countToday(change) {
  today = Math.max(0, today + change);
  part("today").textContent = String(today);
}

/** Show the server's count of today's answers. A reply to an answer has none: this page has counted the answer. */
function takeToday(reply) {
  if (reply.answered_today === undefined || outbox.size || undoing) return;
  today = reply.answered_today;
  countToday(0);
}

function showRate() {
  part("rate-box").hidden = pace.hourly === null;
  part("rate").textContent = say("per_hour", { n: pace.hourly ?? 0 });
}

function showSync(state, n) {
  const box = part("sync");
  box.dataset.state = state;
  part("sync-text").textContent = say(state, { n });
  part("sync-login").hidden = state !== "login";
}

/** Nothing is on the screen, so nothing can be answered. */
function blank() {
  clearTimeout(slowTimer);
  sight.lose();
  why.clear();
  delete root.dataset.item;
  delete root.dataset.painted;
}

async function show(item, first = "") {
  clearTimeout(pollTimer);
  pollPause = 2000;
  blank();
  view.imageChanges();
  const interrupted = finder.imageChanges(item);
  if (interrupted) hint("type_again");
  if (!item) {
    view.clear();
    part("loading").textContent = say("loading");
    part("loading").hidden = false;
    root.classList.add("station--waiting");
    supply.fill();
    return;
  }
  part("empty").hidden = true;
  root.classList.remove("station--empty", "station--waiting");
  showPrediction(part("prediction"), item, labels);
  labels.mark(item.prediction);
  const confirm = root.querySelector('[data-act="confirm"]');
  // Its room stays, so that the labels do not move.
  confirm.hidden = false;
  confirm.classList.toggle("station__confirm--none", !item.prediction);
  part("confirm-text").textContent = item.prediction ? say("confirm", { label: item.prediction.name }) : "";
  confirm.title = item.prediction?.name ?? "";
  showMetadata(part("meta"), item);
  const { picture } = item;
  if (picture.loaded) view.show(picture.image);
  else view.clear();
  part("loading").hidden = picture.loaded;
  part("loading").textContent = say(picture.failed ? "image_failed" : "loading");
  if (!picture.loaded && !picture.failed) {
    slowTimer = setTimeout(() => {
      part("loading").textContent = say("image_slow");
      sight.show(item, false);
    }, SLOW);
    const loaded = await picture.ready;
    if (supply.current !== item) return;
    clearTimeout(slowTimer);
    part("loading").hidden = loaded;
    if (loaded) view.show(picture.image);
    else part("loading").textContent = say("image_failed");
  }
  const active = document.activeElement;
  if (!root.contains(active) || (active.closest("[data-panel]") && !finder.is(active))) {
    toStage();
  }
  const before = [interrupted && say("type_again"), first, view.adjusted && say("adjusted")];
  announce([...before, spoken(item, labels)].filter(Boolean).join(" "));
  const painted = await sight.show(item, picture.loaded);
  if (painted) root.dataset.painted = String(item.item);
  if (painted) why.show(item); // only now, so that the panel delays no image
}

function showEmpty(empty, sending) {
  blank();
  view.clear();
  if (finder.imageChanges(null)) hint("type_again");
  part("loading").hidden = true;
  if (!empty || sending) {
    poll(500);
    return;
  }
  root.classList.remove("station--waiting");
  root.classList.add("station--empty");
  if (drawEmpty(part, empty)) announce(empty.text);
  poll();
}

function poll(pause = pollPause) {
  clearTimeout(pollTimer);
  pollPause = Math.min(pollPause * 1.3, 15000);
  pollTimer = setTimeout(() => (document.hidden ? poll() : supply.fill()), pause);
}

/** Was this click meant for the image on the screen? Not when it changed between press and release, nor for the second
 * click of a double click on an image that has just come. */
function meant(event) {
  const item = supply.current;
  if (!item) return true;
  if (pressed() === item && (event.detail < 2 || sight.has(item, DOUBLE_CLICK))) return true;
  hint("too_soon");
  return false;
}

function answer(kind, label = null, note = "", reason = "") {
  const item = supply.current;
  if (!item || undoing || root.classList.contains("station--waiting")) return false;
  const judged = kind === "confirm" || kind === "correct";
  if (judged && !item.picture.loaded) {
    hint("image_wait");
    return true;
  }
  if (!sight.has(item)) {
    hint("too_soon");
    return true;
  }
  if (kind === "confirm" && !item.prediction) {
    announce(say(item.blind ? "blind" : "none_predicted"));
    return true;
  }
  // The predicted label by its own key is a confirmation.
  const confirmed = kind === "confirm" || (judged && item.prediction?.label === label.id);
  const said = confirmed ? "confirm" : kind;
  const name = confirmed ? item.prediction.name : (label?.name ?? "");
  const body = {
    item: item.item,
    lease: item.lease,
    kind: said,
    label: confirmed ? item.prediction.label : (label?.id ?? null),
    note,
    reason,
    client_key: newClientKey(),
    milliseconds: sight.milliseconds,
  };
  if (view.adjusted) body.view = view.adjusted;
  body.why = why.shownFor(item);
  notice("");
  part("hint").hidden = true;
  finder.clear();
  outbox.add(body);
  show(supply.advance());
  history.add({
    kind: said,
    label: name,
    name: item.image.name,
    thumb: item.image.thumb_url,
    key: body.client_key,
    item,
  });
  if (kind !== "skip") {
    pace.add();
    countToday(1);
    showRate();
  }
  return true;
}

async function undo() {
  if (undoing) return;
  // A key pressed twice takes back one answer: the next undo needs a look at the image that came back.
  if (supply.current?.back && !sight.has(supply.current)) {
    hint("too_soon");
    return;
  }
  undoing = true;
  notice("");
  try {
    const { last } = history;
    if (last?.key && outbox.takeBack(last.key)) {
      supply.gone.delete(last.item.lease);
      bringBack(last.item, last);
      return;
    }
    if (!(await outbox.settled())) {
      notice(say("undo_wait"));
      return;
    }
    const reply = await undoOnServer({ client_key: newClientKey() });
    bringBack(reply.item, history.last, reply.undone);
  } catch (error) {
    if (error.body?.code === "nothing_to_undo") notice(say("nothing_to_undo"));
    else if (error.status === 401 || error.status === 403) showSync("login", outbox.size);
    else notice(error.message || say("undo_wait"));
  } finally {
    undoing = false;
  }
}

/** A lost reply is asked for again under the same key, so that one press undoes one answer. */
async function undoOnServer(body, tries = 3) {
  try {
    return await post(`${base}undo`, body);
  } catch (error) {
    if (error.status || tries <= 1) throw error;
    await new Promise(resolve => setTimeout(resolve, 700));
    return undoOnServer(body, tries - 1);
  }
}

function bringBack(item, past, undone = past?.kind) {
  if (past) history.drop(past);
  if (undone !== "skip") countToday(-1);
  if (!item) {
    notice(say("undone_elsewhere"));
    return;
  }
  item.back = true;
  supply.putFirst(item);
  show(supply.advance(), say("undone"));
}

/** Open the menu of reasons, for the image on the screen. */
function openSkipMenu() {
  const item = supply.current;
  if (!item || undoing || root.classList.contains("station--waiting")) return false;
  if (sight.has(item)) skipMenu.open(item);
  else hint("too_soon");
  return true;
}

const skipMenu = new SkipMenu(dialog("skip"), {
  digits: keysOn,
  letters: () => !finder.exists && keysOn(),
  skip(item, reason, note) {
    if (supply.current === item) answer("skip", null, note, reason);
    else notice(say("skip_lost"));
  },
  closed(skipped) {
    if (!finder.is(document.activeElement)) toStage();
    if (!skipped) sight.again();
  },
});

const flagDialog = new FlagDialog(dialog("flag"), {
  cancelled: () => sight.again(),
  closed: toStage,
  send(item, note, reason) {
    if (supply.current && supply.current.item === item.item) answer("flag", null, note, reason);
    else notice(say("flag_lost"));
  },
});

function flag() {
  const item = supply.current;
  if (!item || undoing) return false;
  if (!sight.has(item)) {
    hint("too_soon");
    return true;
  }
  flagDialog.open(item);
  return true;
}

dialog("help").addEventListener("close", () => sight.again());

const guide = new Guide(dialog("guide"), () => {
  toStage();
  sight.again();
});

/** The guideline of the label that has the focus, or of the predicted label, beside the image. */
function showGuide() {
  const item = supply.current;
  const focused = labels.focused();
  guide.open(focused?.id ?? item?.prediction?.label ?? null, item?.picture.loaded ? item.image : null);
}

/** Return a function that does the act and reports that it took the key. */
const always = act => () => {
  act();
  return true;
};

const acts = {
  confirm: () => answer("confirm"),
  skip: openSkipMenu,
  flag,
  undo: always(undo),
  guide: always(showGuide),
  help: always(() => dialog("help").showModal()),
  ...why.acts,
  ...view.acts,
};

root.addEventListener("click", event => {
  const name = event.target.closest("[data-act]")?.dataset.act;
  if (name in acts && (!["confirm", "skip", "flag"].includes(name) || meant(event))) acts[name]();
  // After a click on the picture's buttons the keys belong to the picture again. The arrow keys move the lens.
  const tool = name?.startsWith("zoom") || ["adjust-reset", "why"].includes(name);
  if ((tool && event.detail) || name === "lens" || event.target.closest("[data-adjusted]")) toStage();
});

listen({
  act: name => acts[name](),
  label(number) {
    const label = labels.byKey(number);
    if (label) return answer("correct", label);
    announce(say("no_such_key", { key: number }));
    return true;
  },
  pan: (dx, dy) => view.move(dx, dy),
  finder,
});
showKeys();

const keysBox = document.querySelector("[data-keys-on]");
keysBox.checked = keysOn();
keysBox.addEventListener("change", () => setKeysOn(keysBox.checked));

async function back() {
  supply.touch();
  if (document.hidden || !supply.current) return;
  if (await supply.check()) return;
  const lost = supply.current;
  supply.current = null;
  blank();
  // What is typed or pressed at this moment was meant for the image that is gone.
  finder.deafen();
  await supply.fill();
  if (supply.current && supply.current.item !== lost.item) notice(say("lost"));
}

for (const name of ["keydown", "pointerdown", "pointermove"]) {
  document.addEventListener(name, () => supply.touch(), { passive: true });
}
document.addEventListener("visibilitychange", () => document.hidden || back());
window.addEventListener("pageshow", event => {
  if (!event.persisted) return;
  supply.items = [];
  supply.current = null;
  blank();
  supply.fill();
});

showSync(outbox.size ? "sending" : "saved", outbox.size);
// Answers from before a reload: the server may still give their images before it has read them.
for (const lease of outbox.leases()) supply.gone.add(lease);
outbox.run();
supply.fill();
if (guide.isFirst) guide.open(null, null);
