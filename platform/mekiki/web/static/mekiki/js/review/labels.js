// The list of labels: a button for each, and its key (1 to 9) where it has one.

import { say } from "./texts.js";

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

const plain = text => (text ?? "").normalize("NFKC").toLowerCase();

/** How the labels are laid out: with their guidelines, as a list, or in columns. */
function density(labels) {
  if (labels.length > 18) return "many";
  if (labels.length > 9) return "columns";
  return labels.length <= 5 && labels.some(label => label.guideline) ? "guidelines" : "list";
}

/** A mark of a label: a sign where there is little room, with its word for all others. */
function mark(kind, className) {
  const made = element("span", `badge ${className} station__mark station__mark--${kind}`);
  made.append(element("span", "station__mark-word", say(`${kind}_badge`)));
  made.title = say(`${kind}_badge`);
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
    root.dataset.density = density(labels);
  }

  #row(label) {
    const item = element("li");
    const button = element("button", "station__label");
    button.type = "button";
    if (label.none) item.className = "station__none";
    button.title = label.guideline ? `${label.name}\n${label.guideline}` : label.name;
    const key = element("kbd", "", label.key === null ? "·" : String(label.key));
    key.setAttribute("aria-hidden", "true");
    if (label.key !== null) button.setAttribute("aria-keyshortcuts", String(label.key));
    if (label.critical) button.classList.add("station__label--critical");
    const words = element("span", "station__label-words");
    const name = element("span", "station__label-name", label.name);
    if (label.code) name.append(" ", element("span", "station__label-code", label.code));
    words.append(name);
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
      if (label.critical) marks.push(mark("critical", "badge--warn"));
      if (prediction?.label === label.id) marks.push(mark("predicted", "badge--accent"));
      else if (prediction?.runner_up === label.id) marks.push(mark("second", ""));
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

  /** Write the person's keys on the labels. */
  showKeys(map) {
    for (const { label, button } of this.rows) {
      if (label.key === null) continue;
      const text = map.single(`label-${label.key}`);
      button.querySelector("kbd").textContent = text || "·";
      if (text) button.setAttribute("aria-keyshortcuts", text);
      else button.removeAttribute("aria-keyshortcuts");
    }
  }

  /** The label with this name or short code, or the only one whose name begins so; null for none. */
  named(text) {
    const wanted = plain(text).trim();
    const exact = wanted
      ? this.labels.find(label => [label.name, label.code].map(plain).includes(wanted))
      : null;
    const begun = wanted ? this.labels.filter(label => plain(label.name).startsWith(wanted)) : [];
    return exact ?? (begun.length === 1 ? begun[0] : null);
  }

  /** Show the list, and put the focus on its first label. */
  goTo() {
    const first = this.rows.find(row => !row.item.hidden)?.button;
    first?.scrollIntoView({ block: "center" });
    first?.focus({ preventScroll: true });
  }

  byId(id) {
    return this.labels.find(label => label.id === id) ?? null;
  }

  #matches(text) {
    const wanted = plain(text).trim();
    const name = row => plain(row.label.name);
    const code = row => plain(row.label.code);
    const begins = row => name(row).startsWith(wanted) || code(row).startsWith(wanted);
    const rank = row => ([name(row), code(row)].includes(wanted) ? 2 : Number(begins(row)));
    const rows = this.rows.filter(row => name(row).includes(wanted) || begins(row));
    return rows.sort((a, b) => rank(b) - rank(a));
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
