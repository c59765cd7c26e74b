// [data-select] boxes of the gallery: Shift and a click selects all images since the last click. The number of selected
// images is written into [data-select-count].

const boxes = [...document.querySelectorAll("[data-select]")];
const status = document.querySelector("[data-select-count]");
let last = -1;

function showCount() {
  const n = boxes.filter(box => box.checked).length;
  if (status) status.textContent = n ? `✓ ${n}` : "";
}

document.addEventListener("click", event => {
  const at = boxes.indexOf(event.target);
  if (at < 0) return;
  if (event.shiftKey && last >= 0) {
    const [from, to] = [Math.min(at, last), Math.max(at, last)];
    for (const box of boxes.slice(from, to + 1)) box.checked = event.target.checked;
    event.target.dispatchEvent(new Event("change", { bubbles: true }));
  }
  last = at;
});
document.addEventListener("change", () => setTimeout(showCount));
