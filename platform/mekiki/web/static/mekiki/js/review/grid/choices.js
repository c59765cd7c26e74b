// What the reviewer chooses above the grid: the label, the number of images, their size. Number and size are kept for
// the person on this device.

export class Choices {
  /** another(): a page with another label or number of images is wanted. resized(): the tiles change their size. */
  constructor(root, store, { another, resized }) {
    this.store = store;
    this.label = root.querySelector("[data-label]");
    this.count = root.querySelector("[data-count]");
    this.size = root.querySelector("[data-size]");
    for (const [name, value] of Object.entries(this.#stored())) {
      if ([...(this[name]?.options ?? [])].some(option => option.value === value)) this[name].value = value;
    }
    this.label.addEventListener("change", another);
    this.count.addEventListener("change", () => this.#keep() || another());
    this.size.addEventListener("change", () => this.#keep() || resized());
  }

  #stored() {
    try {
      const { count, size } = JSON.parse(localStorage.getItem(this.store)) ?? {};
      return { count, size };
    } catch {
      return {};
    }
  }

  #keep() {
    try {
      localStorage.setItem(this.store, JSON.stringify({ count: this.count.value, size: this.size.value }));
    } catch {
      // Without storage the choice lasts as long as the page.
    }
  }

  /** List the labels with their numbers of images; `chosen` is selected. */
  list(labels, chosen) {
    const options = labels.map(({ label, name, waiting }) => {
      const option = new Option(`${name} · ${waiting}`, String(label));
      option.selected = label === chosen;
      return option;
    });
    this.label.replaceChildren(...options);
    this.label.disabled = !labels.length;
  }

  /**
   * The body of a request for a page. The thumbnails come with it: an image that is loaded by a request of its own can
   * be told from one that was loaded in advance.
   */
  get wanted() {
    return {
      label: Number(this.label.value) || null,
      count: Number(this.count.value),
      inline: this.size.value !== "large",
    };
  }
}
