// <form data-labels>: rows are added, removed and moved, and templates inserted. Without scripts the form has an
// empty row, a box "remove" and a number for the order, and saves the same.

const form = document.querySelector("form[data-labels]");
const rows = form.querySelector("[data-label-rows]");
const blank = form.querySelector("template[data-label-empty]");
const total = form.querySelector('[name="labels-TOTAL_FORMS"]');
const said = form.querySelector("[data-labels-said]");

const shown = () => [...rows.querySelectorAll("[data-label-row]:not([hidden])")];
const field = (row, name) => row.querySelector(`[name$="-${name}"]`);
const say = words => (said.textContent = words);

// The keys of the other labels stay as they are: reviewers know them by heart.
function nextKey() {
  const keys = [...rows.querySelectorAll('[name$="-position"]')].map(input => Number(input.value) || 0);
  return Math.max(Number(form.dataset.lastKey) || 0, ...keys) + 1;
}

function ready(row) {
  for (const part of row.querySelectorAll("[data-label-tools], [data-label-templates]")) part.hidden = false;
  row.querySelector("[data-label-remove-box]").hidden = !field(row, "remove").checked;
}

function insert(row, template) {
  const name = field(row, "name").value.trim();
  const prompts = field(row, "prompts");
  const text = template.replaceAll("{label}", name);
  const lines = prompts.value.split("\n").filter(line => line.trim());
  if (!name || lines.includes(text)) return name;
  prompts.value = [...lines, text].join("\n");
  return name;
}

function add() {
  const holder = document.createElement("div");
  holder.innerHTML = blank.innerHTML.replaceAll("__prefix__", total.value);
  const row = holder.querySelector("[data-label-row]");
  field(row, "position").value = nextKey();
  total.value = Number(total.value) + 1;
  rows.append(row);
  ready(row);
  field(row, "name").focus();
  say(said.dataset.textAdded);
}

function remove(row) {
  const next = shown()[shown().indexOf(row) + 1];
  field(row, "remove").checked = true;
  row.hidden = true;
  say(said.dataset.textRemoved);
  (next ? field(next, "name") : form.querySelector("[data-label-add]")).focus();
}

function move(row, step, button) {
  const list = shown();
  const other = list[list.indexOf(row) + step];
  if (!other) return;
  if (step < 0) other.before(row);
  else other.after(row);
  const [mine, theirs] = [field(row, "position"), field(other, "position")];
  [mine.value, theirs.value] = [theirs.value, mine.value];
  button.focus();
}

form.addEventListener("click", event => {
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

// Moving a row exchanges its key with its neighbour's.
for (const part of form.querySelectorAll("[data-labels-toolbar], [data-label-add]")) part.hidden = false;
shown().forEach(ready);
