// The history: the reviewer's last answers, each with its image and what was shown, and the labels to correct it.
//
// A correction is a new decision. It needs a look at the image, as every answer does, and it is sent again under the
// same key if the reply was lost.

import { whenClosed } from "../dialogs.js";
import { get, post } from "../http.js";
import { newClientKey } from "./client-key.js";
import { composing } from "./key-map.js";
import { say } from "./texts.js";

const PAGE = 20;
const twoFrames = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

const given = one => say(`answered_${one.kind}`, { label: one.label_name });

export class HistoryDialog {
  /**
   * labels: those in use. map: the KeyMap. least: milliseconds of a look. settled(): are all answers saved?
   * corrected(before, after): an answer was replaced. closed(): the dialog is gone.
   */
  constructor(dialog, { labels, map, least, settled, corrected, closed }) {
    Object.assign(this, { dialog, labels, map, least, settled, corrected });
    this.part = name => dialog.querySelector(`[data-${name}]`);
    this.list = this.part("answers");
    this.find = this.part("answers-find");
    this.#drawLabels();
    this.list.addEventListener("click", event => {
      const row = this.rows.find(one => one.button === event.target.closest("button"));
      if (row) this.#select(row);
    });
    this.list.addEventListener("scroll", () => this.#nearEnd() && this.#more());
    this.part("answers-more").addEventListener("click", () => this.#more());
    this.find.addEventListener("input", () => this.#filter());
    dialog.addEventListener("keydown", event => this.#key(event));
    whenClosed(dialog, () => {
      this.turn += 1;
      closed();
    });
    Object.assign(this, { rows: [], row: null, turn: 0, busy: false, pending: null, seen: Infinity });
  }

  /** Open it at an answer of the strip, or at the newest. */
  async open(entry = null) {
    if (this.dialog.open) return;
    this.find.value = "";
    this.#filter();
    this.#clear();
    this.dialog.showModal();
    this.#notice(say("history_loading"));
    const turn = this.turn;
    const saved = await Promise.race([this.settled(), new Promise(done => setTimeout(done, 1500, false))]);
    if (turn !== this.turn) return;
    if (!(await this.#load())) return;
    this.#notice(saved ? "" : say("history_unsaved"));
    const row = this.rows.find(one => one.answer.decision === entry?.decision) ?? this.rows[0];
    if (row && (saved || !entry || entry.decision)) this.#select(row, true);
    if (!this.rows.length) this.#notice(say("history_none"));
  }

  #clear() {
    Object.assign(this, { rows: [], row: null, before: null, pending: null, seen: Infinity });
    this.list.replaceChildren();
    this.part("answer").hidden = true;
    this.part("answers-more").hidden = true;
  }

  #notice(text) {
    this.part("answers-notice").textContent = text;
  }

  /** Load a page, the first or the next. */
  async #load() {
    const turn = this.turn;
    const query = new URLSearchParams({ count: PAGE, ...(this.before ? { before: this.before } : {}) });
    try {
      const page = await get(`${this.dialog.dataset.historyUrl}?${query}`);
      if (turn !== this.turn) return false;
      this.before = page.before;
      for (const answer of page.answers) this.#add(answer);
      this.part("answers-more").hidden = !this.before;
      return true;
    } catch (error) {
      if (turn === this.turn) this.#failed(error, "history_failed");
      return false;
    }
  }

  async #more() {
    if (!this.before || this.loading) return;
    this.loading = true;
    await this.#load();
    this.loading = false;
  }

  #nearEnd() {
    return this.list.scrollTop + this.list.clientHeight > this.list.scrollHeight - 200;
  }

  #failed(error, otherwise) {
    if (error.status === 401 || (error.status === 403 && error.body?.code !== "refused"))
      this.#notice(say("history_login"));
    else this.#notice(error.message && error.status ? error.message : say(otherwise));
  }

  #add(answer, first = false) {
    const item = element("li");
    const button = element("button", "answers__row");
    button.type = "button";
    button.tabIndex = -1;
    const thumb = element("img");
    thumb.src = answer.image.thumb_url;
    thumb.alt = "";
    thumb.loading = "lazy";
    thumb.width = thumb.height = 48;
    const words = element("span", "answers__words");
    words.append(element("span", "truncate", given(answer)), element("span", "muted small", answer.time));
    button.append(thumb, words);
    item.append(button);
    const row = { answer, button, item };
    if (first) this.rows.unshift(row);
    else this.rows.push(row);
    this.list[first ? "prepend" : "append"](item);
    return row;
  }

  async #select(row, focus = false) {
    if (this.row !== row) this.pending = null;
    this.row = row;
    this.seen = Infinity;
    for (const one of this.rows) {
      one.button.setAttribute("aria-current", String(one === row));
      one.button.tabIndex = one === row ? 0 : -1;
    }
    if (focus) row.button.focus();
    const { answer } = row;
    this.part("answer").hidden = false;
    const image = element("img");
    image.alt = "";
    image.src = answer.image.url;
    this.part("answer-image").replaceChildren(image);
    this.part("answer-name").textContent = answer.image.name;
    const reason = answer.reason ? ` (${answer.reason})` : "";
    this.part("answer-given").textContent = `${given(answer)}${reason}`;
    this.part("answer-time").textContent = answer.time;
    this.part("answer-shown").textContent = this.#shown(answer);
    this.part("answer-now-box").hidden = !answer.label_now;
    this.part("answer-now").textContent = answer.label_now;
    for (const { label, button } of this.buttons) {
      button.setAttribute("aria-pressed", String(label.id === answer.label));
    }
    try {
      await image.decode();
    } catch {
      if (this.row === row) this.#notice(say("image_failed"));
      return;
    }
    await twoFrames();
    if (this.row !== row) return;
    this.seen = performance.now();
    this.dialog.dataset.seen = String(answer.decision);
  }

  #shown({ blind, shown }) {
    if (blind) return say("history_blind");
    if (!shown) return say("history_no_prediction");
    const percent = Math.min(99, Math.floor(shown.confidence * 100 + 1e-6));
    return say(shown.calibrated ? "prediction" : "prediction_uncalibrated", { label: shown.name, percent });
  }

  #drawLabels() {
    this.buttons = this.labels.map(label => {
      const item = element("li");
      const button = element("button", "button button--small answers__label");
      button.type = "button";
      const key = element("kbd", "", label.key === null ? "" : this.map.digitText(label.key));
      key.setAttribute("aria-hidden", "true");
      key.hidden = !key.textContent;
      button.append(key, element("span", "truncate", label.name));
      button.addEventListener("click", () => this.#correct(label));
      item.append(button);
      return { label, button, item };
    });
    this.part("answers-labels").replaceChildren(...this.buttons.map(one => one.item));
    this.part("answers-find-box").hidden = this.labels.length <= 9;
  }

  #filter() {
    const wanted = this.find.value.normalize("NFKC").trim().toLowerCase();
    for (const { label, item } of this.buttons) {
      item.hidden = !label.name.normalize("NFKC").toLowerCase().includes(wanted);
    }
  }

  async #correct(label) {
    const { row } = this;
    if (!row || this.busy) return;
    const looked = Math.round(performance.now() - this.seen);
    if (!(looked >= this.least)) {
      this.#notice(say("too_soon"));
      return;
    }
    if (label.id === row.answer.label) {
      this.#notice(say("history_same", { label: label.name }));
      return;
    }
    if (this.pending?.label !== label.id) this.pending = { label: label.id, key: newClientKey() };
    this.busy = true;
    try {
      const reply = await post(this.dialog.dataset.correctUrl, {
        decision: row.answer.decision,
        label: label.id,
        client_key: this.pending.key,
        milliseconds: looked,
      });
      this.#replace(row, reply.answer);
      this.#notice(reply.text);
    } catch (error) {
      this.#failed(error, "history_not_sent");
      if (error.body?.code === "superseded") await this.#again();
    } finally {
      this.busy = false;
    }
  }

  #replace(row, answer) {
    const focused = this.dialog.contains(document.activeElement);
    row.item.remove();
    this.rows = this.rows.filter(one => one !== row);
    this.corrected(row.answer, answer);
    this.#select(this.#add(answer, true), focused && this.dialog.open);
  }

  /** The answers have changed elsewhere: read them again, and keep the sentence that says so. */
  async #again() {
    const said = this.part("answers-notice").textContent;
    this.#clear();
    if ((await this.#load()) && this.rows.length) this.#select(this.rows[0], true);
    this.#notice(said);
  }

  #key(event) {
    if (composing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    const inFind = event.target === this.find;
    if (inFind && event.key === "Enter") {
      event.preventDefault();
      const first = this.buttons.find(one => !one.item.hidden);
      if (!event.repeat && first && this.find.value) this.#correct(first.label);
      return;
    }
    if (inFind) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      const place = this.rows.indexOf(this.row) + step;
      if (this.rows[place]) this.#select(this.rows[place], true);
      if (place > this.rows.length - 5) this.#more();
      return;
    }
    const digit = this.map.on() ? this.map.digit(event) : null;
    const label = digit && this.labels.find(one => one.key === digit);
    if (!label) return;
    event.preventDefault();
    if (!event.repeat) this.#correct(label);
  }
}
