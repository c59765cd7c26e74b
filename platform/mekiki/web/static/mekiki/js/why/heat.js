// The heat map of a panel: asked for once, then polled until it is there, and laid over the image.

import { post } from "../http.js";
import { say } from "../review/texts.js";
import { paint } from "./colours.js";

const PAUSE = 150; // milliseconds between two questions
const STEP = 0.15;

export class HeatMap {
  /** box: the part of the panel. image(): the image on the screen. laid(): the map lies over the image. */
  constructor(box, cover, { image, laid }) {
    Object.assign(this, { cover, image, laid, panel: null, timer: 0, wanted: false, structure: false });
    const part = name => box.querySelector(`[data-heat-${name}]`);
    this.parts = Object.fromEntries(
      "button text again state progress opacity tools legend words structure against"
        .split(" ")
        .map(name => [name, part(name)]),
    );
    this.parts.button.addEventListener("click", () => this.toggle());
    this.parts.again.addEventListener("click", () => this.#start());
    this.parts.structure.addEventListener("click", () => {
      this.structure = !this.structure;
      this.#lay();
    });
    this.parts.opacity.addEventListener("input", () => cover.fade(Number(this.parts.opacity.value) / 100));
  }

  /** Another panel, or none: nothing of the map before stays. */
  reset(panel = null) {
    clearTimeout(this.timer);
    if (!panel && !this.panel) return; // An empty station stays as it is.
    Object.assign(this, { panel, values: null, wanted: false, structure: false });
    this.cover.remove();
    this.#draw();
    this.#tell("");
  }

  /** False when there is no panel. */
  toggle() {
    if (!this.panel) return false;
    if (this.wanted) {
      clearTimeout(this.timer);
      this.wanted = false;
      this.cover.remove();
      this.#tell("");
      this.#draw();
    } else this.#start();
    return true;
  }

  /** Make the map more (1) or less (-1) opaque. False when none is shown. */
  fade(way) {
    if (!this.cover.layer) return false;
    const opacity = Math.min(1, Math.max(0.1, this.cover.opacity + way * STEP));
    this.parts.opacity.value = String(Math.round(100 * opacity));
    this.cover.fade(opacity);
    return true;
  }

  #start() {
    this.wanted = true;
    this.parts.again.hidden = true;
    if (this.values) this.#lay();
    else this.#ask();
    this.#draw();
  }

  async #ask() {
    const { panel } = this;
    let reply;
    try {
      reply = await post(panel.heat_map_url);
    } catch (error) {
      if (this.panel !== panel || !this.wanted) return;
      if (error.body?.code === "heat_map_running") {
        this.#tell(say("why_heat_queue"));
        this.timer = setTimeout(() => this.#ask(), 2 * PAUSE);
      } else this.#fail(error.message || say("why_offline"));
      return;
    }
    if (this.panel !== panel || !this.wanted) return;
    if (reply.state === "failed") this.#fail(reply.problem);
    else if (reply.state === "computing") {
      this.parts.progress.hidden = false;
      this.parts.progress.value = reply.progress;
      this.#tell(say("why_heat_wait", { percent: Math.round(100 * reply.progress) }));
      this.timer = setTimeout(() => this.#ask(), PAUSE);
    } else {
      this.values = reply;
      this.#lay();
      this.#draw();
    }
  }

  #fail(text) {
    this.wanted = false;
    this.#tell(text);
    this.#draw();
    this.parts.again.hidden = false;
  }

  #lay() {
    const image = this.image();
    const { values, view, words, energy, energy_words } = this.values;
    if (!image?.naturalWidth) return;
    this.parts.structure.hidden = !energy.length;
    this.parts.structure.setAttribute("aria-pressed", String(this.structure));
    this.parts.structure.textContent = say(this.structure ? "why_structure_hide" : "why_structure");
    this.parts.against.hidden = this.structure;
    if (this.structure) {
      this.cover.lay(paint(energy), [0, 0, 1, 1], image);
      this.laid();
      this.parts.legend.textContent = say("why_structure_legend");
      this.parts.words.textContent = energy_words;
      return;
    }
    this.cover.lay(paint(values), view, image);
    this.laid();
    const part = view[0] > 0.01 || view[1] > 0.01 || view[2] < 0.99 || view[3] < 0.99;
    const [label, other] = this.panel.labels;
    this.parts.legend.textContent = say("why_heat_legend", {
      label: label.name,
      other: other?.name ?? say("why_heat_rest"),
    });
    this.parts.words.textContent = part ? `${words} ${say("why_heat_frame")}` : words;
    this.#tell("");
  }

  /** Say the state; a screen reader speaks it. */
  #tell(text) {
    this.parts.state.textContent = text;
    this.parts.state.hidden = !text;
    if (!text || !this.wanted) this.parts.progress.hidden = true;
  }

  #draw() {
    const { button, text, again, tools } = this.parts;
    button.disabled = !this.panel;
    button.setAttribute("aria-pressed", String(this.wanted));
    text.textContent = say(this.wanted ? "why_heat_hide" : "why_heat");
    tools.hidden = !this.cover.layer;
    again.hidden = true;
  }
}
