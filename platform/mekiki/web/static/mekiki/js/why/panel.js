// The panel Why: opened and closed by key or button, filled by the server for the image on the screen.

import { get, post } from "../http.js";
import { say } from "../review/texts.js";
import { drawNeighbours, drawScores } from "./draw.js";

const OPEN = "mekiki:why-open";
const PAUSE = 300; // milliseconds between two questions while a worker reads the prompts
const LONGEST = 3000;

export class WhyPanel {
  /** box: the panel. button: its button. heat, compare: the other parts. changed(open): for the page's layout.
   * away(): the panel was closed by its own button, and the focus goes elsewhere. */
  constructor(box, button, { heat, compare, changed, away }) {
    Object.assign(this, { box, button, heat, compare, changed, subject: null, panel: null, request: 0 });
    this.parts = Object.fromEntries(
      ["state", "body", "near", "scores"].map(name => [name, box.querySelector(`[data-why-${name}]`)]),
    );
    box.querySelector("[data-why-close]").addEventListener("click", () => {
      this.toggle(false);
      away();
    });
    this.#draw(this.#kept());
  }

  get open() {
    return !this.box.hidden;
  }

  /** The state lasts for the session of the browser's tab. */
  #kept() {
    try {
      return sessionStorage.getItem(OPEN) === "1";
    } catch {
      return false; // Without storage the panel is closed on each page.
    }
  }

  toggle(open = !this.open) {
    try {
      sessionStorage.setItem(OPEN, open ? "1" : "");
    } catch {
      // As above.
    }
    this.#draw(open);
    if (open) this.#load();
    else this.#forget();
  }

  #draw(open) {
    this.box.hidden = !open;
    this.button.setAttribute("aria-expanded", String(open));
    this.changed(open);
  }

  /** An image is on the screen: {key, url, body, image: {url}, refusal, lost}. refusal: why it has no panel, or "".
   * lost(): the server does not know the lease of the image any more. */
  show(subject) {
    this.#forget();
    this.subject = subject;
    if (this.open) this.#load();
  }

  clear() {
    this.subject = null;
    this.#forget();
    if (this.open) this.#say(say("why_loading"));
  }

  /** The id of the panel that shows the reasons for this image; null when it is closed or still empty. */
  idFor(key) {
    return this.open && this.panel && this.subject?.key === key ? this.panel.id : null;
  }

  #forget() {
    this.request += 1;
    clearTimeout(this.timer);
    this.panel = null;
    this.heat.reset();
  }

  #say(text) {
    this.parts.state.textContent = text;
    this.parts.state.hidden = !text;
    this.parts.body.hidden = Boolean(text);
  }

  async #load() {
    const { subject } = this;
    if (!subject) {
      this.#say(say("why_loading"));
      return;
    }
    if (subject.refusal) {
      this.#say(subject.refusal);
      return;
    }
    this.request += 1;
    const { request } = this;
    this.#say(say("why_loading"));
    try {
      const panel = await post(subject.url, subject.body);
      if (request !== this.request) return;
      this.#fill(panel);
      this.heat.reset(panel);
      this.#follow(panel, request, PAUSE);
    } catch (error) {
      if (request !== this.request) return;
      this.#say(error.message || say("why_offline"));
      if (error.status === 404) subject.lost?.();
    }
  }

  #fill(panel) {
    this.panel = panel;
    this.#say("");
    drawNeighbours(this.parts.near, panel, (neighbour, group) => this.#compare(neighbour, group));
    drawScores(this.parts.scores, panel);
  }

  /** Ask again while a worker reads the prompts. */
  #follow(panel, request, pause) {
    if (panel.scores_state !== "waiting") return;
    this.timer = setTimeout(async () => {
      try {
        const later = await get(panel.url);
        if (request !== this.request) return;
        if (later.scores_state !== "waiting") drawScores(this.parts.scores, later);
        this.#follow(later, request, Math.min(LONGEST, pause * 1.2));
      } catch (error) {
        const state = { scores_state: "problem", scores_problem: error.message || say("why_offline") };
        if (request === this.request) drawScores(this.parts.scores, state);
      }
    }, pause);
  }

  #compare(neighbour) {
    const captionOf = (one, group) => {
      const value = one.similarity.toFixed(3);
      return `${say("why_near", { label: group.name })} · ${say("why_similarity", { value })}`;
    };
    const list = this.panel.neighbours.flatMap(group =>
      group.images.map(one => ({ neighbour: one, caption: captionOf(one, group) })),
    );
    const place = list.findIndex(one => one.neighbour === neighbour);
    this.compare.open(this.subject.image, list, Math.max(0, place));
  }
}
