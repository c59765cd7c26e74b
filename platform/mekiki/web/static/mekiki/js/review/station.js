// The review station: shows an image, takes one key, shows the next at once, and sends the answer behind it.

import { whenClosed } from "../dialogs.js";
import { returnFocus } from "../focus.js";
import { createStationWhy } from "../why/station.js";
import { Choices } from "./choices.js";
import { newClientKey } from "./client-key.js";
import { Finder } from "./finder.js";
import { FlagDialog } from "./flag.js";
import { Guide } from "./guide.js";
import { History } from "./history.js";
import { HistoryDialog } from "./history-dialog.js";
import { drawKeys } from "./key-hints.js";
import { KeyMap } from "./key-map.js";
import { listen } from "./keys.js";
import { LabelList } from "./labels.js";
import { Outbox } from "./outbox.js";
import { Pace } from "./pace.js";
import { Preferences } from "./preferences.js";
import { Scans, waitFor } from "./scans.js";
import { Screen } from "./screen.js";
import { foldSections } from "./sections.js";
import { Session } from "./session.js";
import { DOUBLE_CLICK, pressedOn, Sight } from "./sight.js";
import { SkipMenu } from "./skip-menu.js";
import { Status } from "./status.js";
import { Supply } from "./supply.js";
import { Swipe } from "./swipe.js";
import { load, say } from "./texts.js";
import { Undo } from "./undo.js";
import { createView } from "./view.js";

const root = document.querySelector("[data-station]");
const part = name => root.querySelector(`[data-${name}]`);
const dialog = name => document.querySelector(`[data-${name}-dialog]`);
load(root.dataset.texts);

const base = root.dataset.api.replace(/next$/, "");
const pace = new Pace();
const status = new Status(part, pace);

const stage = part("stage");
const choices = new Choices(root.dataset.choices);
const preferences = new Preferences(root, error =>
  status.notice(say("preferences_kept_here", { reason: error.message })),
);
const map = new KeyMap(JSON.parse(root.dataset.keys), () => preferences.get("single_keys"));
const toStage = () => stage.focus({ preventScroll: true });
const view = createView(root, preferences, toStage);
foldSections(part("sections"), choices);
const why = createStationWhy(root, view, { away: toStage, again: () => sight.again(), lost: () => back() });
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
  refuse: key => status.hint(key),
  changed: () => showKeys(),
  away: toStage,
});
map.finder = finder;
const history = new History(part("history-list"), JSON.parse(root.dataset.history), {
  undoKey: () => map.text("undo"),
  open: entry => answers.open(entry),
});

const outbox = new Outbox({
  url: `${base}answer`,
  prefix: root.dataset.store,
  changed: (state, n) => status.sync(state, n),
  done(entry, reply) {
    history.saved(entry.body.client_key, reply.decision);
    status.waiting(reply.waiting);
    if (reply.late) status.notice(say("late"));
    if (reply.next) supply.take({ ...reply.next, waiting: reply.waiting });
    else supply.fill();
  },
  wanted: () => supply.count(outbox.size - 1),
  refused(entry, error) {
    status.notice(say("not_kept", { reason: error.message }));
    const past = history.entries.find(one => one.key === entry.body.client_key);
    if (past) history.drop(past);
    if (entry.body.kind !== "skip") counted(-1);
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
    status.waiting(reply.waiting);
    takeToday(reply);
    if (supply.current) return;
    if (fresh || supply.items.length) screen.show(supply.advance());
    else screen.empty(reply.empty, outbox.size > 0);
  },
  renewed: takeToday,
  failed(error) {
    if (error.status === 401 || error.status === 403) status.sync("login", outbox.size);
    else if (!supply.current) part("loading").textContent = say("error");
    if (!supply.current) screen.poll();
  },
});

const screen = new Screen({
  root,
  part,
  supply,
  view,
  finder,
  labels,
  sight,
  status,
  why,
  away: toStage,
});

/** The keys of the commands, on their buttons, in the help and for screen readers. */
function showKeys() {
  drawKeys(root, map);
  labels.showKeys(map);
  history.draw();
}

/** An answer was given (1) or taken back (-1). */
function counted(change) {
  status.countToday(change);
  session.count(change);
  if (change > 0) pace.add();
  else pace.takeBack();
  status.rate();
}

/** Show the server's count of today's answers. A reply to an answer has none: this page has counted the answer. */
function takeToday(reply) {
  if (reply.answered_today === undefined || outbox.size || undo.busy) return;
  status.setToday(reply.answered_today);
}

/** Was this click meant for the image on the screen? Not when it changed between press and release, nor for the second
 * click of a double click on an image that has just come. */
function meant(event) {
  const item = supply.current;
  if (!item) return true;
  if (pressed() === item && (event.detail < 2 || sight.has(item, DOUBLE_CLICK))) return true;
  status.hint("too_soon");
  return false;
}

function answer(kind, label = null, note = "", reason = "") {
  const item = supply.current;
  if (!item || undo.busy || root.classList.contains("station--waiting")) return false;
  const judged = kind === "confirm" || kind === "correct";
  if (judged && !item.picture.loaded) {
    status.hint("image_wait");
    return true;
  }
  if (!sight.has(item)) {
    status.hint("too_soon");
    return true;
  }
  if (kind === "confirm" && !item.prediction) {
    status.hint(item.blind ? "blind" : "none_predicted");
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
  status.notice("");
  status.hideHint();
  finder.clear();
  outbox.add(body);
  screen.show(supply.advance());
  history.add({
    kind: said,
    label: name,
    name: item.image.name,
    thumb: item.image.thumb_url,
    key: body.client_key,
    item,
  });
  if (kind !== "skip") counted(1);
  return true;
}

const undo = new Undo({ url: `${base}undo`, outbox, supply, history, sight, status, screen, counted });

/** Open the menu of reasons, for the image on the screen. */
function openSkipMenu() {
  const item = supply.current;
  if (!item || undo.busy || root.classList.contains("station--waiting")) return false;
  if (sight.has(item)) skipMenu.open(item);
  else status.hint("too_soon");
  return true;
}

const skipMenu = new SkipMenu(dialog("skip"), {
  digit: event => (map.on() ? map.digit(event) : null),
  again: event => map.is(event, "skip"),
  skip(item, reason, note) {
    if (supply.current === item) answer("skip", null, note, reason);
    else status.notice(say("skip_lost"));
  },
  closed(skipped) {
    returnFocus(stage);
    if (!skipped) sight.again();
  },
});

const flagDialog = new FlagDialog(dialog("flag"), {
  cancelled: () => sight.again(),
  closed: () => returnFocus(stage),
  send(item, note, reason) {
    if (supply.current && supply.current.item === item.item) answer("flag", null, note, reason);
    else status.notice(say("flag_lost"));
  },
});

function flag() {
  const item = supply.current;
  if (!item || undo.busy) return false;
  if (!sight.has(item)) {
    status.hint("too_soon");
    return true;
  }
  flagDialog.open(item);
  return true;
}

whenClosed(dialog("help"), () => sight.again());

/** A dialog is gone: the image is looked at again. */
function uncovered() {
  returnFocus(stage);
  sight.again();
}

const guide = new Guide(dialog("guide"), uncovered);

const answers = new HistoryDialog(dialog("history"), {
  labels: labels.labels,
  map,
  least: Number(root.dataset.seenAfter),
  settled: () => outbox.settled(),
  corrected(before, after) {
    const past = history.entries.find(one => one.decision === before.decision);
    if (past) history.drop(past);
    const { kind, image } = after;
    history.add({
      kind,
      label: after.label_name,
      name: image.name,
      thumb: image.thumb_url,
      decision: after.decision,
    });
    if (before.kind !== "skip") return;
    counted(1);
    if (supply.drop(image.sha256)) screen.show(supply.advance());
  },
  closed: uncovered,
});

const session = new Session(part, dialog("session"), {
  preferences,
  pace,
  status,
  reached: Number(root.dataset.goalReached),
  closed: uncovered,
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
  undo: always(() => undo.run()),
  guide: always(showGuide),
  history: always(() => answers.open()),
  session: always(() => session.open()),
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
    status.announce(say("no_such_key", { key: number }));
    return true;
  },
  pan: (dx, dy) => view.move(dx, dy),
  finder,
  map,
});
showKeys();
skipMenu.showKeys(number => map.digitText(number));
preferences.bind(document.querySelector("[data-keys-on]"), "single_keys");

new Scans({
  state: () => ({
    key: history.last?.key,
    item: supply.current?.item,
    dialog: document.querySelector("dialog[open]"),
  }),
  back(before) {
    for (const open of document.querySelectorAll("dialog[open]")) if (open !== before.dialog) open.close();
    undo.takeBackAfter(before.key);
  },
  async choose(code, before) {
    const label = labels.named(code);
    const ready = () => !undo.busy && supply.current?.item === before.item && sight.has(supply.current);
    if (document.querySelector("dialog[open]")) return;
    if (!label) status.hint("scan_unknown", { code });
    else if (await waitFor(ready)) answer("correct", label);
    else status.hint("type_again");
  },
  unknown: code => status.hint("scan_unknown", { code }),
});

new Swipe(part("canvas"), part("swipe"), part("swipe-help"), {
  choices,
  current: () => supply.current,
  movable: () => view.movable,
  right: item => (supply.current === item ? answer("confirm") : status.hint("too_soon")),
  left: () => labels.goTo(),
  words: () => part("confirm-text").textContent || say("none_predicted"),
});

async function back() {
  supply.touch();
  if (document.hidden || !supply.current) return;
  if (await supply.check()) return;
  const lost = supply.current;
  supply.current = null;
  screen.blank();
  // What is typed or pressed at this moment was meant for the image that is gone.
  finder.deafen();
  await supply.fill();
  if (supply.current && supply.current.item !== lost.item) status.notice(say("lost"));
}

for (const name of ["keydown", "pointerdown", "pointermove"]) {
  document.addEventListener(name, () => supply.touch(), { passive: true });
}
document.addEventListener("visibilitychange", () => document.hidden || back());
window.addEventListener("pageshow", event => {
  if (!event.persisted) return;
  supply.items = [];
  supply.current = null;
  screen.blank();
  supply.fill();
});

status.sync(outbox.size ? "sending" : "saved", outbox.size);
// Answers from before a reload: the server may still give their images before it has read them.
for (const lease of outbox.leases()) supply.gone.add(lease);
outbox.run();
supply.fill();
if (guide.isFirst) guide.open(null, null);
