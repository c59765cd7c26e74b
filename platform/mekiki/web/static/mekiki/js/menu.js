// <details data-menu>: closes on Escape, on a click elsewhere, and when focus leaves it.

const menus = () => document.querySelectorAll("details[data-menu][open]");

document.addEventListener("click", event => {
  for (const menu of menus()) if (!menu.contains(event.target)) menu.open = false;
});

document.addEventListener("keydown", event => {
  if (event.key !== "Escape" || event.isComposing) return;
  for (const menu of menus()) {
    menu.open = false;
    if (menu.contains(document.activeElement)) menu.querySelector("summary").focus();
  }
});

document.addEventListener("focusout", event => {
  const menu = event.target.closest?.("details[data-menu][open]");
  if (menu && event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false;
});

// The current section stays in sight where the sections scroll sideways.
const nav = document.querySelector(".sections");
const current = nav?.querySelector('[aria-current="page"]');
if (current && nav.scrollWidth > nav.clientWidth) {
  nav.scrollLeft = current.offsetLeft - nav.offsetLeft - (nav.clientWidth - current.offsetWidth) / 2;
}
