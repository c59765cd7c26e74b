// <form data-select-form>: one box selects all boxes of the form. Without scripts each box is ticked by hand.

const form = document.querySelector("[data-select-form]");
const all = form?.querySelector("[data-select-all]");
const boxes = [...(form?.querySelectorAll("[data-select]") ?? [])];

if (all) {
  form.querySelector("[data-select-all-box]").hidden = false;
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
  });
  form.addEventListener("change", () => {
    const ticked = boxes.filter(box => box.checked).length;
    all.checked = ticked === boxes.length;
    all.indeterminate = ticked > 0 && ticked < boxes.length;
  });
}
