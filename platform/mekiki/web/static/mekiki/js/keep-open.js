// Parts of a page that htmx replaces keep their opened details and the keyboard focus on their summaries.
// Bound to elements with an id and [data-keep-open].

const summaries = root => [...root.querySelectorAll("details > summary")];
const kept = new Map();

document.addEventListener("htmx:beforeSwap", event => {
  const part = event.detail.target;
  if (!part.matches?.("[data-keep-open]") || !event.detail.shouldSwap) return;
  const all = summaries(part);
  kept.set(part.id, {
    open: all.map(summary => summary.parentElement.open),
    focus: all.indexOf(document.activeElement),
  });
});

document.addEventListener("htmx:load", event => {
  const part = event.target;
  const before = part.matches?.("[data-keep-open]") && kept.get(part.id);
  if (!before) return;
  kept.delete(part.id);
  summaries(part).forEach((summary, place) => {
    if (before.open[place]) summary.parentElement.open = true;
    if (before.focus === place) summary.focus();
  });
});
