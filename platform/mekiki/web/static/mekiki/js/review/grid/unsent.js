// A page of answers on its way. It is kept in localStorage until the server has said what became of it, and is sent
// again under the same id: a lost reply records nothing twice, a reload loses nothing.

import { post } from "../../http.js";

const FIRST_WAIT = 1000;
const LONGEST_WAIT = 30000;

export class Unsent {
  /**
   * more(): what is sent with the answers and not kept. done(body, reply), refused(body, error), waits(why): why is
   * offline or login.
   */
  constructor({ url, key, more, done, refused, waits }) {
    Object.assign(this, { url, key, more, done, refused, waits });
    this.body = null;
    this.busy = false;
    this.wait = FIRST_WAIT;
    try {
      this.body = JSON.parse(localStorage.getItem(key));
    } catch {
      // No storage (a private window): the page is sent all the same, only a reload can lose it.
    }
    window.addEventListener("online", () => this.run());
  }

  add(body) {
    this.body = body;
    this.wait = FIRST_WAIT;
    this.#keep();
    return this.run();
  }

  #keep() {
    try {
      if (this.body) localStorage.setItem(this.key, JSON.stringify(this.body));
      else localStorage.removeItem(this.key);
    } catch {
      // Full or forbidden: as above.
    }
  }

  #drop() {
    const { body } = this;
    this.body = null;
    this.#keep();
    return body;
  }

  async run() {
    clearTimeout(this.timer);
    if (!this.body || this.busy) return;
    this.busy = true;
    let after = () => {};
    try {
      const reply = await post(this.url, { ...this.body, ...this.more() });
      const body = this.#drop();
      after = () => this.done(body, reply);
    } catch (error) {
      after = this.#failed(error);
    }
    this.busy = false;
    after();
  }

  #failed(error) {
    const { status = 0 } = error;
    const login = status === 401 || (status === 403 && error.body?.code !== "refused");
    if (!login && [403, 404, 409, 422].includes(status)) {
      const body = this.#drop();
      return () => this.refused(body, error);
    }
    this.timer = setTimeout(() => this.run(), this.wait);
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT);
    return () => this.waits(login ? "login" : "offline");
  }
}
