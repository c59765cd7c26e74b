// The list of labels: a button for each, and its key (1 to 9) where it has one.

import { say } from "./texts.js";

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

export class LabelList {
  /** choose(label, event): a label's button was pressed. */
  constructor(root, labels, choose) {
    this.labels = labels;
    this.choose = choose;
    this.list = root.querySelector("[data-labels-list]");
    this.rows = labels.map(label => this.#row(label));
    this.list.replaceChildren(...this.rows.map(row => row.item));
  }

  #row(label) {
    const item = element("li");
    const button = element("button", "station__label");
    button.type = "button";
    if (label.none) item.className = "station__none";
    const key = element("kbd", "", label.key === null ? "·" : String(label.key));
    key.setAttribute("aria-hidden", "true");
    if (label.key !== null) button.setAttribute("aria-keyshortcuts", String(label.key));
    const words = element("span", "station__label-words");
    words.append(element("span", "station__label-name", label.name));
    if (label.guideline) words.append(element("span", "station__label-guide", label.guideline));
    const badges = element("span", "station__label-badges");
    button.append(key, words, badges);
    button.addEventListener("click", event => this.choose(label, event));
    item.append(button);
    return { label, item, button, badges };
  }

  /** Mark the predicted label and the second one; nothing for a blind item. */
  mark(prediction) {
    for (const { label, button, badges } of this.rows) {
      const marks = [];
      if (prediction?.label === label.id)
        marks.push(element("span", "badge badge--accent", say("predicted_badge")));
      else if (prediction?.runner_up === label.id) marks.push(element("span", "badge", say("second_badge")));
      if (label.critical) marks.push(element("span", "badge badge--warn", say("critical_badge")));
      badges.replaceChildren(...marks);
      button.classList.toggle("station__label--predicted", prediction?.label === label.id);
    }
  }

  /** The label whose button has the focus, if any. */
  focused() {
    return this.rows.find(row => row.button === document.activeElement)?.label ?? null;
  }

  byKey(number) {
    return this.labels.find(label => label.key === number) ?? null;
  }

  byId(id) {
    return this.labels.find(label => label.id === id) ?? null;
  }

  #matches(text) {
    const wanted = text.normalize("NFKC").trim().toLowerCase();
    const name = row => row.label.name.normalize("NFKC").toLowerCase();
    const rows = this.rows.filter(row => name(row).includes(wanted));
    return rows.sort((a, b) => name(b).startsWith(wanted) - name(a).startsWith(wanted));
  }

  /** Show the labels that match; returns the one that Enter chooses. */
  filter(text) {
    const found = this.#matches(text);
    const typed = Boolean(text.trim());
    for (const row of this.rows) {
      row.item.hidden = !found.includes(row);
      row.button.classList.toggle("station__label--first", typed && row === found[0]);
    }
    return typed ? (found[0]?.label ?? null) : null;
  }

  focusFirst(text) {
    this.#matches(text)[0]?.button.focus();
  }
}
