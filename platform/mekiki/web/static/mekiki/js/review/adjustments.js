// Brightness, contrast, gamma, inversion and a single channel: on the screen only, never in the image. The sliders and
// what they change; an answer records what was changed (mekiki/review/adjustments.py has the same names and limits).

const SVG = "http://www.w3.org/2000/svg";
const ORIGINAL = { brightness: 1, contrast: 1, gamma: 1, invert: false, channel: "" };
const FACTORS = ["brightness", "contrast", "gamma"];
const CHANNELS = { red: 0, green: 1, blue: 2 };

function element(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** An SVG filter of three steps: the channel; gamma; brightness, contrast and inversion. */
class Filter {
  constructor(id) {
    const functions = type => ["R", "G", "B"].map(channel => element(`feFunc${channel}`, { type }));
    this.matrix = element("feColorMatrix", { type: "matrix" });
    this.linear = functions("linear");
    this.gamma = functions("gamma");
    const filter = element(
      "filter",
      { id, x: 0, y: 0, width: "100%", height: "100%", "color-interpolation-filters": "sRGB" },
      this.matrix,
      element("feComponentTransfer", {}, ...this.gamma),
      element("feComponentTransfer", {}, ...this.linear),
    );
    this.svg = element("svg", { width: 0, height: 0, "aria-hidden": "true", focusable: "false" }, filter);
    this.svg.setAttribute("class", "station__filter");
  }

  set({ brightness, contrast, gamma, invert, channel }) {
    const row = place => {
      const from = channel ? CHANNELS[channel] : place;
      return [0, 1, 2, 3, 4].map(column => Number(column === from)).join(" ");
    };
    this.matrix.setAttribute("values", [row(0), row(1), row(2), "0 0 0 1 0"].join(" "));
    // Contrast turns about the middle grey: (b·v − ½)·c + ½, and inverted 1 minus that.
    const [slope, intercept] = [brightness * contrast, 0.5 - 0.5 * contrast];
    for (const one of this.linear) {
      one.setAttribute("slope", invert ? -slope : slope);
      one.setAttribute("intercept", invert ? 1 - intercept : intercept);
    }
    for (const one of this.gamma) one.setAttribute("exponent", 1 / gamma);
  }
}

export class Adjustments {
  /** targets: the elements that show the image. away(): the keys belong to the image again. */
  constructor(root, targets, away) {
    Object.assign(this, { targets, away, keep: false, values: { ...ORIGINAL } });
    this.panel = root.querySelector("[data-adjust-panel]");
    this.button = root.querySelector('[data-act="adjust"]');
    this.mark = root.querySelector("[data-adjusted]");
    this.inputs = [...this.panel.querySelectorAll("[data-adjust]")];
    this.filter = new Filter("station-view-filter");
    root.append(this.filter.svg);
    this.panel.addEventListener("input", event => this.#read(event.target));
    this.panel.addEventListener("keydown", event => this.#key(event));
    // After a click the keys belong to the image; who came by keyboard goes on in the panel.
    this.panel.addEventListener("click", ({ target, detail }) => {
      if (!detail) return;
      if (target.closest("label") && !target.closest("input"))
        setTimeout(this.away); // It focuses its input first.
      else this.away();
    });
    this.#draw();
  }

  /** What differs from the original, as an answer sends it; null when nothing does. */
  get value() {
    const changed = Object.entries(this.values).filter(([key, value]) => value !== ORIGINAL[key]);
    return changed.length ? Object.fromEntries(changed) : null;
  }

  reset() {
    const before = this.value;
    this.values = { ...ORIGINAL };
    this.#draw();
    return Boolean(before);
  }

  /** Another image comes: it is shown as it is, unless the adjustments are kept. */
  imageChanges() {
    if (!this.keep) this.reset();
  }

  get open() {
    return !this.panel.hidden;
  }

  toggle() {
    if (this.open) this.close();
    else {
      this.panel.hidden = false;
      this.button.setAttribute("aria-expanded", "true");
      this.panel.querySelector("input").focus({ preventScroll: true });
    }
  }

  /** Close the panel; true when it was open. */
  close() {
    if (!this.open) return false;
    this.panel.hidden = true;
    this.button.setAttribute("aria-expanded", "false");
    this.away();
    return true;
  }

  #key(event) {
    if (event.key !== "Escape" || event.isComposing) return;
    event.preventDefault();
    event.stopPropagation();
    this.close();
  }

  #read(input) {
    const name = input.dataset.adjust;
    if (!name) return;
    if (FACTORS.includes(name)) this.values[name] = Number(input.value);
    else if (name === "invert") this.values.invert = input.checked;
    else this.values.channel = input.value;
    this.#draw();
  }

  #draw() {
    for (const input of this.inputs) {
      const value = this.values[input.dataset.adjust];
      if (input.type === "checkbox") input.checked = value;
      else if (input.type === "radio") input.checked = input.value === value;
      else {
        input.value = String(value);
        const text = input.dataset.adjust === "gamma" ? value.toFixed(2) : `${Math.round(value * 100)} %`;
        input.setAttribute("aria-valuetext", text);
        this.panel.querySelector(`[data-adjust-value="${input.dataset.adjust}"]`).textContent = text;
      }
    }
    const adjusted = Boolean(this.value);
    this.filter.set(this.values);
    for (const target of this.targets) target.style.filter = adjusted ? "url(#station-view-filter)" : "";
    this.mark.hidden = !adjusted;
  }
}
