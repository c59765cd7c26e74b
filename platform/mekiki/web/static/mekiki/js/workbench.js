// The prompt workbench: sentences are inserted by one click, and the glossary is searched. htmx sends the draft.
// Without scripts the field and its buttons work as a form.

const form = document.querySelector("form[data-workbench]");
const text = form.querySelector("[data-workbench-text]");
const words = form.querySelector("[data-workbench-words]");
const said = form.querySelector("[data-workbench-said]");
const find = form.querySelector("[data-glossary-find]");

words.hidden = false;

function insert(sentence) {
  const lines = text.value.split("\n").filter(line => line.trim());
  if (lines.includes(sentence)) {
    said.textContent = said.dataset.textThere;
    return;
  }
  text.value = [...lines, sentence].join("\n");
  said.textContent = said.dataset.text;
  text.dispatchEvent(new Event("input", { bubbles: true }));
}

words.addEventListener("click", event => {
  const button = event.target.closest("button[data-insert]");
  if (button) insert(button.dataset.insert);
});

const plain = value => value.normalize("NFKC").toLowerCase().trim();

find.addEventListener("input", () => {
  const wanted = plain(find.value);
  for (const group of words.querySelectorAll("[data-glossary-group]")) {
    const terms = [...group.querySelectorAll("[data-term]")];
    for (const term of terms) term.hidden = !plain(term.dataset.term).includes(wanted);
    group.hidden = terms.every(term => term.hidden);
  }
});

// Enter in the search of the glossary must not save the draft.
find.addEventListener("keydown", event => {
  if (event.key === "Enter" && !event.isComposing) event.preventDefault();
});

// A change that htmx has not sent yet, because the page is left within the pause after the last key.
let sent = text.value;
let submitted = false;

text.addEventListener("htmx:configRequest", () => (sent = text.value));
form.addEventListener("submit", () => (submitted = true));
window.addEventListener("pagehide", () => {
  if (!submitted && text.value !== sent)
    navigator.sendBeacon(text.getAttribute("hx-post"), new FormData(form));
});
