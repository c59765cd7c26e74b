// A form (or a button in it) with data-confirm="question" asks before it is sent. data-confirm-yes="words"
// names the act on the button.

import { whenClosed } from "./dialogs.js";

const dialog = document.getElementById("confirm-dialog");
const yes = dialog?.querySelector("[data-confirm-yes]");
const usual = yes?.textContent;
let waiting = null;

document.addEventListener(
  "submit",
  event => {
    const form = event.target;
    const asker = event.submitter?.dataset.confirm ? event.submitter : form;
    const question = asker.dataset?.confirm;
    if (!question || !dialog || form.dataset.confirmed) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    dialog.querySelector("#confirm-question").textContent = question;
    yes.textContent = asker.dataset.confirmYes || usual;
    waiting = { form, submitter: event.submitter };
    dialog.returnValue = "no";
    dialog.showModal();
  },
  true,
);

// The second click of a double click was meant for what the first one has replaced by now: a dialog, or a list that has
// moved on.
document.addEventListener(
  "click",
  event => {
    if (event.detail > 1 && event.target.closest?.("form button:not([type='button'])"))
      event.preventDefault();
  },
  true,
);

if (dialog)
  whenClosed(dialog, () => {
    const asked = waiting;
    waiting = null;
    if (!asked || dialog.returnValue !== "yes") return;
    asked.form.dataset.confirmed = "yes";
    asked.form.requestSubmit(asked.submitter);
    delete asked.form.dataset.confirmed;
  });
