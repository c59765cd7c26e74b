// <form data-select-form>: one box selects all boxes of the form, also those outside of it (attribute form). Without
// scripts each box is ticked by hand.

const form = document.querySelector("[data-select-form]");
const all = form?.querySelector("[data-select-all]");
const boxes = [...document.querySelectorAll("[data-select]")].filter(box => box.form === form);

if (all) {
  form.querySelector("[data-select-all-box]").hidden = false;
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
  });
  document.addEventListener("change", event => {
    if (event.target.form !== form) return;
    const ticked = boxes.filter(box => box.checked).length;
    all.checked = ticked === boxes.length;
    all.indeterminate = ticked > 0 && ticked < boxes.length;
  });
}
