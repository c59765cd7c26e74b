// .gallery: the arrow keys move between the images, Home and End to the first and last. Links work as before.

const grid = document.querySelector(".gallery");

function columns(items) {
  const top = items[0]?.getBoundingClientRect().top;
  const next = items.findIndex(item => item.getBoundingClientRect().top > top + 4);
  return next < 0 ? items.length : next;
}

grid?.addEventListener("keydown", event => {
  if (event.isComposing || event.altKey || event.ctrlKey || event.metaKey) return;
  const items = [...grid.querySelectorAll(".gallery__item")];
  const at = items.indexOf(event.target.closest(".gallery__item"));
  if (at < 0) return;
  const to = {
    ArrowLeft: at - 1,
    ArrowRight: at + 1,
    ArrowUp: at - columns(items),
    ArrowDown: at + columns(items),
    Home: 0,
    End: items.length - 1,
  }[event.key];
  if (to === undefined || !items[to]) return;
  event.preventDefault();
  items[to].focus();
});
