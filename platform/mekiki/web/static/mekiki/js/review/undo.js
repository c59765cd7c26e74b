// Undo: take back an answer that was not sent yet, or ask the server to undo the last one.

import { post } from "../http.js";
import { newClientKey } from "./client-key.js";
import { HOLD } from "./outbox.js";
import { say } from "./texts.js";

/** A lost reply is asked for again under the same key, so that one press undoes one answer. */
async function undoOnServer(url, body, tries = 3) {
  try {
    return await post(url, body);
  } catch (error) {
    if (error.status || tries <= 1) throw error;
    await new Promise(resolve => setTimeout(resolve, 700));
    return undoOnServer(url, body, tries - 1);
  }
}

export class Undo {
  /** url of the API. outbox, supply, history, sight, status, screen: the parts of the station. counted(n). */
  constructor({ url, outbox, supply, history, sight, status, screen, counted }) {
    Object.assign(this, { url, outbox, supply, history, sight, status, screen, counted, busy: false });
  }

  async run() {
    if (this.busy) return;
    const { outbox, supply, history, status } = this;
    // A key pressed twice takes back one answer: the next undo needs a look at the image that came back.
    if (supply.current?.back && !this.sight.has(supply.current)) {
      status.hint("too_soon");
      return;
    }
    Object.assign(this, { busy: true, cancelled: false });
    status.notice("");
    try {
      if (this.#takeBackLast()) return;
      // The first key of a barcode is no command (scans.js).
      await new Promise(resolve => setTimeout(resolve, HOLD));
      if (this.cancelled) return;
      if (!(await outbox.settled())) {
        status.notice(say("undo_wait"));
        return;
      }
      const reply = await undoOnServer(this.url, { client_key: newClientKey() });
      this.#bringBack(reply.item, history.last, reply.undone);
    } catch (error) {
      if (error.body?.code === "nothing_to_undo") status.notice(say("nothing_to_undo"));
      else if (error.status === 401 || error.status === 403) status.sync("login", outbox.size);
      else status.notice(error.message || say("undo_wait"));
    } finally {
      this.busy = false;
    }
  }

  /** Take back what the first key of a barcode did: the answer after the one with this key, or the undo. */
  takeBackAfter(key) {
    this.cancelled = true;
    if (this.history.last?.key === key || this.#takeBackLast()) return;
    this.run(); // The answer was sent already.
  }

  /** Take back the last answer if it was not sent yet. */
  #takeBackLast() {
    const { last } = this.history;
    if (!last?.key || !this.outbox.takeBack(last.key)) return false;
    this.supply.gone.delete(last.item.lease);
    this.#bringBack(last.item, last);
    return true;
  }

  #bringBack(item, past, undone = past?.kind) {
    if (past) this.history.drop(past);
    if (undone !== "skip") this.counted(-1);
    if (!item) {
      this.status.notice(say("undone_elsewhere"));
      return;
    }
    item.back = true;
    this.supply.putFirst(item);
    this.screen.show(this.supply.advance(), say("undone"));
  }
}
