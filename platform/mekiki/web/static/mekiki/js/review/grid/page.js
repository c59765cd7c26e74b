// The grid review: a page of images with one predicted label, marks on the ones that differ, one key for the rest.

import { whenClosed } from "../../dialogs.js";
import { post } from "../../http.js";
import { drawEmpty } from "../empty.js";
import { FlagDialog } from "../flag.js";
import { drawKeys } from "../key-hints.js";
import { KeyMap } from "../key-map.js";
import { HOLD } from "../outbox.js";
import { Preferences } from "../preferences.js";
import { Scans } from "../scans.js";
import { load, say } from "../texts.js";
import { Choices } from "./choices.js";
import { listen } from "./keys.js";
import { Leases } from "./leases.js";
import { Looking } from "./looking.js";
import { Menu } from "./menu.js";
import { Tiles } from "./tiles.js";
import { Unsent } from "./unsent.js";

const root = document.querySelector("[data-grid]");
const part = name => root.querySelector(`[data-${name}]`);
const help = document.querySelector("[data-help-dialog]");
const labels = JSON.parse(root.dataset.labels);
load(root.dataset.texts);
const preferences = new Preferences(root, error =>
  notice(say("preferences_kept_here", { reason: error.message })),
);
const map = new KeyMap(JSON.parse(root.dataset.keys), () => preferences.get("single_keys"));

const grid = root.dataset.api.replace(/next$/, "");
const base = grid.replace(/grid\/$/, "");
// A key pressed twice undoes one page: the next undo needs a look at the page that came back.
const BEFORE_UNDO = 500;

let label = null; // {label, name} of the page on the screen
let busy = false; // a page is being loaded, sent or undone
let back = false; // this page came back by an undo
let turns = 0; // requests for a page; only the last one is shown
let undoKey = ""; // of an undo whose reply was lost
let held = null; // an undo that waits for a moment, because the first key of a barcode is no command (scans.js)
let pollTimer = 0;
let pollPause = 2000;

const looking = new Looking({
  covered: () => document.querySelector("dialog[open]") !== null,
  changed: showProgress,
});
const tiles = new Tiles(part("tiles"), { open, settled });
const menu = new Menu(document.querySelector("[data-grid-menu]"), labels, {
  map,
  choose: (tile, kind, chosen) => (kind === "flag" ? flag(tile) : setMark(tile, kind, chosen)),
  closed: () => tiles.focus(),
});
const flagDialog = new FlagDialog(document.querySelector("[data-flag-dialog]"), {
  closed: () => tiles.focus(),
  cancelled() {},
  send: (tile, note, reason) => setMark(tile, "flag", null, { reason, note, name: flagDialog.reasons.name }),
});
const choices = new Choices(root, root.dataset.store, {
  another: () => leave().then(() => next()),
  resized: showSize,
});
const unsent = new Unsent({
  url: `${grid}answer`,
  key: root.dataset.unsent,
  more: () => ({ next: choices.wanted }),
  done: recorded,
  refused(_body, error) {
    busy = false;
    notice(say("grid_failed", { reason: error.message }));
    if (!tiles.all.length) next();
  },
  waits(why) {
    notice(say(`grid_${why}`), why === "login");
  },
});
const leases = new Leases({
  base,
  seconds: Number(root.dataset.leaseSeconds),
  held: () => tiles.all.map(tile => tile.item.lease),
  kept: () => unsent.body?.tiles.map(tile => tile.lease) ?? [],
  lost(gone) {
    if (busy || unsent.body) return;
    const lost = tiles.all.filter(tile => gone.has(tile.item.lease));
    for (const tile of lost) looking.forget(tile);
    tiles.remove(lost);
    notice(say("grid_lost", { n: lost.length }));
    showButton();
    if (!tiles.all.length) next();
  },
});

function announce(text) {
  part("said").textContent = "";
  part("said").textContent = text;
}

function notice(text, login = false) {
  part("notice").hidden = !text;
  part("notice-text").textContent = text;
  part("login").hidden = !login;
  if (text) announce(text);
}

function showSize() {
  part("tiles").dataset.tileSize = choices.size.value;
}

/** Take the page off the screen and give its images back. */
async function leave() {
  const given = leases.release();
  clear();
  await given;
}

function clear() {
  clearTimeout(pollTimer);
  looking.stop();
  tiles.show([]);
  part("bar").hidden = true;
  part("empty").hidden = true;
  delete root.dataset.ready;
}

async function next(wanted = {}, first = "") {
  if (unsent.body) return;
  const turn = ++turns;
  busy = true;
  performance.mark("grid-asked");
  clear();
  part("loading").hidden = false;
  try {
    const reply = await post(`${grid}next`, { ...choices.wanted, ...wanted });
    if (turn === turns) show(reply, first);
  } catch (error) {
    if (turn !== turns) return;
    if (error.status === 401 || error.status === 403) notice(say("grid_login"), true);
    else if (error.status) notice(error.message);
    else part("loading").textContent = say("error");
    poll();
  } finally {
    if (turn === turns) {
      busy = false;
      showButton();
    }
  }
}

function poll() {
  pollPause = Math.min(pollPause * 1.3, 15000);
  pollTimer = setTimeout(() => (document.hidden ? poll() : next()), pollPause);
}

function show(reply, first) {
  performance.mark("grid-data");
  part("waiting").textContent = String(reply.waiting);
  part("today").textContent = String(reply.answered_today);
  choices.list(reply.labels, reply.label);
  part("loading").textContent = say("grid_loading");
  part("loading").hidden = true;
  label = reply.labels.find(one => one.label === reply.label) ?? null;
  if (!reply.tiles.length) {
    showEmpty(reply.empty);
    return;
  }
  pollPause = 2000;
  showSize();
  tiles.show(reply.tiles);
  part("bar").hidden = false;
  part("progress").max = reply.needed_ms;
  looking.start(tiles.all, reply.needed_ms);
  showProgress();
  if (document.activeElement === document.body || root.contains(document.activeElement)) {
    if (!document.activeElement.closest("select")) tiles.focus();
  }
  if (first) tiles.current.cell.scrollIntoView({ block: "nearest" });
  announce(`${first} ${part("confirm-text").textContent}`.trim());
}

function showEmpty(empty) {
  if (drawEmpty(part, empty)) announce(empty.text);
  poll();
}

/** An image was painted or failed. The last one ends the measurement of the page. */
function settled() {
  showButton();
  if (!tiles.all.every(tile => tile.settled)) return;
  requestAnimationFrame(() => {
    if (!performance.getEntriesByName("grid-data").length) return;
    performance.measure("grid-painted", "grid-data");
    performance.measure("grid-page", "grid-asked");
  });
}

function showProgress() {
  part("progress").value = looking.total;
  showButton();
}

function showButton() {
  const marked = tiles.all.filter(tile => tile.mark).length;
  const rest = tiles.all.length - marked;
  const text = rest ? say("grid_confirm", { n: rest, label: label?.name ?? "" }) : say("grid_confirm_marks");
  if (part("confirm-text").textContent !== text) part("confirm-text").textContent = text;
  part("marks").textContent = marked ? say("grid_marks", { n: marked }) : "";
  const ready = looking.enough && !busy;
  root.querySelector('[data-act="confirm"]').setAttribute("aria-disabled", String(!ready));
  if (ready) root.dataset.ready = "";
  else delete root.dataset.ready;
}

function open(tile) {
  if (tile && !busy && !unsent.body) menu.open(tile);
}

function flag(tile) {
  if (tile && !busy && !unsent.body) flagDialog.open(tile);
}

/** The name of a label, with its short code if it has one. */
const named = ({ name, code }) => (code ? `${name} · ${code}` : name);

/**
 * kind: correct, skip, flag or none. The predicted label is no mark: the image is confirmed with the rest.
 * A flag has a reason with its name, and a note. All may be empty.
 */
function setMark(tile, kind, chosen = null, { reason = "", note = "", name = "" } = {}) {
  if (!tile || busy || unsent.body) return;
  const same = kind === "none" || (kind === "correct" && chosen.id === tile.item.prediction.label);
  const word = kind === "correct" ? named(chosen) : say(`grid_mark_${kind}`);
  const text = name ? `${word}: ${name}` : word;
  tiles.mark(tile, same ? null : { kind, label: chosen?.id ?? null, text, reason, note });
  const n = tiles.number(tile);
  announce(tile.mark ? say("grid_marked", { n, mark: tile.mark.text }) : say("grid_unmarked", { n }));
  showButton();
}

function confirm() {
  if (unsent.body) {
    unsent.run();
    return;
  }
  if (busy || !tiles.all.length) return;
  if (!looking.enough) {
    const more = Math.max(0, looking.needed - looking.total);
    const seconds = (Math.ceil(more / 100) / 10).toFixed(1);
    notice(more ? say("grid_look", { seconds }) : say("grid_scroll", { n: looking.unseen.length }));
    return;
  }
  busy = true;
  performance.mark("grid-asked");
  notice("");
  announce(say("grid_sending"));
  showButton();
  unsent.add({
    page: crypto.randomUUID?.() ?? uuid(),
    milliseconds: looking.milliseconds,
    tiles: tiles.all.map(({ item, mark }) => ({
      item: item.item,
      lease: item.lease,
      kind: mark?.kind ?? "confirm",
      label: mark ? mark.label : item.prediction.label,
      reason: mark?.reason ?? "",
      note: mark?.note ?? "",
    })),
  });
}

function recorded(body, reply) {
  const kept = reply.tiles.filter(tile => tile.decision !== null);
  const refused = reply.tiles.filter(tile => tile.decision === null);
  const late = kept.filter(tile => tile.late).length;
  const marks = kept.filter(tile => tile.kind !== "confirm").length;
  const texts = [];
  if (late) texts.push(say("grid_late", { n: late }));
  if (refused.length) texts.push(say("grid_refused", { n: refused.length, reason: refused[0].detail }));
  back = false;
  const said = say("grid_recorded", { n: kept.length, marks });
  if (reply.next) {
    turns += 1;
    clear();
    show(reply.next, said);
    busy = false;
    showButton();
    notice(texts.join(" "));
  } else next({}, said).then(() => notice(texts.join(" ")));
  root.dataset.recorded = body.page;
}

// crypto.randomUUID exists only in secure contexts; a factory's server may be plain http.
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map(byte => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

async function undo() {
  if (held || busy || unsent.body || (back && tiles.all.length && looking.total < BEFORE_UNDO)) return;
  held = {};
  const mine = held;
  await new Promise(done => setTimeout(done, HOLD));
  if (held !== mine) return;
  held = null;
  if (busy || unsent.body) return;
  busy = true;
  notice("");
  try {
    // After a lost reply the next try has the same key, so that it does not undo one page more.
    undoKey ||= crypto.randomUUID?.() ?? uuid();
    const reply = await undoOnServer({ client_key: undoKey });
    undoKey = "";
    await leave();
    back = true;
    const wanted = { label: reply.label, count: Math.max(reply.returned, choices.wanted.count) };
    await next(wanted, reply.text);
  } catch (error) {
    busy = false;
    if (error.status) undoKey = "";
    if (error.status === 401) notice(say("grid_login"), true);
    else notice(error.message || say("grid_undo_wait"));
  }
}

/** A lost reply is asked for again under the same key, so that one press undoes one page. */
async function undoOnServer(body, tries = 3) {
  try {
    return await post(`${grid}undo`, body);
  } catch (error) {
    if (error.status || tries <= 1) throw error;
    await new Promise(resolve => setTimeout(resolve, 700));
    return undoOnServer(body, tries - 1);
  }
}

const acts = {
  confirm,
  undo,
  help: () => help.showModal(),
  open: () => open(tiles.current),
  skip: () => setMark(tiles.current, "skip"),
  flag: () => flag(tiles.current),
  clear: () => setMark(tiles.current, "none"),
};

root.addEventListener("click", event => {
  const name = event.target.closest("[data-act]")?.dataset.act;
  if (name in acts) acts[name]();
});
listen({
  act: name => acts[name](),
  label(number) {
    const chosen = labels.find(one => one.key === number);
    if (chosen) setMark(tiles.current, "correct", chosen);
    else announce(say("no_such_key", { key: number }));
  },
  move: (key, far) => tiles.move(key, far),
  map,
});
new Scans({
  state: () => ({
    tile: tiles.current,
    mark: tiles.current?.mark ?? null,
    dialog: document.querySelector("dialog[open]"),
  }),
  back({ tile, mark, dialog }) {
    held = null;
    for (const open of document.querySelectorAll("dialog[open]")) if (open !== dialog) open.close();
    if (!tile || !tiles.all.includes(tile)) return;
    tiles.mark(tile, mark);
    tiles.focus(tile);
    showButton();
  },
  choose(code, { tile }) {
    const chosen = menu.list.named(code);
    if (document.querySelector("dialog[open]")) return;
    if (!chosen) notice(say("scan_unknown", { code }));
    else if (tiles.all.includes(tile)) setMark(tile, "correct", chosen);
  },
  unknown: code => notice(say("scan_unknown", { code })),
  single: true, // the Enter of a code must not confirm the page
});
whenClosed(help, () => tiles.focus());
preferences.bind(document.querySelector("[data-keys-on]"), "single_keys");
drawKeys(root, map);
menu.showKeys();
window.addEventListener("pageshow", event => event.persisted && next());

showSize();
if (unsent.body) unsent.run();
else {
  next({ label: null });
}
