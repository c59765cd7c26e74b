// The list of labels: a button for each, and its key (1 to 9). With labels that have no key, a box to find one by typing.

import { say } from "./texts.js";

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

export class LabelList {
  constructor(root, labels, choose) {
    this.labels = labels;
    this.choose = choose;
    this.list = root.querySelector("[data-labels-list]");
    this.box = root.querySelector("[data-find-box]");
    this.input = root.querySelector("[data-find]");
    this.said = root.querySelector("[data-find-said]");
    this.many = labels.some((label) => label.key === null);
    this.rows = labels.map((label) => this.#row(label));
    this.list.replaceChildren(...this.rows.map((row) => row.item));
    this.box.hidden = !this.many;
    this.input.addEventListener("input", () => this.#filter());
    this.input.addEventListener("keydown", (event) => this.#typed(event));
  }

  #row(label) {
    const item = element("li");
    const button = element("button", "station__label");
    button.type = "button";
    const key = element("kbd", "", label.key === null ? "·" : String(label.key));
    key.setAttribute("aria-hidden", "true");
    if (label.key !== null) button.setAttribute("aria-keyshortcuts", String(label.key));
    const words = element("span", "station__label-words");
    words.append(element("span", "station__label-name", label.name));
    if (label.guideline) words.append(element("span", "station__label-guide", label.guideline));
    const badges = element("span", "station__label-badges");
    button.append(key, words, badges);
    button.addEventListener("click", () => this.choose(label));
    item.append(button);
    return { label, item, button, badges };
  }

  /** Mark the predicted label and the second one; nothing for a blind item. */
  mark(prediction) {
    for (const { label, button, badges } of this.rows) {
      const marks = [];
      if (prediction?.label === label.id) marks.push(element("span", "badge badge--accent", say("predicted_badge")));
      else if (prediction?.runner_up === label.id) marks.push(element("span", "badge", say("second_badge")));
      if (label.critical) marks.push(element("span", "badge badge--warn", say("critical_badge")));
      badges.replaceChildren(...marks);
      button.classList.toggle("station__label--predicted", prediction?.label === label.id);
    }
    this.leave();
  }

  byKey(number) {
    return this.labels.find((label) => label.key === number) ?? null;
  }

  byId(id) {
    return this.labels.find((label) => label.id === id) ?? null;
  }

  get finding() {
    return document.activeElement === this.input;
  }

  find(letter = "") {
    this.box.hidden = false;
    this.input.value = letter;
    this.input.focus();
    this.#filter();
  }

  leave() {
    if (!this.input.value && this.box.hidden !== this.many) return;
    this.input.value = "";
    this.#filter();
    this.box.hidden = !this.many;
  }

  #matches() {
    const wanted = this.input.value.normalize("NFKC").trim().toLowerCase();
    const name = (row) => row.label.name.normalize("NFKC").toLowerCase();
    const rows = this.rows.filter((row) => name(row).includes(wanted));
    return rows.sort((a, b) => name(b).startsWith(wanted) - name(a).startsWith(wanted));
  }

  #filter() {
    const found = this.#matches();
    const typed = Boolean(this.input.value.trim());
    for (const row of this.rows) {
      row.item.hidden = !found.includes(row);
      row.button.classList.toggle("station__label--first", typed && row === found[0]);
    }
    if (!typed) this.said.textContent = "";
    else this.said.textContent = found.length ? say("find_some", { label: found[0].label.name }) : say("find_none");
  }

  #typed(event) {
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Enter") {
      event.preventDefault();
      const [first] = this.input.value.trim() ? this.#matches() : [];
      if (first) this.choose(first.label);
    } else if (event.key === "Escape") {
      event.preventDefault();
      this.leave();
      this.list.closest("[data-station]").querySelector("[data-stage]").focus({ preventScroll: true });
    } else if (event.key === "ArrowDown") {
      event.preventDefault();
      this.#matches()[0]?.button.focus();
    }
  }
}
