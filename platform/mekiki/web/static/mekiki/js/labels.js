// <form data-labels>: rows are added, removed and moved, and templates inserted. Without scripts the form has an
// empty row, a box "remove" and a number for the order, and saves the same.

const form = document.querySelector("form[data-labels]");
const rows = form.querySelector("[data-label-rows]");
const blank = form.querySelector("template[data-label-empty]");
const total = form.querySelector('[name="labels-TOTAL_FORMS"]');
const said = form.querySelector("[data-labels-said]");

const shown = () => [...rows.querySelectorAll("[data-label-row]:not([hidden])")];
const field = (row, name) => row.querySelector(`[name$="-${name}"]`);
const say = (words) => (said.textContent = words);

function renumber() {
  shown().forEach((row, index) => (field(row, "position").value = index + 1));
}

function ready(row) {
  for (const part of row.querySelectorAll("[data-label-tools], [data-label-templates]")) part.hidden = false;
  row.querySelector("[data-label-remove-box]").hidden = true;
}

function insert(row, template) {
  const name = field(row, "name").value.trim();
  const prompts = field(row, "prompts");
  const text = template.replaceAll("{label}", name);
  const lines = prompts.value.split("\n").filter((line) => line.trim());
  if (!name || lines.includes(text)) return name;
  prompts.value = [...lines, text].join("\n");
  return name;
}

function add() {
  const holder = document.createElement("div");
  holder.innerHTML = blank.innerHTML.replaceAll("__prefix__", total.value);
  const row = holder.querySelector("[data-label-row]");
  total.value = Number(total.value) + 1;
  rows.append(row);
  ready(row);
  renumber();
  field(row, "name").focus();
  say(said.dataset.textAdded);
}

function remove(row) {
  const next = shown()[shown().indexOf(row) + 1];
  field(row, "remove").checked = true;
  row.hidden = true;
  renumber();
  say(said.dataset.textRemoved);
  (next ? field(next, "name") : form.querySelector("[data-label-add]")).focus();
}

function move(row, step, button) {
  const list = shown();
  const other = list[list.indexOf(row) + step];
  if (!other) return;
  if (step < 0) other.before(row);
  else other.after(row);
  renumber();
  button.focus();
}

form.addEventListener("click", (event) => {
  const button = event.target.closest("button[type=button]");
  if (!button) return;
  const row = button.closest("[data-label-row]");
  if (button.matches("[data-label-add]")) add();
  else if (button.matches("[data-label-remove]")) remove(row);
  else if (button.matches("[data-label-up]")) move(row, -1, button);
  else if (button.matches("[data-label-down]")) move(row, 1, button);
  else if (button.matches("[data-template]")) {
    if (insert(row, button.dataset.template)) say(said.dataset.textInserted);
    else field(row, "name").focus();
  } else if (button.matches("[data-all-insert]")) {
    const template = form.querySelector("[data-all-template]").value;
    for (const each of shown()) insert(each, template);
    say(said.dataset.textInserted);
  }
});

// A label whose key was typed by hand keeps it: rows move only by the buttons.
for (const part of form.querySelectorAll("[data-labels-toolbar], [data-label-add]")) part.hidden = false;
shown().forEach(ready);
